"""Accept when the mean is significantly above, or below, a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from suffice.decision.claim import Claim
from suffice.decision.means import MeanTally, ShapeTally, critical_t
from suffice.decision.rule import Decision, Tally
from suffice.errors import PlanError
from suffice.sampling.distributions import Floats, as_floats


@dataclass(frozen=True, slots=True)
class Mean:
    """ACCEPTED iff the one-sided one-sample t-test of the claim has p < alpha.

    The claim is that the mean is at least `at_least`, or at most `at_most`; equality is not significant. A pair
    (before, after) counts as its difference. The t-test assumes near-normal draws; as the definition of the baseline it
    is what it is for any draws. Equal draws have p = 0 where they keep the claim strictly, else they are REJECTED. For
    draws that are 0 or 1 `BinaryMean` makes the same decision with an exact plan.
    Raises PlanError when not exactly one of the two is given, or alpha is not in (0, 1).
    """

    at_least: float | None = None
    at_most: float | None = None
    alpha: float = 0.05
    name: ClassVar[str] = "mean"
    two_sided: ClassVar[bool] = False
    min_effect: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        Claim.of(self.at_least, self.at_most)
        if not 0 < self.alpha < 1:
            raise PlanError(f"alpha is {self.alpha}; allowed: between 0 and 1")

    @property
    def claim(self) -> Claim:
        return Claim.of(self.at_least, self.at_most)

    @property
    def parameters(self) -> Mapping[str, float]:
        return {**self.claim.parameters, "alpha": float(self.alpha)}

    def check_n(self, n: int) -> None:
        if n < 2:
            raise PlanError(f"n is {n}; allowed: at least 2 draws, a t-test needs a spread")

    def critical(self, n: int) -> float:
        """The value that t of n draws, positive in the direction claimed, must exceed."""
        return critical_t(self.alpha, n, two_sided=False)

    def tally(self) -> MeanTally:
        return MeanTally(value=self.claim.value, sign=self.claim.sign)

    def shape_tally(self) -> ShapeTally:
        return ShapeTally(value=self.claim.value, sign=self.claim.sign)

    def observations(self, draws: Floats, direction: int) -> list[float]:  # noqa: ARG002
        if draws.ndim == 1:
            return as_floats(draws)
        with np.errstate(invalid="ignore"):
            return as_floats(draws[:, 1] - draws[:, 0])

    def decide(self, tally: Tally) -> Decision:
        return Decision.ACCEPTED if tally.statistic > self.critical(tally.n) else Decision.REJECTED

    def effect(self, tally: Tally) -> float:
        return tally.statistic - self.critical(tally.n)
