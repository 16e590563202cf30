"""What follows an observed rollback: `enabled` goes off, the evidence is frozen, an item opens."""

from pathlib import Path

from suffice.config import set_enabled
from suffice.errors import RolloutError, SufficeError
from suffice.rollout.world import Journal, World
from suffice.store.actions import Action
from suffice.store.journal import append_journal
from suffice.store.triage import TriageItem, open_item
from suffice.triage.bundle import Rollback, freeze_rollback


def is_settled(journal: Journal) -> bool:
    """Whether everything that follows a rollback has been done."""
    return journal.last(Action.SETTLE) is not None


def settle(world: World, rollback: Rollback) -> None:
    """Do what is not done yet once a receipt is kept, safety first. Raises RolloutError when a step failed.

    Every step may be repeated: the first bundle and item stay, and a file that says `enabled: false` is not touched. A
    step that fails does not keep the others from being done; it is reported at the end, and tried again by whoever
    settles next.
    """
    journal, bundle = world.journal(rollback.rollout), world.place.bundle(rollback.rollout)
    wrong: list[str] = []
    for step in (_switch_off, _freeze, _open):
        try:
            step(world, rollback, bundle)
        except SufficeError as error:
            wrong.append(str(error))
    if wrong:
        raise RolloutError(f"{rollback.rollout}: rolled back and observed, but not settled: {'; '.join(wrong)}")
    journal.write_once(Action.SETTLE, f"enabled is false, the evidence is in {bundle}")


def _switch_off(world: World, _rollback: Rollback, _bundle: Path) -> None:
    set_enabled(world.place.config, enabled=False)


def _freeze(world: World, rollback: Rollback, bundle: Path) -> None:
    freeze_rollback(bundle, rollback, world.store, world.place.flag)


def _open(world: World, rollback: Rollback, bundle: Path) -> None:
    journal, service = world.journal(rollback.rollout), world.place.service
    item = TriageItem(rollback.rollout, service, rollback.stage, rollback.reason, str(bundle), world.clock())
    with world.store.write() as connection:
        if open_item(connection, item):
            append_journal(connection, [journal.event(Action.TRIAGE, f"item {item.id} is open")])
