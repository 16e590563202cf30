"""Shares as counts: a share is reached when k/n, as the nearest double, is at least the given number.

So 28 of 100 reach 0.28, and 5 of 6 reach 5/6, in whatever way the number was made: `k/n` in any language with IEEE 754
doubles says the same. A fraction a/b is its nearest double. Where b·n < 2⁵¹, no other k/n is as near to it, so that the
counts are those of the fraction itself.
"""

from fractions import Fraction
from math import ceil, floor
from typing import Any, TypeAlias

from suffice.errors import PlanError
from suffice.sampling.draw import as_number

Share: TypeAlias = float | tuple[int, int]
"""A number, or (numerator, denominator)."""

LARGEST = 10**8
"""The largest denominator of a fraction that is given as such."""


def share_of(name: str, value: Any) -> float:
    """The double of a share that was given as a number, a `Fraction` or a pair. Raises PlanError naming it."""
    if isinstance(value, Fraction):
        value = value.numerator, value.denominator
    if isinstance(value, tuple):
        if len(value) != 2 or not all(type(part) is int for part in value) or not 0 < value[1] <= LARGEST:
            raise PlanError(f"{name} is {value}; allowed: a number, or (k, n) with n from 1 to {LARGEST}")
        return float(value[0] / value[1])
    if as_number(value) is None:
        raise PlanError(f"{name} is {value!r}; allowed: a number like 0.8, or a fraction like (5, 6){_spelt(value)}")
    # By its digits: a NumPy value of 32 bits is written 0.8, and is not the double 0.8.
    return float(value if isinstance(value, int | float) else str(value))


def _spelt(value: Any) -> str:
    """The number that a text means where it is one, "" else."""
    try:
        return f"; {value} is {share_in(value):g}" if isinstance(value, str) else ""
    except (ValueError, ZeroDivisionError):
        return ""


def share_in(text: str) -> float:
    """The share that a person writes: 0.8, 5/6 or 80 %. Raises ValueError."""
    words = text.strip()
    if "_" in words or not words.isascii():
        raise ValueError(f"{text!r} is no number that a person writes")
    number, parts = words.removesuffix("%").strip(), 100 if words.endswith("%") else 1
    if "/" in number:
        return float(Fraction(number) / parts)
    share = float(number)
    # Beyond that a fraction of its digits would take for ever.
    return float(Fraction(number) / parts) if 1e-300 < abs(share) < 1e300 else share / parts


def least_count(share: float, n: int) -> int:
    """The least k with k/n ≥ share as doubles; n + 1 when there is none."""
    k = ceil(Fraction(share) * n)
    return k - 1 if k > 0 and (k - 1) / n >= share else k


def greatest_count(share: float, n: int) -> int:
    """The greatest k with k/n ≤ share as doubles."""
    k = floor(Fraction(share) * n)
    return k + 1 if (k + 1) / n <= share else k
