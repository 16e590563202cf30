"""Schedules of looks."""

from collections.abc import Iterable
from math import ceil

import numpy as np

from suffice.errors import PlanError

EVERY_LOOK_UP_TO = 256
GEOMETRIC_LOOKS = 60


def even_looks(n: int, every: int, first: int | None = None) -> tuple[int, ...]:
    """first, first + every, … below n; `first` is `every` unless given. Raises PlanError for steps below 1 or beyond
    n."""
    first = every if first is None else first
    if type(every) is not int or every < 1:
        raise PlanError(f"look_every is {every!r}; allowed: at least 1")
    if type(first) is not int or not 1 <= first <= n:
        raise PlanError(f"the first look is at {first} draws; allowed: 1 to n = {n}")
    return tuple(range(first, n, every))


def geometric_looks(n: int, count: int = GEOMETRIC_LOOKS, first: int = 8) -> tuple[int, ...]:
    """About `count` looks below n, each a constant factor after the one before (equal ones merged)."""
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
    given = tuple(looks)
    for look in given:
        if isinstance(look, bool) or not isinstance(look, (int, np.integer)) or not 1 <= look < n:
            raise PlanError(f"a look is at {look!r} draws; allowed: whole numbers from 1 to {n - 1}, below n = {n}")
    if len(set(given)) < len(given):
        raise PlanError("a look stands twice; each number of draws may be looked at once")
    return tuple(sorted(int(look) for look in given))
