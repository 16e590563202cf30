"""Gate: the plan. Decisions that another plan made prove nothing about the rollout's."""

from suffice.errors import MissingDataError
from suffice.evidence.measurements import Evidence
from suffice.gates.outcome import GateResult, Outcome, unknown

GATE = "plan"

_SHOWN = 12


def judge(evidence: Evidence, plan_id: str) -> GateResult:
    """Successful when all decisions of the stage were made with the plan `plan_id`; one of another is an Error.

    Inconclusive while there is no decision.
    """
    try:
        by_plan = evidence.decisions_by_plan()
    except MissingDataError as error:
        return unknown(GATE, error, 0.0, "0")
    decisions = sum(by_plan.values())
    foreign = decisions - by_plan.get(plan_id, 0)
    outcome = Outcome.ERROR if foreign else Outcome.SUCCESSFUL if decisions else Outcome.INCONCLUSIVE
    if not decisions:
        sentence = f"no decision yet, 0 were made with another plan than {plan_id[:_SHOWN]} (limit 0)"
        return GateResult(GATE, outcome, sentence, 0.0, 0.0, {"decisions": 0})
    sentence = f"{foreign:,} of {decisions:,} decisions were made with another plan than {plan_id[:_SHOWN]} (limit 0)"
    if foreign:
        others = ", ".join(sorted(plan[:_SHOWN] for plan in by_plan if plan != plan_id))
        sentence += f": {others}; restart those processes and start a new rollout"
    return GateResult(GATE, outcome, sentence, float(foreign), 0.0, {"decisions": decisions})
