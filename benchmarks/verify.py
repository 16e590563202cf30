"""What a verifier adds to a bare decision, beside it in the same run: `python -m benchmarks.verify [--seconds S]`.

Processes decide at a steady rate on one store in which a rollout is in force: on SQLite, then on a PostgreSQL server of
the benchmark's own. Each case is decided bare, by the arm that `verify` then takes, and by `verify`; the difference is
what is added. Each situation ends badly for whoever waits: a lock that is held, a server that is stopped, a cycle over
`--rows` rows, a full disk (a small file system of its own; only root can mount one, else it is left out and said).
"""

import argparse
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import psycopg
from filelock import FileLock
from numpy.random import Generator
from numpy.typing import NDArray
from sqlalchemy import delete
from tests.postgres_server import Server, running

from benchmarks.ledger import ROW, cycle, fill
from suffice.rollout.operator import Operator, Start
from suffice.rollout.world import Place
from suffice.serving.served import serve_fixed
from suffice.serving.verifier import Verifier
from suffice.store.database import WRITE_LOCK, open_store
from suffice.store.schema import rollup_storms, rollup_targets, rollups
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case
from suffice.verifier.loop import decide

PROCESSES, RATE = 8, 20
SETTLE_SECONDS = 3.0
CONFIG = {
    "verifier": {
        "rule": "proportion",
        "n_samples": 100,
        "adaptive_sampling": {"enabled": True, "max_disagreement": 0.01},
    },
    "rollout": {"checks": {"run": []}, "stages": [{"name": "full", "weight": 100, "audit_fraction": 0.1}]},
}


@dataclass(frozen=True)
class World:
    """A rollout in force: its folder, and the server that its store is on, None for SQLite."""

    folder: Path
    server: Server | None
    url: str | None

    @property
    def queue(self) -> Path:
        return self.folder / "queue"

    @property
    def store(self) -> str | Path:
        return self.url or self.queue / "store.db"


def trials(rng: Generator, n: int) -> NDArray[np.float64]:
    return (rng.random(n) < 0.97).astype(np.float64)


def deciding(folder: Path, url: str | None, number: int, seconds: float) -> list[tuple[float, float, float, bool]]:
    """For each case the moment, the seconds of the bare decision and of `verify`, and whether it was adaptive."""
    times = []
    with Verifier.from_config(folder / "config.json", queue=folder / "queue", store=url) as verifier:
        end = perf_counter() + seconds
        while (start := perf_counter()) < end:
            case = Case(f"{number}/{len(times)}/{time.time_ns()}", f"target {len(times)}", trials)
            bare = decide if verifier.arm(case) is Arm.ADAPTIVE else serve_fixed
            begin = perf_counter()
            bare(case, verifier.plan, verifier.seed)
            between = perf_counter()
            served = verifier.verify(case)
            done = perf_counter()
            times.append((between, between - begin, done - between, served.arm is Arm.ADAPTIVE))
            time.sleep(max(0.0, 1 / RATE - (done - start)))
    return times


