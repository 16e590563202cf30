"""What a verifier adds to a bare decision, beside it in the same run: `python -m benchmarks.verify [--seconds S]`.

Processes decide at a steady rate on one SQLite store in which a rollout is in force. Each case is decided bare, then
by `verify`. The same is done while another process holds the store's lock, and that of the metrics file.
"""

import argparse
import json
import multiprocessing
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from filelock import FileLock
from numpy.random import Generator
from numpy.typing import NDArray

from suffice.rollout.operator import Operator, Start
from suffice.rollout.world import Place
from suffice.serving.verifier import Verifier
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case
from suffice.verifier.loop import decide

PROCESSES, RATE = 8, 20
CONFIG = {
    "verifier": {
        "rule": "proportion",
        "n_samples": 100,
        "adaptive_sampling": {"enabled": True, "max_disagreement": 0.01},
    },
    "rollout": {"stages": [{"name": "full", "weight": 100, "audit_fraction": 0.1}]},
}


def trials(rng: Generator, n: int) -> NDArray[np.float64]:
    return (rng.random(n) < 0.97).astype(np.float64)


def deciding(folder: Path, number: int, seconds: float) -> list[tuple[float, float, bool]]:
    """Seconds of the bare decision and of `verify` for each case, and whether it was adaptive."""
    times = []
    with Verifier.from_config(folder / "config.json", queue=folder / "queue") as verifier:
        end = perf_counter() + seconds
        while (start := perf_counter()) < end:
            case = Case(f"{number}/{len(times)}/{time.time_ns()}", f"target {len(times)}", trials)
            begin = perf_counter()
            decide(case, verifier.plan, verifier.seed)
            between = perf_counter()
            served = verifier.verify(case)
            done = perf_counter()
            times.append((between - begin, done - between, served.arm is Arm.ADAPTIVE))
            time.sleep(max(0.0, 1 / RATE - (done - start)))
    return times


@contextmanager
def locked_store(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(folder / "queue" / "store.db", isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def locked_metrics(folder: Path) -> Iterator[None]:
    with FileLock(folder / "queue" / "metrics.json.lock"):
        yield


SITUATIONS: dict[str, Callable[[Path], AbstractContextManager[None]]] = {
    "quiet": lambda _: nullcontext(),
    "the store is locked": locked_store,
    "metrics.json.lock is held": locked_metrics,
}


def measure(folder: Path, seconds: float, situation: str) -> dict[str, float | int | str]:
    """Percentiles over all processes, in milliseconds; the situation begins once everybody decides."""
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        tasks = [pool.apply_async(deciding, (folder, number, seconds)) for number in range(PROCESSES)]
        time.sleep(seconds / 4)
        with SITUATIONS[situation](folder):
            time.sleep(seconds / 2)
        times = [each for task in tasks for each in task.get()]
    bare, served = (1e3 * np.array([each[column] for each in times]) for column in (0, 1))
    return {
        "situation": situation,
        "decisions": len(times),
        "adaptive": sum(each[2] for each in times),
        "bare_p50_ms": round(float(np.quantile(bare, 0.5)), 3),
        "verify_p50_ms": round(float(np.quantile(served, 0.5)), 3),
        "bare_p99_ms": round(float(np.quantile(bare, 0.99)), 3),
        "verify_p99_ms": round(float(np.quantile(served, 0.99)), 3),
        "verify_max_ms": round(float(served.max()), 1),
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each situation is measured")
    seconds = parser.parse_args(arguments).seconds
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
        with Operator(Place(folder / "config.json", folder / "queue")) as operator:
            operator.start("benchmark", Start(waived=("determinism",)))
        measured = [measure(folder, seconds, situation) for situation in SITUATIONS]
    sys.stdout.write(
        json.dumps({"cpus": os.cpu_count(), "load": os.getloadavg(), "measured": measured}, indent=1) + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
