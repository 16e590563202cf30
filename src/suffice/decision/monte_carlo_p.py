"""Accept when few enough simulated statistics are as extreme as the observed one."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, ClassVar

from suffice.decision.counts import CountRule, ZeroTally
from suffice.decision.rule import check_level
from suffice.decision.share import Share, greatest_count, share_of
from suffice.errors import PlanError

if TYPE_CHECKING:
    from suffice.sampling.distributions import Floats


class ExceedanceTally(ZeroTally):
    """Counts exceedances (ones); its estimate is the Monte Carlo p-value of the draws seen so far."""

    __slots__ = ()

    @property
    def estimate(self) -> float:
        return (1 + self.successes) / (self.n + 1)


@dataclass(frozen=True, slots=True)
class MonteCarloP(CountRule):
    """ACCEPTED iff the Monte Carlo p-value (1 + exceedances)/(N + 1) is at most alpha.

    A draw is 1 when the simulated statistic is an exceedance (at least as extreme as the observed one), else 0; a pair
    is (observed, simulated), an exceedance when simulated ≥ observed, or when the two differ by at most `ties_within`
    times the larger of their sizes. Statistics that are equal but for rounding, like 0.1 + 0.2 and 0.3, need 1e-9, say.
    It only adds exceedances, so it accepts nothing that 0 rejects; beside an observed 0 it makes no tie. With simulated
    statistics exchangeable with the observed one under the null hypothesis, P(ACCEPTED) ≤ alpha there. Plans count the
    draws that are *not* exceedances, so that, as under every count rule, many successes accept. The p-value is the
    nearest double, as programs divide; a level may be given as (1, 20).
    Raises PlanError when alpha is not in (0, 1), or ties_within not in [0, 1).

    Source: Davison & Hinkley 1997, "Bootstrap Methods and their Application", ch. 4; Phipson & Smyth 2010.
    """

    alpha: Share = 0.05
    ties_within: float = 0.0
    name: ClassVar[str] = "monte_carlo_p"

    def __post_init__(self) -> None:
        alpha = share_of("alpha", self.alpha)
        check_level(alpha)
        object.__setattr__(self, "alpha", alpha)
        if not 0 <= self.ties_within < 1:
            raise PlanError(f"ties_within is {self.ties_within}; allowed: from 0 to below 1, like 1e-9")

    @property
    def parameters(self) -> Mapping[str, float]:
        ties = {"ties_within": float(self.ties_within)} if self.ties_within else {}
        return {"alpha": float(self._alpha), **ties}

    def check_n(self, n: int) -> None:
        least = ceil(1 / Fraction(self._alpha)) - 1
        if least > 1 and 1 / least <= self._alpha:
            least -= 1
        if n < max(least, 1):
            raise PlanError(
                f"n is {n}; allowed: at least {max(least, 1)} draws, fewer cannot reach alpha = {self.alpha}"
            )

    def threshold(self, n: int) -> int:
        """The least number of draws without exceedance among n that is ACCEPTED."""
        return n - greatest_count(self._alpha, n + 1) + 1

    def tally(self) -> ExceedanceTally:
        return ExceedanceTally()

    def of_pairs(self, pairs: "Floats", direction: int) -> "Floats":  # noqa: ARG002
        import numpy as np

        observed, simulated = pairs[:, 0], pairs[:, 1]
        with np.errstate(invalid="ignore", over="ignore"):
            size = np.maximum(np.abs(observed), np.abs(simulated))
            exceeds = (simulated >= observed) | (observed - simulated <= self.ties_within * size)
        return np.where(np.isfinite(pairs).all(axis=1), exceeds, np.nan)

    @property
    def _alpha(self) -> float:
        assert not isinstance(self.alpha, tuple)
        return self.alpha
