"""Your own records and measurements, from two CSV files."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from pathlib import Path

from suffice.errors import DataError, MissingDataError, name_shown, shown
from suffice.sources.correction import Correction, Estimate
from suffice.sources.csv_rows import csv_rows, number
from suffice.sources.opened import opened
from suffice.sources.recording import check_names

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
        raise DataError(f"{row.place}, column {column}: there is no record {shown(row.target)} in {where}")
    return Correction(
        key=row.key,
        target=record.target,
        record=record.estimate,
        measurement=row.estimate,
        time=row.time,
        region=row.region or record.region,
        record_context=record.context,
        measurement_context=row.context,
        record_time=record.time,
    )


def _rows(path: Path) -> list[_Row]:
    with opened(path) as source, csv_rows(source, "key") as (line, header, rows):
        _check_columns(f"{path}, line {line}", path, header)
        unique = list(_unique(_row(path, line, header, cells) for line, cells in rows))
    if not unique:
        raise MissingDataError(f"{path}: has no rows below its header")
    return unique


def _check_columns(where: str, path: Path, header: list[str]) -> None:
    check_names(path, where, header, COLUMNS)
    for name in ("key", "value"):
        if name not in header:
            raise DataError(f"{where}: column {name!r} is missing")
    if ("u" in header) == ("u_plus" in header or "u_minus" in header) or ("u_plus" in header) != ("u_minus" in header):
        named = ", ".join(name_shown(name) for name in header if name.startswith("u")) or "no uncertainty"
        raise DataError(f"{where}: found {named}; allowed: either column u, or both u_plus and u_minus")


def _row(path: Path, line: int, columns: list[str], cells: list[str]) -> _Row:
    place = f"{path}, line {line}"
    if len(cells) != len(columns):
        where = (
            f"column {name_shown(columns[len(cells)])}"
            if len(cells) < len(columns)
            else f"after column {name_shown(columns[-1])}"
        )
        raise DataError(f"{place}, {where}: found {len(cells)} cells; allowed: {len(columns)}, one for each column")
    cell = dict(zip(columns, (text.strip() for text in cells), strict=True))
    if not cell["key"]:
        raise DataError(f"{place}, column key: is empty; each row needs a key")
    upper, lower = ("u", "u") if "u" in cell else ("u_plus", "u_minus")
    estimate = Estimate(_number(place, cell, "value"), _spread(place, cell, upper), _spread(place, cell, lower))
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
    value = number(cell[column])
    if value is None:
        raise DataError(f"{place}, column {column}: {shown(cell[column])} is not a number")
    if not isfinite(value):
        raise DataError(f"{place}, column {column}: {shown(cell[column])}; allowed: a finite number")
    return value


def _spread(place: str, cell: dict[str, str], column: str) -> float:
    value = _number(place, cell, column)
    # A spread too small for a double would make the value exact.
    if value < 0 or (value == 0 and Decimal(cell[column].lower().partition("e")[0]) != 0):
        raise DataError(f"{place}, column {column}: {shown(cell[column])}; allowed: 0 (exact), or greater")
    return value


def _unique(rows: Iterator[_Row]) -> Iterator[_Row]:
    seen: dict[str, _Row] = {}
    for row in rows:
        if row.key in seen:
            raise DataError(f"{row.place}, column key: {shown(row.key)} stands in {seen[row.key].place} already")
        seen[row.key] = row
        yield row
