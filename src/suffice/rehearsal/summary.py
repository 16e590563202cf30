"""What a rehearsal comes to, as plain JSON values."""

from typing import Any

from suffice.config import Stage
from suffice.evidence.tally import Counted
from suffice.gates.e_process import upper
from suffice.rehearsal.rehearse import Ending
from suffice.rehearsal.setup import Setup
from suffice.rollout.saved_state import plain_result


def summary_of(setup: Setup, ending: Ending) -> dict[str, Any]:
    """Equal for equal inputs: no time, path of its own or chance is in it."""
    gates = {row["stage"]: row["gates"] for row in ending.history}
    # A stage that was interrupted before its first decision has counts too: none.
    counts = {ending.state.current.name: Counted(), **ending.stages}
    stages = [
        _stage(stage, counts[stage.name], gates.get(stage.name, []), setup)
        for stage in ending.state.rollout.stages
        if stage.name in counts
    ]
    failed = ending.state.failed
    return {
        "status": ending.status,
        "why": ending.state.why,
        "source": setup.source,
        "rule": setup.plan.rule.name,
        "parameters": dict(setup.plan.rule.parameters),
        "n": setup.plan.n,
        "method": setup.plan.method,
        "guarantee": setup.plan.guarantee,
        "plan_id": setup.plan.id,
        "seed": setup.seed,
        "fault": setup.fault.spelling if setup.fault else None,
        "arriving": "cases" if setup.described else "corrections",
        "corrections": len(setup.corrections),
        "arrivals": ending.resolved.corrections,
        "committed": ending.resolved.committed,
        "rolled_back": ending.resolved.rolled_back,
        "skipped": ending.resolved.skipped,
        "unchanged": ending.resolved.unchanged,
        "stale": ending.resolved.stale,
        "escalations": ending.resolved.escalations,
        "decisions": sum(counted.decisions for counted in ending.stages.values()),
        "draws": ending.resolved.draws,
        "fixed_draws": ending.resolved.fixed_draws,
        "stages": stages,
        "failed_gate": failed[0].gate if failed else None,
        "failed_gates": [plain_result(result) for result in failed],
        "bundle": ending.bundle,
        "receipt": {"asked": ending.receipt.asked, "fixed": ending.receipt.fixed} if ending.receipt else None,
        "adaptive_after_receipt": ending.adaptive_after_receipt,
        "flag": ending.arm,
    }


def _stage(stage: Stage, counted: Counted, gates: list[dict[str, Any]], setup: Setup) -> dict[str, Any]:
    saved = 1 - counted.stopping_draws / counted.stopping_fixed_draws if counted.stopped else None
    net = 1 - (counted.stopping_draws + counted.audit_draws) / counted.stopping_fixed_draws if counted.stopped else None
    confidence = setup.config.rollout.acceptance.confidence
    return {
        "name": stage.name,
        "weight": stage.weight,
        "shadow": stage.shadow,
        "regions": list(stage.regions),
        "decisions": counted.decisions,
        "adaptive": counted.adaptive,
        "audits": counted.audits,
        "disagreements": counted.disagreements,
        "disagreement_upper": upper(counted.disagreements, counted.audits, confidence),
        "sample_reduction": saved,
        "net_sample_reduction": None if stage.shadow else net,
        "fallbacks": counted.fallbacks,
        "invalid": counted.invalid,
        "escalations_adaptive": counted.escalated_adaptive,
        "escalations_baseline": counted.escalated_baseline,
        "gates": gates,
    }
