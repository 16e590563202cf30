"""The rehearsal: recorded corrections as traffic, and production's own rollout, cycle by cycle."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from suffice.config import set_enabled
from suffice.errors import DataError, MissingDataError, OutputError, RolloutError, SufficeError
from suffice.evidence.production import RECOMPUTED, Recomputed
from suffice.evidence.reader import EvidenceReader
from suffice.evidence.tally import Counted
from suffice.files import write_atomically
from suffice.gates.outcome import GateResult
from suffice.rehearsal.faults import Kind, faulty_feed, faulty_plan
from suffice.rehearsal.history import rows_of
from suffice.rehearsal.resolved import decided, resolved
from suffice.rehearsal.runbook import Runbook
from suffice.rehearsal.setup import CHECKS, PLAN, SERVICE, Setup, begin_anew, pinned, remove_temporary_files
from suffice.rehearsal.traffic import DAY, Traffic, lasting, pass_of
from suffice.resolution.resolve import Resolver, Summary
from suffice.resolution.storm import StormPolicy
from suffice.rollout.command_checks import Commands
from suffice.rollout.controller import State
from suffice.rollout.cycle import Monitor
from suffice.rollout.lease import Lease
from suffice.rollout.operator import Operator, Start
from suffice.rollout.phases import Phase
from suffice.rollout.saved_state import state_of
from suffice.rollout.start import SLOW, WORST_CASE
from suffice.rollout.world import Faulty, Place, Rehearsed, Sources
from suffice.serving.agent import Agent
from suffice.serving.counted import counters_of
from suffice.serving.permission import Leased
from suffice.serving.served import Served
from suffice.serving.situation import Situation
from suffice.serving.spool import FOLDER, Spool, take_up
from suffice.serving.verifier import Verifier
from suffice.sources.correction import Correction
from suffice.sources.recipe import Described
from suffice.stopping.request import Margin
from suffice.store.actions import Action
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow
from suffice.store.journal import journal_of, last_event
from suffice.store.ledger import Ledger
from suffice.store.triage import StoredReceipt, item_of, receipt_of
from suffice.telemetry.counters import Counter, Counters
from suffice.telemetry.metrics_file import flush
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case

ASKED = 200
"""Targets that the flag is asked about in the end: of 1 % of them, one is among these seven times of eight."""

LEASE_SECONDS = 3.0
"""How long a rehearsal that was killed keeps others out of its folder; shorter than in production, where nobody
waits."""

_PATIENCE = LEASE_SECONDS + 0.5
_WHO = "rehearsal"
_BACK = (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
_STATUS = {
    Phase.COMPLETED: "completed",
    Phase.ROLLED_BACK: "rolled_back",
    Phase.PAUSED: "paused",
    Phase.AWAITING_APPROVAL: "paused",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """What there is to see after a cycle."""

    state: State
    results: tuple[GateResult, ...]
    decisions: int
    day: float


@dataclass(frozen=True, slots=True)
class Ending:
    """How a rehearsal ended: `status`, with what was known then.

    `stages` is what the ledger has of each stage ("": of decisions while none was in force), `history` what each cycle
    saw, from the journal.
    """

    status: str
    state: State
    stages: Mapping[str, Counted]
    resolved: Summary
    adaptive_after_receipt: int | None
    receipt: StoredReceipt | None
    bundle: str | None
    arm: str
    history: list[dict[str, Any]] = field(default_factory=list)


class _Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def rehearse(setup: Setup, *, go_on: bool = False, seen: Callable[[Moment], None] = lambda _: None) -> Ending:
    """Run a rehearsal until it completes, pauses, is rolled back, or is interrupted; `seen` is called after each cycle.

    With `go_on` it continues the one in its folder, else it begins anew. Raises OutputError when another process is at
    work in the folder or it holds something else, DataError when there is nothing to go on with or it was made from
    something else, MissingDataError when there are no corrections, RolloutError when the rollout cannot start.
    """
    if not setup.corrections:
        raise MissingDataError(f"{setup.source}: has no corrections to rehearse with")
    if go_on and not setup.file("store.db").exists():
        raise DataError(f"{setup.directory}: there is no rehearsal to go on with; leave out --continue")
    clock = _Clock(setup.start)
    with ExitStack() as stack:
        store = _open(setup)
        path, checks = _Path(setup), _checks(setup, clock, lambda state: _may_end(operator, state))
        if isinstance(checks, Runbook):
            stack.callback(checks.close)
        agent = _agent(setup, clock)
        stack.callback(agent.close)
        rehearsed = Rehearsed(_scope, checks, path.faulty, lambda: _step(agent), setup.builder)
        place = Place(setup.file("config.json"), setup.directory, SERVICE, mark=f"-{setup.digest}")
        operator = stack.enter_context(
            Operator(place, clock=clock, store=store, sources=_sources(setup), rehearsed=rehearsed)
        )
        lease = stack.enter_context(_leased(setup, store))
        remove_temporary_files(setup.directory)
        if not go_on:
            begin_anew(setup, store)
        verifier = stack.enter_context(_verifier(setup, operator, clock, path, agent))
        return _Rehearsal(setup, clock, operator, verifier, path, lease, agent).run(go_on=go_on, seen=seen)


def _checks(setup: Setup, clock: "_Clock", may_end: Callable[[State], bool]) -> Runbook | Commands:
    """The runbook's, once a stage, or none at all: production's are asked at the pace of its own clock."""
    if setup.checks:
        return Runbook(setup.file(CHECKS), setup.file("config.json"), may_end)
    return Commands((), setup.file(CHECKS), clock)


def _sources(setup: Setup) -> Sources:
    """What the cases that arrived are made of again; corrections are in the provenance."""
    recipes = {described.key: described.recipe for described in setup.described}
    return lambda *_: lambda rows: [(row, recipes[lasting(row.key)]) for row in rows if lasting(row.key) in recipes]


def _open(setup: Setup) -> Store:
    try:
        setup.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{setup.directory}: cannot be used: {error.strerror or error}") from error
    return open_store(setup.file("store.db"), durable=False)


@contextmanager
def _leased(setup: Setup, store: Store) -> Iterator[Lease]:
    with Lease(store, SERVICE, seconds=LEASE_SECONDS) as lease:
        try:
            lease.acquire(patience=_PATIENCE)
        except RolloutError as error:
            raise OutputError(f"{setup.directory}: another rehearsal is at work here: {error}") from error
        # On a thread of its own, as in production: other processes wait by their clocks, not by the compressed one.
        lease.start_beating()
        yield lease


class _Path:
    """The adaptive path of each stage, faulty from the fault's stage on."""

    def __init__(self, setup: Setup) -> None:
        self._fault = setup.fault
        self._stages = [stage.name for stage in setup.config.rollout.stages]
        self._plan = setup.plan
        if setup.fault is not None:
            margin = Margin.of(setup.config.verifier.adaptive_sampling)
            self._plan = faulty_plan(setup.fault.kind, setup.plan, margin)

    def fault(self, stage: str) -> Kind | None:
        """The fault at work in a stage; none where no stage is in force."""
        if self._fault is None or stage not in self._stages:
            return None
        begun = self._stages.index(stage) >= self._stages.index(self._fault.stage)
        return self._fault.kind if begun else None

    def faulty(self, stage: str) -> Faulty | None:
        kind = self.fault(stage)
        return Faulty(kind.spelling, self._plan) if kind else None

    def within(self, told: Situation) -> Situation:
        """The situation with the fault in it, if there is one at work."""
        kind = self.fault(told.stage)
        return replace(told, plan=self._plan, feed=faulty_feed(kind)) if kind else told


