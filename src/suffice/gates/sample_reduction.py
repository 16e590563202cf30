"""Gate: the benefit. How many draws adaptive decisions save, at their stopping times."""

from math import log, log1p, sqrt

from suffice.errors import MissingDataError, RolloutError
from suffice.evidence.measurements import Evidence, demand
from suffice.gates.e_process import ALARM
from suffice.gates.outcome import GateResult, Outcome, unknown
from suffice.gates.wording import at_least, at_most, limit, percent

GATE = "sample_reduction"

_COUNTS = ("stopped", "stopping_draws", "fixed_n", "adaptive", "audit_draws")

_TUNED = 16.0
"""Variance at which the bounds are narrowest, 4 × 16 × 8 ≈ 500 decisions at 95 % (Howard et al. 2021, section 3.5)."""


def judge(evidence: Evidence, min_reduction: float, confidence: float) -> GateResult:
    """Successful when a reduction of at least `min_reduction` is proven with `confidence`; Failed when less is, with
    99 %.

    Judges the draws up to the stopping time against N, over the decisions in force, and in a shadow stage over those
    made beside the fixed ones. `value` is the observed reduction; the bounds, and the reduction net of what audits drew
    on, are in `numbers`. See `mean_radius` for the guarantee.
    """
    try:
        stopped, draws, fixed_n, adaptive, audit_draws = evidence.counts(*_COUNTS)
        fixed = stopped * fixed_n
        demand(draws <= fixed, f"{draws:,} draws up to the stopping times, where N allows {fixed:,}")
        demand(fixed > 0 or stopped == 0, f"{stopped:,} decisions, which fixed would take {fixed:,} draws")
        demand(audit_draws <= fixed - draws, f"{audit_draws:,} draws of audits, where N leaves {fixed - draws:,}")
    except MissingDataError as error:
        return unknown(GATE, error, min_reduction, limit(min_reduction))
    if not stopped:
        sentence = f"no adaptive decision yet, 0 draws saved (limit {limit(min_reduction)})"
        return GateResult(GATE, Outcome.INCONCLUSIVE, sentence, None, min_reduction, {"decisions": 0})
    net = 1 - (draws + audit_draws) / fixed if adaptive else None
    return _judge(stopped, 1 - draws / fixed, net, min_reduction, confidence)


def mean_radius(n: int, confidence: float) -> float:
    """How far the mean of n numbers in [0, 1] can be from its expectation, at every n at once, with `confidence`.

    Time-uniform and two-sided. What it is about is the average of each number's expectation *given those before*, so it
    needs neither independence nor equal distributions: decisions about one target may be alike, and traffic may change.
    Source: the normal mixture (Robbins 1970; Howard, Ramdas, McAuliffe & Sekhon 2021, Annals of Statistics 49) with
    Hoeffding's bound of 1/4 on the variance. n is at least 1.
    """
    variance = n / 4 + _TUNED
    return sqrt(2 * variance * (log(variance / _TUNED) / 2 - log1p(-confidence))) / n


def net_possible(audit_fraction: float, expected_reduction: float) -> float:
    """The reduction that is left when this share of targets is audited: (1 − audit_fraction) · expected_reduction.

    An audited decision takes N draws whenever it stopped, the others take N · (1 − expected_reduction) on average; a
    target is audited before its first draw, so stopping time and audit are independent.
    """
    return (1 - audit_fraction) * expected_reduction


def check_net(audit_fraction: float, expected_reduction: float, min_reduction: float) -> None:
    """Refuse a rollout whose last stage cannot keep the benefit net of its audits. Raises RolloutError."""
    net = net_possible(audit_fraction, expected_reduction)
    if net < min_reduction:
        audits = f"with audits of {percent(audit_fraction)} of the targets"
        raise RolloutError(
            f"the last stage, {audits}, can save {percent(net)} of the draws; allowed: at least {limit(min_reduction)}"
        )


def _judge(decisions: int, reduction: float, net: float | None, min_reduction: float, sure: float) -> GateResult:
    lower = max(reduction - mean_radius(decisions, sure), 0.0)
    upper = min(reduction + mean_radius(decisions, ALARM), 1.0)
    outcome, bound = Outcome.INCONCLUSIVE, f"proven ≥ {at_least(lower)}"
    if upper < min_reduction:
        outcome, bound = Outcome.FAILED, f"proven ≤ {at_most(upper)}"
    elif lower >= min_reduction:
        outcome = Outcome.SUCCESSFUL
    observed = f"{percent(reduction)} fewer draws in {decisions:,} decisions"
    beside = "in the shadow" if net is None else f"{percent(net)} net of audits"
    sentence = f"{observed}; {bound} (limit {limit(min_reduction)}); {beside}"
    numbers = {"decisions": decisions, "lower": lower, "upper": upper, "net": net}
    return GateResult(GATE, outcome, sentence, reduction, min_reduction, numbers)
