"""What went out wrong under a failed stage: each adaptive decision in force, beside the baseline's on its case."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from itertools import groupby
from math import isfinite
from pathlib import Path

from suffice.decision.rule import Decision
from suffice.errors import DataError, MissingDataError, PlanError
from suffice.evidence.rebuild import Rebuild
from suffice.resolution.storm import StormPolicy
from suffice.sources.built import Builder
from suffice.sources.correction import Correction
from suffice.sources.recipe import case_of
from suffice.stopping.plan import Plan
from suffice.stopping.run import Verdict
from suffice.store.database import Store
from suffice.store.decision_row import DecisionRow
from suffice.store.ledger import Ledger
from suffice.store.records import derived_records
from suffice.triage.frozen import fault_in, plan_in
from suffice.triage.manifest import check
from suffice.triage.replay import Replayed, replay
from suffice.verifier.case import Case
from suffice.verifier.columns import fits
from suffice.verifier.loop import decide_fixed, observations
from suffice.verifier.many import CHUNK, CaseResult, Work, results


class Wrong(Enum):
    """How a decision in force differs from the baseline's; the value is what a person reads."""

    ACCEPTED = "accepted what the baseline rejects"
    REJECTED = "rejected what the baseline accepts"
    INVALID = "decided where the baseline is INVALID"
    UNDECIDED = "INVALID where the baseline decides"

    @classmethod
    def of(cls, in_force: Decision, baseline: Decision) -> "Wrong | None":
        """None where both decide alike; INVALID is an answer."""
        if in_force is baseline:
            return None
        if baseline is Decision.INVALID:
            return cls.INVALID
        return {Decision.ACCEPTED: cls.ACCEPTED, Decision.REJECTED: cls.REJECTED}.get(in_force, cls.UNDECIDED)


class Undecidable(Enum):
    """Why nobody can say what the baseline decides; the value is what a person reads."""

    PLAN = "the bundle does not have the plan that decided it"
    DERIVED = "its record is derived from others, and what was proposed for it cannot be built again"
    CASE = "nobody can build its case again: no provenance, no source, no verifier.cases"
    RAISED = "the service's own code raised when its case was built or drawn again"
    OTHER = "what is built again is another case: the plan that decided it decides it otherwise"


@dataclass(frozen=True, slots=True)
class WrongDecision:
    """A decision in force that differs from the baseline's on the same case."""

    row: DecisionRow
    baseline: Decision
    kind: Wrong


@dataclass(slots=True)
class Counts:
    """Of `exposed` decisions, in force by the adaptive path, the audit saw the baseline of `audited`; so many others
    were `decided_again`, and the rest is `undecidable`. `wrong` are those that differ."""

    exposed: int = 0
    audited: int = 0
    decided_again: int = 0
    wrong: Counter[Wrong] = field(default_factory=Counter)
    undecidable: Counter[Undecidable] = field(default_factory=Counter)