@contextmanager
def locked_store(world: World) -> Iterator[None]:
    if world.server is None:
        with closing(sqlite3.connect(world.store, isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
            other.execute("ROLLBACK")
        return
    # Not by a transaction of ours: the server ends one that is idle.
    with psycopg.connect(str(world.url)) as other:
        other.execute(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")
        other.execute("LOCK TABLE decisions IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def locked_metrics(world: World) -> Iterator[None]:
    with FileLock(world.queue / "metrics.json.lock"):
        yield


@contextmanager
def frozen_server(world: World) -> Iterator[None]:
    assert world.server is not None
    pids = [world.server.process.pid, *children(world.server.process.pid)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    yield
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


def children(parent: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(parent)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


@contextmanager
def full_disk(world: World) -> Iterator[None]:
    filler = world.queue / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            yield
    filler.unlink()


@contextmanager
def large_cycle(world: World) -> Iterator[None]:
    """Cycles over the rows of a rollout that ended before, one after the other, in a process of their own."""
    task = multiprocessing.get_context("spawn").Process(target=cycling, args=(world.store,))
    task.start()
    yield
    task.terminate()
    task.join()


def cycling(store: str | Path) -> None:
    while True:
        cycle(store)
        with open_store(store) as opened, opened.write() as connection:
            for table in (rollup_storms, rollup_targets, rollups):
                connection.execute(delete(table).where(table.c.rollout == ROW.rollout))


SITUATIONS: dict[str, Callable[[World], AbstractContextManager[None]]] = {
    "nothing is wrong": lambda _: nullcontext(),
    "the store is locked": locked_store,
    "the server is stopped": frozen_server,
    "metrics.json.lock is held": locked_metrics,
    "the disk is full": full_disk,
    "a cycle reads a large ledger": large_cycle,
}


def measure(world: World, seconds: float, situation: str) -> dict[str, object]:
    """Percentiles over all processes while the situation lasts, in milliseconds. It begins once everybody decides."""
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        told = (world.folder, world.url)
        lasting = seconds + 2 * SETTLE_SECONDS
        tasks = [pool.apply_async(deciding, (*told, number, lasting)) for number in range(PROCESSES)]
        time.sleep(SETTLE_SECONDS)
        with SITUATIONS[situation](world):
            began = perf_counter()
            time.sleep(seconds)
            ended = perf_counter()
        entries = [entry for task in tasks for entry in task.get() if began <= entry[0] <= ended]
    bare, served = (1e3 * np.array([entry[column] for entry in entries]) for column in (1, 2))
    return {
        "store": "PostgreSQL" if world.server else "SQLite",
        "situation": situation,
        "seconds": seconds,
        "decisions": len(entries),
        "adaptive": sum(entry[3] for entry in entries),
        "bare_p99_ms": _quantile(bare, 0.99),
        "verify_p50_ms": _quantile(served, 0.5),
        "verify_p99_ms": _quantile(served, 0.99),
        "added_p50_ms": _quantile(served - bare, 0.5),
        "added_p99_ms": _quantile(served - bare, 0.99),
        "added_max_ms": _quantile(served - bare, 1.0),
    }


def _quantile(values: NDArray[np.float64], share: float) -> float:
    return round(float(np.quantile(values, share)), 3)


@contextmanager
def small_disk(folder: Path, *, wanted: bool) -> Iterator[bool]:
    """Makes the folder a small file system of its own, if that is wanted; False where it cannot be: only root can."""
    mounted = (
        wanted
        and os.geteuid() == 0
        and (subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], check=False).returncode == 0)
    )
    try:
        yield mounted or not wanted
    finally:
        if mounted:
            subprocess.run(["umount", folder], check=True)


@contextmanager
def in_force(server: Server | None, *, small: bool = False) -> Iterator[World | None]:
    """A world of its own; None where its disk should be small and cannot be."""
    with TemporaryDirectory() as name, small_disk(Path(name), wanted=small) as mounted:
        if not mounted:
            yield None
            return
        world = World(Path(name), server, server.place() if server else None)
        (world.folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
        with Operator(Place(world.folder / "config.json", world.queue, url=world.url)) as operator:
            operator.start("benchmark", Start(waived=("determinism",)))
        yield world


def measured(server: Server | None, asked: argparse.Namespace) -> Iterator[dict[str, object]]:
    for situation in SITUATIONS:
        if situation == "the server is stopped" and server is None:
            continue
        seconds = asked.lock_seconds if situation == "the store is locked" else asked.seconds
        with in_force(server, small=situation == "the disk is full") as world:
            if world is None:
                yield {"situation": situation, "not measured": "only root can mount a small file system"}
                continue
            if situation == "a cycle reads a large ledger":
                fill(world.store, 0, asked.rows)
            yield measure(world, seconds, situation)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each situation lasts")
    parser.add_argument("--lock-seconds", type=float, default=95.0, help="how long the store is locked")
    parser.add_argument("--rows", type=int, default=1_000_000, help="decisions in the large ledger")
    parser.add_argument("--store", choices=["SQLite", "PostgreSQL"], help="only on this store")
    asked = parser.parse_args(arguments)
    sys.stdout.write(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, {PROCESSES} processes\n")
    with running() as server:
        places = {"SQLite": None, "PostgreSQL": server}
        for place in (places[name] for name in ([asked.store] if asked.store else places)):
            for figures in measured(place, asked):
                sys.stdout.write(json.dumps(figures) + "\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
