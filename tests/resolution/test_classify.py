"""What is wrong with a record: the first kind in the table that holds."""

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from suffice.resolution.classify import KINDS, MIN_DIGITS, Kind, classify, is_mismatch, same_digits
from suffice.sources.correction import Correction, Estimate
from suffice.store.records import Record

CORRECTION = Correction("c", "t", Estimate(10.0, 1.0, 1.0), Estimate(13.7, 1.0, 1.0), "2001")
RECORD = Record("t", 10.0, 1.0, 1.0)


def moved(record: float, measurement: float) -> Correction:
    return replace(CORRECTION, record=Estimate(record, 1, 1), measurement=Estimate(measurement, 1, 1))


def test_any_difference_of_values_is_a_mismatch_and_nothing_else() -> None:
    assert is_mismatch(moved(10.0, 10.0 + 1e-12))
    wider = replace(CORRECTION, measurement=Estimate(10.0, 5.0, 5.0), record_context="a", measurement_context="b")
    assert not is_mismatch(wider)


def test_the_kinds_and_what_makes_each() -> None:
    elsewhere = replace(CORRECTION, record_context="decay to e+ e-", measurement_context="decay to mu+ mu-")
    derived = replace(RECORD, derived_from=(("mass", 1.0),))
    assert classify(RECORD, CORRECTION) is Kind.MIS_MEASUREMENT
    assert classify(RECORD, moved(0.5109, 510.9)) is Kind.MIS_DESCRIPTION
    assert classify(RECORD, elsewhere) is Kind.MIS_ASSOCIATION
    assert classify(derived, elsewhere) is Kind.MIS_INFERENCE


def test_an_unknown_context_differs_from_nothing() -> None:
    assert classify(RECORD, replace(CORRECTION, measurement_context="a")) is Kind.MIS_MEASUREMENT
    assert classify(RECORD, replace(CORRECTION, record_context="a")) is Kind.MIS_MEASUREMENT


def test_the_table_names_every_kind_once_and_its_last_one_always_holds() -> None:
    assert [kind for kind, _ in KINDS] == list(Kind)
    assert KINDS[-1][1](RECORD, CORRECTION)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (938.272, 0.938272, True),
        (938.27, 0.938272, True),
        (91.19, 91.1876, True),
        (91.18, 91.1876, False),
        (938.272, -938.272, False),
        (3.1, 3.14159, False),
        (100.0, 1.0, False),
        (1.23e-300, 1.23e300, True),
        (0.0, 123.0, False),
    ],
)
def test_values_that_are_the_same_but_for_rounding_and_unit(a: float, b: float, same: bool) -> None:
    assert same_digits(a, b) is same_digits(b, a) is same


@given(st.integers(10**5, 10**8), st.integers(-20, 20), st.integers(MIN_DIGITS, 5))
def test_a_rounded_value_in_another_unit_is_the_same_value(digits: int, exponent: int, kept: int) -> None:
    written = f"{digits:.{kept - 1}e}"
    rounded = float(f"{written.split('e')[0]}e{exponent}")
    assume(len(written.split("e")[0].replace(".", "").rstrip("0")) == kept)
    assert same_digits(float(digits), rounded)
