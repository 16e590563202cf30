"""A rollback that a person asks for: this host is lowered first, whatever the store says."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from suffice.errors import (
    ExitCode,
    MissingDataError,
    OutputError,
    RolloutError,
    StoreConflict,
    StoreError,
    SufficeError,
)
from suffice.flag.bucketing import inside
from suffice.flag.client import FlagClient
from suffice.flag.document import Exposure
from suffice.flag.file import publish, published, wrong_with_file
from suffice.flag.probes import Probe
from suffice.rollout.baseline import MADE_UP, PROBES, try_baseline
from suffice.rollout.operator import Operator
from suffice.rollout.phases import Phase
from suffice.rollout.report import Report
from suffice.rollout.wish import forget_wish, leave_wish
from suffice.rollout.world import Place
from suffice.store.database import agents_store
from suffice.store.words import lower_word

_NOTHING = "nothing was ever published here, so nobody is adaptive by it; another place is named by --queue or --store"


def roll_back(
    place: Place,
    opened: Callable[[], Operator],
    who: str,
    reason: str,
    *,
    old_primary_is_gone: bool = False,
    dry_run: bool = False,
) -> Report:
    """Roll the newest rollout of `place` back, by the operator that `opened` gives; `reason` opens the triage item.

    Where the store does not answer, or holds what cannot be understood, everybody is put on fixed by flag and word
    alone, and the next cycle carries the rest out. Then it raises RolloutError, which says what came of it; StoreError,
    where the store could not be read or written. Raises MissingDataError when nothing was ever published,
    StoreConflict when somebody else changed the rollout meanwhile.
    """
    raised = place.flag.exists() and wrong_with_file(place.flag, None) is not None
    before = _exposure(place.flag)
    if not dry_run and place.queue.is_dir():
        # Before the store is asked for anything: on this host both lower at once.
        leave_wish(place.queue, who, reason)
        if raised:
            with suppress(OutputError):
                publish(place.flag, None)
    try:
        with opened() as operator:
            if old_primary_is_gone and not dry_run:
                operator.old_primary_is_gone(who)
            report = operator.tell("rollback", who, reason, dry_run=dry_run)
    except StoreConflict:
        raise
    except RolloutError:
        if not dry_run:
            forget_wish(place.queue)
        raise
    except SufficeError as error:
        # Store, word, rollout, note, plan, package: whatever is broken, everybody is put back.
        if dry_run:
            raise
        forced = _force_baseline(place, who, reason, error, raised=raised, before=before)
        if forced is None:
            forget_wish(place.queue)
            if isinstance(error, MissingDataError) and not place.flag.exists():
                raise MissingDataError(f"{error}; {_NOTHING}") from error
            raise
        raise (StoreError if error.exit_code is ExitCode.CANNOT_TELL else RolloutError)(forced) from error
    if not dry_run:
        forget_wish(place.queue)
    return report


def _force_baseline(
    place: Place, who: str, reason: str, cause: SufficeError, *, raised: bool, before: Exposure | None
) -> str | None:
    """Put everybody on fixed by the flag alone, and leave word for the next cycle; says what came of it. `raised`: the
    flag said something else than the baseline, `before` what, if that could be read.

    None where nothing was ever published. The wish in the folder lowers on this host while it is there, and so does the
    file; other hosts are fixed once the word lapses. Raises nothing of its own.
    """
    if isinstance(cause, MissingDataError) and not place.flag.exists():
        return None
    wished, epoch = leave_wish(place.queue, who, reason), _lowered_row(place, cause)
    left = _left(place, wished=wished)
    if epoch is not None:
        cause = StoreError(f"{cause}; the word was lowered all the same, epoch {epoch}")
    if not raised:
        return f"{cause}; the flag is at the baseline; {left}"
    with FlagClient.from_file(place.flag) as flag:
        attempt = try_baseline(lambda: _publish_or_remove(place.flag), flag, _slice(before), missing_is_fixed=True)
    return f"{cause}; {attempt.how}, and {attempt.sentence}; nothing of it is stored: {left}"


def _lowered_row(place: Place, cause: SufficeError) -> int | None:
    """Lower the word of a store that this version may not open: its new epoch, None where that is not possible."""
    if isinstance(cause, MissingDataError):
        return None  # There is no store, and none is to be made.
    try:
        with agents_store(place.store) as store, store.touch() as connection:
            return lower_word(connection, place.service, Phase.ROLLING_BACK.value)
    except SufficeError:
        return None


def _left(place: Place, *, wished: bool) -> str:
    if wished:
        return f"the next `{place.command('rollout cycle')}` that can write the store carries the rollback out"
    return "nor could word be left: end the runners, or they publish the stage again, and say rollback once more"


def _slice(before: Exposure | None) -> list[Probe]:
    targets = (inside(before, MADE_UP) if before else MADE_UP)[:PROBES]
    return [Probe(target, region) for target in targets for region in ((before.regions if before else ()) or (None,))]


def _publish_or_remove(path: Path) -> str:
    published_how = "the baseline was published without it"
    try:
        publish(path, None)
    except OutputError:
        return _remove(path) or published_how
    return published_how


def _remove(path: Path) -> str | None:
    """Remove the flag, and publish the baseline after all if that made the room: then None, else what came of it."""
    try:
        earlier = path.stat().st_mtime_ns
        path.unlink()
    except OSError as error:
        why = error.strerror or error
        return f"{path} can neither be written nor removed ({why}; restart with SUFFICE_FORCE_FIXED=1)"
    try:
        publish(path, None, newer_than_ns=earlier)
    except OutputError:
        return f"{path} cannot be written and was removed"
    return None


def _exposure(path: Path) -> Exposure | None:
    try:
        return published(path)
    except SufficeError:
        return None
