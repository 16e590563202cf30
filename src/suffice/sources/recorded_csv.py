"""Recorded samples as CSV: a row for each draw."""

from collections.abc import Iterator
from math import isfinite, nan

import numpy as np

from suffice.errors import DataError
from suffice.sources.csv_rows import Rows, csv_rows, number
from suffice.sources.recording import SLICES, Place, ReadSoFar, Recording, check_columns, recording

_WORDS = {"true": 1.0, "false": 0.0}


def read(place: Place, told: ReadSoFar) -> Iterator[Recording]:
    """Each case of a file with the columns case and value, or case, before and after; target and region where wanted.

    Rows with equal case, target and region that follow each other are one case. An empty cell is a draw that is not
    there. Raises DataError with line and column, MissingDataError for a file without a header.
    """
    with csv_rows(place.path) as (header, rows, share):
        for case in _cases(place, header, rows):
            told(share())
            yield case


def _cases(place: Place, header: list[str], rows: Rows) -> Iterator[Recording]:
    draws = check_columns(place.at(1), header, "value")
    at = [header.index(name) for name in draws]
    of = [header.index(name) if name in header else None for name in ("case", *SLICES)]
    names: list[str] = []
    lines: list[int] = []
    values: list[list[float]] = []
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{place.at(line)}: found {len(cells)} cells; allowed: {len(header)}, one a column")
        mine = [cells[i].strip() if i is not None else "" for i in of]
        if mine != names and lines:
            yield _closed(place, names, lines, values)
            lines, values = [], []
        names = mine
        lines.append(line)
        values.append([_number(place, line, header[i], cells[i], len(draws)) for i in at])
    if lines:
        yield _closed(place, names, lines, values)


def _closed(place: Place, names: list[str], lines: list[int], values: list[list[float]]) -> Recording:
    draws = np.array(values, dtype=np.float64)
    return recording(place, names, lines.__getitem__, draws[:, 0] if draws.shape[1] == 1 else draws)


def _number(place: Place, line: int, column: str, cell: str, columns: int) -> float:
    text, binary = cell.strip(), place.only_binary(columns)
    if not text:
        return nan
    value = number(text)
    if value is None and binary:
        value = _WORDS.get(text.lower())
    if value is None or not (value in (0, 1) if binary else isfinite(value)):
        raise DataError(f"{place.at(line, column)}: is {cell!r}; allowed: {place.allowed(columns)}")
    return value
