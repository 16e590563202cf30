"""Accept when the mean difference is significant and large enough."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from suffice.decision.means import MeanRule
from suffice.decision.rule import check_level, check_number
from suffice.errors import PlanError


@dataclass(frozen=True, slots=True)
class PairedMean(MeanRule):
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
        check_level(self.alpha)
        check_number("min_effect", self.min_effect, "a number, 0 or more")
        if not 0 <= self.min_effect < float("inf"):
            raise PlanError(f"min_effect is {self.min_effect}; allowed: 0 or more")

    @property
    def parameters(self) -> Mapping[str, float]:
        return {"alpha": float(self.alpha), "min_effect": float(self.min_effect)}