class FailedStage:
    """The adaptive decisions in force of the stage in which a rollout was rolled back.

    `bundle` has the plan, and is checked. `rebuild` says what cases can be made of again, `builder` is the service's
    own. Raises DataError when the bundle was changed.
    """

    def __init__(
        self, store: Store, rollout: str, stage: str, bundle: Path, rebuild: Rebuild, builder: Builder | None
    ) -> None:
        check(bundle)
        self._store, self._rollout, self._stage, self._bundle = store, rollout, stage, bundle
        self._rebuild, self._builder = rebuild, builder
        # A fault that is rehearsed feeds the adaptive path something else: what it decided says nothing of the case.
        self._checked = fault_in(bundle) is None
        self._plans: dict[str, Plan | None] = {}
        with store.read() as connection:
            self._derived = derived_records(connection).keys()

    def decide_again(self, counts: Counts, told: Callable[[int, float], None]) -> Iterator[WrongDecision]:
        """The wrong decisions, in ledger order; `counts` is counted on, and `told` how many are done and which share.

        An audit has decided already. For the others the case is built again, and both paths decide it: the adaptive one
        must say what it said, or it is another case. Memory is bounded. Raises MissingDataError when the store has no
        decision of the stage, so that nobody can tell; StoreError.
        """
        ledger = Ledger(self._store)
        every, exposed = ledger.decided(self._rollout, self._stage)
        if not every:
            raise MissingDataError(
                f"{self._store.name}: the ledger has no decision of {self._rollout} in stage {self._stage}; they were "
                "pruned, or it is another store (--queue, --store)"
            )
        work = Work(2 * exposed)
        for rows in ledger.adaptive(self._rollout, self._stage, CHUNK):
            again = self._again([row for row in rows if row.baseline_decision is None], work)
            for row in rows:
                counts.exposed += 1
                baseline = row.baseline_decision or again[row.key]
                if isinstance(baseline, Undecidable):
                    counts.undecidable[baseline] += 1
                    continue
                counts.audited += row.baseline_decision is not None
                counts.decided_again += row.baseline_decision is None
                kind = Wrong.of(row.decision, baseline)
                if kind is not None:
                    counts.wrong[kind] += 1
                    yield WrongDecision(row, baseline, kind)
            told(counts.exposed, min(counts.exposed / exposed, 1.0) if exposed else 1.0)

    def plan(self, plan_id: str) -> Plan | None:
        """The plan that made a decision, None where the bundle does not have it."""
        if plan_id not in self._plans:
            self._plans[plan_id] = None
            with suppress(DataError, PlanError):
                self._plans[plan_id] = plan_in(self._bundle, plan_id)
        return self._plans[plan_id]

    def _again(self, rows: Sequence[DecisionRow], work: Work) -> dict[str, Decision | Undecidable]:
        answers: dict[str, Decision | Undecidable] = {}
        for row in rows:
            if row.target in self._derived:
                answers[row.key] = Undecidable.DERIVED
            elif self.plan(row.plan_id) is None:
                answers[row.key] = Undecidable.PLAN
        open_rows = [row for row in rows if row.key not in answers]
        built = list[tuple[DecisionRow, Case]]()
        for row, recipe in self._rebuild(open_rows) if open_rows else ():
            try:
                built.append((row, case_of(recipe, row.key, row.target, self._builder)))
            except DataError:
                answers[row.key] = Undecidable.RAISED

        def made_by(pair: tuple[DecisionRow, Case]) -> tuple[str, int]:
            return pair[0].plan_id, pair[0].seed

        for (plan_id, seed), group in groupby(sorted(built, key=made_by), made_by):
            plan = self.plan(plan_id)
            assert plan is not None
            answers.update(self._by_both_paths(list(group), plan, seed, work))
        return {row.key: answers.get(row.key, Undecidable.CASE) for row in rows}

    def _by_both_paths(
        self, pairs: Sequence[tuple[DecisionRow, Case]], plan: Plan, seed: int, work: Work
    ) -> Iterator[tuple[str, Decision | Undecidable]]:
        by_key = {row.key: row for row, _ in pairs}
        cases = [case for _, case in pairs]
        ours = results([case for case in cases if fits(case)], plan.rule, plan.n, [plan], seed, work)
        for result in (*ours, *(_result(case, plan, seed, work) for case in cases if not fits(case))):
            if isinstance(result, str):
                yield result, Undecidable.RAISED
                continue
            row, adaptive = by_key[result.case.key], result.verdicts[0]
            same = not self._checked or (plan.n == row.fixed_n and _is_of(adaptive, row))
            yield row.key, result.baseline.decision if same else Undecidable.OTHER


def _is_of(verdict: Verdict, row: DecisionRow) -> bool:
    """Whether a row is of this verdict; estimates of INVALID decisions are none."""
    if (verdict.decision, verdict.n) != (row.decision, row.n):
        return False
    return verdict.decision is Decision.INVALID or verdict.estimate == row.estimate or not isfinite(verdict.estimate)


def _result(case: Case, plan: Plan, seed: int, work: Work) -> CaseResult | str:
    """A case of the service's own decided, or its key where its sampler raises, whatever that is."""
    try:
        return next(iter(results([case], plan.rule, plan.n, [plan], seed, work)))
    except Exception:
        # Its sampler is the service's own code: this one is not decidable, and the others are.
        return case.key


@dataclass(frozen=True, slots=True)
class Affected:
    """What went out wrong: the decisions, how many `targets` they are about, and the records that follow."""

    counts: Counts
    targets: int
    replayed: Replayed

    @property
    def any_wrong(self) -> bool:
        return self.counts.wrong.total() > 0

    @property
    def all_known(self) -> bool:
        """Whether the baseline of every decision is known."""
        return self.counts.undecidable.total() == 0


def find_affected(
    store: Store,
    failed: FailedStage,
    policy: StormPolicy,
    corrections: Callable[[], Mapping[str, Correction]],
    each: Callable[[WrongDecision], object],
    told: Callable[[int, float], None],
) -> Affected:
    """Decide a failed stage again, and replay the records of what was wrong; nothing is written.

    `each` is given every wrong decision as it comes. The rest is as for `FailedStage.decide_again` and `replay`.
    """
    counts, wrong, targets = Counts(), dict[str, Decision](), set[str]()
    made_by: tuple[Plan, int] | None = None
    for decision in failed.decide_again(counts, told):
        each(decision)
        row = decision.row
        wrong[row.key] = decision.baseline
        targets.add(row.target)
        plan = failed.plan(row.plan_id)
        made_by = made_by if plan is None else (plan, row.seed)

    def decide(case: Case) -> Decision:
        assert made_by is not None
        plan, seed = made_by
        return decide_fixed(observations(case, plan.rule, plan.n, seed), plan.rule).decision

    # Without a plan nothing can be decided that was not.
    replayed = replay(store, wrong, policy, corrections if made_by else dict, decide)
    return Affected(counts, len(targets), replayed)
