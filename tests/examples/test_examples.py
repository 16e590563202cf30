"""The examples run as a reader would run them."""

import subprocess
import sys
from pathlib import Path

from suffice.store.database import open_store
from suffice.store.ledger import Ledger

ROOT = Path(__file__).parents[2]


def test_the_asyncio_service_decides_by_the_baseline_without_a_rollout_and_keeps_its_rows(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples" / "asyncio_service.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"{agent}: accepted after 256 of 256, fixed (the configuration says enabled: false)"
        for agent in ("planner", "coder", "tester")
    ]
    with open_store(tmp_path / "store.db") as store:
        rows = Ledger(store).rows("")
    assert {(row.target, row.n, row.fixed_n) for row in rows} == {(a, 256, 256) for a in ("planner", "coder", "tester")}
