"""A rollout that was deleted from the store: that is a rollback too, of which the journal tells what was."""

import time
from dataclasses import asdict
from pathlib import Path

from sqlalchemy import Connection

from suffice.config import load, set_enabled
from suffice.errors import OutputError, RolloutError, SufficeError
from suffice.flag.bucketing import buckets
from suffice.flag.file import publish, wrong_with_file
from suffice.flag.probes import Probe, observe
from suffice.rollout.driver import ATTEMPTS, PROBES
from suffice.rollout.settle import is_settled, keep_receipt, text_of
from suffice.rollout.world import World
from suffice.serving.situation import Salts
from suffice.store.actions import Action
from suffice.store.journal import JournalEvent, append_journal, journal_knows, journal_of, last_event
from suffice.store.ledger import Ledger
from suffice.store.rollouts import last_publication, newest_rollout, note_publication
from suffice.store.triage import TriageItem, open_item, receipt_of
from suffice.triage.bundle import ROWS, environment_files, ledger_files, plain_json, triage_text
from suffice.triage.manifest import freeze

WHY = "the rollout was deleted from the store"

_MADE_UP = 400


def rollout_id(service: str, number: int) -> str:
    """The id of a service's rollout of this number, from 1."""
    return f"{service}-{number:06d}"


def next_id(connection: Connection, service: str) -> str:
    """An id that no rollout of the service ever had: what the store has of a deleted one is no evidence of another."""
    return rollout_id(service, _newest_number(connection, service) + 1)


def deleted_rollout(connection: Connection, service: str) -> str | None:
    """The service's newest rollout by its journal, if the store has it no more."""
    number = _newest_number(connection, service)
    return rollout_id(service, number) if number > _stored_number(connection, service) else None


def put_back(world: World, rollout: str | None) -> None:
    """Put the flag back to the baseline when no rollout stands behind it, and settle a deleted one, if there was one.

    Every step may be repeated, and what is done already stays. Raises RolloutError when there was something to do,
    saying what was done; other SufficeErrors when it could not be done, which the next call tries again.
    """
    place = world.place
    wrong = wrong_with_file(place.flag, None) if place.flag.exists() else None
    if wrong is None and (rollout is None or is_settled(world.store, rollout)):
        return
    what = wrong or f"{rollout} was deleted"
    try:
        _publish_baseline(world, rollout)
    except OutputError as error:
        if rollout is not None:
            _note(world, rollout, Action.NOT_OBSERVED, f"the baseline cannot be published: {error}")
        raise
    receipt = observe(world.flag(), _probes(world, rollout), attempts=ATTEMPTS, sleep=time.sleep, clock=time.monotonic)
    seen = f"{receipt.fixed} of {receipt.asked} probes answer fixed"
    if not receipt.observed:
        if rollout is not None:
            _note(world, rollout, Action.NOT_OBSERVED, seen)
        raise RolloutError(f"{what}; there is no rollout, so the baseline was published, but only {seen}")
    if rollout is not None:
        keep_receipt(world, rollout, receipt)
    if place.config.exists():
        set_enabled(place.config, enabled=False)
    if rollout is not None:
        _settle(world, rollout)
    raise RolloutError(f"{what}; there is no rollout, so the baseline was published, and observed")


def _publish_baseline(world: World, rollout: str | None) -> None:
    with world.store.write() as connection:
        if rollout is not None and last_event(connection, rollout, Action.ROLL_BACK) is None:
            append_journal(connection, [JournalEvent(world.clock(), rollout, "runner", Action.ROLL_BACK, WHY)])
    with world.store.write() as connection:
        done = publish(world.place.flag, None, newer_than_ns=last_publication(connection))
        note_publication(connection, done.mtime_ns)


def _probes(world: World, rollout: str | None) -> list[Probe]:
    """Targets of the lowest buckets, which any slice had inside, in every region that a stage names and in none."""
    names = [f"suffice/probe/{number:03d}" for number in range(_MADE_UP)]
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


def _settle(world: World, rollout: str) -> None:
    """Bundle and item. State and plan went with the rollout; the rest is as the last cycle and the ledger have it."""
    bundle, ledger, now = world.place.bundle(rollout), Ledger(world.store), world.clock()
    with world.store.read() as connection:
        judged, events = last_event(connection, rollout, Action.JUDGE), journal_of(connection, rollout)
        receipt = receipt_of(connection, rollout)
    numbers = judged.numbers if judged else {}
    stage = str(numbers.get("stage", ""))
    differing = ledger.disagreements(rollout, stage)
    files = {
        "flag.json": text_of(world.place.flag),
        "gates.json": plain_json(numbers.get("gates", [])),
        "evidence.json": plain_json(numbers.get("evidence", {})),
        "receipt.json": plain_json(asdict(receipt) if receipt else None),
        **environment_files(),
        **ledger_files(ledger.latest(rollout, stage, ROWS), differing, (), events),
        "TRIAGE.md": triage_text(rollout, WHY, stage, (), len(differing), None, bundle),
    }
    freeze(bundle, files)
    with world.store.write() as connection:
        item = TriageItem(rollout, world.place.service, stage, WHY, str(bundle), now)
        done = [JournalEvent(now, rollout, "runner", Action.SETTLE, f"enabled is false, the evidence is in {bundle}")]
        if open_item(connection, item):
            done.insert(0, JournalEvent(now, rollout, "runner", Action.TRIAGE, f"item {rollout} is open"))
        append_journal(connection, done)


def _note(world: World, rollout: str, action: Action, why: str) -> None:
    with world.store.write() as connection:
        append_journal(connection, [JournalEvent(world.clock(), rollout, "runner", action, why)])


def _newest_number(connection: Connection, service: str) -> int:
    number = _stored_number(connection, service)
    while journal_knows(connection, rollout_id(service, number + 1)):
        number += 1
    return number


def _stored_number(connection: Connection, service: str) -> int:
    newest = newest_rollout(connection, service)
    digits = newest.id.rpartition("-")[2] if newest else ""
    return int(digits) if digits.isdecimal() else 0
