"""What the ledger and its spool cost a decision: `python -m benchmarks.ledger`."""

import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.timing import least_seconds
from suffice.serving.spool import Spool
from suffice.serving.verifier import BATCH
from suffice.store.database import open_store
from suffice.store.ledger import DecisionRow, Ledger

ROWS = 50_000
ROUNDS = 3

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


def main() -> None:
    """Print µs a row and rows a second, with and without the spool; the store waits for the disk, as in production."""
    rows = [replace(ROW, key=f"case-{i}") for i in range(ROWS)]
    work = {
        "ledger": lambda: write(rows, spooled=False),
        "ledger and spool": lambda: write(rows, spooled=True),
    }
    for name, seconds in least_seconds(work, ROUNDS).items():
        sys.stdout.write(f"{name:<17} {seconds / ROWS * 1e6:5.1f} µs a row, {ROWS / seconds:9,.0f} rows/s\n")


if __name__ == "__main__":
    main()