def _agent(setup: Setup, clock: _Clock) -> Agent:
    """Production's agent, stepped at the moments that the rehearsal simulates: it has no threads.

    Its name is always the same, for one process at a time rehearses here: a killed one is not waited for.
    """
    return Agent(
        setup.file("store.db"),
        SERVICE,
        plan_id=setup.plan.id,
        enabled=True,
        nonce=SERVICE,
        folder=setup.directory,
        now=clock,
        boot=clock,
    )


def _verifier(setup: Setup, operator: Operator, clock: _Clock, path: _Path, agent: Agent) -> Verifier:
    """As `Verifier.from_config` makes it, but for its agent, which the rehearsal steps."""
    with suppress(SufficeError):
        take_up(setup.file(FOLDER), Ledger(operator.store))
    return Verifier(
        setup.plan,
        setup.seed,
        enabled=True,
        counters=Counters(),
        clock=clock,
        monotonic=clock,
        stopwatch=clock,
        ledger=Ledger(operator.store),
        permission=Leased(agent, plan_id=setup.plan.id, enabled=True, clock=clock),
        batch=10_000,
        spool=Spool(setup.file(FOLDER)),
        fault=path.within,
    )


def _step(agent: Agent) -> None:
    """Register, read, acknowledge."""
    agent.step_write()
    agent.step_read()
    agent.step_write()


