"""What the readers of CSV files share: a header, rows with their lines, and what is not CSV."""

import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING

from suffice.errors import DataError, MissingDataError
from suffice.sources.opened import Opened
from suffice.strict_json import LENGTH

if TYPE_CHECKING:
    from _csv import Reader

Rows = Iterator[tuple[int, list[str]]]
"""Each row that is not blank, with the line that it begins on."""


@contextmanager
def csv_rows(source: Opened) -> Iterator[tuple[list[str], Rows]]:
    """The column names of a file, and its rows as a stream.

    Raises MissingDataError for a file that has no header, DataError with the line for what is not CSV.
    """
    with io.TextIOWrapper(source, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            first = text.readline()
            row = _Row(source.name)
            reader = csv.reader(row.lines(chain([first], text)), strict=True, delimiter=_delimiter(first))
            header = next(reader)
            if not first:
                raise MissingDataError(f"{source.name}: is empty; needed: a header line and at least one row")
            yield [name.strip() for name in header], _numbered(reader, row)
        except csv.Error as error:
            raise DataError(f"{source.name}, line {reader.line_num}: is not CSV: {error}") from error
        except UnicodeDecodeError as error:
            # Text is decoded in blocks, long before its rows are read; the block ends where the source was read to.
            line = source.lines + 1 - bytes(error.object[error.start :]).count(b"\n")
            raise DataError(f"{source.name}, line {line}: is not UTF-8; allowed: CSV in UTF-8") from error


def _delimiter(header: str) -> str:
    """What stands between the cells: the comma, or what a header without one has in its place."""
    return next((mark for mark in (",", ";", "\t") if mark in header), ",")


def number(text: str) -> float | None:
    """What a cell says, or None where that is no number."""
    try:
        # float() reads 1_5 as 15, and digits of every script: in a data file a slip, and in JSON no number.
        return None if "_" in text or not text.isascii() else float(text)
    except ValueError:
        return None


class _Row:
    """Bounds a row: a quoted cell may hold line ends, and one row may be all that a file has."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.length = 0

    def lines(self, text: Iterable[str]) -> Iterator[str]:
        """The lines of a text. Raises DataError when the row that they belong to is too long."""
        for line in text:
            self.length += len(line)
            if self.length > LENGTH:
                raise DataError(f"{self._name}: a row is longer than {LENGTH} characters")
            yield line


def _numbered(reader: "Reader", row: _Row) -> Rows:
    row.length = 0
    line = reader.line_num + 1
    for cells in reader:
        row.length = 0
        if cells:
            yield line, cells
        line = reader.line_num + 1
