"""Gate: whether audited decisions disagree as often as the plan itself says, given what the baseline saw.

Far more disagreements than that are no fault of the plan: the draws drift or depend on each other, or both arms do not
see the same ones. A region that is too small to break the limit of the whole shows so.
"""

from math import exp

import numpy as np
from scipy.special import logsumexp

from suffice.errors import MissingDataError
from suffice.evidence.measurements import Evidence, demand
from suffice.gates.e_process import ALARM, reached
from suffice.gates.outcome import GateResult, Outcome, unknown

GATE = "consistency"

_FAILS = round(1 / (1 - ALARM))
_MOST, _PLENTY = 700.0, 1e6


def judge(evidence: Evidence) -> GateResult:
    """Failed when it is proven, with 99 %, that audits disagree more often than the plan says; else Successful, and
    Inconclusive before the first audit whose total is known.

    Only the first audit of each target in the stage counts: the draws of a target may repeat, and its further audits
    then show one observation again. The evidence is a mixture of likelihood ratios over the share of audits that
    disagree for another reason (see `evidence.expected`): a non-negative supermartingale as long as each first audit
    disagrees as the plan says, given the targets before it, whatever the totals and the further audits depend on.
    Time-uniform (Ville 1939).
    """
    try:
        part = evidence.expectation()
        demand(part.disagreements <= part.audits, f"{part.disagreements:,} disagreements in {part.audits:,} audits")
    except MissingDataError as error:
        return unknown(GATE, error, _FAILS, f"evidence of {_FAILS}")
    if not part.audits:
        sentence = (
            "no audit yet that can be compared with the plan: it takes all draws of a target, counted by the baseline; "
            f"evidence that the draws disagree more than the plan says (fails at {_FAILS}) begins with the first"
        )
        return GateResult(GATE, Outcome.INCONCLUSIVE, sentence, None, _FAILS, {"audits": 0})
    log_e = log_e_more(part.logs)
    # An infinite number is no JSON.
    found = exp(min(log_e, _MOST))
    disagree = "audits disagrees" if part.disagreements == 1 else "audits disagree"
    sentence = (
        f"{part.disagreements:,} of {part.audits:,} first {disagree}, where the plan expects {part.expected:.3g}; "
        f"evidence that this is more than the plan says {in_words(found)} now (fails at {_FAILS})"
    )
    numbers = {"audits": part.audits, "disagreements": part.disagreements, "expected": part.expected, "evidence": found}
    outcome = Outcome.FAILED if reached(log_e, ALARM) else Outcome.SUCCESSFUL
    return GateResult(GATE, outcome, sentence, found, _FAILS, numbers)


def in_words(evidence: float) -> str:
    """Evidence as a person reads it: three digits, and no more than a million."""
    return f"{float(f'{min(evidence, _PLENTY):.3g}'):,.7g}{' and more' * (evidence > _PLENTY)}"


def log_e_more(logs: list[float]) -> float:
    """Log evidence against "as often as the plan says": the mean over the shares."""
    return float(logsumexp(np.array(logs)) - np.log(len(logs)))
