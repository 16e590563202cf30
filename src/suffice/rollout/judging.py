"""All gates of a cycle: those that judge the ledger, those about plan and flag, and the rollout's own checks."""

from collections.abc import Callable, Mapping
from typing import Any

from suffice.config import RolloutConfig
from suffice.errors import OutputError
from suffice.evidence.measurements import Evidence
from suffice.flag.bucketing import Sample
from suffice.gates import consistency, determinism, disagreement, escalation, health, sample_reduction, targets
from suffice.gates import flag as flag_gate
from suffice.gates import plan as plan_gate
from suffice.gates.outcome import GateResult
from suffice.rollout.command_checks import Checks
from suffice.rollout.controller import State, exposure_of
from suffice.rollout.world import World
from suffice.serving.situation import Salts
from suffice.stopping.plan import Plan


class Gates:
    """The gates of one rollout; `about` is what it was started with."""

    def __init__(
        self, world: World, rollout: str, about: Mapping[str, Any], section: RolloutConfig, checks: Checks
    ) -> None:
        self._world, self._section, self._checks = world, section, checks
        self._waived, self._plan, self._sample = about["waived"], about["plan"], Sample(**about["sample"])
        self._counts = Plan.from_dict(about["table"]).rule.counts
        self._salt = Salts.of(rollout).arm

    def judge(
        self, state: State, evidence: Evidence, repair: Callable[[], object] | None = None
    ) -> tuple[GateResult, ...]:
        """Every gate's answer about the stage. `repair` publishes a flag that says anything else again.

        Without it nothing is published, and no check is asked: it answers as it did last.
        """
        wanted = exposure_of(state.current, self._salt)
        weight = wanted.weight if wanted else 0
        judged = _judge_ledger(evidence, self._section, weight=weight, audit_fraction=state.current.audit_fraction)
        return (
            *(result for result in judged if result.gate not in self._waived),
            *([consistency.judge(evidence)] if self._counts else []),
            plan_gate.judge(evidence, self._plan),
            flag_gate.judge(
                self._world.place.flag, wanted, self._sample, self._world.flag(), repair or _publish_nothing
            ),
            *self._checks.judge(state, ask=repair is not None),
        )


def _judge_ledger(
    evidence: Evidence, section: RolloutConfig, *, weight: int, audit_fraction: float
) -> tuple[GateResult, ...]:
    """`weight` is the percentage that is adaptive in force, 0 in the shadow."""
    acceptance = section.acceptance
    sure = acceptance.confidence
    return (
        disagreement.judge(evidence, acceptance.max_disagreement_rate, sure),
        targets.judge(evidence, acceptance.max_disagreement_rate, sure),
        sample_reduction.judge(evidence, acceptance.min_sample_reduction, sure, section.cost_unit),
        escalation.judge(evidence, acceptance.max_excess_escalations, sure),
        determinism.judge(evidence),
        health.judge(evidence, weight, section.health, audit_fraction),
    )


def _publish_nothing() -> object:
    raise OutputError("nothing is published in a dry run")
