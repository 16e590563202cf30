"""One monitoring pass: measure, judge every gate, act."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from suffice.errors import MissingDataError, RolloutError, StoreError, SufficeError
from suffice.evidence.expected import chance_of
from suffice.evidence.measurements import NOTHING_MEASURED, Evidence
from suffice.evidence.production import Measured, Measurement
from suffice.evidence.rebuild import Pair, from_builder, from_provenance, in_turn
from suffice.evidence.recompute import recompute
from suffice.flag.file import wrong_with_file
from suffice.gates import buckets, clocks
from suffice.gates.configuration import unreadable
from suffice.gates.outcome import GateResult
from suffice.resolution.storm import StormPolicy
from suffice.rollout.controller import Cycle, Event, Paused, RollbackAsked, Started, State
from suffice.rollout.driver import Driver, FlagAccess, Note
from suffice.rollout.fleet import Member, able, clocks_ahead, members, why_nobody_can
from suffice.rollout.judging import Gates
from suffice.rollout.phases import Phase
from suffice.rollout.report import Report, foreseen, reported
from suffice.rollout.runbook_check import commands
from suffice.rollout.saved_state import plain_result, plain_state, result_of
from suffice.rollout.settle import is_settled, left_to_do, settle
from suffice.rollout.subject import Subject, changes, stored_config
from suffice.rollout.world import RUNNER, World
from suffice.serving.situation import Salts
from suffice.serving.spool import FOLDER, take_up
from suffice.sources.built import Builder
from suffice.stopping.plan import Plan
from suffice.store.actions import Action
from suffice.store.decision_row import DecisionRow
from suffice.store.incarnation import standing
from suffice.store.journal import JournalEvent
from suffice.store.ledger import Ledger
from suffice.store.words import read_word
from suffice.triage.bundle import LastView, Rollback

_LOOKED_AT = 200
"""Of the newest adaptive decisions of a stage, how many are checked against their buckets in a cycle."""

_PATIENCE = 60.0
"""Seconds that recomputing may take where cycles are shorter: a service's own code may take long to load."""

_RECENT_SECONDS = 3600.0
"""What came after the last cycle that is at least so long ago is recent."""

_BACK = (Phase.ROLLING_BACK, Phase.ROLLED_BACK)


@dataclass(frozen=True, slots=True)
class Judged:
    """What the last cycle saw."""

    evidence: Evidence
    results: tuple[GateResult, ...]


