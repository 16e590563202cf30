"""What is wrong with a record that a measurement disagrees with."""

from collections.abc import Callable
from decimal import Decimal
from enum import Enum

from suffice.sources.correction import Correction
from suffice.store.records import Record

MIN_DIGITS = 3
"""Significant digits that must be the same before two values count as one; with fewer, chance would do it too often."""


class Kind(Enum):
    """The kinds of mismatch; the value is the sentence a person reads."""

    MIS_INFERENCE = "The record was derived from others, and what was derived does not hold."
    MIS_ASSOCIATION = "Record and measurement belong to different contexts."
    MIS_DESCRIPTION = "It is the same value, rounded or in a unit that differs by a power of ten."
    MIS_MEASUREMENT = "The record holds another value than the measurement found."


def is_mismatch(correction: Correction) -> bool:
    """Whether there is anything to correct: the values differ.

    Every difference is a claim, also one within the uncertainties. The verifier decides whether to believe it, by a
    rule whose risk is known; a second threshold before it would have no known risk. Equal values are no mismatch,
    whatever their uncertainties and contexts: they claim no direction that draws could confirm.
    """
    return correction.record.value != correction.measurement.value


def classify(record: Record, correction: Correction) -> Kind:
    """The first kind in the table that holds; the last always does. Assumes a mismatch."""
    return next(kind for kind, holds in KINDS if holds(record, correction))


def _is_derived(record: Record, _: Correction) -> bool:
    return bool(record.derived_from)


def _contexts_differ(_: Record, correction: Correction) -> bool:
    """An unknown context differs from nothing."""
    known = (correction.record_context, correction.measurement_context)
    return None not in known and known[0] != known[1]


def _same_value(_: Record, correction: Correction) -> bool:
    return same_digits(correction.record.value, correction.measurement.value)


def same_digits(a: float, b: float) -> bool:
    """Whether one value is the other, rounded to at least MIN_DIGITS significant digits, up to a power of ten.

    Digits are those of the shortest decimal that reads back as the same number, without zeros at the end.
    """
    (sign_a, digits_a), (sign_b, digits_b) = _digits(a), _digits(b)
    shorter = min(len(digits_a), len(digits_b))
    if sign_a != sign_b or shorter < MIN_DIGITS:
        return False
    difference = abs(Decimal(f"0.{digits_a}") - Decimal(f"0.{digits_b}"))
    return difference <= Decimal(5).scaleb(-shorter - 1)


def _digits(value: float) -> tuple[int, str]:
    written = Decimal(repr(value)).normalize().as_tuple()
    return written.sign, "".join(map(str, written.digits))


def _always(_: Record, __: Correction) -> bool:
    return True


KINDS: tuple[tuple[Kind, Callable[[Record, Correction], bool]], ...] = (
    (Kind.MIS_INFERENCE, _is_derived),
    (Kind.MIS_ASSOCIATION, _contexts_differ),
    (Kind.MIS_DESCRIPTION, _same_value),
    (Kind.MIS_MEASUREMENT, _always),
)
