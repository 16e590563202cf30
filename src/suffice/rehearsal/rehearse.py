"""The rehearsal: traffic through the real verifier, store, flag, gates and controller, cycle by cycle."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from filelock import FileLock, Timeout

from suffice.config import set_enabled
from suffice.errors import DataError, OutputError
from suffice.evaluation.recompute import differing
from suffice.files import write_atomically
from suffice.flag.client import FlagClient
from suffice.flag.probes import Receipt
from suffice.gates import disagreement, sample_reduction
from suffice.gates.evidence import Evidence
from suffice.gates.outcome import GateResult
from suffice.rehearsal.bundle import Bundler
from suffice.rehearsal.faults import Kind, faulty_feed, faulty_plan
from suffice.rehearsal.setup import Setup, begin_anew, remove_temporary_files
from suffice.rehearsal.traffic import DAY, Traffic, lasting_target, pass_of
from suffice.resolution.resolve import Resolver, Summary
from suffice.resolution.storm import StormPolicy
from suffice.rollout.acceptance import judge_all
from suffice.rollout.controller import Cycle, Paused, Started, State
from suffice.rollout.evidence import EvidenceReader
from suffice.rollout.phases import Phase
from suffice.rollout.runner import Published, Runner
from suffice.rollout.stored import limits_of, stages_of
from suffice.serving.counted import counters_of
from suffice.serving.served import Served
from suffice.serving.verifier import Situation, Verifier
from suffice.sources.correction import Correction
from suffice.stopping.request import Margin
from suffice.store.database import Store, open_store
from suffice.store.ledger import DecisionRow, Ledger
from suffice.store.rollouts import load_rollout
from suffice.telemetry.counters import Counter, Counters
from suffice.telemetry.metrics_file import flush
from suffice.verifier.case import Case

RECOMPUTED = 20
"""Decisions of a stage that a fresh process decides again, adaptive ones first."""

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
    work in the folder, DataError when there is nothing to go on with or it was made from something else.
    """
    with _locked(setup), ExitStack() as stack:
        remove_temporary_files(setup.directory)
        if not go_on:
            begin_anew(setup.directory)
        store = stack.enter_context(open_store(setup.file("store.db")))
        flag = stack.enter_context(FlagClient.from_file(setup.file("flag.json")))
        return _Rehearsal(setup, store, flag).run(go_on=go_on, seen=seen)


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
    def __init__(self, setup: Setup, store: Store, flag: FlagClient) -> None:
        self.setup, self.store, self.flag = setup, store, flag
        self.clock = _Clock(setup.start)
        self.traffic = Traffic(setup.corrections, setup.regions)
        storms = setup.config.error_resolution.rollback_storm_policy
        self.policy = StormPolicy(storms.max_rollbacks if storms.enabled else None)
        self.ledger = Ledger(store)
        self.reader = EvidenceReader(self.ledger, ROLLOUT, self.policy, _scope)
        self.counters = Counters()
        self.stage = setup.config.rollout.stages[0].name
        self.verifier = Verifier(
            setup.plan,
            setup.seed,
            flag,
            enabled=True,
            counters=self.counters,
            clock=self.clock,
            ledger=self.ledger,
            situation=self._situation,
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
        self.bundler = Bundler(setup, self.ledger, ROLLOUT)
        published = Published(setup.file("flag.json"), SALT, flag, self.traffic.targets(), setup.regions)
        self.runner = Runner(store, ROLLOUT, published, self.bundler, self.clock)
        self.resolved = Summary()
        self.results: dict[str, tuple[GateResult, ...]] = {}
        self.recomputed: dict[tuple[str, bool], tuple[int, int]] = {}
        self.history: list[dict[str, Any]] = []

    def run(self, *, go_on: bool, seen: Callable[[Moment], None]) -> Ending:
        state = self._go_on() if go_on else self._begin()
        status = "interrupted"
        try:
            state = self._watch(state, seen)
            status = _STATUS.get(state.phase, "interrupted")
        except KeyboardInterrupt:
            state = self.runner.state
        return self._end(status, state)

    def _begin(self) -> State:
        section = self.setup.config.rollout
        # The rehearsal switches a configuration of its own on and off, never the one it was started with.
        write_atomically(self.setup.file("config.json"), self.setup.config.model_dump_json(indent=2) + "\n")
        set_enabled(self.setup.file("config.json"), enabled=True)
        state = State(stages_of(section), limits_of(section))
        self.runner.create(state, self.setup.source, self._identity())
        return self.runner.handle(Started(), "rehearsal")

    def _go_on(self) -> State:
        with self.store.read() as connection:
            stored = load_rollout(connection, ROLLOUT)
        if stored is None:
            raise DataError(f"{self.setup.directory}: there is no rehearsal to go on with; leave out --continue")
        if stored.config != self._identity():
            raise DataError(f"{self.setup.directory}: the rehearsal there was made from something else; begin anew")
        self.clock.now = stored.updated_at
        self.history = _read_history(self.setup, stored.updated_at)
        state = self.runner.state
        return self.runner.handle(Started(), "rehearsal") if state.phase is Phase.PENDING else self.runner.reconcile()

    def _identity(self) -> dict[str, Any]:
        fault = self.setup.fault
        return {
            "plan": self.setup.plan.id,
            "seed": self.setup.seed,
            "source": self.setup.source,
            "corrections": len(self.setup.corrections),
            "fault": f"{fault.stage}:{fault.kind.spelling}" if fault else None,
            "rollout": json.loads(self.setup.config.rollout.model_dump_json()),
        }

    def _watch(self, state: State, seen: Callable[[Moment], None]) -> State:
        ended_at: float | None = None
        last = state.last_cycle if state.last_cycle is not None else self.setup.start
        cycles = self.traffic.cycles(self.setup.cycle, self.setup.passes)
        for number, arrivals in enumerate(cycles, start=1):
            now = self.setup.start + number * self.setup.cycle
            if now <= last:
                self._count(arrivals)
                continue
            self.clock.now = now
            state = self.runner.state
            self.stage = state.current.name
            self._count(arrivals)
            if state.phase in (Phase.PAUSED, Phase.ROLLED_BACK):
                # One cycle more, so that the ledger shows what decisions are like after the end.
                return state
            state = self._cycle(state)
            self._tell(state, seen)
            if state.phase is Phase.COMPLETED:
                ended_at = ended_at or now
                if now - ended_at >= DAY:
                    return state
        if state.phase is Phase.PROGRESSING:
            why = f"the corrections have arrived {self.setup.passes} times, which proved too little"
            return self.runner.handle(Paused(why), "rehearsal")
        return state

    def _count(self, arrivals: list[Correction]) -> None:
        for resolution in self.resolver.resolve(arrivals):
            self.resolved = self.resolved.plus(resolution)

    def _cycle(self, state: State) -> State:
        name = state.current.name
        evidence = self._evidence(state)
        weight = 0 if state.current.shadow else state.current.weight
        self.results[name] = judge_all(evidence, self.setup.config.rollout.acceptance, weight=weight)
        self.bundler.evidence, self.bundler.results = evidence, self.results[name]
        audits = None if evidence.audits is None else int(evidence.audits)
        return self.runner.handle(Cycle(self.results[name], audits), "rehearsal")

    def _evidence(self, state: State) -> Evidence:
        stage = state.current
        evidence = self.reader.read(stage, self.clock.now - state.held, self.clock.now)
        if self._faulty(Kind.NO_METRICS):
            return Evidence()
        # Again once there are enough adaptive decisions: a young canary has hardly any.
        enough = (evidence.stopped or 0) >= RECOMPUTED
        if evidence.stopped and (stage.name, enough) not in self.recomputed:
            self.recomputed[stage.name, enough] = self._recompute(stage.name)
        recomputed, differ = self.recomputed.get((stage.name, enough), (0, 0))
        return replace(evidence, recomputed=recomputed, differing=differ)

    def _recompute(self, stage: str) -> tuple[int, int]:
        rows = sorted(self.ledger.rows(ROLLOUT, stage), key=lambda row: not (row.shadow or row.arm == "adaptive"))
        chosen = rows[:RECOMPUTED]
        by_key = {correction.key: correction for correction in self.setup.corrections}
        pairs = [(row, by_key[row.key.rsplit("#pass-", 1)[0]]) for row in chosen]
        return len(pairs), len(differing(pairs, self._plan()))

    def _tell(self, state: State, seen: Callable[[Moment], None]) -> None:
        evidence = self.bundler.evidence
        moment = Moment(
            state=state,
            results=self.bundler.results,
            evidence=evidence,
            decisions=sum(counted.decisions for counted in self.reader.stages.values()),
            day=(self.clock.now - self.setup.start) / DAY,
        )
        self.history.append(_history(moment, self.stage, self.clock.now))
        seen(moment)

    def _verify(self, case: Case) -> Served:
        # Arm, region and audit follow the lasting target; the pass only keeps the records apart.
        return self.verifier.verify(replace(case, target=lasting_target(case.target)))

    def _situation(self) -> Situation:
        stage = next(s for s in self.setup.config.rollout.stages if s.name == self.stage)
        fault = self.setup.fault
        return Situation(
            rollout=ROLLOUT,
            stage=stage.name,
            audit_fraction=stage.audit_fraction,
            audit_salt=f"{SALT}/audit",
            shadow=stage.shadow,
            plan=self._plan(),
            feed=faulty_feed(fault.kind) if fault and self._faulty(fault.kind) else None,
        )

    def _plan(self) -> Any:
        sampling = self.setup.config.verifier.adaptive_sampling
        fault = self.setup.fault
        if fault is None or not self._faulty(fault.kind):
            return self.setup.plan
        options = Margin(sampling.n0, sampling.multiplier, sampling.early_stop_margin)
        return faulty_plan(fault.kind, self.setup.plan, options)

    def _faulty(self, kind: Kind) -> bool:
        """Whether this fault is at work: from its stage on."""
        fault = self.setup.fault
        if fault is None or fault.kind is not kind:
            return False
        names = [stage.name for stage in self.setup.config.rollout.stages]
        return names.index(self.stage) >= names.index(fault.stage)

    def _end(self, status: str, state: State) -> Ending:
        self.reader.read(state.current, self.clock.now, self.clock.now)
        self._write_metrics()
        _write_history(self.setup, self.history)
        settled = self.bundler.settled
        after = self.ledger.adaptive_after(ROLLOUT, settled.at) if settled else None
        target = self.traffic.targets()[0]
        return Ending(
            status=status,
            state=state,
            results=self.results,
            reader=self.reader,
            resolved=self.resolved,
            adaptive_after_receipt=after,
            receipt=settled.receipt if settled else None,
            bundle=str(settled.bundle) if settled else None,
            arm=self.flag.arm(target, self.setup.regions[0]).value,
            history=self.history,
        )

    def _write_metrics(self) -> None:
        """The counters of the whole rehearsal, from the ledger: also of what a killed process decided."""
        self.setup.file("metrics.json").unlink(missing_ok=True)
        counters = counters_of(self.ledger.rows(ROLLOUT))
        counters.add(Counter.ROLLBACKS, self.resolved.rolled_back)
        counters.add(Counter.ESCALATIONS, self.resolved.escalations)
        flush(counters, self.setup.file("metrics.json"))


_STATUS = {Phase.COMPLETED: "completed", Phase.ROLLED_BACK: "rolled_back", Phase.PAUSED: "paused"}


def _scope(row: DecisionRow) -> str:
    return f"{row.target}#{pass_of(row.key)}"


def _history(moment: Moment, stage: str, now: float) -> dict[str, Any]:
    values = {result.gate: result for result in moment.results}
    proof, saving = values[disagreement.GATE], values[sample_reduction.GATE]
    return {
        "at": now,
        "day": moment.day,
        "stage": stage,
        "phase": moment.state.phase.value,
        "weight": moment.state.weight,
        "decisions": moment.decisions,
        "audits": moment.evidence.audits,
        "disagreements": moment.evidence.disagreements,
        "disagreement_upper": proof.numbers.get("upper"),
        "disagreement_lower": proof.numbers.get("lower"),
        "sample_reduction": saving.value,
        "net": saving.numbers.get("net"),
        "excess": moment.evidence.excess,
        "spared": moment.evidence.spared,
    }


def _write_history(setup: Setup, history: list[dict[str, Any]]) -> None:
    write_atomically(setup.file("history.jsonl"), "".join(json.dumps(row) + "\n" for row in history))


def _read_history(setup: Setup, until: float) -> list[dict[str, Any]]:
    try:
        lines = setup.file("history.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [row for row in map(json.loads, lines) if row["at"] <= until]
