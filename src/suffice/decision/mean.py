"""Accept when the mean is significantly above, or below, a value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from suffice.decision.claim import Claim
from suffice.decision.means import MeanRule
from suffice.decision.rule import check_level


@dataclass(frozen=True, slots=True)
class Mean(MeanRule):
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

    def __post_init__(self) -> None:
        Claim.of(self.at_least, self.at_most)
        check_level(self.alpha)

    @property
    def claim(self) -> Claim:
        return Claim.of(self.at_least, self.at_most)

    @property
    def parameters(self) -> Mapping[str, float]:
        return {**self.claim.parameters, "alpha": float(self.alpha)}

    @property
    def value(self) -> float:
        return self.claim.value

    @property
    def sign(self) -> int:
        return self.claim.sign
