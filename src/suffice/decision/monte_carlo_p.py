"""Accept when few enough simulated statistics are as extreme as the observed one."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import ClassVar

import numpy as np

from suffice.decision.counts import ZeroTally, count_effect
from suffice.decision.rule import Decision, Tally
from suffice.errors import PlanError
from suffice.sampling.distributions import Floats, as_floats


class ExceedanceTally(ZeroTally):
    """Counts exceedances (ones); its estimate is the Monte Carlo p-value of the draws seen so far."""

    __slots__ = ()

    @property
    def estimate(self) -> float:
        return (1 + self.successes) / (self.n + 1)


@dataclass(frozen=True, slots=True)
class MonteCarloP:
    """ACCEPTED iff the Monte Carlo p-value (1 + exceedances)/(N + 1) is at most alpha.

    A draw is 1 when the simulated statistic is an exceedance (at least as extreme as the observed one), else 0; a pair
    is (observed, simulated), an exceedance when simulated ≥ observed. With simulated statistics exchangeable with the
    observed one under the null hypothesis, P(ACCEPTED) ≤ alpha there. Plans count the draws that are *not* exceedances,
    so that, as under every count rule, many successes accept. The product alpha·(N + 1) is taken in decimal arithmetic.
    Raises PlanError when alpha is not in (0, 1).

    Source: Davison & Hinkley 1997, "Bootstrap Methods and their Application", ch. 4; Phipson & Smyth 2010.
    """

    alpha: float = 0.05
    name: ClassVar[str] = "monte_carlo_p"

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise PlanError(f"alpha is {self.alpha}; allowed: between 0 and 1")

    @property
    def parameters(self) -> Mapping[str, float]:
        return {"alpha": float(self.alpha)}

    def check_n(self, n: int) -> None:
        least = ceil(1 / self._alpha) - 1
        if n < max(least, 1):
            raise PlanError(
                f"n is {n}; allowed: at least {max(least, 1)} draws, fewer cannot reach alpha = {self.alpha}"
            )

    def threshold(self, n: int) -> int:
        """The least number of draws without exceedance among n that is ACCEPTED."""
        return n - floor(self._alpha * (n + 1)) + 1

    def tally(self) -> ExceedanceTally:
        return ExceedanceTally()

    def observations(self, draws: Floats, direction: int) -> list[float]:  # noqa: ARG002
        if draws.ndim == 1:
            return as_floats(draws)
        return as_floats(np.where(np.isfinite(draws).all(axis=1), draws[:, 1] >= draws[:, 0], np.nan))

    def decide(self, tally: Tally) -> Decision:
        return Decision.ACCEPTED if tally.statistic >= self.threshold(tally.n) else Decision.REJECTED

    def effect(self, tally: Tally) -> float:
        return count_effect(tally.statistic, self.threshold(tally.n), tally.n)

    @property
    def _alpha(self) -> Fraction:
        return Fraction(str(self.alpha))
