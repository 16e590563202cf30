"""The rollouts of a service in production: starting one, its cycles, and what an operator may tell it."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import select

from suffice.config import check_enable, set_enabled
from suffice.errors import MissingDataError, RolloutError, StoreConflict, StoreError
from suffice.flag.bucketing import record
from suffice.flag.client import FlagClient
from suffice.gates.outcome import GateResult
from suffice.rollout.baseline import MADE_UP, settle_without_rollout
from suffice.rollout.controller import OldPrimaryGone, Paused, Released, Resumed, State
from suffice.rollout.cycle import Monitor
from suffice.rollout.fleet import LATE_SECONDS, Member, members
from suffice.rollout.phases import Phase
from suffice.rollout.report import Report, foreseen, legal_commands
from suffice.rollout.saved_state import current_rollout, deleted_rollout, next_id, phase_of, rollout_id, state_of
from suffice.rollout.settle import is_settled
from suffice.rollout.start import Start as Start
from suffice.rollout.start import check_start, first_state, foresee
from suffice.rollout.subject import Subject
from suffice.rollout.wish import forget_wish, wish
from suffice.rollout.world import Place, Rehearsed, Sources, World
from suffice.serving.situation import Salts
from suffice.store.address import note_store
from suffice.store.clock import clock_of
from suffice.store.database import Store, open_store
from suffice.store.journal import JournalEvent, journal_of
from suffice.store.rollouts import StoredRollout, rollouts_of
from suffice.store.schema import records, rollouts
from suffice.store.words import read_word

ACTIVE = (
    *(Phase.PENDING, Phase.PROGRESSING, Phase.PAUSED, Phase.AWAITING_APPROVAL, Phase.HELD_BACK),
    Phase.ROLLING_BACK,
)
"""A completed rollout is watched on, but a new one may take its place."""

SAMPLE = 20
"""Targets whose buckets are recorded, and known ones that are probed beside those that are made up."""

_TRIES = 5

T = TypeVar("T")


class Operator:
    """The rollouts of one service. One for each process; close it, or use it as a context.

    Each event is stored by compare-and-swap before anything is done about it; what the world then lacks is made good by
    the next cycle. `clock` gives seconds since the epoch and is the rollout's only clock: the store's own, so that
    hosts whose clocks differ count the same time. A `store` that is open already is closed with the rest. Receipts are
    waited for while there is `patience`.
    """

    def __init__(
        self,
        place: Place,
        *,
        clock: Callable[[], float] | None = None,
        sources: Sources | None = None,
        create: bool = True,
        upgrade: bool = True,
        store: Store | None = None,
        rehearsed: Rehearsed = Rehearsed(),  # noqa: B008
        patience: Callable[[], bool] = lambda: True,
    ) -> None:
        self.place = place
        self.store = store or open_store(place.store, create=create, upgrade=upgrade)
        self.clock = clock or clock_of(self.store)
        host_clock = time.time if clock is None else None
        self.world = World(place, self.store, self.clock, lambda: self.flag, sources, rehearsed, patience, host_clock)
        self._monitor: Monitor | None = None

    def close(self) -> None:
        if "flag" in self.__dict__:
            self.flag.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def flag(self) -> FlagClient:
        """The flag, asked the way production does."""
        return FlagClient.from_file(self.place.flag)

    @property
    def newest(self) -> StoredRollout | None:
        """The rollout that counts, None when there never was one, or the newest was deleted from the store."""
        with self.store.read() as connection:
            return current_rollout(connection, self.place.service)

    @property
    def current(self) -> StoredRollout:
        """The rollout that counts. Raises MissingDataError when there is none."""
        newest = self.newest
        if newest is None:
            raise MissingDataError(f"{self.store.name}: {self._none}")
        return newest

    @property
    def _none(self) -> str:
        """That there is no rollout, and what to do next."""
        service = self.place.service
        none = f"there is no rollout of service {service}; possible: start (`{self.place.command('rollout start')}`)"
        with self.store.read() as connection:
            others = connection.execute(select(rollouts.c.service).distinct().order_by(rollouts.c.service)).scalars()
            named = [f"--service {other}" for other in others]
        return f"{none}, or {', '.join(named)}, which has one" if named else none

    @property
    def state(self) -> State:
        """The state of the rollout that counts. Raises MissingDataError."""
        return state_of(self.current.state)

    def judged(self, gate: str) -> GateResult | None:
        """What this gate of the rollout's stage says now; None when no stage is judged. It changes nothing.

        Raises MissingDataError when there is a stage and it cannot be judged, StoreError.
        """
        try:
            if not self.state.in_force:
                return None
        except MissingDataError:
            return None
        report = self.cycle(dry_run=True)
        result = next((result for result in report.results if result.gate == gate), None)
        if result is None:
            raise MissingDataError(f"stage {report.stage} of {report.rollout} cannot be judged: {report.why}")
        return result

    def start(self, who: str, begin: Start | None = None, *, dry_run: bool = False) -> Report:
        """Start a rollout in its first stage.

        Raises RolloutError when one is active, when the last stage cannot keep the benefit net of audits, when no
        decision could become adaptive, or with every objection that `begin` does not accept; ConfigError, PlanError.
        Nothing is stored then.
        """
        begin = begin or Start()
        subject = check_start(self.place, begin)
        self._check_none_active()
        seen = foresee(self.place, subject, begin, self.store, self.clock())
        seen.refuse()
        state, event = first_state(subject, begin)
        rollout = self._next_id()
        if dry_run:
            return replace(foreseen(rollout, state, event, self.clock()), notes=seen.notes)
        if begin.enable:
            set_enabled(self.place.config, enabled=True)
            subject = Subject.read(self.place.config)
        self._monitor = Monitor(self.world, rollout, self._about(subject, begin, rollout))
        self.note_store()
        self._monitor.driver.create(state, self.place.service, dict(self._monitor.about))
        return replace(self._monitor.handle(event, who), notes=seen.notes)

    def note_store(self) -> None:
        """Note in the folder where its store is, when that is not in it. Raises OutputError."""
        if self.place.url:
            note_store(self.place.queue, self.place.url)

    def cycle(self, who: str = "runner", *, dry_run: bool = False) -> Report:
        """One monitoring pass: measure, judge every gate, act; and make good whatever a kill left undone.

        Raises MissingDataError when there is no rollout, RolloutError or StoreError when something cannot be done; the
        next cycle goes on from there.
        """
        word = None if dry_run else wish(self.place.queue)
        if word is not None:
            try:
                report = self.tell("rollback", *word)
            except MissingDataError:
                # Nothing is left that could be rolled back.
                forget_wish(self.place.queue)
                raise
            forget_wish(self.place.queue)
            return report
        deleted = None if dry_run else self._without_rollout()
        return deleted or _patiently(lambda: self.monitor.cycle(who, dry_run=dry_run))

    def tell(self, command: str, who: str, reason: str = "", *, dry_run: bool = False) -> Report:
        """Carry out an operator's word: pause, resume, approve, release or rollback.

        Raises RolloutError, with what is possible named, when the rollout's phase does not allow it.
        """
        deleted = self._without_rollout() if command == "rollback" and not dry_run else None
        return deleted or _patiently(lambda: self._tell(command, who, reason, dry_run=dry_run))

    def advance(self, who: str, *, dry_run: bool = False) -> Report:
        """Judge now, and end the stage if it is proven. Raises RolloutError, saying what is missing, when it is not."""
        before = self.state
        self.check(before, "advance")
        report = self.cycle(who, dry_run=dry_run)
        if report.stage == before.current.name and report.phase is Phase.PROGRESSING:
            raise RolloutError(f"stage {report.stage} is not over: {report.why}; advance skips no proof")
        return report

    @property
    def rollback_asked(self) -> str | None:
        """Who asked for a rollback that is not stored, and why, as a sentence; None when nobody did."""
        asked = wish(self.place.queue)
        return asked and f"{asked[0]} asked for a rollback ({asked[1]}); the next cycle carries it out"

    def check(self, state: State, command: str) -> None:
        """Raises RolloutError, with the legal commands named, when this one is not."""
        if self.rollback_asked is not None and command != "rollback":
            raise RolloutError(f"{command} is not possible: {self.rollback_asked}; possible: rollback")
        legal = legal_commands(state)
        if command not in legal:
            raise RolloutError(f"{command} is not possible while {state.phase.value}; possible: {', '.join(legal)}")

    def history(self, rollout: str | None = None) -> list[JournalEvent]:
        """Everything that was done to a rollout, or to the current one, in order."""
        chosen = rollout or self._deleted or self.current.id
        with self.store.read() as connection:
            return journal_of(connection, chosen)

    def fleet(self) -> list[Member]:
        """The processes of the service, as they stand to the word in the store."""
        newest, service = self.newest, self.place.service
        with self.store.read() as connection:
            read = read_word(connection, service, self.clock())
            epoch = read.word.epoch if read.word else 0
            return members(connection, service, newest.id if newest else "", epoch, read.standing.at)

    def old_primary_is_gone(self, who: str) -> None:
        """A person says that the server of the store's old incarnation is gone. Raises RolloutError when none is
        waited for."""
        self.monitor.driver.check_store()
        if not self.state.old_primary:
            raise RolloutError(
                f"rollout {self.current.id}: no old primary is waited for; leave out --old-primary-is-gone"
            )
        self.monitor.driver.handle(OldPrimaryGone(self.clock() + LATE_SECONDS), who)

    @property
    def monitor(self) -> Monitor:
        """The rollout that counts, ready to be run. Raises MissingDataError; StoreError when what it was started with
        cannot be understood."""
        stored = self.current
        if self._monitor is None or self._monitor.rollout != stored.id:
            try:
                self._monitor = Monitor(self.world, stored.id, stored.config)
            except (KeyError, TypeError, ValueError) as error:
                raise StoreError(f"what rollout {stored.id} was started with cannot be understood: {error}") from error
        return self._monitor

    def _tell(self, command: str, who: str, reason: str, *, dry_run: bool) -> Report:
        monitor = self.monitor
        if not dry_run:
            monitor.driver.check_store()
        self.check(monitor.driver.state, command)
        if command == "rollback":
            return monitor.roll_back(who, reason.strip() or f"{who} rolled it back", dry_run=dry_run)
        if command == "release":
            monitor.refuse_changes(command)
            return monitor.handle(Released(reason.strip() or f"{who} released it"), who, dry_run=dry_run)
        if command == "pause":
            return monitor.handle(Paused(reason.strip() or f"{who} paused it"), who, dry_run=dry_run)
        monitor.refuse_changes(command)
        return monitor.handle(Resumed(who), who, dry_run=dry_run)

    def _check_none_active(self) -> None:
        with self.store.read() as connection:
            stored = connection.execute(select(rollouts.c.id, rollouts.c.service, rollouts.c.phase)).all()
            states = {row.id: row.state for row in rollouts_of(connection, self.place.service)}
        for rollout, service, phase in stored:
            if phase_of(phase) not in ACTIVE:
                continue
            if service != self.place.service:
                whose = f"rollout {rollout} of service {service}, whose flag this is, is {phase}"
                raise RolloutError(f"{whose}; allowed: one active rollout at a time")
            possible = ", ".join(legal_commands(state_of(states[rollout])))
            raise RolloutError(f"start is not possible while rollout {rollout} is {phase}; possible: {possible}")
        newest, deleted = self.newest, self._deleted
        unsettled = deleted is not None and not is_settled(self.world.journal(deleted))
        if newest is not None and phase_of(newest.phase) is Phase.ROLLED_BACK:
            unsettled = not is_settled(self.world.journal(newest.id))
        if unsettled:
            which = deleted or (newest.id if newest else "")
            finishes = self.place.command("rollout cycle")
            raise RolloutError(f"the rollback of {which} is not settled; `{finishes}` finishes it")

    def _without_rollout(self) -> Report | None:
        return settle_without_rollout(self.world, self._deleted) if self.newest is None else None

    def _next_id(self) -> str:
        with self.store.read() as connection:
            return next_id(connection, self.place.service)

    @property
    def _deleted(self) -> str | None:
        with self.store.read() as connection:
            return deleted_rollout(connection, self.place.service)

    def _about(self, subject: Subject, begin: Start, rollout: str) -> dict[str, Any]:
        targets = self._targets()
        sample = record(Salts.of(rollout).arm, targets[:SAMPLE])
        return {
            **subject.identity(),
            "table": subject.plan.to_dict(),
            "targets": targets,
            "sample": {"salt": sample.salt, "evaluator": sample.evaluator, "buckets": dict(sample.buckets)},
            "waived": list(begin.waived),
            "source": dict(begin.source) if begin.source else None,
            "checks": [asdict(check) for check in begin.checks],
            "accepted": dict(begin.accepted),
        }

    def _targets(self) -> list[str]:
        """Targets to probe with: some of the store's records, and made-up ones, so that each slice has some."""
        with self.store.read() as connection:
            known = connection.execute(select(records.c.target).order_by(records.c.target).limit(SAMPLE)).scalars()
            return [*known, *MADE_UP]


