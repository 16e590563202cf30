"""`python -m benchmarks.workers`: one run by one process, by two local ones, and by two Dask workers.

Two runs of real decisions: the adversarial sweep, and a comparison of recorded pairs of the pdg corrections. They take
turns, and must give the same result. Starting the workers is measured apart.
"""

import argparse
import json
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

import suffice
from benchmarks.cases import SEED, corrections
from benchmarks.cluster import WORKERS, Cluster
from benchmarks.run import RESULTS, describe_machine
from suffice.comparison.chunks import compare_in_chunks
from suffice.comparison.workers import Failed, Pool, in_order, pool
from suffice.resolution.storm import StormPolicy
from suffice.runbook.scenarios.catalogue import SCENARIOS
from suffice.runbook.sweep import Conditions, sweep, tasks
from suffice.sampling.sampler import Draws
from suffice.sampling.streams import Stream
from suffice.sources.recorded import Samples
from suffice.stopping.plan import Plan

N = 256
ROUNDS = 2
REPEATS, COPIES = 6, 4
"""How often each cell of the sweep is run and each correction is recorded: 20 s of work for one process."""

BATCH = 500
AIM, DASK_AIM = 1.8, 1.1
HANDS = ("one process", "two processes", "two Dask workers")

Run = Callable[[Pool, int | None], str]
"""A run that gives the checksum of what it found; of its first so many parts only, to have everything loaded."""

PARTS = {"sweep": 24, "compare --samples": 2000}
"""Parts of a run, several for each worker, after which nothing more needs loading."""


@dataclass(frozen=True)
class Measured:
    """One run: its wall time, the CPU time of all processes that took part, and the share of the processors' time that
    somebody else used meanwhile."""

    seconds: float
    cpu: float
    others: float


@dataclass(frozen=True)
class Result:
    """The rounds of one kind of run, by who did it; `cpu_ratio` is what the workers' run costs beside the plain one."""

    run: str
    rounds: dict[str, list[Measured]]

    def ratios(self, name: str, beside: str) -> list[float]:
        """How many times faster, round by round."""
        pairs = zip(self.rounds[name], self.rounds[beside], strict=True)
        return [other.seconds / one.seconds for one, other in pairs]

    def corrected(self, fast: str, slow: str) -> float:
        """How many times faster in the time that others left, in the round with the fewest others: the CPU seconds of
        the slow one over those that the fast one could have had, for each processor. Idling counts as the run's own."""
        pairs = zip(self.rounds[fast], self.rounds[slow], strict=True)
        one, other = min(pairs, key=lambda pair: pair[0].others)
        return other.cpu / (one.seconds * (1 - one.others))

    def least(self, name: str) -> float:
        return min(one.seconds for one in self.rounds[name])

    def cpu(self, name: str) -> float:
        return min(one.cpu for one in self.rounds[name])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args(arguments).rounds
    with ExitStack() as open_:
        folder = Path(open_.enter_context(TemporaryDirectory(prefix="suffice-workers-")))
        runs = {"sweep": sweep_run(folder), "compare --samples": compare_run(folder)}
        starts: dict[str, float] = {}
        results = [Result(name, {who: [] for who in HANDS}) for name in runs]
        for result, run in zip(results, runs.values(), strict=True):
            for _ in range(rounds):
                checksums = {_measure(result, run, folder, who, starts) for who in HANDS}
                if len(checksums) > 1:
                    raise SystemExit(f"{result.run}: the results differ: {checksums}")
    text = report(results, starts, rounds)
    measured = {"machine": describe_machine(), "starts": starts, "results": [asdict(result) for result in results]}
    (RESULTS / "workers.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "workers.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0


def sweep_run(folder: Path) -> Run:
    """All cells of the adversarial sweep, `REPEATS` times; the checksum is that of every file it writes."""
    conditions = Conditions(
        suffice.plan(suffice.Proportion(0.8), N, 0.01), SEED, StormPolicy(3), datetime(2025, 1, 1, tzinfo=UTC)
    )

    def run(workers: Pool, first: int | None = None) -> str:
        wanted = tasks(SCENARIOS, REPEATS, first)
        digest = sha256()
        with TemporaryDirectory(dir=folder) as out:
            assert not any(isinstance(one, Failed) for one in sweep(Path(out), wanted, conditions, workers))
            for path in sorted(path for path in Path(out).rglob("*") if path.is_file()):
                digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()

    return run


def compare_run(folder: Path) -> Run:
    """The pdg corrections as recorded pairs, four methods side by side; the checksum is the comparison's own."""
    path, rule = folder / "pdg.parquet", suffice.PairedMean(alpha=0.05)
    record(path)
    plans = _plans(rule)

    def run(workers: Pool, first: int | None = None) -> str:
        cases = islice(Samples(path, rule), first)
        last = deque(compare_in_chunks(cases, rule, 0, lambda _: plans, SEED, workers), maxlen=1).pop()
        assert last.failed == 0
        return last.checksum

    return run


def _plans(rule: suffice.PairedMean) -> list[Plan]:
    designed = partial(suffice.plan, rule, N, guarded=True)
    return [designed(0.01), designed(0.01, method="curtailed"), designed(method="margin"), designed(method="fixed")]


def record(path: Path) -> None:
    """Write `N` pairs of each correction, `COPIES` times, as a user would who kept the draws."""
    schema = pa.schema([("case", pa.string()), ("before", pa.float64()), ("after", pa.float64())])
    keys = [(f"{case.key} #{copy}", case.sampler) for copy in range(COPIES) for case in corrections()]
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, len(keys), BATCH):
            some = keys[start : start + BATCH]
            pairs = np.concatenate([Draws(sampler, Stream(SEED, key)).take(N) for key, sampler in some])
            names = np.repeat([key for key, _ in some], N)
            writer.write(pa.table([names, pairs[:, 0], pairs[:, 1]], schema=schema))


