"""The applicability guard: what an accept stop of a t rule must show beside the boundary.

The bound of a t plan is asymptotic. Two things can break it: a `min_effect` that a significant mean need not exceed,
and draws whose shape makes the t statistic less certain than a Brownian motion. The first is checked in every run, the
second when the shape of the draws is not known. The family of shapes for which that was tested, and what lies outside,
is in docs/statistics.md.
"""

from dataclasses import dataclass
from math import sqrt

from suffice.decision.means import MeanRule, MeanTally, ShapeTally
from suffice.decision.rule import Rule, Tally
from suffice.sampling.distributions import Normal, SplitNormal
from suffice.sampling.sampler import Pair, Sampler

IMAGINED = 1.5
NEGLIGIBLE = 0.5


@dataclass(frozen=True, slots=True)
class Guard:
    """Confirms accept stops of a t rule with N = `size`. `critical` is the t value of the fixed decision.

    `shape` is on for draws of unknown shape.
    """

    rule: MeanRule
    size: int
    critical: float
    shape: bool

    def tally(self) -> Tally:
        return self.rule.shape_tally() if self.shape else self.rule.tally()

    def confirms(self, tally: Tally, accept_at: float) -> bool:
        """Whether the tally, which has reached `accept_at`, may stop."""
        if not isinstance(tally, MeanTally) or not self._effect_follows(tally):
            return False
        return not self.shape or (isinstance(tally, ShapeTally) and shape_allows(tally, accept_at, self))

    def _effect_follows(self, tally: MeanTally) -> bool:
        """Whether a mean that is significant at N surely exceeds min_effect: then only significance is at stake.

        Significant means |mean| > critical·sd/√N; the sd of all N draws is at least half of that seen so far, but for a
        negligible probability. Equal draws have no sd, and exceed it or not for good.
        """
        if self.rule.min_effect == 0:
            return True
        seen = sqrt(max(tally.spread, 0.0) / (tally.n - 1))
        return seen == 0 or self.rule.min_effect * sqrt(self.size) <= NEGLIGIBLE * self.critical * seen


def guard_of(rule: Rule, size: int, *, guarded: bool) -> Guard | None:
    """The guard of a run; None for rules that need none (the bound of counts holds for every distribution)."""
    return Guard(rule, size, rule.critical(size), guarded) if isinstance(rule, MeanRule) else None


def needs_guard(sampler: Sampler) -> bool:
    """Whether the shape of a sampler's draws is unknown: of everything but normal and split normal distributions."""
    parts = (sampler.before, sampler.after) if isinstance(sampler, Pair) else (sampler,)
    return not all(isinstance(part, (Normal, SplitNormal)) for part in parts)


def shape_allows(tally: ShapeTally, accept_at: float, guard: Guard) -> bool:
    """Whether an accept stop survives what the sample's shape tells, and one imagined draw against it.

    The t statistic of draws with mean/sd = δ, skewness g1 and excess kurtosis g2 has f² = 1 − δ·g1 + δ²·g2/4 times the
    variance that it has for δ = 0: the distance that the boundary keeps from the line to the critical value, which
    stands for the noise still to come, is widened by f ≥ 1. Then one more draw is imagined, 1.5 times as far from the
    mean as the furthest seen, against the decision: |t| must still clear the boundary, since what was not seen yet
    (a spike, the tail of a skew distribution) looks like this. Equal draws tell nothing and stop nothing.
    """
    if tally.spread <= 0 or tally.high == tally.low:
        return False
    n = tally.n
    sd = sqrt(tally.spread / (n - 1))
    above = tally.estimate - tally.value
    delta, kurtosis = above / sd, tally.excess_kurtosis
    inflation = sqrt(max(1.0, 1 - delta * tally.skewness + delta * delta * max(kurtosis, 0.0) / 4))
    line = guard.critical * sqrt(n / guard.size)
    required = line + inflation * (accept_at - line)
    imagined = IMAGINED * tally.furthest
    remaining = abs(above) - imagined / (n + 1)
    spread = tally.spread + imagined * imagined * n / (n + 1)
    # Written so that a NaN (fourth powers that overflow) does not stop.
    return tally.statistic >= required and remaining * sqrt((n + 1) * n / spread) >= required
