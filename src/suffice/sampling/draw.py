"""What a single draw may be."""

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from decimal import Decimal, InvalidOperation
from math import inf, isfinite
from typing import Any, TypeVar

from suffice.errors import DataError, shown

_T = TypeVar("_T")

_DIGITS = 17
"""Significant digits that tell every double from every other one."""

_LONG = re.compile(r"[-+]?0*\.?0*[1-9](?:\.?[0-9]){17}")


def as_number(draw: Any) -> float | None:
    """The draw as a double, infinite beyond its range; None for what is no number.

    Text, None, truth values, and lists or arrays of any length are no numbers, though `float` takes some of them.
    """
    is_truth = isinstance(draw, bool) or getattr(getattr(draw, "dtype", None), "kind", None) == "b"
    if is_truth or isinstance(draw, str | bytes | bytearray) or getattr(draw, "ndim", 0):
        return None
    try:
        return float(draw)
    except OverflowError:
        return inf if draw > 0 else -inf
    except (TypeError, ValueError):
        return None


def as_finite(value: Any) -> float | None:
    """The value as a finite double; None for what is no number, or none that a double holds."""
    number = as_number(value)
    return number if number is not None and isfinite(number) else None


def in_order(draws: Iterable[_T]) -> Iterator[_T]:
    """Told draws one by one; those of an array as Python's own numbers, which are quicker to add.

    Raises DataError for what has none in an order: text, bytes, mappings, sets, and what cannot be iterated over.
    """
    listed = getattr(draws, "tolist", None)
    given = listed() if listed else draws
    if not isinstance(given, str | bytes | bytearray | Mapping | Set):
        try:
            return iter(given)
        except TypeError:
            pass
    raise DataError(f"draws are {shown(given)}; allowed: numbers or pairs in an order, as a list or a generator")


def as_written(text: str) -> float | Decimal:
    """The number of a text: its double, or a decimal where it has more digits than tell doubles apart.

    Raises ValueError for what is no number.
    """
    return as_decimal(text) if is_long(text) else float(text)


def is_long(text: str) -> bool:
    """Whether a number is written with more digits than tell doubles apart."""
    # With a point and no zero before it, so many characters are one digit less.
    few = len(text) <= _DIGITS + 1 or (text[0] == "0" and len(text) <= _DIGITS + 2)
    return not few and _LONG.match(text) is not None


def as_decimal(text: str) -> Decimal:
    """The number of a text, to its last digit; its double where it is beyond all decimals. Raises ValueError."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal(float(text))
