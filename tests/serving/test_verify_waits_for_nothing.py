"""No decision waits for bookkeeping: whatever the store, the disk or another process does, `verify` is one write."""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock
from serving_world import PLAN, case

import permitted
from postgres_server import Server
from suffice.errors import StoreError
from suffice.serving.fence import LEASE_SECONDS
from suffice.serving.verifier import Verifier
from suffice.store.database import open_store
from suffice.store.decision_row import WhyFixed
from suffice.store.ledger import Ledger
from suffice.verifier.arm import Arm

PATIENCE = 120.0
CONFIG = {
    "verifier": {
        "rule": "proportion",
        "n_samples": 64,
        "adaptive_sampling": {"enabled": True, "n_min": 8, "look_every": 8, "n0": 8},
    }
}


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (tmp_path / "queue").mkdir()
    return tmp_path / "queue"


def raised(where: Path | str) -> None:
    permitted.written_at(where, permitted.OF_VERIFIER, time.time(), plan_id=PLAN.id)


def becomes(process: Verifier, arm: Arm) -> None:
    waited = time.monotonic()
    while process.arm(case(1)) is not arm:
        assert time.monotonic() - waited < PATIENCE, process.obstacle
        time.sleep(0.01)


def waits_of(process: Verifier, first: int, count: int = 20) -> set[WhyFixed | None]:
    """Decide some cases on a thread of its own; it must come to its end while whatever is in the way is in the way."""
    whys: list[WhyFixed | None] = []

    def decide() -> None:
        whys.extend(process.verify(case(i)).why_fixed for i in range(first, first + count))

    thread = threading.Thread(target=decide, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert len(whys) == count
    return set(whys)


def test_sqlite_that_somebody_has_locked_delays_no_decision_and_ends_no_lease(queue: Path) -> None:
    raised(queue / "store.db")
    with Verifier.from_config(queue.parent / "config.json", queue=queue) as process:
        becomes(process, Arm.ADAPTIVE)
        with open_store(queue / "store.db") as other, other.write():
            assert waits_of(process, 0) == {None}
            read = process._background.agent.read if process._background else None
            time.sleep(LEASE_SECONDS)
            assert (
                process._background is not None and process._background.agent.wait_for_read(read, PATIENCE) is not read
            )
            assert waits_of(process, 20) == {None}
            assert process.waiting == 40
    with open_store(queue / "store.db") as store:
        assert len(Ledger(store).rows("verifier-000001")) == 40


def test_a_held_lock_of_the_metrics_file_delays_no_decision_and_no_row(queue: Path) -> None:
    raised(queue / "store.db")
    with Verifier.from_config(queue.parent / "config.json", queue=queue) as process:
        becomes(process, Arm.ADAPTIVE)
        with FileLock(queue / "metrics.json.lock"):
            assert waits_of(process, 0) == {None}
            waited = time.monotonic()
            while process.waiting:
                assert time.monotonic() - waited < PATIENCE
                time.sleep(0.01)
    assert json.loads((queue / "metrics.json").read_text(encoding="utf-8"))["decisions"] == 20


def test_a_frozen_server_delays_no_decision_and_ends_the_lease(queue: Path, postgres: Server) -> None:
    place = postgres.place()
    raised(place)
    with Verifier.from_config(queue.parent / "config.json", queue=queue, store=place) as process:
        becomes(process, Arm.ADAPTIVE)
        with postgres.frozen():
            waits_of(process, 0)
            becomes(process, Arm.FIXED)
            assert waits_of(process, 20) == {WhyFixed.LAPSED}
            # A start does not wait for it either.
            late = Verifier.from_config(queue.parent / "config.json", queue=queue, store=place)
            assert waits_of(late, 40) == {WhyFixed.NO_WORD}
            with pytest.raises(StoreError, match="rows wait in the spool"):
                late.close()
        becomes(process, Arm.ADAPTIVE)
    with open_store(place) as store:
        rows = {row.key for rollout in ("verifier-000001", "") for row in Ledger(store).rows(rollout)}
    left = "".join(path.read_text() for path in (queue / "spool").glob("*.jsonl"))
    assert {f"k{i}" for i in range(40)} <= rows
    assert all(f"k{i}" in rows or f'"k{i}"' in left for i in range(40, 60))


TRACED = """
import os, sys, time
sys.path.insert(0, {tests!r})
from pathlib import Path
from serving_world import case
from suffice.serving.verifier import Verifier
from suffice.verifier.arm import Arm

folder = Path({folder!r})
with Verifier.from_config(folder / "config.json", queue=folder / "queue") as it:
    while it.arm(case(0)) is not Arm.ADAPTIVE:
        time.sleep(0.01)
    cases = [case(i, 0.95) for i in range(60)]
    for one in cases[:10]:
        it.verify(one)
    os.path.exists("/begin")
    arms = [it.verify(one).arm for one in cases[10:]]
    os.path.exists("/end")
    assert set(arms) == {{Arm.ADAPTIVE}}, arms
"""


def test_the_calling_thread_makes_no_system_call_but_the_write_to_its_own_spool(queue: Path) -> None:
    assert shutil.which("strace"), "this test needs strace (on Debian: apt-get install strace)"
    raised(queue / "store.db")
    program = queue.parent / "program.py"
    program.write_text(TRACED.format(tests=str(Path(__file__).parent), folder=str(queue.parent)), encoding="utf-8")
    trace = queue.parent / "trace"
    subprocess.run(["strace", "-ff", "-y", "-o", str(trace), sys.executable, str(program)], check=True, timeout=300)
    own = between_marks([path.read_text(encoding="utf-8", errors="replace") for path in trace.parent.glob("trace.*")])
    calls = [call for call in own if re.match(r"(\w+)", call) and not call.startswith(MEMORY_AND_INTERPRETER)]
    spooled = [call for call in calls if re.match(r"write\(\d+<[^>]*/spool/[^>]*\.jsonl>", call)]
    assert len(spooled) == 50
    assert [call for call in calls if call not in spooled] == []


MEMORY_AND_INTERPRETER = ("mmap(", "munmap(", "brk(", "madvise(", "mremap(", "futex(", "sched_yield(")
"""Memory, and the interpreter's own lock, which no other process can hold."""


def between_marks(threads: list[str]) -> list[str]:
    """The system calls of the thread that set both marks, between them."""
    (own,) = [text for text in threads if '"/begin"' in text]
    lines = own.splitlines()
    begin = next(i for i, line in enumerate(lines) if '"/begin"' in line)
    end = next(i for i, line in enumerate(lines) if '"/end"' in line)
    return lines[begin + 1 : end]
