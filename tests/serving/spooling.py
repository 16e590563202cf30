"""Rows of a spool, and what other processes do to one in the tests: decide until they are killed, and take up."""

from dataclasses import replace
from pathlib import Path

from serving_world import case, verifier

from suffice.decision.rule import Decision
from suffice.serving.situation import Situation
from suffice.serving.spool import Spool, take_up
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow, Reason
from suffice.store.ledger import Ledger
from suffice.verifier.arm import Arm

ROW = DecisionRow(
    key="k",
    target="t",
    arm=Arm.ADAPTIVE,
    decision=Decision.ACCEPTED,
    n=8,
    fixed_n=64,
    estimate=0.9,
    reason=Reason.ACCEPT_BOUNDARY,
    seed=42,
    plan_id="p",
    at=1.8e9,
    rollout="r",
    stage="canary",
)


def kill(spool: Spool) -> None:
    """What the operating system does to a killed process: it closes its files and frees its locks."""
    held, spool._open, spool._sealed = [*spool._sealed, spool._open], None, []
    for one in held:
        if one is not None:
            one.file.close()
            one.lock.release()


def rows(count: int) -> list[DecisionRow]:
    return [replace(ROW, key=f"k{i}") for i in range(count)]


def keys(store: Store, rollout: str = "r") -> list[str]:
    return [row.key for row in Ledger(store).rows(rollout)]


def decide(folder: Path, number: int) -> None:
    """Decide until killed; note each decision, without a buffer, as soon as it is returned."""
    store = open_store(folder / "store.db")
    take_up(folder / "spool", Ledger(store))
    situation = Situation(rollout="r", stage="canary")
    process = verifier(store, spool=Spool(folder / "spool"), batch=40, situation=lambda: situation)
    with (folder / f"returned-{number}").open("ab", buffering=0) as file:
        i = number * 1_000_000
        while True:
            process.verify(case(i))
            file.write(f"k{i}\n".encode())
            i += 1


def noted(folder: Path) -> set[str]:
    """All decisions that were noted; a note that was cut off is of a decision that was returned."""
    lines = (line for path in folder.glob("returned-*") for line in path.read_text("ascii").split("\n")[:-1])
    return set(lines)


def take(folder: Path) -> int:
    with open_store(folder / "store.db") as store:
        return take_up(folder / "spool", Ledger(store))
