"""Counting ledger rows: what one decision adds to its stage, and to what is known of its target."""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from suffice.config import Stage
from suffice.decision.rule import Decision
from suffice.evidence.expected import ChanceOf, Expected
from suffice.evidence.failures import count_failure
from suffice.evidence.measurements import REDUCTIONS, Slice
from suffice.evidence.rebuild import features_of
from suffice.evidence.saving import Saving
from suffice.resolution.storm import StormPolicy, StormState
from suffice.store.decision_row import DecisionRow, WhyFixed
from suffice.store.rollups import Audited, Place, Scope, StoredStorm

# To look a member up in its class takes longer than to count a row.
_ACCEPTED, _INVALID, _NEVER = Decision.ACCEPTED, Decision.INVALID, (WhyFixed.INELIGIBLE, WhyFixed.UNFIT)

LATEST = 1_000
"""Disagreeing audits whose places are kept: what forgets the older ones has the less evidence, never more."""

LATEST_IN_SLICE = 100
"""The same for each slice, of which there are many."""

MOST_REGIONS, MOST_FEATURES, MOST_VALUES = 100, 10, 20
"""Regions, text features and values of a feature that are counted apart in a stage; those that appear later are one."""

OTHERS = "all others"

REGION = ""
"""What the region is called among features: none of them has this name."""


@dataclass(slots=True)
class Counted:
    """What the ledger has of one stage so far.

    Of `audited_targets`, on which the storm policy was replayed in both worlds, so many `escalated` in each; `excess`
    ones only adaptively, `spared` ones only in the baseline. Targets are counted by region ("" for none): those with a
    decision that chose the adaptive arm, and those with none. `plans` counts decisions by the plan that made them,
    `reductions` those that stopped by the share of their N that they saved (see `Evidence.reduced`); `saving` is what
    that came to.
    Of the `watched` audits, in order, the latest `LATEST` that disagree are at `disagreed_at`; `slices` has them apart.
    They are of so many `targets`; of the audits that are the `first_audits` of their targets in the whole rollout, so
    many disagree: `first_disagreements`. `expected` has the first audit of each target in the stage, where the plan
    says its chance to disagree. `failures` counts the messages of fallbacks.
    """

    decisions: int = 0
    adaptive: int = 0
    audits: int = 0
    disagreements: int = 0
    stopped: int = 0
    stopping_draws: int = 0
    stopping_fixed_draws: int = 0
    reductions: dict[str, int] = field(default_factory=dict)
    saving: Saving = field(default_factory=Saving)
    audit_draws: int = 0
    fallbacks: int = 0
    invalid: int = 0
    ineligible: int = 0
    newest: float | None = None
    audited_targets: int = 0
    escalated_adaptive: int = 0
    escalated_baseline: int = 0
    excess: int = 0
    spared: int = 0
    adaptive_targets: dict[str, int] = field(default_factory=dict)
    fixed_targets: dict[str, int] = field(default_factory=dict)
    plans: dict[str, int] = field(default_factory=dict)
    watched: int = 0
    disagreed_at: list[int] = field(default_factory=list)
    slices: dict[str, Slice] = field(default_factory=dict)
    families: dict[str, int] = field(default_factory=dict)
    expected: Expected = field(default_factory=Expected)
    failures: dict[str, int] = field(default_factory=dict)
    targets: int = 0
    first_audits: int = 0
    first_disagreements: int = 0

    def targets_within(self, stage: Stage) -> tuple[int, int]:
        """How many targets of the stage's regions were adaptive at least once, and how many never.

        In a shadow nobody chose the adaptive arm for a target that fell back: it was fixed all along.
        """
        adaptive, fixed = _within(stage, self.adaptive_targets), _within(stage, self.fixed_targets)
        if (stage.shadow or stage.weight == 0) and not self.adaptive:
            return 0, adaptive + fixed
        return adaptive, fixed

    def slice_of(self, name: str, value: str) -> Slice | None:
        """The slice of a region's or a feature's value, new or known; None for one feature too many.

        Numbers are in the order of first audits, regions apart from features, and each feature apart from others: one
        with many values must not hide a region.
        """
        region = name == REGION
        named = f"region {value}" if region else f"{name} = {value}"
        if named in self.slices:
            return self.slices[named]
        if not region and name not in self.families and len(self.families) == MOST_FEATURES:
            return None
        family = 0 if region else self.families.setdefault(name, len(self.families) + 1)
        before = sum(part.family == family for part in self.slices.values())
        if before >= (MOST_REGIONS if region else MOST_VALUES):
            named = f"{name or 'region'}: {OTHERS}"
        return self.slices.setdefault(named, Slice(before + 1, family=family))

    def escalations_change(self, storm: StoredStorm, by: int) -> None:
        """Count, or with -1 count no more, what became of one audited target."""
        self.audited_targets += by
        self.escalated_adaptive += by * storm.adaptive_review
        self.escalated_baseline += by * storm.baseline_review
        self.excess += by * (storm.adaptive_review and not storm.baseline_review)
        self.spared += by * (storm.baseline_review and not storm.adaptive_review)


