"""What a one-sample rule claims of a mean: that it is at least, or at most, a value."""

from dataclasses import dataclass
from math import isfinite

from suffice.decision.rule import check_number
from suffice.errors import PlanError


@dataclass(frozen=True, slots=True)
class Claim:
    """The mean is above (`sign` +1) or below (−1) `value`."""

    value: float
    sign: int

    @classmethod
    def of(cls, at_least: float | None, at_most: float | None) -> "Claim":
        """Raises PlanError unless exactly one of the two is given, and finite."""
        if (at_least is None) == (at_most is None):
            raise PlanError(f"at_least is {at_least} and at_most is {at_most}; allowed: exactly one of them")
        name, value, sign = ("at_least", at_least, 1) if at_most is None else ("at_most", at_most, -1)
        check_number(name, value, "a finite number")
        if value is None or not isfinite(value):
            raise PlanError(f"{name} is {value}; allowed: a finite number")
        return cls(float(value), sign)

    @property
    def parameters(self) -> dict[str, float]:
        return {"at_least" if self.sign > 0 else "at_most": self.value}
