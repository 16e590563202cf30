"""The tally of mean rules: moments of the draws seen so far."""

from collections.abc import Mapping, Sequence
from math import inf, isfinite, sqrt
from typing import Protocol, runtime_checkable

from scipy.special import stdtrit

from suffice.decision.rule import Rule
from suffice.decision.state import State, counts, numbers


def critical_t(alpha: float, n: int, *, two_sided: bool) -> float:
    """The value that t (|t| when two-sided) of n draws must exceed for p < alpha."""
    return -float(stdtrit(n - 1, alpha / 2 if two_sided else alpha))


@runtime_checkable
class MeanRule(Rule, Protocol):
    """A rule that accepts iff its t statistic exceeds `critical(n)` and |mean| exceeds `min_effect`.

    The statistic is |t| when `two_sided`, else a signed t that is positive in the direction claimed.
    """

    @property
    def alpha(self) -> float: ...

    @property
    def min_effect(self) -> float: ...

    @property
    def two_sided(self) -> bool: ...

    def critical(self, n: int) -> float: ...

    def tally(self) -> "MeanTally": ...

    def shape_tally(self) -> "ShapeTally":
        """A tally that knows the shape of the draws, too, for runs that are guarded."""
        ...


class MeanTally:
    """Count, sum and sum of squares of the differences from the first draw; t of the mean against `value`.

    `sign` is +1 or −1 for a signed t, positive above or below `value`, and 0 for |t|. Since the first draw is one of
    the sample, Σ(x − x₁)² ≤ (n + 1)·Σ(x − x̄)²: subtracting n·(x̄ − x₁)² from it loses at most log₁₀(n + 1) of the
    sixteen digits, whatever the draws are (Chan, Golub & LeVeque 1983, "shifted data"). Draws so far apart that their
    squares overflow count as infinite.
    """

    __slots__ = ("_min_effect", "first", "n", "sign", "squares", "total", "value")

    def __init__(self, min_effect: float = 0.0, *, value: float = 0.0, sign: int = 0) -> None:
        self._min_effect = min_effect
        self.value = value
        self.sign = sign
        self.n = 0
        self.first = 0.0
        self.total = 0.0
        self.squares = 0.0

    def add(self, draws: Sequence[float]) -> bool:
        if self.n == 0 and draws:
            self.first = float(draws[0])
        first, total, squares = self.first, self.total, self.squares
        for draw in draws:
            difference = draw - first
            total += difference
            squares += difference * difference
        if not isfinite(squares):
            return self._add_until_invalid(draws)
        self.total, self.squares = total, squares
        self.n += len(draws)
        return True

    def _add_until_invalid(self, draws: Sequence[float]) -> bool:
        for draw in draws:
            self.n += 1
            self.squares += (draw - self.first) * (draw - self.first)
            if not isfinite(self.squares):
                break
        return False

    @property
    def estimate(self) -> float:
        return self.first + self.total / self.n

    @property
    def spread(self) -> float:
        """Σ(x − x̄)²."""
        return self.squares - self.total * self.total / self.n

    @property
    def statistic(self) -> float:
        """t; infinite for equal draws that are not `value`, and 0 when all are `value` or there is only one."""
        if self.n < 2:
            return 0.0
        above = self.estimate - self.value
        above = above * self.sign if self.sign else abs(above)
        spread = self.squares - self.total * self.total / self.n
        if spread <= 0:
            return inf if above > 0 else -inf if above < 0 else 0.0
        return above * sqrt(self.n * (self.n - 1) / spread)

    @property
    def may_accept(self) -> bool:
        return abs(self.estimate) > self._min_effect if self._min_effect else True

    @property
    def state(self) -> State:
        return {"n": self.n, "first": self.first, "total": self.total, "squares": self.squares}

    def restore(self, state: Mapping[str, object]) -> None:
        (self.n,) = counts(state, "n")
        self.first, self.total, self.squares = numbers(state, "first", "total", "squares")


class ShapeTally(MeanTally):
    """A mean tally that also holds third and fourth powers, and the extremes.

    The powers are of differences from the first draw, too, and lose as few digits by it. Where they overflow, skewness
    and kurtosis are NaN.
    """

    __slots__ = ("cubes", "fourths", "high", "low")

    def __init__(self, min_effect: float = 0.0, *, value: float = 0.0, sign: int = 0) -> None:
        super().__init__(min_effect, value=value, sign=sign)
        self.cubes = self.fourths = 0.0
        self.low = self.high = 0.0

    def add(self, draws: Sequence[float]) -> bool:
        if self.n == 0 and draws:
            self.low = self.high = float(draws[0])
        if not super().add(draws):
            return False
        first, cubes, fourths = self.first, self.cubes, self.fourths
        for draw in draws:
            square = (draw - first) * (draw - first)
            cubes += square * (draw - first)
            fourths += square * square
        self.cubes, self.fourths = cubes, fourths
        self.low, self.high = min(self.low, *draws), max(self.high, *draws)
        return True

    @property
    def furthest(self) -> float:
        """The largest |x − x̄|."""
        return max(self.high - self.estimate, self.estimate - self.low)

    @property
    def skewness(self) -> float:
        """m₃/m₂^1.5; needs a spread."""
        n, mean = self.n, self.total / self.n
        third = self.cubes / n - 3 * mean * self.squares / n + 2 * mean**3
        return float(third / (self.spread / n) ** 1.5)

    @property
    def excess_kurtosis(self) -> float:
        """m₄/m₂² − 3; needs a spread."""
        n, mean = self.n, self.total / self.n
        fourth = self.fourths / n - 4 * mean * self.cubes / n + 6 * mean**2 * self.squares / n - 3 * mean**4
        return fourth / (self.spread / n) ** 2 - 3

    @property
    def state(self) -> State:
        shape: State = {"cubes": self.cubes, "fourths": self.fourths, "low": self.low, "high": self.high}
        return {**super().state, **shape}

    def restore(self, state: Mapping[str, object]) -> None:
        super().restore(state)
        self.cubes, self.fourths, self.low, self.high = numbers(state, "cubes", "fourths", "low", "high")
