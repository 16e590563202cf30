"""How often a baseline accepts by chance, and which counts are then no surprise.

So that an expectation about random draws fails for a wrong decision path and not for bad luck: each bound is exceeded
by chance in at most SURPRISE of runs.
"""

from bisect import bisect_left
from math import sqrt
from statistics import NormalDist

# Not scipy.stats: each process of a sweep would spend most of its start on it.
from scipy.special import bdtrc, nctdtr

from suffice.decision.rule import Rule

SURPRISE = 1e-6


def most(trials: int, probability: float) -> int:
    """The most events among independent trials that is no surprise."""
    if not 0 < probability < 1:
        return round(trials * probability)
    return bisect_left(range(trials), -SURPRISE, key=lambda k: -bdtrc(k, trials, probability))


def least(trials: int, probability: float) -> int:
    """The fewest events among independent trials that is no surprise."""
    return trials - most(trials, 1 - probability)


def acceptance(rule: Rule, n: int, shift: float) -> float:
    """P(the baseline accepts) when differences are normal with a mean of `shift` standard deviations, in the claimed
    direction."""
    critical, noncentrality = rule.critical(n), abs(shift) * sqrt(n)
    if rule.counts:
        return float(bdtrc(critical - 1, n, NormalDist().cdf(shift))) if critical > 0 else 1.0
    # Far out SciPy's noncentral t loses its tails; the answer is 1 there, to more digits than anybody asks for.
    if noncentrality > critical + 8:
        return 1.0
    return float(1 - nctdtr(n - 1, noncentrality, critical) + nctdtr(n - 1, noncentrality, -critical))


def boundary_shift(rule: Rule, n: int, effect: float) -> float:
    """The shift, as in `acceptance`, whose truth is `effect` standard errors from the decision boundary.

    Clipped to what exists for a count rule.
    """
    if not rule.counts:
        return (rule.critical(n) + effect) / sqrt(n)
    boundary = (rule.critical(n) - 0.5) / n
    share = boundary + effect * sqrt(max(boundary * (1 - boundary), 0) / n)
    return NormalDist().inv_cdf(min(max(share, 0.5 / n), 1 - 0.5 / n))
