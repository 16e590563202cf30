"""The one-sample t-test of draws that are 0 or 1: a function of their count."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, ClassVar

from suffice.decision.claim import Claim
from suffice.decision.counts import CountRule, CountTally, ZeroTally
from suffice.decision.means import check_spread, critical_t
from suffice.decision.rule import check_level
from suffice.errors import PlanError

if TYPE_CHECKING:
    from suffice.sampling.distributions import Floats


@dataclass(frozen=True, slots=True)
class BinaryMean(CountRule):
    """`Mean` for draws that are 0 or 1: the same decision, as a count rule, so that its plans are exact.

    t rises with the number of ones (for `at_most` with the number of zeros, which are then the successes), so that
    p < alpha from some count on. A pair (before, after) counts as 1 when after > before.
    Raises PlanError when not exactly one of at_least and at_most is given, it is not in [0, 1], or alpha is not in
    (0, 1).
    """

    at_least: float | None = None
    at_most: float | None = None
    alpha: float = 0.05
    name: ClassVar[str] = "binary_mean"

    def __post_init__(self) -> None:
        claim = Claim.of(self.at_least, self.at_most)
        if not 0 <= claim.value <= 1:
            raise PlanError(f"{next(iter(claim.parameters))} is {claim.value}; allowed: 0 to 1, as draws are 0 or 1")
        check_level(self.alpha)

    @property
    def claim(self) -> Claim:
        return Claim.of(self.at_least, self.at_most)

    @property
    def parameters(self) -> Mapping[str, float]:
        return {**self.claim.parameters, "alpha": float(self.alpha)}

    def check_n(self, n: int) -> None:
        check_spread(n)

    def threshold(self, n: int) -> int:
        critical = critical_t(self.alpha, n, two_sided=False)
        return bisect_right(range(n + 1), critical, key=lambda successes: self._t(successes, n))

    def _t(self, successes: int, n: int) -> float:
        ones = successes if self.claim.sign > 0 else n - successes
        above = self.claim.sign * (ones / n - self.claim.value)
        spread = sqrt(ones * (n - ones) / n)
        if spread == 0:
            return float("inf") if above > 0 else -float("inf")
        return above * sqrt(n * (n - 1)) / spread

    def tally(self) -> CountTally:
        return CountTally() if self.claim.sign > 0 else ZeroTally()

    def of_pairs(self, pairs: "Floats", direction: int) -> "Floats":  # noqa: ARG002
        import numpy as np

        return np.where(np.isfinite(pairs).all(axis=1), pairs[:, 1] > pairs[:, 0], np.nan)
