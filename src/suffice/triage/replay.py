"""Records as the baseline would have left them: the history of each affected target, resolved again."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, select

from suffice.decision.rule import Decision
from suffice.errors import DataError, StoreError
from suffice.resolution.judge import Outcome, Resolution, judge
from suffice.resolution.provenance import content_of
from suffice.resolution.storm import StormPolicy
from suffice.sources.correction import Correction, Estimate
from suffice.store.database import Store
from suffice.store.events import ProvenanceEvent, provenance_of
from suffice.store.records import Record, Status, derived_records, load_records
from suffice.store.schema import resolutions
from suffice.verifier.case import Case

_AT_ONCE = 500
_DECIDED = (Outcome.COMMITTED, Outcome.ROLLED_BACK, Outcome.INVALID)
_CLOSING = {outcome.name.lower(): outcome for outcome in (*_DECIDED, Outcome.SKIPPED, Outcome.STALE)}
"""How a correction ends that may end otherwise; one that claims no change never does."""


class Unreplayable(Enum):
    """Why nobody can say what a record would be; the value is what a person reads."""

    DERIVED = "it is derived from others, or others that are affected"
    MEASUREMENT = "what a skipped or stale correction measured is not in the store; name its source again"
    HISTORY = "its history does not lead to what the store holds: something else changed it, or other rules did"


@dataclass(frozen=True, slots=True)
class Difference:
    """A record as the store holds it, and as the baseline leaves it."""

    held: Record
    baseline: Record

    @property
    def value_differs(self) -> bool:
        return _value(self.held) != _value(self.baseline)

    @property
    def review_missing(self) -> bool:
        return self.baseline.status is Status.NEEDS_REVIEW and self.held.status is Status.ACTIVE

    @property
    def review_wrong(self) -> bool:
        return self.held.status is Status.NEEDS_REVIEW and self.baseline.status is Status.ACTIVE


@dataclass(frozen=True, slots=True)
class FollowOn:
    """A correction that was decided rightly, and ends otherwise because of a wrong decision before it."""

    key: str
    target: str
    was: Outcome
    baseline: Outcome


@dataclass(slots=True)
class Replayed:
    """What became of `records` that were replayed: those that differ, what followed, and those that cannot be told."""

    records: int = 0
    differences: list[Difference] = field(default_factory=list)
    follow_on: list[FollowOn] = field(default_factory=list)
    unreplayable: dict[str, Unreplayable] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Known:
    """A decision that is known."""

    decision: Decision
    n: int = 0
    fixed_n: int = 0


def replay(
    store: Store,
    wrong: Mapping[str, Decision],
    policy: StormPolicy,
    corrections: Callable[[], Mapping[str, Correction]],
    decide: Callable[[Case], Decision],
) -> Replayed:
    """Resolve the histories of affected targets again, by resolution's own rules.

    `wrong` has, by its key, what the baseline decides instead of each wrong decision, and `policy` is the rollout's. A
    correction that was skipped or stale, and is not any more, is taken from `corrections`, by its key, and decided by
    the baseline, `decide`. Decisions that no correction was resolved by are left out. Raises StoreError.
    """
    replayed = Replayed()
    with store.read() as connection:
        # Not the ledger's targets: a rehearsal has a record for each pass of one.
        targets = sorted(_resolved(connection, list(wrong)))
        derived = derived_records(connection)
    reached = set(targets)
    while more := {target for target, inputs in derived.items() if target not in reached and inputs & reached}:
        reached |= more
    replayed.unreplayable |= dict.fromkeys(sorted(reached.intersection(derived)), Unreplayable.DERIVED)
    for start in range(0, len(targets), _AT_ONCE):
        some = targets[start : start + _AT_ONCE]
        with store.read() as connection:
            held, events = load_records(connection, some), provenance_of(connection, *some)
        for target, history in groupby(sorted(events, key=attrgetter("target")), attrgetter("target")):
            if target in held and target not in derived:
                _replay_one(replayed, held[target], list(history), _World(policy, wrong, corrections, decide))
    return replayed


def _resolved(connection: Connection, keys: Sequence[str]) -> set[str]:
    """The targets of the records that these corrections were about."""
    c, targets = resolutions.c, set[str]()
    for start in range(0, len(keys), _AT_ONCE):
        query = select(c.target).where(c.correction_key.in_(keys[start : start + _AT_ONCE]))
        targets.update(connection.execute(query).scalars())
    return targets


def _replay_one(replayed: Replayed, held: Record, history: Sequence[ProvenanceEvent], world: "_World") -> None:
    replayed.records += 1
    try:
        baseline = world.last(history, held)
    except _CannotTell as told:
        replayed.unreplayable[held.target] = told.why
        return
    except (DataError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"the history of {held.target} in the store lacks or garbles {error}") from error
    replayed.follow_on += world.follow_on
    difference = Difference(held, baseline)
    if difference.value_differs or difference.review_missing or difference.review_wrong:
        replayed.differences.append(difference)


class _CannotTell(Exception):
    def __init__(self, why: Unreplayable) -> None:
        super().__init__(why.value)
        self.why = why


@dataclass(slots=True)
class _World:
    """One target twice: as it was decided, which must lead to what the store holds, and as the baseline decides."""

    policy: StormPolicy
    wrong: Mapping[str, Decision]
    corrections: Callable[[], Mapping[str, Correction]]
    decide: Callable[[Case], Decision]
    follow_on: list[FollowOn] = field(default_factory=list)

    def last(self, history: Sequence[ProvenanceEvent], held: Record) -> Record:
        """The record as the baseline leaves it."""
        was: Record | None = None
        would: Record | None = None
        for event, steps in _endings(history):
            if event.event == "first_seen":
                was = would = _first(event)
                continue
            if was is None or would is None:
                raise _CannotTell(Unreplayable.HISTORY)
            if event.event == "review_closed":
                was, would = _closed(was), _closed(would)
                continue
            after = self._as_decided(was, event, steps)
            # Until a decision is wrong, both are one.
            same = _state(was) == _state(would) and event.correction_key not in self.wrong
            would = replace(after, version=would.version) if same else self._by_baseline(was, would, event, steps)
            was = after
        if was is None or would is None or _state(was) != _state(held):
            raise _CannotTell(Unreplayable.HISTORY)
        return would

    def _as_decided(self, was: Record, event: ProvenanceEvent, steps: Mapping[str, Mapping[str, Any]]) -> Record:
        outcome = _CLOSING[event.event]
        if outcome not in _DECIDED:
            return was
        resolution = self._judged(was, _correction(event, steps), Decision(steps["validated"]["decision"]))
        if resolution.outcome is not outcome:
            raise _CannotTell(Unreplayable.HISTORY)
        return resolution.after

    def _by_baseline(
        self, was: Record, would: Record, event: ProvenanceEvent, steps: Mapping[str, Mapping[str, Any]]
    ) -> Record:
        key, outcome = str(event.correction_key), _CLOSING[event.event]
        if outcome is Outcome.STALE and would.time == was.time:
            return would
        if outcome is Outcome.SKIPPED and would.status is Status.NEEDS_REVIEW and would.time == was.time:
            return would
        if outcome in _DECIDED:
            decision = self.wrong.get(key, Decision(steps["validated"]["decision"]))
            resolution = self._judged(would, _correction(event, steps), decision)
        else:
            known = self.corrections().get(key)
            if known is None or content_of(known) != event.payload.get("content"):
                raise _CannotTell(Unreplayable.MEASUREMENT)
            resolution = self._judged(would, known, None)
        if resolution.outcome is not outcome and key not in self.wrong:
            self.follow_on.append(FollowOn(key, event.target, outcome, resolution.outcome))
        return resolution.after

    def _judged(self, record: Record, correction: Correction, decision: Decision | None) -> Resolution:
        def verify(case: Case) -> _Known:
            return _Known(self.decide(case) if decision is None else decision)

        return judge(record, correction, {}, verify, self.policy)


def _endings(history: Iterable[ProvenanceEvent]) -> Iterator[tuple[ProvenanceEvent, dict[str, Mapping[str, Any]]]]:
    """What ended a step of the history, with the payloads of what led to it."""
    steps: dict[str, Mapping[str, Any]] = {}
    for event in history:
        if event.event in _CLOSING or event.event in ("first_seen", "review_closed"):
            yield event, steps
            steps = {}
        else:
            steps[event.event] = event.payload


def _first(event: ProvenanceEvent) -> Record:
    p = event.payload
    return Record(event.target, p["value"], p["u_plus"], p["u_minus"], p["context"], p["time"])


def _correction(event: ProvenanceEvent, steps: Mapping[str, Mapping[str, Any]]) -> Correction:
    """What was resolved. Contexts are left out: they decide which strategy takes the measurement, never its value."""
    recorded, proposed = steps["classified"], steps["proposed"]
    record, measurement = Estimate(*recorded["record"]), Estimate(*recorded["measurement"])
    return Correction(str(event.correction_key), event.target, record, measurement, proposed["time"])


def _closed(record: Record) -> Record:
    closes = record.status is Status.NEEDS_REVIEW
    return replace(record, status=Status.ACTIVE, consecutive_rollbacks=0) if closes else record


def _value(record: Record) -> tuple[float, float, float]:
    return record.value, record.u_plus, record.u_minus


def _state(record: Record) -> tuple[Any, ...]:
    """What decides of a record how the next correction ends, and what comes of it."""
    return *_value(record), record.time, record.status, record.consecutive_rollbacks
