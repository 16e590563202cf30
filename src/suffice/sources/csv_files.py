"""Your own records and measurements, from two CSV files."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from suffice.errors import DataError, MissingDataError
from suffice.sources.correction import Correction, Estimate

if TYPE_CHECKING:
    from _csv import Reader

COLUMNS = ("key", "value", "u", "u_plus", "u_minus", "target", "context", "region", "time")


@dataclass(frozen=True, slots=True)
class _Row:
    key: str
    estimate: Estimate
    target: str
    context: str | None
    region: str | None
    time: str
    place: str


def corrections(records: Path, measurements: Path) -> list[Correction]:
    """Each measurement, in the order of its file, with the record that it is about.

    That is the record whose key is the measurement's `target`, or its key when it names no target. The correction has
    the measurement's key, and is about the record's target (its key when it names none). Several measurements of one
    record are corrections of that same record: each is judged on its own, and none changes the next. Raises
    MissingDataError for a file that is not there or has no rows, DataError for anything else that cannot be used, with
    file, line and column.
    """
    by_key = {row.key: row for row in _rows(records)}
    return [_correction(by_key, row, records) for row in _rows(measurements)]


def _correction(records: dict[str, _Row], row: _Row, where: Path) -> Correction:
    record = records.get(row.target)
    if record is None:
        column = "key" if row.target == row.key else "target"
        raise DataError(f"{row.place}, column {column}: there is no record {row.target!r} in {where}")
    return Correction(
        key=row.key,
        target=record.target,
        record=record.estimate,
        measurement=row.estimate,
        time=row.time,
        region=row.region or record.region,
        record_context=record.context,
        measurement_context=row.context,
    )


def _rows(path: Path) -> list[_Row]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise MissingDataError(f"{path}: is empty; needed: a header line and at least one row")
        columns = _columns(path, [name.strip() for name in header])
        rows = list(_unique(_row(path, line, columns, cells) for line, cells in _numbered(reader)))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: is not CSV: {error}") from error
    if not rows:
        raise MissingDataError(f"{path}: has no rows below its header")
    return rows


def _numbered(reader: "Reader") -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line it begins on: a quoted cell may hold line ends."""
    line = reader.line_num + 1
    for cells in reader:
        if cells:
            yield line, cells
        line = reader.line_num + 1


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise MissingDataError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}, line {line}: is not UTF-8; allowed: CSV in UTF-8") from error


def _columns(path: Path, header: list[str]) -> list[str]:
    for name in header:
        if name not in COLUMNS:
            meant = get_close_matches(name.lower(), COLUMNS, n=1)
            hint = f"did you mean {meant[0]}?" if meant else f"allowed: {', '.join(COLUMNS)}"
            if ";" in name or "\t" in name:
                hint = "the columns are separated by commas"
            raise DataError(f"{path}, line 1: column {name!r} is not known; {hint}")
        if header.count(name) > 1:
            raise DataError(f"{path}, line 1: column {name!r} stands twice")
    for name in ("key", "value"):
        if name not in header:
            raise DataError(f"{path}, line 1: column {name!r} is missing")
    if ("u" in header) == ("u_plus" in header or "u_minus" in header) or ("u_plus" in header) != ("u_minus" in header):
        found = ", ".join(name for name in header if name.startswith("u")) or "no uncertainty"
        raise DataError(f"{path}, line 1: found {found}; allowed: either column u, or both u_plus and u_minus")
    return header


def _row(path: Path, line: int, columns: list[str], cells: list[str]) -> _Row:
    place = f"{path}, line {line}"
    if len(cells) != len(columns):
        where = f"column {columns[len(cells)]}" if len(cells) < len(columns) else f"after column {columns[-1]}"
        raise DataError(f"{place}, {where}: found {len(cells)} cells; allowed: {len(columns)}, one for each column")
    cell = dict(zip(columns, (text.strip() for text in cells), strict=True))
    if not cell["key"]:
        raise DataError(f"{place}, column key: is empty; each row needs a key")
    upper, lower = ("u", "u") if "u" in cell else ("u_plus", "u_minus")
    estimate = Estimate(_number(place, cell, "value"), _positive(place, cell, upper), _positive(place, cell, lower))
    return _Row(
        key=cell["key"],
        estimate=estimate,
        target=cell.get("target") or cell["key"],
        context=cell.get("context") or None,
        region=cell.get("region") or None,
        time=cell.get("time", ""),
        place=place,
    )


def _number(place: str, cell: dict[str, str], column: str) -> float:
    try:
        # float() reads 1_5 as 15, which in a data file is a slip and not a number.
        value = float(cell[column].replace("_", "?"))
    except ValueError:
        raise DataError(f"{place}, column {column}: {cell[column]!r} is not a number") from None
    if not isfinite(value):
        raise DataError(f"{place}, column {column}: {cell[column]!r}; allowed: a finite number")
    return value


def _positive(place: str, cell: dict[str, str], column: str) -> float:
    value = _number(place, cell, column)
    if value <= 0:
        raise DataError(f"{place}, column {column}: {cell[column]!r}; allowed: greater than 0")
    return value


def _unique(rows: Iterator[_Row]) -> Iterator[_Row]:
    seen: dict[str, _Row] = {}
    for row in rows:
        if row.key in seen:
            raise DataError(f"{row.place}, column key: {row.key!r} stands in {seen[row.key].place} already")
        seen[row.key] = row
        yield row