def start(place: Place, opened: Callable[[], Operator], who: str, begin: Start, *, dry_run: bool = False) -> Report:
    """Start a rollout as `Operator.start` does, by the operator that `opened` gives.

    A start that is refused, or whose configuration that it is to enable cannot be written (OutputError), makes no
    store. A dry run needs none: `opened` may then raise MissingDataError.
    """
    subject = check_start(place, begin)
    notes = _refused_without_store(place, subject, begin)
    if begin.enable and not dry_run:
        check_enable(place.config)
    try:
        operator = opened()
    except MissingDataError:
        if not dry_run:
            raise
        state, event = first_state(subject, begin)
        return replace(foreseen(rollout_id(place.service, 1), state, event, time.time()), notes=notes)
    with operator:
        return operator.start(who, begin, dry_run=dry_run)


def _refused_without_store(place: Place, subject: Subject, begin: Start) -> tuple[str, ...]:
    """Where there is no store yet, refuse what is to be refused, and return what is not known then."""
    try:
        open_store(place.store, create=False, upgrade=False).close()
    except MissingDataError:
        seen = foresee(place, subject, begin, None, time.time())
        seen.refuse()
        return seen.notes
    except StoreError:
        # Whoever opens it next says what is wrong, or brings it up to date.
        pass
    return ()


def _patiently(act: Callable[[], T]) -> T:
    """Again when somebody else changed the rollout in the meantime: their change is then what is acted on."""
    for _ in range(_TRIES - 1):
        try:
            return act()
        except StoreConflict:
            continue
    return act()
