"""Numbers in sentences: what is said is never too much."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.gates.wording import at_least, at_most, limit, percent


@given(st.floats(0, 1))
def test_bounds_are_rounded_outwards(share: float) -> None:
    exact = Decimal(repr(share)) * 100
    down, up = (Decimal(text.removesuffix(" %")) for text in (at_least(share), at_most(share)))
    assert down <= exact <= up
    assert up - down <= abs(exact) / 100


@pytest.mark.parametrize(
    "share, text",
    [
        (0.0, "0 %"),
        (-0.0, "0 %"),
        (1.0, "100 %"),
        (0.01, "1 %"),
        (0.30, "30 %"),
        (-0.00123, "-0.123 %"),
        (1e-9, "0.0000001 %"),
    ],
)
def test_plain_numbers(share: float, text: str) -> None:
    assert percent(share) == limit(share) == at_least(share) == at_most(share) == text


def test_a_limit_is_shown_as_configured() -> None:
    assert (limit(0.012345), percent(0.012345)) == ("1.2345 %", "1.23 %")
    assert limit(0.0123456789012345) == "1.23456789012 %", "as far as twelve digits, which no binary fraction spoils"
