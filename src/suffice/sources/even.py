"""The even regression set: cases whose truths are spread evenly around a rule's decision boundary.

So that no rule finds it easy: a disagreement gate that is asked about easy cases only passes whatever it is given.
"""

from math import inf, sqrt
from statistics import NormalDist

from suffice.decision.rule import Rule
from suffice.errors import DataError
from suffice.sampling.distributions import Normal
from suffice.sampling.sampler import Pair
from suffice.verifier.case import Case

COUNT = 1000
REACH = 8.0
"""The truths lie within this many standard errors of the boundary, on both sides."""


def even_cases(rule: Rule, n: int, count: int = COUNT) -> list[Case]:
    """`count` cases for a rule and N. Raises DataError where there is no boundary to spread them around."""
    spread = even_proportion if rule.counts else even_paired_mean
    return spread(rule.critical(n), n, count, name=rule.name)


def even_proportion(threshold: float, n: int, count: int = COUNT, *, name: str = "proportion") -> list[Case]:
    """P(a pair moves upward) = boundary + effect·s.e., for the effects in −8 … 8 that give a probability.

    The boundary is half a success below the threshold. Truths that do not exist are left out, not piled up at 0 or 1.
    Raises DataError when every sample, or none, reaches the threshold.
    """
    _check_count(count)
    boundary = (threshold - 0.5) / n if n > 0 else 0
    if not 0 < boundary < 1:
        raise DataError(
            f"source even: rule {name} decides all cases of N = {n} alike; no boundary to spread truths around"
        )
    se = sqrt(boundary * (1 - boundary) / n)
    effects = _cells(max(-REACH, -boundary / se), min(REACH, (1 - boundary) / se), count)
    # Both draws have variance 1, so the difference of the pair has √2 as its standard deviation.
    shifts = (sqrt(2) * NormalDist().inv_cdf(boundary + effect * se) for effect in effects)
    return [_case(name, i, shift, effect) for i, (shift, effect) in enumerate(zip(shifts, effects, strict=True))]


def even_paired_mean(critical: float, n: int, count: int = COUNT, *, name: str = "paired_mean") -> list[Case]:
    """The mean difference is critical + d standard errors from 0, with d evenly over −8 … 8.

    A two-sided rule has a lower boundary too: a case's effect is |critical + d| − critical, how far the truth is from
    the boundary that is nearer, positive where the rule accepts. A min_effect is not considered. Raises DataError when
    n is below 2 or critical is not finite and positive.
    """
    _check_count(count)
    if n < 2 or not 0 < critical < inf:
        raise DataError(f"source even: rule {name} has critical value {critical} at N = {n}; allowed: > 0, and N >= 2")
    truths = [critical + distance for distance in _cells(-REACH, REACH, count)]
    return [_case(name, i, truth * sqrt(2 / n), abs(truth) - critical) for i, truth in enumerate(truths)]


def _check_count(count: int) -> None:
    if count < 1:
        raise DataError(f"source even: {count} cases; allowed: at least 1")


def _cells(low: float, high: float, count: int) -> list[float]:
    """The middles of `count` equal cells."""
    return [low + (high - low) * (i + 0.5) / count for i in range(count)]


def _case(name: str, i: int, shift: float, effect: float) -> Case:
    key = f"even/{name}/{i:04d}"
    return Case(key=key, target=key, sampler=Pair(Normal(0, 1), Normal(shift, 1)), effect=effect)
