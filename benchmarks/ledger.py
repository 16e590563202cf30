"""What the ledger and its spool cost a decision, and a large ledger a cycle: `python -m benchmarks.ledger --rows N`.

With `--store URL` in an empty database of a server, whose tables are emptied again at the end.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from sqlalchemy import delete, select

from benchmarks.timing import least_seconds
from suffice.config import Stage
from suffice.decision.rule import Decision
from suffice.evidence.reader import EvidenceReader
from suffice.resolution.storm import StormPolicy
from suffice.serving.ledger_rows import BATCH
from suffice.serving.spool import Spool
from suffice.store.database import open_store
from suffice.store.decision_row import DecisionRow, Reason
from suffice.store.ledger import Ledger
from suffice.store.schema import metadata
from suffice.verifier.arm import Arm

ROWS = 50_000
ROUNDS = 3
NEW, TARGETS, PORTION = 10_000, 5_000, 10_000

ROW = DecisionRow(
    key="",
    target="pump-17",
    arm=Arm.ADAPTIVE,
    decision=Decision.ACCEPTED,
    n=24,
    fixed_n=256,
    estimate=0.95,
    reason=Reason.ACCEPT_BOUNDARY,
    seed=42,
    plan_id="0" * 64,
    at=1_800_000_000.0,
    rollout="verifier-000001",
    stage="canary",
    region="eu-west-1",
)


def write(rows: list[DecisionRow], where: str | Path, folder: Path, *, spooled: bool) -> None:
    """What a verifier does with its rows: each into the spool, batches into the ledger."""
    with open_store(where) as store:
        ledger, spool = Ledger(store), Spool(folder / "spool")
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            for row in batch if spooled else ():
                spool.add(row)
            spool.deliver(ledger) if spooled else ledger.append(batch)
        spool.close()


def cycle(where: str | Path) -> str:
    """Seconds of what a cycle asks of the ledger, by a reader that knows nothing yet; on a busy machine those of this
    process's CPU say more."""
    start, worked = perf_counter(), process_time()
    with open_store(where) as store:
        reader = EvidenceReader(Ledger(store), ROW.rollout, StormPolicy(3))
        reader.read(Stage(name=ROW.stage, weight=5), ROW.at, ROW.at)
    return f"{perf_counter() - start:.3f} s (CPU {process_time() - worked:.3f} s)"


def fill(where: str | Path, first: int, size: int) -> None:
    """That many decisions more, each tenth audited."""
    with open_store(where, durable=False) as store:
        ledger = Ledger(store)
        for start in range(first, first + size, PORTION):
            ledger.append(
                replace(
                    ROW,
                    key=f"case-{i}",
                    target=f"t{i % TARGETS}",
                    audited=i % 10 == 0,
                    agrees=True if i % 10 == 0 else None,
                    baseline_decision=Decision.ACCEPTED if i % 10 == 0 else None,
                    baseline_n=256 if i % 10 == 0 else None,
                )
                for i in range(start, min(start + PORTION, first + size))
            )


def cycles(where: str | Path, rows: int) -> None:
    """Print what a cycle costs on a ledger of so many rows: the first one, the next, one with new rows."""
    fill(where, 0, rows)
    first, idle = cycle(where), cycle(where)
    fill(where, rows, NEW)
    sys.stdout.write(
        f"{rows:,} rows: the first cycle {first}, the next {idle}, one with {NEW:,} new rows {cycle(where)}\n"
    )


def writes(place: Callable[[], str | Path], folder: Path) -> None:
    """Print µs a row and rows a second, with and without the spool; each round writes rows of its own."""
    lots = ([replace(ROW, rollout=f"round-{number}", key=f"case-{i}") for i in range(ROWS)] for number in count())
    waiting = [next(lots) for _ in range(2 * ROUNDS)]
    work = {
        "ledger": lambda: write(waiting.pop(), place(), folder, spooled=False),
        "ledger and spool": lambda: write(waiting.pop(), place(), folder, spooled=True),
    }
    for name, seconds in least_seconds(work, ROUNDS).items():
        sys.stdout.write(f"{name:<17} {seconds / ROWS * 1e6:5.1f} µs a row, {ROWS / seconds:9,.0f} rows/s\n")


@contextmanager
def emptied(url: str) -> Iterator[None]:
    """Refuses a store that holds anything; empties it at the end."""
    with open_store(url) as store:
        with store.read() as connection:
            held = [
                table.name for table in metadata.sorted_tables if connection.execute(select(table).limit(1)).first()
            ]
        if held:
            sys.exit(f"{store.name}: its table {held[0]} is not empty; allowed: a database for this measurement only")
        try:
            yield
        finally:
            with store.write() as connection:
                for table in reversed(metadata.sorted_tables):
                    connection.execute(delete(table))


def main() -> None:
    """Print what writing costs, and with --rows what cycles cost on a ledger of so many; the store waits for the disk,
    as in production."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=0, help="also measure cycles on a ledger of so many rows")
    parser.add_argument("--store", metavar="URL", help="an empty database, instead of a SQLite file")
    asked = parser.parse_args()
    with TemporaryDirectory(prefix="suffice-") as name, emptied(asked.store) if asked.store else nullcontext():
        folder, files = Path(name), count()
        writes(lambda: asked.store or folder / f"{next(files)}.db", folder)
        if asked.rows:
            cycles(asked.store or folder / "cycles.db", asked.rows)


if __name__ == "__main__":
    main()
