"""What the readers of recorded samples share: the recording of one case, and what they allow."""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from difflib import get_close_matches
from enum import Enum
from functools import lru_cache
from math import copysign, nan, ulp
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from suffice.errors import DataError, name_shown, shown
from suffice.sampling.distributions import Floats

SLICES = ("target", "region")
Exact: TypeAlias = int | float | Decimal
"""A number as it was written, or stored."""

WHOLE = 2**53
"""Up to here a double holds every whole number."""

NEAR = 2**-20
"""Of numbers that differ by a smaller share, rounding to doubles takes more than the last digits of the difference."""

_EXACT = Context(prec=2_000, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[])
"""More digits than the difference of two doubles has; a huge exponent takes no time."""

WORDS = {
    **dict.fromkeys(("true", "pass", "passed", "success", "yes"), 1.0),
    **dict.fromkeys(("false", "fail", "failed", "failure", "no"), 0.0),
}
"""What people write for 1 and 0."""

MOST_DRAWS = 2**24
"""How many draws a case may have: all of them are in memory."""

_INDEX = "__index_level_"
"""How pandas names the index that it writes along."""

_SHOWN = 20

_log = logging.getLogger(__name__)

ReadSoFar = Callable[[float], None]
"""Is told the share of the file that was read so far, from 0 to 1."""


class LeftOut(Enum):
    """Why a recorded case is not decided, as the words a person reads."""

    EMPTY = "no draws"
    ONE_DRAW = "one draw: nothing can be saved"
    UNEVEN = "before and after do not have equally many draws"
    TOO_FEW = "too few draws for the rule"


