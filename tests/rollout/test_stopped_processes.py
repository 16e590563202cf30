"""Processes that are stopped in the midst of a rollback and go on later: none is adaptive after the receipt."""

import os
import signal
import time
from pathlib import Path
from random import Random
from threading import Thread

from production import content, place_in
from running_on import asker

from store_places import Place
from suffice.rollout.operator import Operator, Start
from suffice.rollout.phases import Phase
from suffice.store.ledger import Ledger
from suffice.store.triage import receipt_of

PROCESSES, PATIENCE, ID = 6, 120.0, "verifier-000001"
STAGES = [{"name": "full", "weight": 100, "audit_fraction": 0.1}]


def notes(folder: Path, number: int) -> list[tuple[str, float]]:
    """The arm of each decision of a process, and when its last question was asked."""
    path = folder / f"asked-{number}"
    lines = path.read_text("ascii").split("\n")[:-1] if path.exists() else []
    return [(arm, float(at)) for arm, at in map(str.split, lines)]


def test_whoever_is_stopped_during_a_rollback_is_fixed_after_its_receipt(tmp_path: Path, place: Place) -> None:
    """Seen: one adaptive decision after the receipt in 1 of 6 trials. Here six are stopped, half of them go on before
    the receipt, and half of them after it."""
    url, random = place if isinstance(place, str) else None, Random(1)
    service = place_in(tmp_path, content(stages=STAGES, cycle="10m"), url)
    with Operator(service) as operator:
        operator.start("ann", Start(waived=("determinism",)))
        processes = [asker(tmp_path, number, url) for number in range(PROCESSES)]
        pids = [process.pid or 0 for process in processes]
        try:
            until = time.monotonic() + PATIENCE
            while not all("adaptive" in {arm for arm, _ in notes(tmp_path, number)} for number in range(PROCESSES)):
                assert time.monotonic() < until
                time.sleep(0.05)
            rollback = Thread(target=operator.tell, args=("rollback", "ann", "enough"))
            moments = [(0.0, "stop", pids[1]), *((random.uniform(0.0, 0.3), "stop", pid) for pid in pids)]
            moments += [(random.uniform(0.5, 4.0), "go on", pid) for pid in pids[::2]]
            moments.append((0.15, "roll back", 0))
            began = time.monotonic()
            for moment, what, pid in sorted(moments):
                time.sleep(max(began + moment - time.monotonic(), 0.0))
                if what == "roll back":
                    rollback.start()
                else:
                    os.kill(pid, signal.SIGSTOP if what == "stop" else signal.SIGCONT)
            rollback.join(PATIENCE)
            assert operator.state.phase is Phase.ROLLED_BACK
            with operator.store.read() as connection:
                receipt = receipt_of(connection, ID)
            assert receipt is not None
            went_on = time.time()
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
            until = time.monotonic() + PATIENCE
            while any(notes(tmp_path, number)[-1][1] < went_on for number in range(PROCESSES)):
                assert time.monotonic() < until
                time.sleep(0.05)
            (tmp_path / "stop").touch()
            for process in processes:
                process.join(PATIENCE)
        asked = [note for number in range(PROCESSES) for note in notes(tmp_path, number)]
        assert [at - receipt.at for arm, at in asked if arm == "adaptive" and at > receipt.at] == []
        rows = Ledger(operator.store).rows(ID)
        assert {row.arm.value for row in rows if row.at > receipt.at} <= {"fixed"}
        # One of them stood still all the while: its lease had to run out.
        assert receipt.processes == PROCESSES and receipt.fenced
        assert operator.cycle().phase is Phase.ROLLED_BACK
        assert "reopen" not in [event.action for event in operator.history()]
