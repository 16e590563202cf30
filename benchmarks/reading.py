"""`python -m benchmarks.reading`: what reading recorded samples costs, and the process that feeds others."""

import csv
import json
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import suffice
from benchmarks.run import RESULTS, describe_machine
from benchmarks.scale import write
from suffice.comparison.chunks import compare_in_chunks
from suffice.comparison.workers import pool
from suffice.sources.recorded import Samples

CASES, SIZES, SEED, ROUNDS = 3000, (40, 90), 42, 5
FED, WORKERS = 200_000, 2
SINGLE, PAIRS = ("value",), ("before", "after")
Recordings = Sequence[tuple[str, list[list[float]]]]


def main() -> int:
    with TemporaryDirectory(prefix="suffice-reading-") as name:
        folder = Path(name)
        results = {
            suffix: {kind: _reading(folder / f"{kind}{suffix}", columns) for kind, columns in _KINDS.items()}
            for suffix in _WRITERS
        }
        fed = _feeding(folder / "fed.parquet")
    lines = [
        "# Reading recorded samples",
        "",
        "Printed by `python -m benchmarks.reading`: "
        + ", ".join(f"{key} {value}" for key, value in describe_machine().items())
        + f". CPU time of iterating over {CASES:,} cases of {SIZES[0]} to {SIZES[1] - 1} draws, the least of {ROUNDS}.",
        "",
        "| | single values, ns a draw | pairs, ns a pair |",
        "| --- | ---: | ---: |",
        *(f"| {suffix} | {of['values']:,.0f} | {of['pairs']:,.0f} |" for suffix, of in results.items()),
        "",
        f"Reading cases of 10 draws from Parquet for {WORKERS} local workers, sending them and collecting the results "
        f"takes {fed:.1f} µs of CPU time a case.",
    ]
    text = "\n".join(lines) + "\n"
    (RESULTS / "reading.json").write_text(
        json.dumps({"machine": describe_machine(), "nanoseconds": results, "feeding_microseconds": fed}, indent=1)
        + "\n",
        encoding="utf-8",
    )
    (RESULTS / "reading.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0


def recordings(columns: int) -> Recordings:
    """Draws of cases whose N differ; zeros and ones, or pairs."""
    generator = np.random.default_rng(SEED)
    sizes = generator.integers(*SIZES, CASES).tolist()
    if columns == 1:
        return [(f"case-{i}", generator.integers(0, 2, (n, 1)).tolist()) for i, n in enumerate(sizes)]
    return [(f"case-{i}", generator.normal(size=(n, 2)).tolist()) for i, n in enumerate(sizes)]


def _reading(path: Path, columns: Sequence[str]) -> float:
    recorded = recordings(len(columns))
    _WRITERS[path.suffix](path, recorded, columns)
    rule = suffice.Proportion(0.5) if columns == SINGLE else suffice.PairedMean()
    draws = sum(len(values) for _, values in recorded)
    least = float("inf")
    for _ in range(ROUNDS):
        start = process_time()
        deque(Samples(path, rule), maxlen=0)
        least = min(least, process_time() - start)
    return least / draws * 1e9


def _feeding(path: Path) -> float:
    """The CPU time of the process that reads, in microseconds a case."""
    write(path, FED)
    rule = suffice.Proportion(0.5)
    plans = (suffice.plan(rule, 10, 0.01),)
    with pool(WORKERS) as hands:
        start = process_time()
        last = deque(compare_in_chunks(Samples(path, rule), rule, 0, lambda _: plans, SEED, hands), maxlen=1).pop()
        used = process_time() - start
    assert (last.cases, last.failed) == (FED, 0)
    return used / FED * 1e6


def _rows(recorded: Recordings) -> Iterator[tuple[str, list[float]]]:
    for key, values in recorded:
        for one in values:
            yield key, one


def _write_parquet(path: Path, recorded: Recordings, columns: Sequence[str]) -> None:
    keys, draws = zip(*_rows(recorded), strict=True)
    pq.write_table(pa.table([list(keys), *map(list, zip(*draws, strict=True))], names=["case", *columns]), path)


def _write_csv(path: Path, recorded: Recordings, columns: Sequence[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["case", *columns])
        writer.writerows([key, *one] for key, one in _rows(recorded))


def _write_jsonl(path: Path, recorded: Recordings, columns: Sequence[str]) -> None:
    names = ("samples",) if len(columns) == 1 else columns
    with path.open("w", encoding="utf-8") as file:
        for key, values in recorded:
            draws = zip(names, map(list, zip(*values, strict=True)), strict=True)
            file.write(json.dumps({"case": key, **dict(draws)}) + "\n")


_KINDS = {"values": SINGLE, "pairs": PAIRS}
_WRITERS = {".parquet": _write_parquet, ".jsonl": _write_jsonl, ".csv": _write_csv}


if __name__ == "__main__":
    sys.exit(main())
