"""Recorded samples as CSV: a row for each draw."""

import re
from collections.abc import Iterator
from decimal import Decimal
from math import isfinite, nan

import numpy as np

from suffice.errors import DataError
from suffice.sampling.draw import as_written
from suffice.sources.csv_rows import Rows, csv_rows, number
from suffice.sources.recording import (
    SLICES,
    WORDS,
    Exact,
    ReadSoFar,
    RecordedFile,
    Recording,
    check_columns,
    exact_pairs,
    recording,
)

_LONG_TEXT = 16
_WHOLE = re.compile(r"[-+]?[0-9]+")


def read(place: RecordedFile, told: ReadSoFar) -> Iterator[Recording]:
    """Each case of a file with the columns case and value, or case, before and after; target and region where wanted.

    Rows with equal case, target and region that follow each other are one case. An empty cell is a draw that is not
    there. Raises DataError with line and column, MissingDataError for a file without a header.
    """
    with csv_rows(place.path) as (header, rows, share):
        for case in _cases(place, header, rows):
            told(share())
            yield case


def _cases(place: RecordedFile, header: list[str], rows: Rows) -> Iterator[Recording]:
    draws = check_columns(place, place.at(1), header, "value")
    at, binary = [header.index(name) for name in draws], place.only_binary(len(draws))
    of = [header.index(name) if name in header else None for name in ("case", *SLICES)]
    names: list[str] = []
    lines: list[int] = []
    values: list[list[float | None]] = []
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{place.at(line)}: found {len(cells)} cells; allowed: {len(header)}, one a column")
        mine = [cells[i].strip() if i is not None else "" for i in of]
        if mine != names and lines:
            yield _closed(place, names, lines, values)
            lines, values = [], []
        names = mine
        lines.append(line)
        row = [_value(cells[i].strip(), binary) for i in at]
        if None in row:
            i = at[row.index(None)]
            raise DataError(f"{place.at(line, header[i])}: is {cells[i]!r}; allowed: {place.allowed(len(draws))}")
        values.append(_exactly(place, [cells[i].strip() for i in at], row, place.at(line, header[at[0]])))
    if lines:
        yield _closed(place, names, lines, values)


def _exactly(place: RecordedFile, texts: list[str], row: list[float | None], where: str) -> list[float | None]:
    """The row's draws; of a pair whose digits doubles would lose, 0 and its difference."""
    if not any(len(text) >= _LONG_TEXT and _may_lose_digits(text) for text in texts):
        return row
    written = [_written(text) for text in texts]
    if len(written) == 1:
        place.check_whole(written[0], where)
        return row
    return list(exact_pairs(written[:1], written[1:])[0].tolist())


def _may_lose_digits(text: str) -> bool:
    return _WHOLE.fullmatch(text) is not None or isinstance(as_written(text), Decimal)


def _written(text: str) -> Exact | None:
    if not text:
        return None
    decimal = Decimal(text)
    return int(decimal) if decimal == decimal.to_integral_value() else decimal


def _closed(place: RecordedFile, names: list[str], lines: list[int], values: list[list[float | None]]) -> Recording:
    draws = np.array(values, dtype=np.float64)
    return recording(place, names, lines.__getitem__, draws[:, 0] if draws.shape[1] == 1 else draws)


def _value(text: str, binary: bool) -> float | None:  # noqa: FBT001
    """The draw in a cell, NaN where there is none; None for what is not allowed."""
    if not text:
        return nan
    value = number(text)
    if not binary:
        return value if value is not None and isfinite(value) else None
    value = WORDS.get(text.lower()) if value is None else value
    return value if value in (0, 1) else None
