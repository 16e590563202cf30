"""The rehearsal: traffic through the real verifier, store, flag, gates and controller, cycle by cycle."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from filelock import FileLock, Timeout

from suffice.config import Stage, set_enabled
from suffice.errors import DataError, MissingDataError, OutputError, RolloutError
from suffice.evidence.measurements import Evidence
from suffice.evidence.reader import EvidenceReader
from suffice.evidence.recompute import differing
from suffice.files import write_atomically
from suffice.flag.client import FlagClient
from suffice.flag.probes import Receipt
from suffice.gates.outcome import GateResult
from suffice.rehearsal.bundle import Bundler
from suffice.rehearsal.faults import Kind, faulty_feed, faulty_plan
from suffice.rehearsal.history import History, row_of
from suffice.rehearsal.resolved import resolved
from suffice.rehearsal.runbook import Runbook
from suffice.rehearsal.setup import CHECKS, PLAN, Setup, begin_anew, pinned, remove_temporary_files
from suffice.rehearsal.traffic import DAY, Traffic, lasting, pass_of
from suffice.resolution.resolve import Resolver, Summary
from suffice.resolution.storm import StormPolicy
from suffice.rollout.controller import Cycle, Paused, Started, State, advance
from suffice.rollout.driver import Driver, Published
from suffice.rollout.judging import judge_all
from suffice.rollout.phases import Phase
from suffice.rollout.saved_state import result_of
from suffice.serving.counted import counters_of
from suffice.serving.served import Served
from suffice.serving.verifier import Situation, Verifier
from suffice.stopping.plan import Plan
from suffice.stopping.request import Margin
from suffice.store.database import Store, open_store
from suffice.store.ledger import DecisionRow, Ledger
from suffice.store.rollouts import load_rollout
from suffice.telemetry.counters import Counter, Counters
from suffice.telemetry.metrics_file import flush
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case

RECOMPUTED = 20
"""Decisions of a stage that a fresh process decides again, adaptive ones first."""

ASKED = 200
"""Targets that the flag is asked about in the end: of 1 % of them, one is among these seven times of eight."""

ROLLOUT = "rehearsal"
SALT = "rehearsal"


@dataclass(frozen=True, slots=True)
class Moment:
    """What there is to see after a cycle."""

    state: State
    results: tuple[GateResult, ...]
    evidence: Evidence
    decisions: int
    day: float


@dataclass(slots=True)
class Ending:
    """How a rehearsal ended: `status`, with what was known then."""

    status: str
    state: State
    results: dict[str, tuple[GateResult, ...]]
    reader: EvidenceReader
    resolved: Summary
    adaptive_after_receipt: int | None
    receipt: Receipt | None
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
    work in the folder, DataError when there is nothing to go on with or it was made from something else,
    MissingDataError when there are no corrections.
    """
    if not setup.corrections:
        raise MissingDataError(f"{setup.source}: has no corrections to rehearse with")
    with _locked(setup), ExitStack() as stack:
        remove_temporary_files(setup.directory)
        if not go_on:
            begin_anew(setup)
        store = stack.enter_context(open_store(setup.file("store.db"), durable=False))
        flag = stack.enter_context(FlagClient.from_file(setup.file("flag.json")))
        runbook = None
        if setup.checks:
            runbook = Runbook(setup.file(CHECKS), setup.file("config.json"))
            stack.callback(runbook.close)
        return _Rehearsal(setup, store, flag, runbook).run(go_on=go_on, seen=seen)


@contextmanager
def _locked(setup: Setup) -> Iterator[None]:
    try:
        setup.directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(setup.file(".lock"))
        lock.acquire(timeout=0)
    except OSError as error:
        # filelock's Timeout is an OSError, too.
        busy = isinstance(error, Timeout)
        why = "another rehearsal is at work here" if busy else f"cannot be used: {error.strerror or error}"
        raise OutputError(f"{setup.directory}: {why}") from error
    try:
        yield
    finally:
        lock.release()


