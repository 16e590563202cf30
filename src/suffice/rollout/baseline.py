"""Back to the baseline, one way for whoever asks: publish it, see it answered, keep the receipt.

`try_baseline` is that way. The driver goes it for a rollout in the store, `rollback` where the store does not answer,
and `settle_without_rollout` where the store has the rollout no more. Every step may be repeated.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import Connection

from suffice.config import load
from suffice.errors import OutputError, SufficeError
from suffice.flag.answer import Flag
from suffice.flag.bucketing import buckets
from suffice.flag.document import Exposure
from suffice.flag.file import publish, wrong_with_file
from suffice.flag.probes import Probe, Receipt, observe
from suffice.rollout.fleet import FleetCount, Lowered, Watched, watch_fleet
from suffice.rollout.phases import Phase
from suffice.rollout.report import Report
from suffice.rollout.saved_state import current_rollout
from suffice.rollout.settle import is_settled, left_to_do, settle, switch_off
from suffice.rollout.wish import leave_wish
from suffice.rollout.word import LEAST_SECONDS, note_word, store_word
from suffice.rollout.world import Journal, World
from suffice.serving.fence import BootClock
from suffice.serving.situation import Salts
from suffice.store.actions import Action
from suffice.store.database import Store
from suffice.store.journal import JournalEvent, append_journal
from suffice.store.rollouts import last_publication, note_publication
from suffice.store.triage import StoredReceipt, add_receipt
from suffice.store.words import Word, epoch_of
from suffice.triage.bundle import LastView, Rollback

PROBES = 20
"""Targets that are asked for in each region."""

ATTEMPTS = 200
"""How often probes are asked before a publication counts as not observed; with the pause between, some ten seconds."""

MADE_UP = tuple(f"suffice/probe/{number:03d}" for number in range(400))
"""Targets to ask for beside those that are known; so many that every slice has some."""

DELETED = "the rollout was deleted from the store"


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one try came to: the receipt, None where the baseline could not be published, and a sentence about it.

    `how` says how it was published, where that is worth saying.
    """

    receipt: Receipt | None
    sentence: str
    how: str | None = None

    @property
    def observed(self) -> bool:
        return self.receipt is not None and self.receipt.observed


def try_baseline(
    publish_it: Callable[[], str | None],
    flag: Flag,
    probes: Sequence[Probe],
    *,
    missing_is_fixed: bool = False,
    patience: Callable[[], bool] = lambda: True,
) -> Attempt:
    """Publish the baseline, and ask for every probe until all answer fixed. Raises StoreError, where publishing does.

    `missing_is_fixed` is for a flag that could only be removed: without one every client answers fixed.
    """
    try:
        how = publish_it()
    except OutputError as error:
        # Not an exception to the caller alone: people must be told of a rollback that is stuck.
        return Attempt(None, f"the baseline cannot be published: {error}")
    receipt = observe(
        flag,
        probes,
        attempts=ATTEMPTS,
        sleep=time.sleep,
        clock=time.monotonic,
        missing_is_fixed=missing_is_fixed,
        patience=patience,
    )
    return Attempt(receipt, receipt.sentence, how)


def publish_from_store(
    store: Store, path: Path, exposure: Exposure | None, wanted: Callable[[Connection], bool], service: str
) -> bool:
    """Publish, unless the store wants something else by now; returns whether it was done. Raises OutputError.

    Within the store's write lock: a runner that was slow must not publish its stage after another has published the
    baseline.
    """
    with store.write() as connection:
        if not wanted(connection):
            return False
        epoch = epoch_of(connection, service)
        done = publish(path, exposure, epoch=epoch, newer_than_ns=last_publication(connection))
        note_publication(connection, done.mtime_ns)
    return True


