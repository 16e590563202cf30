"""All gates of a cycle."""

from suffice.config import AcceptanceConfig
from suffice.gates import determinism, disagreement, escalation, health, sample_reduction
from suffice.gates.evidence import Evidence
from suffice.gates.outcome import GateResult

RECOMPUTED = 20
"""Decisions of a stage that a fresh process decides again."""


def judge_all(evidence: Evidence, acceptance: AcceptanceConfig) -> tuple[GateResult, ...]:
    """Every gate's answer about a stage."""
    return (
        disagreement.judge(evidence, acceptance.max_disagreement_rate, acceptance.confidence),
        sample_reduction.judge(evidence, acceptance.min_sample_reduction, acceptance.confidence),
        escalation.judge(evidence, acceptance.max_excess_escalations),
        determinism.judge(evidence, RECOMPUTED),
        health.judge(evidence),
    )