class _Rehearsal:
    def __init__(self, setup: Setup, store: Store, flag: FlagClient, runbook: Runbook | None) -> None:
        self.setup, self.store, self.flag, self.runbook = setup, store, flag, runbook
        self.clock = _Clock(setup.start)
        self.traffic = Traffic(setup.corrections, setup.regions)
        self.policy = StormPolicy.of(setup.config)
        self.ledger = Ledger(store)
        self.reader = self._new_reader()
        self.fault_plan = _fault_plan(setup)
        self.counters = Counters()
        self.stage: Stage
        self.situation: Situation
        self._enter(setup.config.rollout.stages[0].name)
        self.verifier = Verifier(
            setup.plan,
            setup.seed,
            flag,
            enabled=True,
            counters=self.counters,
            clock=self.clock,
            ledger=self.ledger,
            situation=lambda: self.situation,
            batch=10_000,
        )
        self.resolver = Resolver(
            store,
            self._verify,
            self.policy,
            self.clock,
            scope=ROLLOUT,
            batch=self.traffic.per_cycle(setup.cycle),
            flush=self.verifier.flush,
        )
        self.bundler = Bundler(setup, self.ledger, ROLLOUT, self.fault_plan, runbook)
        published = Published(setup.file("flag.json"), SALT, flag, self.traffic.targets(), setup.regions)
        self.driver = Driver(store, ROLLOUT, published, self.bundler.settle, self.clock)
        self.results: dict[str, tuple[GateResult, ...]] = {}
        self.recomputed: dict[tuple[str, bool], tuple[int, int]] = {}
        self.history = History(setup.file("history.jsonl"))

    def run(self, *, go_on: bool, seen: Callable[[Moment], None]) -> Ending:
        try:
            state = self._watch(self._go_on() if go_on else self._begin(), seen)
            status = _STATUS.get(state.phase, "interrupted")
        except KeyboardInterrupt:
            status, state = "interrupted", self._known()
            # The reader may have been interrupted in its counting.
            self.reader = self._new_reader()
        return self._end(status, state)

    def _new_reader(self) -> EvidenceReader:
        return EvidenceReader(self.ledger, ROLLOUT, self.policy, _scope)

    def _known(self) -> State:
        try:
            return self.driver.state
        except RolloutError:
            # It had not begun: nothing is known.
            raise KeyboardInterrupt from None

    def _begin(self) -> State:
        # The rehearsal switches a configuration of its own on and off, never the one it was started with.
        self.setup.plan.save(self.setup.file(PLAN))
        write_atomically(
            self.setup.file("config.json"), pinned(self.setup.config, PLAN).model_dump_json(indent=2) + "\n"
        )
        set_enabled(self.setup.file("config.json"), enabled=True)
        state = State(self.setup.config.rollout)
        self.driver.create(state, self.setup.source, self.setup.identity)
        return self.driver.handle(Started(), "rehearsal")

    def _go_on(self) -> State:
        with self.store.read() as connection:
            stored = load_rollout(connection, ROLLOUT)
        if stored is None:
            raise DataError(f"{self.setup.directory}: there is no rehearsal to go on with; leave out --continue")
        if stored.config != self.setup.identity:
            raise DataError(f"{self.setup.directory}: the rehearsal there was made from something else; begin anew")
        self.clock.now = stored.updated_at
        self._remember(stored.updated_at)
        state = self.driver.state
        self._enter(state.current.name)
        return self.driver.handle(Started(), "rehearsal") if state.phase is Phase.PENDING else self.driver.reconcile()

    def _remember(self, until: float) -> None:
        """What an earlier process knew and did not store with the rollout."""
        self.history.go_on(until)
        for row in self.history.rows:
            stage, evidence = row["stage"], Evidence(**row["evidence"])
            self.results[stage] = tuple(map(result_of, row["gates"]))
            self.bundler.evidence, self.bundler.results = evidence, self.results[stage]
            if evidence.recomputed and evidence.differing is not None:
                self.recomputed[stage, _enough(evidence)] = int(evidence.recomputed), int(evidence.differing)

    def _watch(self, state: State, seen: Callable[[Moment], None]) -> State:
        last = state.last_cycle if state.last_cycle is not None else self.setup.start
        done = round((last - self.setup.start) / self.setup.cycle)
        cycles = self.traffic.cycles(self.setup.cycle, self.setup.passes, done)
        for number, arrivals in enumerate(cycles, start=done + 1):
            if self._watched_long_enough(state):
                break
            self.clock.now = self.setup.start + number * self.setup.cycle
            self._enter(state.current.name)
            for _ in self.resolver.resolve(arrivals):
                pass
            if state.phase in (Phase.PAUSED, Phase.ROLLED_BACK):
                # One cycle more, so that the ledger shows what decisions are like after the end.
                return state
            state = self._cycle(state)
            self._tell(state, seen)
        if state.phase is Phase.PROGRESSING:
            why = f"the corrections have arrived {self.setup.passes} times, which proved too little"
            return self.driver.handle(Paused(why), "rehearsal")
        return state

    def _enter(self, stage: str) -> None:
        self.stage = next(s for s in self.setup.config.rollout.stages if s.name == stage)
        self.situation = self._situation()

    def _watched_long_enough(self, state: State) -> bool:
        """Whether a day has passed since everything was adaptive."""
        completed = self.history.first(phase=Phase.COMPLETED.value)
        return completed is not None and state.phase is Phase.COMPLETED and self.clock.now - completed["at"] >= DAY

    def _cycle(self, state: State) -> State:
        name = state.current.name
        evidence = self._evidence(state)
        weight = 0 if state.current.shadow else state.current.weight
        self.results[name] = judge_all(evidence, self.setup.config.rollout, weight=weight)
        self.results[name] += self._checked(state)
        self.bundler.evidence, self.bundler.results = evidence, self.results[name]
        audits = None if evidence.audits is None else int(evidence.audits)
        cycle = Cycle(self.results[name], audits)
        self.history.append(
            row_of(
                name,
                advance(state, cycle, self.clock.now)[0],
                self.results[name],
                evidence,
                decisions=self._decisions(),
                at=self.clock.now,
                day=self._day(),
            )
        )
        return self.driver.handle(cycle, "rehearsal")

    def _checked(self, state: State) -> tuple[GateResult, ...]:
        if self.runbook is None:
            return ()
        if state.phase is Phase.PROGRESSING:
            self.runbook.begin(state.current.name)
        return (self.runbook.judge(state.current.name, wait=self._could_end(state)),)

    def _could_end(self, state: State) -> bool:
        """Whether this cycle may be the last of its stage; a stage that needs no proof is watched to the end."""
        if not state.current.needs_proof:
            return self._watched_long_enough(state)
        return state.phase is not Phase.PROGRESSING or state.held + self.setup.cycle >= state.current.hold_seconds

    def _evidence(self, state: State) -> Evidence:
        stage = state.current
        evidence = self.reader.read(stage, self.clock.now - state.held, self.clock.now)
        if self._faulty(Kind.NO_METRICS):
            return Evidence()
        if not evidence.stopped:
            return replace(evidence, recomputed=0, differing=0)
        # Again once there are enough adaptive decisions: a young canary has hardly any.
        which = stage.name, _enough(evidence)
        if which not in self.recomputed:
            try:
                self.recomputed[which] = self._recompute(stage.name)
            except DataError:
                return evidence
        recomputed, differ = self.recomputed[which]
        return replace(evidence, recomputed=recomputed, differing=differ)

    def _recompute(self, stage: str) -> tuple[int, int]:
        rows = sorted(self.ledger.rows(ROLLOUT, stage), key=lambda row: not (row.shadow or row.arm == "adaptive"))
        by_key = {correction.key: correction for correction in self.setup.corrections}
        pairs = [(row, by_key[lasting(row.key)]) for row in rows[:RECOMPUTED]]
        return len(pairs), len(differing(pairs, self._plan()))

    def _tell(self, state: State, seen: Callable[[Moment], None]) -> None:
        self.history.ended(state)
        seen(Moment(state, self.bundler.results, self.bundler.evidence, self._decisions(), self._day()))

    def _decisions(self) -> int:
        return sum(counted.decisions for counted in self.reader.stages.values())

    def _day(self) -> float:
        return (self.clock.now - self.setup.start) / DAY

    def _verify(self, case: Case) -> Served:
        # Arm, region and audit follow the lasting target; the pass only keeps the records apart.
        return self.verifier.verify(Case(case.key, lasting(case.target), case.sampler, case.region, case.direction))

    def _situation(self) -> Situation:
        fault = self.setup.fault
        return Situation(
            rollout=ROLLOUT,
            stage=self.stage.name,
            audit_fraction=self.stage.audit_fraction,
            audit_salt=f"{SALT}/audit",
            shadow=self.stage.shadow,
            plan=self._plan(),
            feed=faulty_feed(fault.kind) if fault and self._faulty(fault.kind) else None,
        )

    def _plan(self) -> Plan:
        fault = self.setup.fault
        return self.fault_plan if fault and self._faulty(fault.kind) else self.setup.plan

    def _faulty(self, kind: Kind) -> bool:
        """Whether this fault is at work: from its stage on."""
        fault = self.setup.fault
        if fault is None or fault.kind is not kind:
            return False
        names = [stage.name for stage in self.setup.config.rollout.stages]
        return names.index(self.stage.name) >= names.index(fault.stage)

    def _end(self, status: str, state: State) -> Ending:
        self.reader.read(state.current, self.clock.now, self.clock.now)
        self.history.ended(state)
        self.history.save()
        settled, found = self.bundler.settled, resolved(self.store)
        self._write_metrics(found)
        after = self.ledger.adaptive_after(ROLLOUT, settled.at) if settled else None
        return Ending(
            status=status,
            state=state,
            results=self.results,
            reader=self.reader,
            resolved=found,
            adaptive_after_receipt=after,
            receipt=settled.receipt if settled else None,
            bundle=str(settled.bundle) if settled else None,
            arm=self._arm().value,
            history=self.history.rows,
        )

    def _arm(self) -> Arm:
        """Adaptive when the flag says so to any of some targets."""
        asked = {self.flag.arm(target, self.setup.regions[0]) for target in self.traffic.targets()[:ASKED]}
        return Arm.ADAPTIVE if Arm.ADAPTIVE in asked else Arm.FIXED

    def _write_metrics(self, found: Summary) -> None:
        """The counters of the whole rehearsal, from the ledger: also of what a killed process decided."""
        self.setup.file("metrics.json").unlink(missing_ok=True)
        counters = counters_of(self.ledger.rows(ROLLOUT))
        counters.add(Counter.ROLLBACKS, found.rolled_back)
        counters.add(Counter.ESCALATIONS, found.escalations)
        flush(counters, self.setup.file("metrics.json"))


_STATUS = {Phase.COMPLETED: "completed", Phase.ROLLED_BACK: "rolled_back", Phase.PAUSED: "paused"}


def _fault_plan(setup: Setup) -> Plan:
    sampling, fault = setup.config.verifier.adaptive_sampling, setup.fault
    options = Margin.of(sampling)
    return faulty_plan(fault.kind, setup.plan, options) if fault else setup.plan


def _enough(evidence: Evidence) -> bool:
    return (evidence.stopped or 0) >= RECOMPUTED


def _scope(row: DecisionRow) -> str:
    return f"{row.target}#{pass_of(row.key)}"
