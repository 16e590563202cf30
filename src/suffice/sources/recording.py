"""What the readers of recorded samples share: the recording of one case, and what they allow."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suffice.errors import DataError
from suffice.sampling.distributions import Floats

SLICES = ("target", "region")
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
    """A file and what its rows are called, for messages; `binary` tells that single values must be 0 or 1."""

    path: Path
    unit: str
    binary: bool

    def at(self, row: int, column: str | None = None) -> str:
        return f"{self.path}, {self.unit} {row}" + (f", column {column}" if column else "")

    def only_binary(self, columns: int) -> bool:
        """Whether a cell must hold 0 or 1 where there are so many columns of draws."""
        return self.binary and columns == 1

    def allowed(self, columns: int) -> str:
        """What a cell may hold."""
        return "0 or 1, true or false" if self.only_binary(columns) else "a finite number"

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


def check_key(place: RecordedFile, row: int, key: str) -> None:
    """Raises DataError for a key that cannot name a stream."""
    if not key:
        raise DataError(f"{place.at(row, 'case')}: is empty; each row needs a case")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise DataError(f"{place.at(row, 'case')}: {key!r} is not valid Unicode") from None


def check_columns(where: str, names: Sequence[str], single: str) -> tuple[str, ...]:
    """The columns that hold draws: the one called `single`, or before and after. Raises DataError for a header that has
    neither or both, lacks case, or has a column that is not known."""
    check_names(where, names, ("case", single, "before", "after", *SLICES))
    if "case" not in names:
        raise DataError(f"{where}: column 'case' is missing")
    columns = tuple(name for name in (single, "before", "after") if name in names)
    if columns not in ((single,), ("before", "after")):
        raise DataError(f"{where}: found {' and '.join(columns) or 'no draws'}; allowed: {single}, or before and after")
    return columns


def check_names(where: str, names: Sequence[str], known: Sequence[str]) -> None:
    """Raises DataError for a column that is not known, or stands twice."""
    for name in names:
        if name not in known:
            meant = get_close_matches(name.lower(), known, n=1)
            hint = f"did you mean {meant[0]}?" if meant else f"allowed: {', '.join(known)}"
            raise DataError(f"{where}: column {name!r} is not known; {hint}")
        if list(names).count(name) > 1:
            raise DataError(f"{where}: column {name!r} stands twice")
