"""All gates of a cycle."""

from suffice.config import RolloutConfig
from suffice.evidence.measurements import Evidence
from suffice.gates import determinism, disagreement, escalation, health, sample_reduction
from suffice.gates.outcome import GateResult


def judge_all(evidence: Evidence, section: RolloutConfig, *, weight: int) -> tuple[GateResult, ...]:
    """Every gate's answer about a stage; `weight` is the percentage that is adaptive in force, 0 in the shadow."""
    acceptance = section.acceptance
    sure = acceptance.confidence
    return (
        disagreement.judge(evidence, acceptance.max_disagreement_rate, sure),
        sample_reduction.judge(evidence, acceptance.min_sample_reduction, sure),
        escalation.judge(evidence, acceptance.max_excess_escalations, sure),
        determinism.judge(evidence),
        health.judge(evidence, weight, section.health),
    )
