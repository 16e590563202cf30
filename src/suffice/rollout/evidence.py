"""Evidence of every stage, read from the ledger as it grows."""

from collections.abc import Callable
from dataclasses import dataclass, field

from suffice.decision.rule import Decision
from suffice.gates.evidence import Evidence
from suffice.resolution.storm import StormPolicy, StormState
from suffice.rollout.stage import Stage
from suffice.serving.counted import FALLBACK
from suffice.store.ledger import DecisionRow, Ledger

_ACCEPTED, _INVALID = Decision.ACCEPTED.value, Decision.INVALID.value


@dataclass(slots=True)
class World:
    """The storm policy, replayed on one arm's decisions."""

    storms: dict[str, StormState] = field(default_factory=dict)
    escalated: set[str] = field(default_factory=set)

    def decided(self, scope: str, policy: StormPolicy, *, accepted: bool) -> None:
        """One more decision about a target."""
        state = policy.after(self.storms.get(scope, StormState()), accepted=accepted)
        self.storms[scope] = state
        if state.needs_review:
            self.escalated.add(scope)


@dataclass(slots=True)
class Counted:
    """What the ledger has of one stage so far."""

    decisions: int = 0
    adaptive: int = 0
    audits: int = 0
    disagreements: int = 0
    stopped: int = 0
    stopping_draws: int = 0
    stopping_fixed_draws: int = 0
    audit_draws: int = 0
    fixed_n: int = 0
    fallbacks: int = 0
    invalid: int = 0
    newest: float | None = None
    adaptive_targets: set[tuple[str | None, str]] = field(default_factory=set)
    fixed_targets: set[tuple[str | None, str]] = field(default_factory=set)
    adaptive_world: World = field(default_factory=World)
    baseline_world: World = field(default_factory=World)

    def escalated(self) -> tuple[set[str], set[str]]:
        """The audited targets that escalate on adaptive decisions, and those that do on the baseline's."""
        return self.adaptive_world.escalated, self.baseline_world.escalated


class EvidenceReader:
    """Counts each ledger row of a rollout once, into its stage; numbers come from the ledger alone.

    For audited decisions the storm policy is replayed in both worlds, by `scope` of a row (its target, unless given).
    """

    def __init__(
        self, ledger: Ledger, rollout: str, policy: StormPolicy, scope: Callable[[DecisionRow], str] | None = None
    ) -> None:
        self._ledger, self._rollout, self._policy = ledger, rollout, policy
        self._scope = scope or (lambda row: row.target)
        self._last = 0
        self.stages: dict[str, Counted] = {}

    def read(self, stage: Stage, began: float, now: float) -> Evidence:
        """The evidence of a stage that began then, with all that was written up to now (seconds). Raises StoreError."""
        rows, self._last = self._ledger.rows_after(self._rollout, self._last)
        for row in rows:
            self._count(self.stages.setdefault(row.stage, Counted()), row)
        it = self.stages.setdefault(stage.name, Counted())
        adaptive, baseline = it.escalated()
        return Evidence(
            decisions=it.decisions,
            adaptive=it.adaptive,
            invalid=it.invalid,
            audits=it.audits,
            disagreements=it.disagreements,
            stopped=it.stopped,
            stopping_draws=it.stopping_draws,
            fixed_n=it.fixed_n,
            audit_draws=it.audit_draws,
            fallbacks=it.fallbacks,
            audited_targets=len(it.adaptive_world.storms),
            excess=len(adaptive - baseline),
            spared=len(baseline - adaptive),
            adaptive_targets=_within(stage, it.adaptive_targets),
            fixed_targets=_within(stage, it.fixed_targets - it.adaptive_targets),
            age=0.0,
            silence=max(now - (began if it.newest is None else it.newest), 0.0),
        )

    def _count(self, it: Counted, row: DecisionRow) -> None:
        it.decisions += 1
        it.newest = row.at if it.newest is None else max(it.newest, row.at)
        it.fallbacks += row.reason == FALLBACK
        it.invalid += row.invalid
        it.adaptive += row.arm == "adaptive"
        chosen = row.arm == "adaptive" or row.reason == FALLBACK
        (it.adaptive_targets if chosen else it.fixed_targets).add((row.region, row.target))
        if row.baseline_decision == _INVALID or row.decision == _INVALID:
            return
        stopping = row.adaptive_n if row.adaptive_n is not None else row.n if row.arm == "adaptive" else None
        if stopping is not None and row.adaptive_decision != _INVALID:
            it.stopped += 1
            it.stopping_draws += stopping
            it.stopping_fixed_draws += row.fixed_n
            it.fixed_n = row.fixed_n
            if row.audited and row.arm == "adaptive":
                it.audit_draws += row.fixed_n - stopping
        if row.audited and row.agrees is not None:
            it.audits += 1
            it.disagreements += not row.agrees
            self._replay(it, row)

    def _replay(self, it: Counted, row: DecisionRow) -> None:
        scope = self._scope(row)
        in_force = row.adaptive_decision if row.shadow else row.decision
        for world, decision in ((it.adaptive_world, in_force), (it.baseline_world, row.baseline_decision)):
            world.decided(scope, self._policy, accepted=decision == _ACCEPTED)


def _within(stage: Stage, targets: set[tuple[str | None, str]]) -> int:
    return sum(region in stage.regions for region, _ in targets) if stage.regions else len(targets)