class _Rehearsal:
    def __init__(
        self,
        setup: Setup,
        clock: _Clock,
        operator: Operator,
        verifier: Verifier,
        path: _Path,
        lease: Lease,
        agent: Agent,
    ) -> None:
        self.setup, self.clock, self.store, self.agent = setup, clock, operator.store, agent
        self.operator, self.verifier, self.path, self.lease = operator, verifier, path, lease
        self.traffic = Traffic(setup.corrections, setup.regions)
        self.policy = StormPolicy.of(setup.config)
        self.resolver = Resolver(
            self.store,
            self._verify,
            self.policy,
            clock,
            scope=SERVICE,
            batch=self.traffic.per_cycle(setup.cycle),
            flush=verifier.flush,
        )

    def run(self, *, go_on: bool, seen: Callable[[Moment], None]) -> Ending:
        try:
            state = self._watch(self._go_on() if go_on else self._begin(), seen)
            status = _STATUS.get(state.phase, "interrupted")
        except KeyboardInterrupt:
            if self.operator.newest is None:
                # It had not begun: nothing is known.
                raise
            status, state = "interrupted", self.operator.state
        return self._end(status, state)

    @cached_property
    def monitor(self) -> Monitor:
        """The rollout, once it has begun; a rehearsal has one."""
        return self.operator.monitor

    def _begin(self) -> State:
        # The rehearsal switches a configuration of its own on and off, never the one it was started with.
        self.setup.plan.save(self.setup.file(PLAN))
        config = self.setup.file("config.json")
        write_atomically(config, pinned(self.setup).model_dump_json(indent=2) + "\n")
        set_enabled(config, enabled=True)
        # What is wrong with the plan is for the gates to find, and the pace of recorded corrections is made up.
        accepted = dict.fromkeys((SLOW, WORST_CASE), "a rehearsal shows what comes of it")
        self.operator.start(_WHO, Start(self.setup.waived, self.setup.identity, accepted=accepted))
        return self.monitor.driver.state

    def _go_on(self) -> State:
        stored = self.operator.newest
        if stored is None:
            raise DataError(f"{self.setup.directory}: there is no rehearsal to go on with; leave out --continue")
        if stored.config["source"] != self.setup.identity:
            raise DataError(f"{self.setup.directory}: the rehearsal there was made from something else; begin anew")
        self.clock.now = stored.updated_at
        self._remember()
        if state_of(stored.state).phase in (Phase.PENDING, *_BACK):
            self.operator.cycle(_WHO)
        else:
            self.monitor.driver.reconcile()
        return self.monitor.driver.state

    def _remember(self) -> None:
        """What an earlier process recomputed; it would find newer decisions to recompute."""
        for row in self._history():
            evidence = row["evidence"]
            if evidence["recomputed"]:
                enough = evidence["stopped"] >= RECOMPUTED
                known = Recomputed(evidence["recomputed"], evidence["differing"], evidence.get("first_differing"))
                self.monitor.measurement.recomputed[row["stage"], enough] = known

    def _watch(self, state: State, seen: Callable[[Moment], None]) -> State:
        last = state.last_cycle if state.last_cycle is not None else self.setup.start
        done = round((last - self.setup.start) / self.setup.cycle)
        cycles = self.traffic.cycles(self.setup.cycle, self.setup.passes, done)
        for number, arrivals in enumerate(cycles, start=done + 1):
            if _watched_long_enough(self.operator, state):
                break
            self.clock.now = self.setup.start + number * self.setup.cycle
            _step(self.agent)
            if self.path.fault(state.current.name) is Kind.NO_METRICS:
                self._spoil_the_spool()
            self._decide(arrivals)
            if _STATUS.get(state.phase, "completed") != "completed":
                # One cycle more, so that the ledger shows what decisions are like after the end.
                return state
            self.verifier.beat(SERVICE)
            state = self._cycle(seen)
        if state.phase is Phase.PROGRESSING:
            why = f"the corrections have arrived {self.setup.passes} times, which proved too little"
            self.operator.tell("pause", _WHO, why)
            return self.monitor.driver.state
        return state

    def _cycle(self, seen: Callable[[Moment], None]) -> State:
        if self.lease.lost:
            raise OutputError(f"{self.setup.directory}: another rehearsal has taken over here; this one ends")
        report, state = self.operator.cycle(_WHO), self.monitor.driver.state
        decisions = sum(counted.decisions for counted in self.monitor.measurement.stages.values())
        day = (self.clock.now - self.setup.start) / DAY
        seen(Moment(state, report.results, decisions, day))
        return state

    def _spoil_the_spool(self) -> None:
        """Leave what no cycle can read, as a broken disk would: what the ledger lacks then, nobody knows."""
        (self.setup.file(FOLDER) / f"{Kind.NO_METRICS.spelling}.jsonl").mkdir(parents=True, exist_ok=True)

    def _history(self) -> list[dict[str, Any]]:
        with self.store.read() as connection:
            return rows_of(journal_of(connection, self.operator.current.id), self.setup.start)

    def _verify(self, case: Case) -> Served:
        # Arm, region and audit follow the lasting target; the pass only keeps the records apart.
        return self.verifier.verify(replace(case, target=lasting(case.target)))

    def _decide(self, arrivals: Sequence[Correction | Described]) -> None:
        """Corrections are resolved, cases only decided."""
        for arrival in arrivals:
            if isinstance(arrival, Described):
                self._verify(arrival.case())
        self.verifier.flush()
        for _ in self.resolver.resolve(arrival for arrival in arrivals if isinstance(arrival, Correction)):
            pass

    def _end(self, status: str, state: State) -> Ending:
        self.verifier.flush()
        rollout, ledger = self.operator.current.id, Ledger(self.store)
        # Not the monitor's: it may have been interrupted in its counting.
        reader = EvidenceReader(ledger, rollout, self.policy, _scope)
        reader.catch_up()
        with self.store.read() as connection:
            receipt, item = receipt_of(connection, rollout), item_of(connection, rollout)
        history = self._history()
        counts = decided(ledger, rollout) if self.setup.described else resolved(self.store)
        if history and history[-1]["at"] == state.last_cycle:
            # A rollback is observed only after its cycle was written down.
            history[-1] |= {"phase": state.phase.value, "weight": state.weight}
        self._write_metrics(counts)
        return Ending(
            status=status,
            state=state,
            stages=reader.stages,
            resolved=counts,
            adaptive_after_receipt=ledger.adaptive_after(rollout, receipt.at) if receipt else None,
            receipt=receipt,
            bundle=item.bundle if item else None,
            arm=self._arm().value,
            history=history,
        )

    def _arm(self) -> Arm:
        """Adaptive when the flag says so to any of some targets."""
        targets, region = self.traffic.targets()[:ASKED], self.setup.regions[0]
        asked = {self.operator.flag.arm(target, region) for target in targets}
        return Arm.ADAPTIVE if Arm.ADAPTIVE in asked else Arm.FIXED

    def _write_metrics(self, resolved: Summary) -> None:
        """The counters of the whole rehearsal, from the ledger: also of what a killed process decided."""
        self.setup.file("metrics.json").unlink(missing_ok=True)
        counters = counters_of(Ledger(self.store).each_row(self.operator.current.id))
        counters.add(Counter.ROLLBACKS, resolved.rolled_back)
        counters.add(Counter.ESCALATIONS, resolved.escalations)
        counters.add(Counter.STALE, resolved.stale)
        flush(counters, self.setup.file("metrics.json"))


def _watched_long_enough(operator: Operator, state: State) -> bool:
    """Whether a day has passed since everything was adaptive."""
    if state.phase is not Phase.COMPLETED:
        return False
    with operator.store.read() as connection:
        completed = last_event(connection, operator.current.id, Action.COMPLETE)
    return completed is not None and operator.clock() - completed.at >= DAY


def _may_end(operator: Operator, state: State) -> bool:
    """Whether this cycle may be the last of its stage; a stage that needs no proof is watched to the end."""
    if not state.current.needs_proof:
        return _watched_long_enough(operator, state)
    return (
        state.phase is not Phase.PROGRESSING or state.held + state.rollout.cycle_seconds >= state.current.hold_seconds
    )


def _scope(row: DecisionRow) -> str:
    return f"{row.target}#{pass_of(row.key)}"
