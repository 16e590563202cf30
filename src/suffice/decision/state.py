"""What a tally knows as plain JSON values, and reading it back."""

from collections.abc import Mapping
from math import isfinite
from typing import TypeAlias

from suffice.errors import RunError

State: TypeAlias = dict[str, float]


def numbers(state: Mapping[str, object], *names: str) -> tuple[float, ...]:
    """The finite numbers of these names; `n` must be a count. Raises RunError."""
    values = []
    for name in names:
        value = state.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
            raise RunError(f"the state's {name} is {value!r}; it must be a finite number")
        values.append(value)
    return tuple(values)


def counts(state: Mapping[str, object], *names: str) -> tuple[int, ...]:
    """The whole numbers of these names, 0 or more. Raises RunError."""
    values = []
    for name in names:
        value = state.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise RunError(f"the state's {name} is {value!r}; it must be a whole number, 0 or more")
        values.append(value)
    return tuple(values)
