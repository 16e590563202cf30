"""The applicability guard: what an early stop of a t rule must show beside the boundary.

The bound of a t plan is asymptotic. Two things can break it: a `min_effect` that a significant mean need not exceed,
and draws whose shape makes the t statistic less certain than a Brownian motion. The first is checked in every run, the
second when the shape of the draws is not known. The family of shapes for which that was tested, and what lies outside,
is in docs/statistics.md.
"""

from dataclasses import dataclass
from math import isfinite, sqrt

from suffice.decision.means import MeanTally, ShapeTally
from suffice.decision.rule import Rule, Tally
from suffice.decision.steps import effect_follows

IMAGINED = 1.5


@dataclass(frozen=True, slots=True)
class Guard:
    """Confirms early stops of a t rule with N = `size`. `critical` is the t value of the fixed decision.

    `shape` is on for draws of unknown shape.
    """

    rule: Rule
    size: int
    critical: float
    shape: bool

    def tally(self) -> Tally:
        return self.rule.shape_tally() if self.shape else self.rule.tally()

    def confirms(self, tally: Tally, accept_at: float) -> bool:
        """Whether the tally, which has reached `accept_at`, may stop."""
        if not isinstance(tally, MeanTally):
            return False
        if not effect_follows(tally.n, tally.spread, self.rule.min_effect, self.size, self.critical):
            return False
        return not self.shape or (isinstance(tally, ShapeTally) and shape_allows(tally, accept_at, self, 1))

    def confirms_reject(self, tally: Tally, reject_at: float) -> bool:
        """Whether the tally, which has fallen to `reject_at`, may stop.

        Of a one-sided rule only: its boundary has one mean on this side, which shape can belie as it can on the other;
        |t| is small around 0, where shape hardly matters.
        """
        if not self.shape or self.rule.two_sided:
            return True
        return isinstance(tally, ShapeTally) and shape_allows(tally, reject_at, self, -1)


def guard_of(rule: Rule, size: int, *, guarded: bool) -> Guard | None:
    """The guard of a run; None for rules that need none (the bound of counts holds for every distribution)."""
    return None if rule.counts else Guard(rule, size, rule.critical(size), guarded)


def shape_allows(tally: ShapeTally, boundary: float, guard: Guard, side: int) -> bool:
    """Whether a stop (`side` +1: accept, −1: reject) survives the sample's shape, and one imagined draw against it.

    The t statistic of draws with mean/sd = δ, skewness g1 and excess kurtosis g2 has f² = 1 − δ·g1 + δ²·g2/4 times the
    variance that it has for δ = 0: the distance that the boundary keeps from the line to the critical value, which
    stands for the noise still to come, is widened by f ≥ 1. Then one more draw is imagined, 1.5 times as far from the
    mean as the furthest seen, against the decision: t must still clear the boundary, since what was not seen yet (a
    spike, the tail of a skew distribution) looks like this. Equal draws, and draws whose fourth powers do not fit a
    float, tell nothing and stop nothing.
    """
    if tally.spread <= 0 or tally.high == tally.low:
        return False
    n = tally.n
    above = tally.estimate - tally.value
    delta, skewness, kurtosis = above / sqrt(tally.spread / (n - 1)), tally.skewness, tally.excess_kurtosis
    if not (isfinite(skewness) and isfinite(kurtosis)):
        return False
    inflation = sqrt(max(1.0, 1 - delta * skewness + delta * delta * max(kurtosis, 0.0) / 4))
    line = guard.critical * sqrt(n / guard.size)
    required = side * (line + inflation * (boundary - line))
    imagined = IMAGINED * tally.furthest
    towards = abs(above) if guard.rule.two_sided else side * tally.sign * above
    then = towards - imagined / (n + 1)
    spread = tally.spread + imagined * imagined * n / (n + 1)
    return side * tally.statistic >= required and then * sqrt((n + 1) * n / spread) >= required