@dataclass(frozen=True, slots=True)
class Recording:
    """The recorded draws of one case, shape (n,) for values, (n, 2) for pairs (before, after); all are finite.

    `row` is where it begins in its file: a line, or for Parquet a row, from 1. `values` is None where it was left out.
    """

    key: str
    target: str
    region: str | None
    row: int
    values: Floats | None
    left_out: LeftOut | None = None


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file and what its rows are called, for messages; `binary` tells that single values must be 0 or 1.

    `names` has, for a column of ours that the file calls otherwise, its name there. `ties_within` is the rule's.
    """

    path: Path
    unit: str
    binary: bool
    names: Mapping[str, str] = field(default_factory=dict)
    ties_within: float = 0.0

    def called(self, column: str) -> str:
        """What the file calls a column of ours."""
        return self.names.get(column, column)

    def at(self, row: int, column: str | None = None) -> str:
        return f"{self.path}, {self.unit} {row}" + (f", column {name_shown(self.called(column))}" if column else "")

    def only_binary(self, columns: int) -> bool:
        """Whether a cell must hold 0 or 1 where there are so many columns of draws."""
        return self.binary and columns == 1

    def check_draws(self, row: int, draws: int) -> None:
        """Raises DataError when a case would have more draws than are read."""
        if draws > MOST_DRAWS:
            raise DataError(f"{self.at(row)}: its case has more than {MOST_DRAWS:,} draws, the most that are read")

    def check_whole(self, value: Exact | None, where: str) -> None:
        """Raises DataError for a single whole number that its double is not. Decimals are rounded to the nearest."""
        if isinstance(value, int) and abs(value) > WHOLE and value != int(float(value)):
            allowed = "whole numbers up to 2**53, or pairs (before, after)"
            raise DataError(f"{where} is {shown(value)}, which loses digits as a double; allowed: {allowed}")

    def allowed(self, columns: int) -> str:
        """What a cell may hold."""
        return "0 or 1, true or false, pass or fail" if self.only_binary(columns) else "a finite number"

    def fits(self, values: Floats, columns: int) -> NDArray[np.bool_]:
        """Which values are allowed."""
        return (values == 0) | (values == 1) if self.only_binary(columns) else np.isfinite(values)


def recording(place: RecordedFile, names: Sequence[str], row_of: Callable[[int], int], values: Floats) -> Recording:
    """The recording of a case: `names` are its key, target and region; NaN in `values` stands for an empty cell.

    A case without draws has one row whose cells are empty. A pair that lacks a member makes the case uneven; a value
    that is missing among others is refused, since nobody knows whether it was lost by chance. `row_of` tells the row of
    draw i. Raises DataError.
    """
    key, target, region = names
    row = row_of(0)
    check_key(place, row, key)
    place.check_draws(row, len(values))
    why = _left_out(place, row_of, values)
    return Recording(key, target or key, region or None, row, None if why else values, why)


def _left_out(place: RecordedFile, row_of: Callable[[int], int], values: Floats) -> LeftOut | None:
    missing = np.isnan(values)
    if len(values) <= 1 and missing.all():
        return LeftOut.EMPTY
    if missing.any():
        if values.ndim == 1:
            row = row_of(int(missing.argmax()))
            raise DataError(f"{place.at(row, 'value')}: is empty, and the case has other draws; allowed: a number")
        return LeftOut.UNEVEN
    return LeftOut.ONE_DRAW if len(values) == 1 else None


def may_lose_digits(draws: Floats) -> bool:
    """Whether whole numbers that these are the doubles of may have been others."""
    return bool((np.abs(draws) >= WHOLE).any())


def near(before: Floats, after: Floats) -> NDArray[np.bool_]:
    """Whether the difference of these doubles may not be that of the numbers that were written."""
    with np.errstate(over="ignore"):
        close: NDArray[np.bool_] = np.abs(after - before) <= NEAR * np.maximum(np.abs(before), np.abs(after))
    return close


def is_its_double(number: Exact) -> bool:
    """Whether a number is what is written for its double, and so stands for that."""
    return Decimal(repr(float(number))) == number


def exact_pairs(before: Iterable[Exact | None], after: Iterable[Exact | None], *, ties_within: float) -> Floats:
    """Pairs (0, after − before), shape (n, 2), each difference exact and then rounded, but never to 0; NaN where
    a number is missing.

    A rule takes no more of a pair than its difference, and whether it is a tie: that has none. Of nanoseconds since
    1970 a double keeps but steps of 256.
    """
    share = Decimal(ties_within)
    pairs = zip(before, after, strict=True)
    differences = [nan if a is None or b is None else _difference(a, b, share) for a, b in pairs]
    return np.stack((np.zeros(len(differences)), np.array(differences)), axis=1)


def _difference(before: Exact, after: Exact, ties_within: Decimal) -> float:
    one, other = Decimal(before), Decimal(after)
    difference = _EXACT.subtract(other, one)
    larger = max(one.copy_abs(), other.copy_abs())
    if difference.copy_abs() <= _EXACT.multiply(ties_within, larger):
        return 0.0
    rounded = float(difference)
    return rounded or copysign(ulp(0.0), rounded)


def check_key(place: RecordedFile, row: int, key: str) -> None:
    """Raises DataError for a key that cannot name a stream."""
    if not key:
        raise DataError(f"{place.at(row, 'case')}: is empty; each row needs a case")


def check_columns(place: RecordedFile, where: str, names: Sequence[str], single: str) -> tuple[str, ...]:
    """The columns that hold draws: the one called `single`, or before and after. Raises DataError for a header that has
    neither or both, lacks case or a column that was named, or has a column that is misspelt.

    A file has other columns of our names where draws are named: these are somebody else's.
    """
    ours = ("case", single, "before", "after", *SLICES)
    for column, name in place.names.items():
        if column not in ours:
            raise DataError(f"{where}: {column!r} is no column of draws; allowed: {', '.join(ours)}")
        if name not in names:
            raise DataError(
                f"{where}: column {shown(name)}, which is to be {column}, is missing; there is: {_some(names)}"
            )
    named = tuple(column for column in (single, "before", "after") if column in place.names)
    wanted = (single,) if named == (single,) else ("before", "after") if named else (single, "before", "after")
    check_names(place.path, where, names, [place.called(name) for name in ("case", *wanted, *SLICES)])
    if place.called("case") not in names:
        raise DataError(f"{where}: column 'case' is missing; --column case=NAME says what it is called here")
    columns = tuple(name for name in wanted if place.called(name) in names)
    if columns not in ((single,), ("before", "after")):
        raise DataError(f"{where}: found {' and '.join(columns) or 'no draws'}; allowed: {single}, or before and after")
    return columns


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(name_shown, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")


def check_names(path: Path, where: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Columns that nobody asked for are passed over, and told once.

    Raises DataError for a column that stands twice, or that looks like one of ours which is not there.
    """
    others = tuple(name for name in names if name not in known)
    for name in others:
        meant = get_close_matches(name.lower(), [one for one in known if one not in names], n=1, cutoff=0.7)
        if meant:
            raise DataError(f"{where}: column {shown(name)} is not known; did you mean {meant[0]}?")
    if len(set(names)) < len(names):
        raise DataError(f"{where}: column {shown(Counter(names).most_common(1)[0][0])} stands twice")
    told = tuple(name for name in others if not name.startswith(_INDEX))
    if told:
        _pass_over(path, told)


@lru_cache(maxsize=4096)
def _pass_over(path: Path, names: tuple[str, ...]) -> None:
    # Once for each file, which may have them in every line.
    _log.warning("%s: passed over: column %s", path, _some(names))