@contextmanager
def _started(folder: Path, who: str) -> Iterator[Pool]:
    """Who does the work, started anew with everything loaded: nobody idles beside the others' runs."""
    with ExitStack() as open_:
        if who == "two Dask workers":
            inside = open_.enter_context(TemporaryDirectory(dir=folder))
            address = open_.enter_context(Cluster(Path(inside) / "cluster")).address
            hands = open_.enter_context(pool(cluster=address))
        else:
            hands = open_.enter_context(pool(WORKERS if who == "two processes" else 1))
        _load(hands, 1 if who == "one process" else WORKERS)
        yield hands


def _load(hands: Pool, width: int) -> None:
    seen: set[object] = set()
    while len(seen) < width:
        for one in in_order(loaded, range(4 * width), hands):
            assert not isinstance(one, Failed), one.why
            seen.add(one)


def loaded(_: int) -> int:
    """The process that answers; importing this module has loaded what the runs need."""
    sleep(0.05)
    return os.getpid()


def _measure(result: Result, run: Run, folder: Path, who: str, starts: dict[str, float]) -> str:
    start = perf_counter()
    with _started(folder, who) as hands:
        starts[who] = min(starts.get(who, float("inf")), perf_counter() - start)
        run(hands, PARTS[result.run])
        before, busy, start = _cpu(), _busy(), perf_counter()
        checksum = run(hands, None)
        seconds, used = perf_counter() - start, _cpu() - before
        others = (_busy() - busy - used) / (seconds * (os.cpu_count() or 1))
    result.rounds[who].append(Measured(seconds, used, max(0.0, others)))
    return checksum


def _cpu() -> float:
    """CPU seconds of this process and of those that it started."""
    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children())]
    return sum(one.user + one.system for one in times)


def _busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system + times.irq + times.softirq + times.steal)


def report(results: list[Result], starts: dict[str, float], rounds: int) -> str:
    lines = [
        "# One process, two, and two Dask workers",
        "",
        "Printed by `python -m benchmarks.workers`: "
        + ", ".join(f"{key} {value}" for key, value in describe_machine().items())
        + f". {rounds} rounds in turn; the results were equal.",
        "",
        "| run | by | wall s, least | CPU s, least | others' share of the processors, each round |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for result in results:
        for who, measured in result.rounds.items():
            others = ", ".join(f"{100 * one.others:.0f} %" for one in measured)
            lines.append(f"| {result.run} | {who} | {result.least(who):.1f} | {result.cpu(who):.1f} | {others} |")
    lines += [
        "",
        "| ratio | least times | median of the rounds | without others | CPU | aim |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    one, two, dask = HANDS
    for result in results:
        for fast, slow, aim in ((two, one, f"≥ {AIM}"), (two, dask, f"≤ {DASK_AIM}")):
            least = result.least(slow) / result.least(fast)
            middle = median(result.ratios(fast, slow))
            alone = f"{result.corrected(fast, slow):.2f}" if slow == one else ""
            cpu = result.cpu(slow) / result.cpu(fast)
            lines.append(
                f"| {result.run}: {slow} / {fast} | {least:.2f} | {middle:.2f} | {alone} | {cpu:.2f} | {aim} |"
            )
    told = ", ".join(f"{who} {seconds:.1f} s" for who, seconds in starts.items() if who != one)
    return "\n".join([*lines, "", f"Starting the workers, in none of these times: {told}."]) + "\n"


if __name__ == "__main__":
    # The workers import this module by its name.
    from benchmarks.workers import main as run_main

    sys.exit(run_main(sys.argv[1:]))
