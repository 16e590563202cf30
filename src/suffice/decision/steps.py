"""The formulas of the tallies, as functions of plain numbers.

The tallies of an ask/tell run call them, and the batch kernels compile them: one formula in one place. So each of them
calls nothing but `math`, and imports nothing of the package.
"""

from collections.abc import Iterable
from math import inf, sqrt
from typing import Any

NEGLIGIBLE = 0.5


def moves(change: Any, direction: int) -> Any:
    """Whether a change goes strictly in the claimed direction; without one (0) none does. Arrays work, too."""
    return change * direction > 0


def shifted_sums(draws: Iterable[float], first: float, total: float, squares: float) -> tuple[float, float]:
    """The sum of the differences from `first`, and of their squares, with these draws added."""
    for draw in draws:
        # A NumPy value would warn where a float overflows to infinity in silence.
        difference = float(draw) - first
        total += difference
        squares += difference * difference
    return total, squares


def mean_estimate(n: int, first: float, total: float) -> float:
    """The mean."""
    return first + total / n


def mean_spread(n: int, total: float, squares: float) -> float:
    """Σ(x − x̄)². The square of the total may overflow where the squares do not."""
    return squares - total * (total / n)


def t_statistic(n: int, estimate: float, spread: float, value: float, sign: int) -> float:
    """t of the mean against `value`: signed by `sign`, |t| where that is 0.

    Infinite for equal draws that are not `value`, and 0 when all are `value` or there is only one.
    """
    if n < 2:
        return 0.0
    above = estimate - value
    above = above * sign if sign else abs(above)
    if spread <= 0:
        return inf if above > 0 else -inf if above < 0 else 0.0
    return above * sqrt(n * (n - 1) / spread)


def large_enough(estimate: float, min_effect: float) -> bool:
    """Whether the size of an effect allows to accept it."""
    return abs(estimate) > min_effect if min_effect else True


def effect_follows(n: int, spread: float, min_effect: float, size: int, critical: float) -> bool:
    """Whether a mean that is significant at N = `size` surely exceeds min_effect: then only significance is at stake.

    Significant means |mean| > critical·sd/√N; the sd of all N draws is at least half of that seen so far, but for a
    negligible probability. Equal draws have no sd, and exceed it or not for good.
    """
    if min_effect == 0:
        return True
    seen = sqrt(max(spread, 0.0) / (n - 1))
    return seen == 0 or min_effect * sqrt(size) <= NEGLIGIBLE * critical * seen
