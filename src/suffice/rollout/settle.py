"""What follows an observed rollback: `enabled` goes off, the evidence is frozen, an item opens."""

from pathlib import Path

from suffice.config import load, set_enabled
from suffice.errors import ConfigError, ExitCode, OutputError, RolloutError, SufficeError
from suffice.rollout.world import Journal, World
from suffice.store.actions import Action
from suffice.store.journal import append_journal
from suffice.store.triage import TriageItem, open_item
from suffice.triage.bundle import Rollback, freeze_rollback


def is_settled(journal: Journal) -> bool:
    """Whether everything that follows a rollback has been done."""
    return journal.last(Action.SETTLE) is not None


def left_to_do(journal: Journal, config: Path) -> str | None:
    """What a person has still to change after a rollback that has settled, as a sentence; None for nothing."""
    settled = journal.last(Action.SETTLE)
    try:
        return settled.why if settled and load(config).verifier.adaptive_sampling.enabled else None
    except ConfigError:
        return None


def switch_off(config: Path) -> str | None:
    """Set `enabled` to false. Where the file cannot be written, says which line of it a person has to change.

    No word permits anything any more, whatever the file says. Raises ConfigError when it cannot be understood.
    """
    try:
        set_enabled(config, enabled=False)
    except OutputError as error:
        return str(error)
    return None


def settle(world: World, rollback: Rollback) -> None:
    """Do what is not done yet once a receipt is kept, safety first.

    Raises RolloutError when a step failed; OutputError when one could not be written.

    Every step may be repeated: the first bundle and item stay, and a file that says `enabled: false` is not touched. A
    step that fails does not keep the others from being done; it is reported at the end, and tried again by whoever
    settles next.
    """
    journal, bundle = world.journal(rollback.rollout), world.place.bundle(rollback.rollout)
    wrong: list[SufficeError] = []
    left = None
    try:
        left = switch_off(world.place.config)
    except ConfigError as error:
        wrong.append(error)
    for step in (_freeze, _open):
        try:
            step(world, rollback, bundle)
        except SufficeError as error:
            wrong.append(error)
    if wrong:
        kind = OutputError if any(error.exit_code is ExitCode.CANNOT_TELL for error in wrong) else RolloutError
        what = "; ".join(map(str, wrong))
        raise kind(f"{rollback.rollout}: rolled back and observed, but not settled: {what}")
    journal.write_once(Action.SETTLE, f"{left or 'enabled is false'}; the evidence is in {bundle}")


def _freeze(world: World, rollback: Rollback, bundle: Path) -> None:
    freeze_rollback(bundle, rollback, world.store, world.place.flag)


def _open(world: World, rollback: Rollback, bundle: Path) -> None:
    journal, service = world.journal(rollback.rollout), world.place.service
    item = TriageItem(rollback.rollout, service, rollback.stage, rollback.reason, str(bundle), world.clock())
    with world.store.write() as connection:
        if open_item(connection, item):
            append_journal(connection, [journal.event(Action.TRIAGE, f"item {item.id} is open")])
