"""What the ledger and its spool cost a decision, and a large ledger a cycle: `python -m benchmarks.ledger --rows N`."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.timing import least_seconds
from suffice.resolution.storm import StormPolicy
from suffice.rollout.evidence import EvidenceReader
from suffice.rollout.stage import Stage
from suffice.serving.spool import Spool
from suffice.serving.verifier import BATCH
from suffice.store.database import open_store
from suffice.store.ledger import DecisionRow, Ledger

ROWS = 50_000
ROUNDS = 3
NEW, TARGETS, PORTION = 10_000, 5_000, 10_000

ROW = DecisionRow(
    key="",
    target="pump-17",
    arm="adaptive",
    decision="accepted",
    n=24,
    fixed_n=256,
    estimate=0.95,
    reason="ACCEPT_BOUNDARY",
    seed=42,
    plan_id="0" * 64,
    at=1_800_000_000.0,
    rollout="verifier-000001",
    stage="canary",
    region="eu-west-1",
)


def write(rows: list[DecisionRow], *, spooled: bool) -> None:
    """What a verifier does with its rows: each into the spool, batches into the ledger."""
    with TemporaryDirectory(prefix="suffice-") as folder, open_store(Path(folder) / "store.db") as store:
        ledger, spool = Ledger(store), Spool(Path(folder) / "spool")
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            for row in batch if spooled else ():
                spool.add(row)
            ledger.append(batch)
            spool.clear()
        spool.close()


def cycle(path: Path) -> float:
    """Seconds of what a cycle asks of the ledger, by a reader that knows nothing yet."""
    start = perf_counter()
    with open_store(path) as store:
        reader = EvidenceReader(Ledger(store), ROW.rollout, StormPolicy(3))
        reader.read(Stage(ROW.stage, 5), ROW.at, ROW.at)
    return perf_counter() - start


def fill(path: Path, first: int, count: int) -> None:
    """That many decisions more, each tenth audited."""
    with open_store(path, durable=False) as store:
        ledger = Ledger(store)
        for start in range(first, first + count, PORTION):
            ledger.append(
                replace(
                    ROW,
                    key=f"case-{i}",
                    target=f"t{i % TARGETS}",
                    audited=i % 10 == 0,
                    agrees=True if i % 10 == 0 else None,
                    baseline_decision="accepted" if i % 10 == 0 else None,
                    baseline_n=256 if i % 10 == 0 else None,
                )
                for i in range(start, min(start + PORTION, first + count))
            )


def cycles(rows: int) -> None:
    """Print what a cycle costs on a ledger of so many rows: the first one, the next, one with new rows."""
    with TemporaryDirectory(prefix="suffice-") as folder:
        path = Path(folder) / "store.db"
        fill(path, 0, rows)
        first, idle = cycle(path), cycle(path)
        fill(path, rows, NEW)
        sys.stdout.write(
            f"{rows:,} rows: the first cycle {first:.2f} s, the next {idle:.3f} s, one with {NEW:,} new rows "
            f"{cycle(path):.3f} s\n"
        )


def main() -> None:
    """Print µs a row and rows a second, with and without the spool; the store waits for the disk, as in production.
    With --rows, what cycles cost on a ledger of so many."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=0)
    large = parser.parse_args().rows
    rows = [replace(ROW, key=f"case-{i}") for i in range(ROWS)]
    work = {
        "ledger": lambda: write(rows, spooled=False),
        "ledger and spool": lambda: write(rows, spooled=True),
    }
    for name, seconds in least_seconds(work, ROUNDS).items():
        sys.stdout.write(f"{name:<17} {seconds / ROWS * 1e6:5.1f} µs a row, {ROWS / seconds:9,.0f} rows/s\n")
    if large:
        cycles(large)


if __name__ == "__main__":
    main()
