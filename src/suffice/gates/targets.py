"""Gate: disagreement by target, proven from the first audit of each target in the rollout."""

from suffice.errors import MissingDataError
from suffice.evidence.measurements import Evidence, demand
from suffice.gates import e_process
from suffice.gates.e_process import ALARM, audits_to_prove, log_e_above, log_e_below, reached
from suffice.gates.outcome import GateResult, Outcome, unknown
from suffice.gates.wording import at_least, at_most, limit, percent

GATE = "targets"


def judge(evidence: Evidence, max_rate: float, confidence: float) -> GateResult:
    """Successful when a rate of at most `max_rate` among first audits is proven with `confidence`; Failed when more is,
    with 99 %.

    A target that disagrees once may do so for ever; its further audits say nothing about other targets. So each counts
    once in a rollout, in whichever stage. Time-uniform, whatever the audits of one target have to do with each other.
    Assumes that a target's first audit disagrees, given the targets before it, with a probability on one side of the
    limit. Why over all stages: docs/decisions/0016.
    """
    try:
        n, k, audits = evidence.counts("first_audits", "first_disagreements", "rollout_audits")
        demand(k <= n <= audits, f"{k:,} disagreements in {n:,} first audits of {audits:,}")
    except MissingDataError as error:
        return unknown(GATE, error, max_rate, limit(max_rate))
    lower, upper = e_process.lower(k, n, ALARM), e_process.upper(k, n, confidence)
    numbers = {"targets": n, "disagreements": k, "lower": lower, "upper": upper}
    if not n:
        sentence = f"no target audited yet, 0 disagree (limit {limit(max_rate)})"
        return GateResult(GATE, Outcome.INCONCLUSIVE, sentence, None, max_rate, numbers)
    outcome, bound = Outcome.INCONCLUSIVE, f"proven ≤ {at_most(upper)}"
    if reached(log_e_above(k, n, max_rate), ALARM):
        outcome, bound = Outcome.FAILED, f"proven ≥ {at_least(lower)}"
    elif reached(log_e_below(k, n, max_rate), confidence):
        outcome = Outcome.SUCCESSFUL
    elif (fewest := audits_to_prove(0, max_rate, confidence)) and n < fewest:
        bound += f"; {fewest:,} targets without a disagreement prove {limit(max_rate)}"
        bound += ", a service that has fewer starts with --waive targets"
    disagree = "disagrees in its" if 1 in (k, n) else "disagree in their"
    observed = f"{k:,} of {n:,} target{'s' * (n > 1)} {disagree} first audit (of {audits:,} audits), {percent(k / n)}"
    sentence = f"{observed}; {bound} (limit {limit(max_rate)})"
    return GateResult(GATE, outcome, sentence, k / n, max_rate, numbers)
