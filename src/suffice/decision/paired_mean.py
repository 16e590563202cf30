"""Accept when the mean difference is significant and large enough."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from suffice.decision.means import MeanTally, ShapeTally, critical_t
from suffice.decision.rule import Decision, Tally
from suffice.errors import PlanError
from suffice.sampling.distributions import Floats, as_floats


@dataclass(frozen=True, slots=True)
class PairedMean:
    """ACCEPTED iff the two-sided paired t-test has p < alpha and |mean difference| > min_effect.

    A run is fed the differences (after − before). The t-test assumes near-normal differences; as the definition of the
    baseline it is what it is for any draws. Equal non-zero differences have p = 0, all-zero differences p = 1.
    Raises PlanError when alpha is not in (0, 1) or min_effect is negative.
    """

    alpha: float = 0.05
    min_effect: float = 1e-6
    name: ClassVar[str] = "paired_mean"
    two_sided: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise PlanError(f"alpha is {self.alpha}; allowed: between 0 and 1")
        if not 0 <= self.min_effect < float("inf"):
            raise PlanError(f"min_effect is {self.min_effect}; allowed: 0 or more")

    @property
    def parameters(self) -> Mapping[str, float]:
        return {"alpha": float(self.alpha), "min_effect": float(self.min_effect)}

    def check_n(self, n: int) -> None:
        if n < 2:
            raise PlanError(f"n is {n}; allowed: at least 2 draws, a t-test needs a spread")

    def critical(self, n: int) -> float:
        """The value that |t| of n draws must exceed."""
        return critical_t(self.alpha, n, two_sided=True)

    def tally(self) -> MeanTally:
        return MeanTally(self.min_effect)

    def shape_tally(self) -> ShapeTally:
        return ShapeTally(self.min_effect)

    def observations(self, draws: Floats, direction: int) -> list[float]:  # noqa: ARG002
        if draws.ndim == 1:
            return as_floats(draws)
        with np.errstate(invalid="ignore", over="ignore"):
            return as_floats(draws[:, 1] - draws[:, 0])

    def decide(self, tally: Tally) -> Decision:
        accepted = tally.may_accept and tally.statistic > self.critical(tally.n)
        return Decision.ACCEPTED if accepted else Decision.REJECTED

    def effect(self, tally: Tally) -> float:
        return tally.statistic - self.critical(tally.n)
