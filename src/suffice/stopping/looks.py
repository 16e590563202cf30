"""Schedules of looks."""

from collections.abc import Iterable
from math import ceil
from operator import index
from typing import Any

from suffice.errors import PlanError

EVERY_LOOK_UP_TO = 256
GEOMETRIC_LOOKS = 60

MOST_DRAWS = 10_000_000
MOST_LOOKS = 100_000
"""More draws or looks than these are refused: no plan for them was ever measured, and to make one may take for ever."""


def whole(number: Any) -> int | None:
    """A whole number, of Python or of NumPy, as an int; None for anything else, true and false too."""
    try:
        return None if isinstance(number, bool) else index(number)
    except TypeError:
        return None


def even_looks(n: int, every: int, first: int | None = None) -> tuple[int, ...]:
    """first, first + every, … below n; `first` is `every` unless given. Raises PlanError for steps below 1 or beyond
    n."""
    step, start = whole(every), whole(every if first is None else first)
    if step is None or step < 1:
        raise PlanError(f"look_every is {every!r}; allowed: at least 1")
    if start is None or not 1 <= start <= n:
        raise PlanError(f"the first look is at {every if first is None else first} draws; allowed: 1 to n = {n}")
    looks = range(start, n, step)
    _check_count(len(looks))
    return tuple(looks)


def geometric_looks(n: int, count: int = GEOMETRIC_LOOKS, first: int = 8) -> tuple[int, ...]:
    """About `count` looks below n, each a constant factor after the one before (equal ones merged)."""
    import numpy as np

    spaced = np.geomspace(min(first, n), n, count + 1)[:-1]
    return tuple(sorted({round(float(x)) for x in spaced} - {n}))


def default_looks(n: int) -> tuple[int, ...]:
    """Every draw for small N; geometric looks beyond, where nearly nothing is gained by more of them."""
    return even_looks(n, 1) if n <= EVERY_LOOK_UP_TO else geometric_looks(n)


def default_mean_looks(n: int) -> tuple[int, ...]:
    """As `default_looks`, but at most 64 for small N: a t rule gains less by more looks, and takes longer to solve."""
    return even_looks(n, ceil(n / 64)) if n <= EVERY_LOOK_UP_TO else geometric_looks(n)


def checked_looks(n: int, looks: Iterable[int]) -> tuple[int, ...]:
    """The looks in rising order. Raises PlanError when one is below 1 or not below n, or stands twice."""
    checked = []
    for look in looks:
        draws = whole(look)
        if draws is None or not 1 <= draws < n:
            raise PlanError(f"a look is at {look!r} draws; allowed: whole numbers from 1 to {n - 1}, below n = {n}")
        checked.append(draws)
        _check_count(len(checked))
    if len(set(checked)) < len(checked):
        raise PlanError("a look stands twice; each number of draws may be looked at once")
    return tuple(sorted(checked))


def _check_count(count: int) -> None:
    if count > MOST_LOOKS:
        raise PlanError(f"there are more than {MOST_LOOKS:,} looks; allowed: up to so many")
