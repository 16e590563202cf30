"""Mean rules, and their tally: moments of the draws seen so far."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite, nan, sqrt
from typing import TYPE_CHECKING, Any, ClassVar

from suffice.decision.rule import Decision, Rule, Tally
from suffice.decision.state import State, counts, numbers
from suffice.decision.steps import large_enough, mean_estimate, mean_spread, shifted_sums, t_statistic
from suffice.errors import DataError, PlanError, shown
from suffice.sampling.draw import as_number

if TYPE_CHECKING:
    from suffice.sampling.distributions import Floats


def critical_t(alpha: float, n: int, *, two_sided: bool) -> float:
    """The value that t (|t| when two-sided) of n draws must exceed for p < alpha."""
    from scipy.special import stdtrit

    return -float(stdtrit(n - 1, alpha / 2 if two_sided else alpha))


def check_spread(n: int) -> None:
    """Raises PlanError when n draws have no spread."""
    if n < 2:
        raise PlanError(f"n is {n}; allowed: at least 2 draws, a t-test needs a spread")


class MeanRule(Rule):
    """A rule that accepts iff its t statistic exceeds `critical(n)` and |mean| exceeds `min_effect`.

    The statistic is |t| when `two_sided`, else t against `value`, positive in the direction of `sign`. A pair (before,
    after) counts as its difference.
    """

    __slots__ = ()
    counts: ClassVar[bool] = False

    @property
    @abstractmethod
    def alpha(self) -> float: ...

    @property
    def value(self) -> float:
        return 0.0

    @property
    def sign(self) -> int:
        return 0

    def check_n(self, n: int) -> None:
        check_spread(n)

    def critical(self, n: int) -> float:
        return critical_t(self.alpha, n, two_sided=self.two_sided)

    def tally(self) -> "MeanTally":
        return MeanTally(self.min_effect, value=self.value, sign=self.sign)

    def shape_tally(self) -> "ShapeTally":
        return ShapeTally(self.min_effect, value=self.value, sign=self.sign)

    def of_pairs(self, pairs: "Floats", direction: int) -> "Floats":  # noqa: ARG002
        import numpy as np

        with np.errstate(invalid="ignore", over="ignore"):
            differences: Floats = pairs[:, 1] - pairs[:, 0]
        return differences

    def decide(self, tally: Tally) -> Decision:
        accepted = tally.may_accept and tally.statistic > self.critical(tally.n)
        return Decision.ACCEPTED if accepted else Decision.REJECTED

    def effect(self, tally: Tally) -> float:
        return tally.statistic - self.critical(tally.n)

    def margin(self, n: int, margin: float) -> tuple[float | None, float | None]:
        """Where the p-value is alpha ± margin, as far as it is a probability."""
        reject, accept = (
            critical_t(p, n, two_sided=self.two_sided) if 0 < p < 1 else None
            for p in (self.alpha + margin, self.alpha - margin)
        )
        return reject, accept


def _numbers(draws: Iterable[Any]) -> Iterator[float]:
    """The draws as doubles, up to the first that is no number."""
    for draw in draws:
        if (number := as_number(draw)) is None:
            return
        yield number


# What needs no second look: `float` takes text and truth values, too.
_PLAIN = frozenset((float, int))


class MeanTally:
    """Count, sum and sum of squares of the differences from the first draw; t of the mean against `value`.

    `sign` is +1 or −1 for a signed t, positive above or below `value`, and 0 for |t|. Since the first draw is one of
    the sample, Σ(x − x₁)² ≤ (n + 1)·Σ(x − x̄)²: subtracting n·(x̄ − x₁)² from it loses at most log₁₀(n + 1) of the
    sixteen digits, whatever the draws are (Chan, Golub & LeVeque 1983, "shifted data"). Draws so far apart that their
    squares overflow count as infinite.
    """

    __slots__ = ("first", "min_effect", "n", "sign", "squares", "total", "value")

    def __init__(self, min_effect: float = 0.0, *, value: float = 0.0, sign: int = 0) -> None:
        self.min_effect = min_effect
        self.value = value
        self.sign = sign
        self.n = 0
        self.first = 0.0
        self.total = 0.0
        self.squares = 0.0

    def add(self, draws: Sequence[float]) -> bool:
        if _PLAIN.issuperset(map(type, draws)):
            # No `suppress`, which takes as long as the sums.
            try:
                return self._add(draws)
            except OverflowError:
                pass
        numbers = list(_numbers(draws))
        finite = self._add(numbers)
        if finite and len(numbers) < len(draws):
            draw: Any = draws[len(numbers)]
            pair = getattr(draw, "shape", None) == (2,) or (isinstance(draw, tuple | list) and len(draw) == 2)
            hint = "; of a pair (before, after) that is after - before" if pair else ""
            raise DataError(f"draw {self.n + 1} is {shown(draw)}; allowed: a number{hint}")
        return finite

    def _add(self, draws: Sequence[float]) -> bool:
        """Add numbers."""
        if self.n == 0 and draws:
            self.first = float(draws[0])
        total, squares = shifted_sums(draws, self.first, self.total, self.squares)
        if not isfinite(squares):
            return self._add_until_invalid(draws)
        self.total, self.squares = total, squares
        self.n += len(draws)
        return True

    def _add_until_invalid(self, draws: Sequence[float]) -> bool:
        for draw in draws:
            self.n += 1
            difference = float(draw) - self.first
            self.squares += difference * difference
            if not isfinite(self.squares):
                break
        return False

    @property
    def estimate(self) -> float:
        return mean_estimate(self.n, self.first, self.total)

    @property
    def spread(self) -> float:
        """Σ(x − x̄)²."""
        return mean_spread(self.n, self.total, self.squares)

    @property
    def statistic(self) -> float:
        """t; infinite for equal draws that are not `value`, and 0 when all are `value` or there is only one."""
        n = self.n
        if not n:
            return 0.0
        estimate, spread = mean_estimate(n, self.first, self.total), mean_spread(n, self.total, self.squares)
        return t_statistic(n, estimate, spread, self.value, self.sign)

    @property
    def may_accept(self) -> bool:
        return large_enough(self.estimate, self.min_effect)

    @property
    def state(self) -> State:
        return {"n": self.n, "first": self.first, "total": self.total, "squares": self.squares}

    def restore(self, state: Mapping[str, object]) -> None:
        (self.n,) = counts(state, "n")
        self.first, self.total, self.squares = numbers(state, "first", "total", "squares")


class ShapeTally(MeanTally):
    """A mean tally that also holds third and fourth powers, and the extremes.

    The powers are of differences from the first draw, too, and lose as few digits by it. Where they overflow, skewness
    and kurtosis are infinite or NaN.
    """

    __slots__ = ("cubes", "fourths", "high", "low")

    def __init__(self, min_effect: float = 0.0, *, value: float = 0.0, sign: int = 0) -> None:
        super().__init__(min_effect, value=value, sign=sign)
        self.cubes = self.fourths = 0.0
        self.low = self.high = 0.0

    def _add(self, draws: Sequence[float]) -> bool:
        if self.n == 0 and draws:
            self.low = self.high = float(draws[0])
        if not super()._add(draws):
            return False
        first, cubes, fourths = self.first, self.cubes, self.fourths
        for draw in draws:
            difference = float(draw) - first
            square = difference * difference
            cubes += square * difference
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
        third = self.cubes / n - mean * (3 * self.squares / n - 2 * mean * mean)
        second = self.spread / n
        return third / second / sqrt(second)

    @property
    def excess_kurtosis(self) -> float:
        """m₄/m₂² − 3; needs a spread. NaN where fourth powers underflow."""
        n, mean = self.n, self.total / self.n
        fourth = self.fourths / n - mean * (4 * self.cubes / n - mean * (6 * self.squares / n - 3 * mean * mean))
        second = self.spread / n
        return fourth / second / second - 3 if fourth > 0 else nan

    @property
    def state(self) -> State:
        shape: State = {"cubes": self.cubes, "fourths": self.fourths, "low": self.low, "high": self.high}
        return {**super().state, **shape}

    def restore(self, state: Mapping[str, object]) -> None:
        super().restore(state)
        self.cubes, self.fourths, self.low, self.high = numbers(state, "cubes", "fourths", "low", "high")
