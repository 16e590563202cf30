"""Gate: whether audited decisions disagree as often as the plan itself says, given what the baseline saw.

An audit sees all N draws. Given how many of them succeeded, the plan says exactly how likely it was to decide otherwise
than the baseline; that holds for whatever truth, as long as the draws come in exchangeable order. Far more
disagreements than that are no fault of the plan: the draws drift or depend on each other, or both arms do not see the
same ones. A region too small to break the limit of the whole shows so.
"""

from collections.abc import Mapping
from functools import lru_cache
from math import exp, inf

import numpy as np
from scipy.special import logsumexp

from suffice.errors import MissingDataError
from suffice.evidence.measurements import Evidence
from suffice.gates.e_process import ALARM, reached
from suffice.gates.outcome import GateResult, Outcome, unknown
from suffice.stopping.operating_counts import CountOperating
from suffice.stopping.plan import Plan

GATE = "consistency"

_SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3)
"""Shares of the audits that disagree for another reason than the plan, which the evidence is mixed over."""

_FAILS = round(1 / (1 - ALARM))
_MOST = 700.0

Totals = Mapping[int, tuple[int, int]]
"""How many successes among all N draws: how many audits saw that, and how many of those disagreed."""


def judge(evidence: Evidence, plan: Plan) -> GateResult:
    """Failed when it is proven, with 99 %, that audits disagree more often than the plan says; Successful otherwise.

    Time-uniform. Inconclusive before the first audit. The plan must be of a count rule.
    """
    try:
        totals = evidence.audits_by_total(plan.n)
    except MissingDataError as error:
        return unknown(GATE, error, _FAILS, f"evidence of {_FAILS}")
    audits, observed = (sum(counts[place] for counts in totals.values()) for place in (0, 1))
    if not audits:
        return GateResult(GATE, Outcome.INCONCLUSIVE, "no audit yet whose total is known", None, _FAILS, {"audits": 0})
    expected, log_e = expectation(plan, totals), log_e_more(plan, totals)
    outcome = Outcome.FAILED if reached(log_e, ALARM) else Outcome.SUCCESSFUL
    # An infinite number is no JSON.
    found = exp(min(log_e, _MOST))
    sentence = (
        f"{observed:,} of {audits:,} audits {'disagrees' if observed == 1 else 'disagree'}, where the plan expects "
        f"{expected:.3g}; evidence that the draws are to blame {found:.3g}, {_FAILS} fails"
    )
    numbers = {"audits": audits, "disagreements": observed, "expected": expected, "evidence": found}
    return GateResult(GATE, outcome, sentence, found, _FAILS, numbers)


def expectation(plan: Plan, totals: Totals) -> float:
    """How many of the audits should disagree, given what each of them saw."""
    operating = _operating(plan)
    return float(sum(audits * _chance(operating, total) for total, (audits, _) in totals.items()))


def log_e_more(plan: Plan, totals: Totals) -> float:
    """Log evidence against "each audit disagrees as often as the plan says, given its total".

    A mixture, over the share δ of audits that disagree for another reason, of likelihood ratios: (p + δ(1 − p)) / p for
    an audit that disagrees, 1 − δ for one that agrees, where the plan says p. Infinite after one that the plan says is
    impossible. A non-negative supermartingale under the hypothesis (Ville 1939), whatever the totals depend on.
    """
    operating, shares, logs = _operating(plan), np.array(_SHARES), np.zeros(len(_SHARES))
    for total, (audits, disagreements) in totals.items():
        p = _chance(operating, total) if disagreements else 1.0
        if disagreements and not p > 0:
            return inf
        logs += (audits - disagreements) * np.log1p(-shares)
        if disagreements:
            logs += disagreements * np.log((p + shares * (1 - p)) / p)
    return float(logsumexp(logs) - np.log(len(shares)))


@lru_cache(maxsize=1 << 16)
def _chance(operating: CountOperating, total: int) -> float:
    return min(operating.disagreement_given(total), 1.0)


def _operating(plan: Plan) -> CountOperating:
    assert isinstance(plan.operating, CountOperating)
    return plan.operating
