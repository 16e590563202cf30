"""Gate: disagreement of adaptive and fixed decisions, proven from the stage's own audits."""

from suffice.gates.e_process import (
    ALARM,
    disagreement_lower,
    disagreement_upper,
    log_e_above,
    log_e_below,
    reached,
)
from suffice.gates.evidence import Evidence, NotMeasured, demand
from suffice.gates.outcome import GateResult, Outcome
from suffice.gates.wording import at_least, at_most, limit

GATE = "disagreement"


def judge(evidence: Evidence, *, max_rate: float, confidence: float) -> GateResult:
    """Successful when a rate of at most `max_rate` is proven with `confidence`; Failed when more is, with 99 %.

    Both are time-uniform: however often it is judged, the chance of ever proving what is false is at most
    1 − confidence, or 1 %. Assumes that each audit disagrees with a probability on one side of the limit, given those
    before. `value` is the bound that was compared: the lower one when Failed, else the upper one.
    """
    try:
        n, k = evidence.counts("audits", "disagreements")
        demand(k <= n, f"{k:,} disagreements in {n:,} audits")
    except NotMeasured as unknown:
        return unknown.result(GATE, max_rate)
    return _judge(k, n, max_rate, confidence)


def _judge(k: int, n: int, max_rate: float, confidence: float) -> GateResult:
    upper, lower = disagreement_upper(k, n, confidence), disagreement_lower(k, n, ALARM)
    outcome, value, bound = Outcome.INCONCLUSIVE, upper, f"proven ≤ {at_most(upper)}"
    if reached(log_e_above(k, n, max_rate), ALARM):
        outcome, value, bound = Outcome.FAILED, lower, f"proven ≥ {at_least(lower)}"
    elif n > 0 and reached(log_e_below(k, n, max_rate), confidence):
        outcome = Outcome.SUCCESSFUL
    disagree = "disagrees" if k == 1 else "disagree"
    sentence = f"{k:,} of {n:,} audits {disagree}; {bound} (limit {limit(max_rate)})"
    numbers = {"audits": n, "disagreements": k, "rate": k / n if n else None, "lower": lower, "upper": upper}
    return GateResult(GATE, outcome, sentence, value, max_rate, numbers)
