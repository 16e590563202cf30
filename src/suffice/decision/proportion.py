"""Accept when enough draws succeed."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor
from typing import TYPE_CHECKING, ClassVar

from suffice.decision.counts import CountRule, CountTally
from suffice.decision.share import Share, least_count, share_of
from suffice.decision.steps import moves
from suffice.errors import PlanError

if TYPE_CHECKING:
    from suffice.sampling.distributions import Floats


@dataclass(frozen=True, slots=True)
class Proportion(CountRule):
    """ACCEPTED iff k of N draws succeed and k/N, as the nearest double, is at least `at_least`.

    So 28 of 100 reach 0.28, and 5 of 6 reach 5/6, which may be given as (5, 6); it is kept as a double. A pair (before,
    after) succeeds when it moves strictly in the claimed direction; without a direction no pair does.
    Raises PlanError when at_least is not in [0, 1].
    """

    at_least: Share
    name: ClassVar[str] = "proportion"

    def __post_init__(self) -> None:
        share = share_of("at_least", self.at_least)
        if not 0 <= share <= 1:
            hint = f"; {share:g} % is {share / 100:g}" if 10 <= share <= 100 else ""
            raise PlanError(f"at_least is {self.at_least}; allowed: 0 to 1{hint}")
        object.__setattr__(self, "at_least", share)

    @property
    def parameters(self) -> Mapping[str, float]:
        return {"at_least": float(self._share)}

    def threshold(self, n: int) -> int:
        """The least number of successes among n draws that is ACCEPTED."""
        return _threshold(self._share, n)

    @property
    def _share(self) -> float:
        assert not isinstance(self.at_least, tuple)
        return self.at_least

    def tally(self) -> CountTally:
        return CountTally()

    def of_pairs(self, pairs: "Floats", direction: int) -> "Floats":
        import numpy as np

        with np.errstate(invalid="ignore", over="ignore"):
            change = pairs[:, 1] - pairs[:, 0]
            return np.where(np.isfinite(change), moves(change, direction), np.nan)

    def margin(self, n: int, margin: float) -> tuple[float | None, float | None]:
        """The counts just outside the share at_least ± margin, as far as there are such, in decimal arithmetic."""
        share, half = Fraction(str(self._share)), Fraction(str(margin))
        reject_at, accept_at = ceil((share - half) * n) - 1, floor((share + half) * n) + 1
        return reject_at if reject_at >= 0 else None, accept_at if accept_at <= n else None


@lru_cache(maxsize=4096)
def _threshold(at_least: float, n: int) -> int:
    # Every decision asks for it, and exact arithmetic costs more than the rest of the decision.
    return least_count(at_least, n)