class Monitor:
    """A stored rollout, with all that its cycles keep between them; `about` is what it was started with."""

    def __init__(self, world: World, rollout: str, about: Mapping[str, Any]) -> None:
        self.world, self.rollout, self.about = world, rollout, about
        self._config = stored_config(about, f"rollout {rollout}")
        policy = StormPolicy.of(self._config)
        self._plan = plan = Plan.from_dict(about["table"])
        self._builder = world.rehearsed.builder or Builder.of(self._config.verifier.cases, world.place.config)
        self._checks = world.rehearsed.checks or commands(world, self._outputs, about, self._config.rollout.checks)

        def plan_of(stage: str) -> Plan:
            faulty = world.rehearsed.faulty(stage)
            return faulty.plan if faulty else plan

        self.measurement = Measurement(
            world.store,
            rollout,
            world.place.service,
            policy,
            plan_of,
            self._rebuild,
            world.rehearsed.scope,
            partial(recompute, builder=self._builder, seconds=max(self._config.rollout.cycle_seconds, _PATIENCE)),
            chance_of(plan_of, plan.id),
        )
        self._journal = world.journal(rollout)
        self._gates = Gates(world, rollout, about, self._config.rollout, self._checks)
        self._last: Judged | None = None

    @cached_property
    def driver(self) -> Driver:
        world, salt = self.world, Salts.of(self.rollout).arm
        regions = tuple(dict.fromkeys(r for stage in self._config.rollout.stages for r in stage.regions))
        flag = FlagAccess(world.place.flag, salt, world.flag(), self.about["targets"], regions)
        return Driver(
            world.store,
            self.rollout,
            flag,
            self._settle,
            world.clock,
            patience=world.patience,
            after_word=world.rehearsed.after_word,
        )

    def cycle(self, who: str, *, dry_run: bool = False) -> Report:
        """One monitoring pass. Raises SufficeError when something cannot be done; the next one goes on from there."""
        if not dry_run:
            self.driver.check_store()
        state = self.driver.state
        if state.phase is Phase.PENDING:
            return self.handle(Started(), who, dry_run=dry_run)
        if state.phase in _BACK:
            return self._finish(state, dry_run=dry_run)
        if state.phase is Phase.HELD_BACK:
            return self._reported(state if dry_run else self.driver.reconcile())
        return self._judge(state, who, dry_run=dry_run)

    def roll_back(self, who: str, reason: str, *, dry_run: bool = False) -> Report:
        """Back to the baseline, or on with it where that has begun."""
        if not dry_run:
            self.driver.check_store()
        state = self.driver.state
        if state.phase in _BACK:
            return self._finish(state, dry_run=dry_run)
        try:
            return self.handle(RollbackAsked(reason), who, dry_run=dry_run)
        except RolloutError:
            # Another process may have seen the baseline first, and told the store.
            return self._finish(self.driver.state, dry_run=dry_run)

    def handle(self, event: Event, who: str, *, dry_run: bool = False, note: Note | None = None) -> Report:
        """Let an event happen, with a `note` of it in the journal; in a dry run, only say what would follow."""
        if dry_run:
            return foreseen(self.rollout, self.driver.state, event, self.world.clock())
        return self._reported(self.driver.handle(event, who, note))

    def refuse_changes(self, command: str) -> None:
        """Raises RolloutError when plan or configuration are not those that the rollout was started with."""
        path = self.world.place.config
        changed = changes(self.about, Subject.read(path))
        if changed:
            raise RolloutError(f"{command} is refused: {_changed(path, changed)}")

    def _finish(self, state: State, *, dry_run: bool) -> Report:
        if state.phase is Phase.ROLLED_BACK and not dry_run:
            self.driver.check_receipt()
            state = self.driver.state
        if state.phase is Phase.ROLLED_BACK and is_settled(self._journal):
            return self._keep_baseline(state, dry_run=dry_run)
        if dry_run:
            return reported(self.rollout, state, commands=("publish the baseline", "settle"), dry_run=True)
        try:
            after = self.driver.reconcile()
        except RolloutError:
            if self.driver.state.phase is state.phase:
                raise
            after = self.driver.reconcile()
        return self._reported(after)

    def _reported(self, state: State) -> Report:
        """The report of a state; of a rollback its receipt, or why there is none yet, and what a person has to do."""
        if state.phase is Phase.ROLLED_BACK:
            receipt = self._journal.last(Action.RECEIPT)
            notes = (receipt and receipt.why, left_to_do(self._journal, self.world.place.config))
            return reported(self.rollout, state, notes=tuple(filter(None, notes)))
        if state.phase is not Phase.ROLLING_BACK:
            return reported(self.rollout, state)
        stuck = self._journal.last(Action.NOT_OBSERVED)
        sentence = f": {stuck.why}" if stuck else ""
        note = f"the baseline is not observed yet{sentence}; each cycle tries again"
        return reported(self.rollout, state, notes=(note,))

    def _keep_baseline(self, state: State, *, dry_run: bool) -> Report:
        wrong = wrong_with_file(self.world.place.flag, None)
        if wrong is not None and not dry_run:
            self.driver.keep_baseline()
            wrong = f"{wrong}; published again"
            self._journal.write(Action.REPAIR, wrong)
        left = left_to_do(self._journal, self.world.place.config)
        return reported(self.rollout, state, notes=tuple(filter(None, (wrong, left))), dry_run=dry_run)

    def _judge(self, state: State, who: str, *, dry_run: bool) -> Report:
        changed, broken = self._subject()
        notes = [note for note in (self._clock_note(state), changed) if note]
        if changed and state.phase is Phase.PROGRESSING:
            # Before the gates are asked: a stage must not end with another plan than it was judged by.
            paused = self.handle(Paused(changed), "runner", dry_run=dry_run)
            if dry_run:
                return replace(paused, notes=tuple(notes))
            state = self.driver.state
        listed = self._members()
        nobody = self._nobody_can(state, listed)
        if nobody and not dry_run:
            self.handle(Paused(nobody), RUNNER)
            state = self.driver.state
        measured = self._measure(state, dry_run=dry_run)
        evidence = self._with_recent(state, measured.evidence)
        measured = replace(measured, evidence=replace(evidence, **able(listed, self.about["plan"])))
        repair = None if dry_run else self.driver.reconcile
        # Before the gates are asked: what this cycle starts is not skipped.
        notes += () if dry_run else self._checks.skipped()
        results = (*self._gates.judge(state, measured.evidence, repair), *broken, *self._plumbing(state))
        self._last = judged = Judged(measured.evidence, results)
        notes += measured.notes

        def note(after: State) -> JournalEvent:
            return self._journal.event(Action.JUDGE, after.why, _numbers(state, after, judged, notes))

        done = self.handle(
            Cycle(results, _counted(measured, "audits"), _counted(measured, "decisions") or 0),
            who,
            dry_run=dry_run,
            note=note,
        )
        return replace(done, results=results, notes=tuple(notes))

    def _members(self) -> list[Member]:
        """The fleet; nobody where the store does not answer: the ledger then says that nothing was measured."""
        try:
            with self.world.store.read() as connection:
                read = read_word(connection, self.world.place.service, self.world.clock())
                return members(connection, self.world.place.service, self.rollout, 0, read.standing.at)
        except StoreError:
            return []

    def _nobody_can(self, state: State, listed: Sequence[Member]) -> str | None:
        """Why no process can be adaptive in a stage that waits for adaptive decisions."""
        if state.phase is not Phase.PROGRESSING or state.exposure("any") is None:
            return None
        return why_nobody_can(listed, str(self.about["plan"]))

    def _plumbing(self, state: State) -> list[GateResult]:
        """Errors that only show where something is broken beside the decisions: buckets, and clocks."""
        exposure = state.exposure(Salts.of(self.rollout).arm)
        try:
            rows = Ledger(self.world.store).latest(self.rollout, state.current.name, _LOOKED_AT, adaptive_path=True)
            with self.world.store.read() as connection:
                at = standing(connection, self.world.clock()).at
                ahead = clocks_ahead(connection, self.world.place.service)
            if self.world.host_clock is not None:
                ahead[platform.node()] = self.world.host_clock() - at
        except StoreError:
            return []
        return [result for result in (buckets.judge(rows, exposure), clocks.judge(ahead)) if result]

    @property
    def _outputs(self) -> Path:
        """Where the output of checks is kept; each rollout asks anew."""
        return self.world.place.queue / "checks" / self.rollout

    def _measure(self, state: State, *, dry_run: bool = False) -> Measured:
        now = self.world.clock()
        if not dry_run:
            try:
                take_up(self.world.place.queue / FOLDER, Ledger(self.world.store))
            except SufficeError as error:
                return Measured(NOTHING_MEASURED, (f"what killed verifiers left is not in the ledger: {error}",))
        earlier = (stage.name for stage in state.rollout.stages if stage.shadow and stage != state.current)
        return self.measurement.measure(state.current, self._stage_began(), now, next(earlier, None), keep=not dry_run)

    def _with_recent(self, state: State, evidence: Evidence) -> Evidence:
        """The evidence, beside it what came since a cycle of an hour ago; in a younger stage that is all of it."""
        try:
            before = self._journal.last_until(Action.JUDGE, self.world.clock() - _RECENT_SECONDS)
        except StoreError:
            return evidence
        known = before is not None and before.numbers["stage"] == state.current.name
        return evidence.since(Evidence.of_plain(before.numbers["evidence"]) if before and known else None)

    def _stage_began(self) -> float:
        """When the stage began, on the clock of then; what was credited since may be less."""
        begun = self._journal.last(Action.ADVANCE, Action.START)
        return begun.at if begun else self.world.clock()

    def _judged(self, state: State) -> Judged:
        """For the bundle: what the stage's last cycle saw, or the view from now if it had none."""
        if self._last is None:
            judged = self._journal.last(Action.JUDGE)
            if judged is None or judged.numbers["stage"] != state.current.name:
                measured = self._measure(state)
                return Judged(measured.evidence, self._gates.judge(state, measured.evidence))
            self._last = Judged(
                Evidence.of_plain(judged.numbers["evidence"]), tuple(map(result_of, judged.numbers["gates"]))
            )
        return self._last

    def _subject(self) -> tuple[str | None, tuple[GateResult, ...]]:
        """What changed since the start, and a gate's answer when that cannot be known."""
        path = self.world.place.config
        try:
            changed = changes(self.about, Subject.read(path))
        except SufficeError as error:
            return None, (unreadable(error),)
        return (_changed(path, changed) if changed else None), ()

    def _clock_note(self, state: State) -> str | None:
        if state.last_cycle is None:
            return None
        passed, most = self.world.clock() - state.last_cycle, 2 * state.rollout.cycle_seconds
        if passed < 0:
            return (
                f"the clock is {-passed:,.0f} s behind that of the last cycle; nothing is credited until it is past it"
            )
        if passed > most:
            return f"{passed:,.0f} s since the last cycle; at most {most:,.0f} s are credited"
        return None

    def _settle(self, state: State) -> None:
        """Raises RolloutError when a step failed."""
        stage = state.current.name

        def view() -> LastView:
            judged = self._judged(state)
            return LastView(
                gates=list(map(plain_result, judged.results)),
                evidence=asdict(judged.evidence),
                state=plain_state(state),
                plan=self.about["table"],
                config=self.about["config"],
                outputs=self._checks.outputs(stage),
                faulty=self.world.rehearsed.faulty(stage),
            )

        rollback = Rollback(
            self.rollout, stage, state.why, state.failed, view, self.world.place.command, self.measurement.pairs
        )
        settle(self.world, rollback)

    def _rebuild(self, rows: Sequence[DecisionRow]) -> list[Pair]:
        """From what was written about a decision, else from the rollout's source, else by the service's builder."""
        source = self.about["source"]
        ways = [
            from_provenance(self.world.store),
            *([self.world.sources(source, self._plan)] if source is not None and self.world.sources else []),
            *([from_builder] if self._builder else []),
        ]
        return in_turn(ways)(rows)


def _numbers(state: State, after: State, judged: Judged, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "stage": state.current.name,
        "phase": after.phase.value,
        "weight": after.weight,
        "gates": [plain_result(result) for result in judged.results],
        "evidence": asdict(judged.evidence),
        "notes": list(notes),
    }


def _counted(measured: Measured, name: str) -> int | None:
    try:
        return measured.evidence.counts(name)[0]
    except MissingDataError:
        return None


def _changed(path: Path, changed: Sequence[str]) -> str:
    more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
    rule = "a changed plan or configuration is a new rollout"
    return f"{path}: {changed[0]}{more}; {rule}: put it back and resume, or roll back and start again"
