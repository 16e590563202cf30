"""Recorded samples as CSV: a row for each draw."""

import csv
import io
from collections.abc import Iterator
from math import isfinite, nan
from typing import TYPE_CHECKING

import numpy as np

from suffice.errors import DataError, MissingDataError
from suffice.sources.recording import SLICES, Place, ReadSoFar, Recording, check_columns, recording

if TYPE_CHECKING:
    from _csv import Reader

_WORDS = {"true": 1.0, "false": 0.0}


def read(place: Place, told: ReadSoFar) -> Iterator[Recording]:
    """Each case of a file with the columns case and value, or case, before and after; target and region where wanted.

    Rows with equal case, target and region that follow each other are one case. An empty cell is a draw that is not
    there. Raises DataError with line and column, MissingDataError for a file without a header.
    """
    size = max(place.path.stat().st_size, 1)
    with place.path.open("rb") as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            for found in _cases(place, reader):
                told(min(file.tell() / size, 1.0))
                yield found
        except csv.Error as error:
            raise DataError(f"{place.at(reader.line_num)}: is not CSV: {error}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{place.at(reader.line_num + 1)}: is not UTF-8; allowed: CSV in UTF-8") from error


def _cases(place: Place, reader: "Reader") -> Iterator[Recording]:
    header = next(reader, None)
    if header is None:
        raise MissingDataError(f"{place.path}: is empty; needed: a header line and at least one row")
    header = [name.strip() for name in header]
    draws = check_columns(place.at(1), header, "value")
    at = [header.index(name) for name in draws]
    of = [header.index(name) if name in header else None for name in ("case", *SLICES)]
    names: list[str] = []
    lines: list[int] = []
    values: list[list[float]] = []
    line = reader.line_num + 1
    for cells in reader:
        if cells:
            if len(cells) != len(header):
                raise DataError(f"{place.at(line)}: found {len(cells)} cells; allowed: {len(header)}, one a column")
            mine = [cells[i].strip() if i is not None else "" for i in of]
            if mine != names and lines:
                yield _closed(place, names, lines, values)
                lines, values = [], []
            names = mine
            lines.append(line)
            values.append([_number(place, line, header[i], cells[i], len(draws)) for i in at])
        line = reader.line_num + 1
    if lines:
        yield _closed(place, names, lines, values)


def _closed(place: Place, names: list[str], lines: list[int], values: list[list[float]]) -> Recording:
    found = np.array(values, dtype=np.float64)
    return recording(place, names, lines.__getitem__, found[:, 0] if found.shape[1] == 1 else found)


def _number(place: Place, line: int, column: str, cell: str, columns: int) -> float:
    text, binary = cell.strip(), place.binary and columns == 1
    if not text:
        return nan
    try:
        # float() reads 1_5 as 15, which in a data file is a slip and not a number.
        value = float(text) if "_" not in text else nan
    except ValueError:
        value = _WORDS.get(text.lower(), nan) if binary else nan
    if not (value in (0, 1) if binary else isfinite(value)):
        raise DataError(f"{place.at(line, column)}: is {cell!r}; allowed: {place.allowed(columns)}")
    return value
