"""Method `curtailed`: stop when the predictive probability that the baseline decides otherwise is at most a cut-off.

The prediction is Bayesian with a flat prior: beta-binomial for counts, normal for the score of a Brownian motion. One
cut-off for both decisions and all looks is calibrated so that the worst case over every truth keeps the budget. Simple,
and not far from `optimal`.

Source: Lan, Simon & Halperin 1982, "Stochastically curtailed tests in long-term clinical trials"; with a predictive
probability: Spiegelhalter, Freedman & Blackburn 1986.
"""

from collections.abc import Callable
from math import sqrt

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from suffice.decision.rule import Rule
from suffice.sampling.distributions import Floats
from suffice.stopping.brownian import allowed_looks, brownian_budget, score_boundary
from suffice.stopping.calibrate import calibrated, strain
from suffice.stopping.operating_counts import count_operating, hypergeometric, log_factorials
from suffice.stopping.operating_means import mean_operating, z_of_t
from suffice.stopping.request import Design, Request
from suffice.stopping.run import Boundary

Boundaries = tuple[Boundary, ...]

_LARGEST_CUT_OFF = 0.5


def design_counts(request: Request) -> Design:
    size, threshold = request.n, int(request.rule.critical(request.n))
    predictions = [_predicted(size, threshold, n) for n in request.looks]

    def table(cut_off: float) -> Boundaries:
        looks = zip(request.looks, predictions, strict=True)
        return tuple(_count_boundary(n, rejects, accepts, cut_off) for n, (rejects, accepts) in looks)

    if request.budget.accept == 0 or request.budget.reject == 0:
        return Design(table(0.0))
    return _calibrate(table, lambda tried: strain(count_operating(size, threshold, tried), request.budget))


def _predicted(size: int, threshold: int, n: int) -> tuple[Floats, Floats]:
    """P(baseline rejects) and P(it accepts), for 0 … n successes in n draws.

    With a uniform prior the probability of success is like the (k + 1)-th of n + 1 marks among points thrown on the
    unit interval, and later draws succeed that fall below it: there are at least `threshold` successes in the end when
    at most k marks are among the first `threshold` of all size + 1 points, which is hypergeometric.
    """
    share = hypergeometric(log_factorials(size + 1), threshold, np.arange(n + 2), n + 1, size + 1)
    return np.cumsum(share[::-1])[::-1][1:], np.cumsum(share)[:-1]


def _count_boundary(n: int, rejects: Floats, accepts: Floats, cut_off: float) -> Boundary:
    accepting, rejecting = np.flatnonzero(rejects <= cut_off), np.flatnonzero(accepts <= cut_off)
    return Boundary(n, int(rejecting[-1]) if len(rejecting) else None, int(accepting[0]) if len(accepting) else None)


def design_means(request: Request) -> Design:
    rule, size = request.rule, request.n
    critical = rule.critical(size)
    budget, looks = brownian_budget(request.budget, guarded=request.guarded), allowed_looks(request.looks)
    if budget.accept == 0 or budget.reject == 0:
        # No early decision on a mean is certain, so that the one cut-off would have to be 0.
        return Design(())

    def table(cut_off: float) -> Boundaries:
        return tuple(_mean_boundary(rule, size, n, cut_off) for n in looks)

    return _calibrate(
        table, lambda tried: strain(mean_operating(size, critical, tried, two_sided=rule.two_sided), budget)
    )


def _mean_boundary(rule: Rule, size: int, n: int, cut_off: float) -> Boundary:
    """Given S(t) = s and a flat prior for the drift, S(1) is normal with mean s/t and variance (1 − t)/t."""
    t, critical = n / size, z_of_t(rule.critical(size), size)
    spread = sqrt((1 - t) / t)

    def accepts(s: float) -> float:
        beyond = ndtr((-critical - s / t) / spread) if rule.two_sided else 0.0
        return float(ndtr((s / t - critical) / spread) + beyond)

    def rejects(s: float) -> float:
        beyond = ndtr((-critical - s / t) / spread) if rule.two_sided else 0.0
        return float(ndtr((critical - s / t) / spread) - beyond)

    far = t * (critical + 40 * spread)
    low = 0.0 if rule.two_sided else t * (critical - 40 * spread)
    accept = brentq(lambda s: rejects(s) - cut_off, low, far) if rejects(low) > cut_off else low
    reject = brentq(lambda s: accepts(s) - cut_off, low, far) if accepts(low) < cut_off else None
    return score_boundary(n, t, reject, accept)


def _calibrate(table: Callable[[float], Boundaries], strain_of: Callable[[Boundaries], float]) -> Design:
    """A factor of 1 is a cut-off of 1 %; a cut-off of a half would decide for the likelier side at once."""
    return Design(calibrated(lambda factor: table(min(0.01 / factor, _LARGEST_CUT_OFF)), strain_of))
