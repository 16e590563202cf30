"""Gate: excess escalations. Whether targets escalate because decisions are adaptive, on the same audited targets."""

from math import exp, log

import numpy as np
from scipy.special import logsumexp, xlog1py

from suffice.errors import MissingDataError
from suffice.evidence.measurements import Evidence, demand
from suffice.gates.e_process import ALARM, reached
from suffice.gates.outcome import GateResult, Outcome, unknown
from suffice.gates.wording import limit, percent

GATE = "excess_escalations"

_BETS = 256
_MOST = 700.0
_FAILS = round(1 / (1 - ALARM))


def judge(evidence: Evidence, max_excess: float, confidence: float) -> GateResult:
    """Failed when the excess rate is proven, with 99 %, to be above `max_excess`; Inconclusive when that is shown with
    `confidence` only; else Successful: what is observed is no more than chance explains.

    The excess rate is (targets that escalate only adaptively − only in the baseline) / audited targets. Judged
    repeatedly, at most 1 % of rollouts without excess fail; see `log_e_excess` for what that assumes, and
    docs/decisions/0006 for why Successful asks no proof here.
    """
    try:
        targets, more, fewer = evidence.counts("audited_targets", "excess", "spared")
        demand(more + fewer <= targets, f"{more:,} and {fewer:,} targets escalate in one world only, of {targets:,}")
    except MissingDataError as error:
        return unknown(GATE, error, max_excess, limit(max_excess))
    if not targets:
        sentence = f"no audited target yet, 0 excess escalations observed (limit {limit(max_excess)})"
        return GateResult(GATE, Outcome.INCONCLUSIVE, sentence, None, max_excess, {"targets": 0})
    return _judge(targets, more, fewer, max_excess, confidence)


def log_e_excess(targets: int, more: int, fewer: int, max_excess: float) -> float:
    """Log evidence against "the excess rate is `max_excess` or less".

    Each target is a number s: 1 escalates only adaptively, −1 only in the baseline, 0 in both or neither. The evidence
    is what a gambler makes of 1 who stakes λ on s − max_excess at every target, averaged over a grid of λ (the betting
    e-process of Waudby-Smith & Ramdas 2024, JRSS B 86). At max_excess = 0 only the discordant targets count, and it is
    the sign test's e-process: the truncated beta-binomial with a = b = 1, p0 = 1/2. Assumes targets that, one given the
    others before, have an excess of at most max_excess; time-uniform as far as what is known of a target stays.
    """
    stakes = (np.arange(_BETS) + 0.5) / _BETS / (1 + max_excess)
    won = xlog1py(more, stakes * (1 - max_excess))
    lost = xlog1py(fewer, -stakes * (1 + max_excess)) + xlog1py(targets - more - fewer, -stakes * max_excess)
    return float(logsumexp(won + lost)) - log(_BETS)


def _judge(targets: int, more: int, fewer: int, max_excess: float, confidence: float) -> GateResult:
    excess = (more - fewer) / targets
    log_e = log_e_excess(targets, more, fewer, max_excess)
    if reached(log_e, ALARM):
        outcome = Outcome.FAILED
    else:
        outcome = Outcome.INCONCLUSIVE if reached(log_e, confidence) else Outcome.SUCCESSFUL
    escalate = "target escalates" if more == 1 else "targets escalate"
    # An infinite number is no JSON.
    evidence = exp(min(log_e, _MOST))
    sentence = (
        f"{more:,} {escalate} only adaptively, {fewer:,} only in the baseline, of {targets:,} audited targets: "
        f"excess {percent(excess)} (limit {limit(max_excess)}); evidence of harm {evidence:.3g}, {_FAILS} fails"
    )
    numbers = {"targets": targets, "excess": more, "spared": fewer, "evidence": evidence}
    return GateResult(GATE, outcome, sentence, excess, max_excess, numbers)
