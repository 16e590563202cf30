"""Numbers in the sentences of gates. Bounds are rounded outwards, so that what a sentence says is never too much."""

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

_DIGITS = 3
_EXACT = 12


def percent(share: float) -> str:
    """Three digits: 0.0030003 is "0.3 %"."""
    return _percent(share, _DIGITS, ROUND_HALF_EVEN)


def at_most(share: float) -> str:
    """An upper bound, rounded up."""
    return _percent(share, _DIGITS, ROUND_CEILING)


def at_least(share: float) -> str:
    """A lower bound, rounded down."""
    return _percent(share, _DIGITS, ROUND_FLOOR)


def limit(share: float) -> str:
    """A limit, as it was configured."""
    return _percent(share, _EXACT, ROUND_HALF_EVEN)


def _percent(share: float, digits: int, rounding: str) -> str:
    rounded = Context(prec=digits, rounding=rounding).plus(Decimal(repr(float(share))) * 100)
    # Adding 0 turns -0 into 0.
    return f"{rounded.normalize() + 0:f} %"
