"""Times as people write them, compared only where both are written alike."""

import re
from collections.abc import Iterable
from datetime import date, datetime
from functools import reduce

_YEAR = re.compile(r"[0-9]{4}")
_FINER = re.compile(r".{8,10}[^-+.,]*[.,][0-9]{6}([0-9]+)")
"""Digits of the seconds beyond microseconds; after the date, and before an offset."""


def is_older(time: str, than: str) -> bool:
    """Whether the first time is before the second.

    Both must be years, or ISO 8601 in the same form: dates, times of day with an offset, or times of day without one.
    They are compared to the last digit that is written.
    False where either is missing, where they are unlike, and where they are equal.
    """
    one, other = _moment(time), _moment(than)
    return one is not None and other is not None and one[0] == other[0] and one[1] < other[1]


def newest(times: Iterable[str]) -> str:
    """The last of the times that are known; among unlike ones the first stays. Empty where none is known."""
    known = [time for time in times if time]
    return reduce(lambda last, time: time if is_older(last, time) else last, known) if known else ""


def _moment(time: str) -> tuple[str, tuple[datetime, str]] | None:
    """The form of a time, and the moment with the digits that a datetime drops, or None for any other text."""
    try:
        if _YEAR.fullmatch(time):
            return "year", (datetime(int(time), 1, 1), "")
        if day := _day(time):
            return "date", (datetime(day.year, day.month, day.day), "")
        moment = datetime.fromisoformat(time)
    except ValueError:
        return None
    finer = _FINER.match(time)
    digits = finer[1].rstrip("0") if finer else ""
    return ("naive" if moment.tzinfo is None else "offset"), (moment, digits)


def _day(time: str) -> date | None:
    try:
        return date.fromisoformat(time)
    except ValueError:
        return None
