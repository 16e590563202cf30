"""One parameter of a method, turned until the table just keeps its budget."""

from collections.abc import Callable
from math import copysign, exp, inf, log
from typing import TypeVar

from suffice.errors import PlanError
from suffice.stopping.budget import Budget
from suffice.stopping.operating import Operating

Table = TypeVar("Table")

_AIM, _CLOSE = 0.999, 0.998
_RESOLUTION = 1e-3
_STEPS = 60
_LEAST = 0.01
_FURTHEST = 600.0


def strain(computed: Operating, budget: Budget) -> float:
    """The largest ratio of a worst case to its bound: at most 1 when the budget is kept.

    Both directions have their bounds; for a t rule, where one truth can suffer both, their sum is bounded by the larger
    of the two.
    """
    pairs: list[tuple[float, float]] = []
    if computed.exact:
        pairs += zip(computed.worst_by_side(), (budget.accept, budget.reject), strict=True)
    else:
        pairs.append((computed.worst()[0], budget.largest))
        if budget.accept != budget.reject:
            pairs += zip(computed.worst_by_side(), (budget.accept, budget.reject), strict=True)
    return max(0.0 if worst == 0 else worst / bound if bound > 0 else inf for worst, bound in pairs)


def calibrated(table: Callable[[float], Table], strain_of: Callable[[Table], float]) -> Table:
    """The table of about the smallest factor at which the strain is at most 1; the strain falls as the factor rises.

    Ends when the strain is within 0.2 % below 1, or jumps over 1 between two factors 0.1 % apart. Raises PlanError when
    no factor keeps the budget.
    """
    at, low, high = 0.0, (-inf, 0.0), (inf, 0.0)
    kept: Table | None = None
    for step in range(_STEPS):
        tried = table(exp(at))
        strain = strain_of(tried)
        point = (at, log(min(max(strain, _LEAST), 1 / _LEAST) / _AIM))
        if strain <= 1:
            kept, high = tried, point
        else:
            low = point
        if _CLOSE <= strain <= 1 or high[0] - low[0] < _RESOLUTION or abs(at) > _FURTHEST:
            break
        at = _between(low, high, step) if high[0] - low[0] < inf else at + _stride(point[1], step)
    if kept is None:
        raise PlanError("no table of this method keeps max_disagreement with these looks")
    return kept


def _stride(excess: float, step: int) -> float:
    """As far as the excess tells, and ever further where the strain does not move (a table of counts has steps)."""
    return copysign(max(1.2 * abs(excess), 0.01 * 2**step), excess)


def _between(low: tuple[float, float], high: tuple[float, float], step: int) -> float:
    """Where the chord is 0, away from the ends; every third step the middle, since the strain may jump."""
    share = 0.5 if step % 3 == 2 else min(max(low[1] / (low[1] - high[1]), 0.05), 0.95)
    return low[0] + share * (high[0] - low[0])