def settle_without_rollout(world: World, rollout: str | None) -> Report | None:
    """Put the flag back when no rollout stands behind it, and settle the one that was deleted, if there was one.

    None when there is nothing to do. The report says RollingBack until the baseline was observed; then RolledBack, and
    everything that follows was done. Raises SufficeErrors where a step fails, which the next call tries again.
    """
    place = world.place
    wrong = wrong_with_file(place.flag, None) if place.flag.exists() else None
    if wrong is None and (rollout is None or is_settled(world.journal(rollout))):
        return None
    if rollout is not None:
        world.journal(rollout).write_once(Action.ROLL_BACK, DELETED)
    seen = _lowered_without_rollout(world, rollout or "")
    attempt = try_baseline(lambda: _publish_without_rollout(world), world.flag(), _lowest_probes(world, rollout))
    what = wrong or f"{rollout} was deleted"
    if attempt.receipt is None or not (attempt.observed and seen.observed):
        sentence = f"{seen.obstacle or seen.count.sentence}; {attempt.sentence}"
        if rollout is not None:
            world.journal(rollout).write(Action.NOT_OBSERVED, sentence)
        note = f"{what}; there is no rollout, and the baseline is not observed yet: {sentence}"
        return Report(rollout or "", Phase.ROLLING_BACK, "", DELETED, notes=(note,))
    if rollout is not None:
        _keep_receipt(world.journal(rollout), attempt.receipt, seen.count)
        settle(world, _deleted(world, rollout))
        left = left_to_do(world.journal(rollout), place.config)
    else:
        left = switch_off(place.config) if place.config.exists() else None
    note = f"{what}; there is no rollout, so the baseline was published, and observed"
    return Report(rollout or "", Phase.ROLLED_BACK, "", DELETED, notes=(note, left) if left else (note,))


def lower_first(store: Store, folder: Path, word: Word, who: str, reason: str, now: float) -> None:
    """Lower file and row before anything else, whichever of the two can be reached; raises nothing of its own.

    The wish in the folder lowers while it is there, and the row says RollingBack: whoever runs the rollout next carries
    it out, if this process is killed before it has stored the state.
    """
    leave_wish(folder, who, reason)
    with suppress(SufficeError):
        with store.touch() as connection:
            read = store_word(connection, folder, word, now)
        note_word(folder, read)


def _lowered_without_rollout(world: World, rollout: str) -> Watched:
    """Write the baseline as the word of a service without a rollout, and wait for its fleet."""
    store, service, folder = world.store, world.place.service, world.place.queue
    word = Word(service, rollout, "", Phase.ROLLED_BACK.value, "", None, 0.0, "", shadow=False, length=LEAST_SECONDS)
    boot = BootClock()
    with store.write() as connection:
        read = store_word(connection, folder, word, world.clock())
    lowered = Lowered(read.word.epoch if read.word else 0, boot())
    note_word(folder, read)
    world.rehearsed.after_word()
    return watch_fleet(store, service, rollout, lowered, None, world.clock, boot, world.patience)


def _keep_receipt(journal: Journal, receipt: Receipt, seen: FleetCount) -> None:
    stored, event = receipt_and_event(journal.event(Action.RECEIPT, ""), receipt, seen)
    with journal.store.write() as connection:
        if add_receipt(connection, stored):
            append_journal(connection, [event])


def receipt_and_event(event: JournalEvent, receipt: Receipt, seen: FleetCount) -> tuple[StoredReceipt, JournalEvent]:
    """The receipt of the event's rollout and moment, and the event with what it says."""
    stored = StoredReceipt(
        event.rollout, event.at, receipt.asked, receipt.fixed, receipt.attempts, receipt.seconds, **seen.numbers
    )
    numbers = {"asked": receipt.asked, "fixed": receipt.fixed, "seconds": receipt.seconds, **seen.numbers}
    why = f"{seen.sentence}; {receipt.sentence}, after {receipt.seconds:.2f} s"
    return stored, replace(event, why=why, numbers=numbers)


def _publish_without_rollout(world: World) -> None:
    service = world.place.service
    publish_from_store(
        world.store, world.place.flag, None, lambda connection: current_rollout(connection, service) is None, service
    )


def _lowest_probes(world: World, rollout: str | None) -> list[Probe]:
    """Targets of the lowest buckets, which any slice had inside, in every region that a stage names and in none."""
    names = list(MADE_UP)
    if rollout is not None:
        placed = buckets(Salts.of(rollout).arm, names)
        names.sort(key=placed.__getitem__)
    return [Probe(name, region) for name in names[:PROBES] for region in (None, *_regions(world.place.config))]


def _regions(config: Path) -> tuple[str, ...]:
    try:
        stages = load(config).rollout.stages
    except SufficeError:
        return ()
    return tuple(dict.fromkeys(region for stage in stages for region in stage.regions))


def _deleted(world: World, rollout: str) -> Rollback:
    """State and plan went with the rollout; the rest is as the last cycle has it in the journal."""
    judged = world.journal(rollout).last(Action.JUDGE)
    numbers = judged.numbers if judged else {}
    return Rollback(
        rollout,
        str(numbers.get("stage", "")),
        DELETED,
        failed=(),
        view=lambda: LastView(numbers.get("gates", []), numbers.get("evidence", {})),
        command=world.place.command,
    )