@dataclass(slots=True)
class Tally:
    """Counts rows on top of what is known; `targets` and `storms` become those that changed, `audited` those new.

    `known_targets`, `known_storms` and `known_audited` are of the targets that the rows are about, where they were seen
    before.
    """

    policy: StormPolicy
    stages: dict[str, Counted]
    known_targets: Mapping[Place, bool]
    known_storms: Mapping[Scope, StoredStorm]
    known_audited: Set[Audited]
    chance: ChanceOf
    targets: dict[Place, bool] = field(default_factory=dict)
    storms: dict[Scope, StoredStorm] = field(default_factory=dict)
    audited: set[Audited] = field(default_factory=set)
    _met: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self._met = {target for target, _ in self.known_audited}

    def count(self, row: DecisionRow, times: int) -> None:
        """Count so many decisions like this one, but for their targets and storms."""
        counted = self.stages.setdefault(row.stage, Counted())
        counted.decisions += times
        counted.newest = row.at if counted.newest is None else max(counted.newest, row.at)
        counted.fallbacks += times * row.fell_back
        count_failure(counted.failures, row.failure, times)
        counted.invalid += times * row.invalid
        counted.ineligible += times * (row.why_fixed in _NEVER)
        counted.adaptive += times * row.is_adaptive
        counted.plans[row.plan_id] = counted.plans.get(row.plan_id, 0) + times
        _count_draws(counted, row, times)
        if row.is_audit:
            counted.audits += times
            counted.disagreements += times * (not row.agrees)

    def place(self, place: Place, *, chose_adaptive: bool) -> None:
        """Count a target that there was a decision about, for which the adaptive arm was chosen or not."""
        before = self.targets.get(place, self.known_targets.get(place))
        after = bool(before) or chose_adaptive
        if after == before:
            return
        self.targets[place] = after
        stage, region, _ = place
        counted = self.stages.setdefault(stage, Counted())
        if before is not None:
            counted.fixed_targets[region] -= 1
        by_region = counted.adaptive_targets if after else counted.fixed_targets
        by_region[region] = by_region.get(region, 0) + 1

    def watch(self, row: DecisionRow) -> None:
        """Keep where an audit that disagrees stands among all of its stage and of its slices, in ledger order."""
        counted = self.stages.setdefault(row.stage, Counted())
        counted.watched += 1
        if not row.agrees:
            counted.disagreed_at = [*counted.disagreed_at, counted.watched][-LATEST:]
        for name, value in slices_of(row):
            part = counted.slice_of(name, value)
            if part is None:
                continue
            part.audits += 1
            if not row.agrees:
                part.disagreements += 1
                part.disagreed_at = [*part.disagreed_at, part.audits][-LATEST_IN_SLICE:]

    def meet(self, row: DecisionRow) -> None:
        """Count the target of an audit, once in its stage, and its first audit in the rollout, in ledger order.

        Whether the plan explains what is seen is asked of a target's first audit in its stage: the draws of one target
        may repeat.
        """
        pair = row.target, row.stage
        if pair in self.known_audited or pair in self.audited:
            return
        self.audited.add(pair)
        counted = self.stages.setdefault(row.stage, Counted())
        counted.targets += 1
        chance = self.chance(row)
        if chance is not None:
            counted.expected.add(chance, disagrees=not row.agrees)
        if row.target not in self._met:
            self._met.add(row.target)
            counted.first_audits += 1
            counted.first_disagreements += not row.agrees

    def replay(self, row: DecisionRow, scope: str) -> None:
        """Apply the storm policy of `scope` to both decisions of an audit, in ledger order."""
        counted = self.stages.setdefault(row.stage, Counted())
        key = row.stage, scope
        before = self.storms.get(key, self.known_storms.get(key))
        known = before or StoredStorm()
        in_force = row.adaptive_decision if row.shadow else row.decision
        adaptive = _after(self.policy, known.adaptive_rollbacks, known.adaptive_review, in_force)
        baseline = _after(self.policy, known.baseline_rollbacks, known.baseline_review, row.baseline_decision)
        after = StoredStorm(*adaptive, *baseline)
        if after == before:
            return
        self.storms[key] = after
        if before is not None:
            counted.escalations_change(before, -1)
        counted.escalations_change(after, +1)


ScopeOf = Callable[[DecisionRow], str]
"""What the storm policy counts for: a row's target, or the pass of one."""


def slices_of(row: DecisionRow) -> Iterator[tuple[str, str]]:
    """What a decision has in common with others: its region, and its features that are texts."""
    if row.region is not None:
        yield REGION, row.region
    if row.features is not None:
        yield from ((name, value) for name, value in features_of(row).items() if isinstance(value, str))


def _count_draws(counted: Counted, row: DecisionRow, times: int) -> None:
    stopping = row.stopping_draws
    if stopping is None:
        return
    counted.saving.count(row, times)
    counted.stopped += times
    counted.stopping_draws += times * stopping
    counted.stopping_fixed_draws += times * row.fixed_n
    step = str(REDUCTIONS * (row.fixed_n - stopping) // row.fixed_n)
    counted.reductions[step] = counted.reductions.get(step, 0) + times
    if row.audited and row.is_adaptive:
        counted.audit_draws += times * (row.fixed_n - stopping)


def _after(policy: StormPolicy, rollbacks: int, review: bool, decision: Decision | None) -> tuple[int, bool]:  # noqa: FBT001
    if decision is _INVALID:
        return rollbacks, review
    state = policy.after(StormState(rollbacks, review), accepted=decision is _ACCEPTED)
    return state.consecutive_rollbacks, state.needs_review


def _within(stage: Stage, by_region: Mapping[str, int]) -> int:
    return sum(count for region, count in by_region.items() if not stage.regions or region in stage.regions)
