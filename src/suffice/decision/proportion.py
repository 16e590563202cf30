"""Accept when enough draws succeed."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import ClassVar

import numpy as np

from suffice.decision.counts import CountTally, count_effect
from suffice.decision.rule import Decision, Tally
from suffice.decision.steps import moves
from suffice.errors import PlanError
from suffice.sampling.distributions import Floats, as_floats


@dataclass(frozen=True, slots=True)
class Proportion:
    """ACCEPTED iff at least ⌈at_least·N⌉ of N draws succeed.

    The product is taken in decimal arithmetic, from the digits that `at_least` is written with: ⌈0.28·100⌉ is 28, not
    29. A pair (before, after) succeeds when it moves strictly in the claimed direction; without a direction no pair
    does.
    Raises PlanError when at_least is not in [0, 1].
    """

    at_least: float
    name: ClassVar[str] = "proportion"

    def __post_init__(self) -> None:
        if not 0 <= self.at_least <= 1:
            raise PlanError(f"at_least is {self.at_least}; allowed: 0 to 1")

    @property
    def parameters(self) -> Mapping[str, float]:
        return {"at_least": float(self.at_least)}

    def check_n(self, n: int) -> None:
        if n < 1:
            raise PlanError(f"n is {n}; allowed: at least 1 draw")

    def threshold(self, n: int) -> int:
        """The least number of successes among n draws that is ACCEPTED."""
        return _threshold(self.at_least, n)

    def tally(self) -> CountTally:
        return CountTally()

    def observations(self, draws: Floats, direction: int) -> list[float]:
        if draws.ndim == 1:
            return as_floats(draws)
        with np.errstate(invalid="ignore", over="ignore"):
            change = draws[:, 1] - draws[:, 0]
        success = np.where(np.isfinite(change), moves(change, direction), np.nan)
        return as_floats(success)

    def decide(self, tally: Tally) -> Decision:
        return Decision.ACCEPTED if tally.statistic >= self.threshold(tally.n) else Decision.REJECTED

    def effect(self, tally: Tally) -> float:
        return count_effect(tally.statistic, self.threshold(tally.n), tally.n)


@lru_cache(maxsize=4096)
def _threshold(at_least: float, n: int) -> int:
    # Every decision asks for it, and decimal arithmetic costs more than the rest of the decision.
    return ceil(Fraction(str(at_least)) * n)
