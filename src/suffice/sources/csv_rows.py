"""What the readers of CSV files share: a header, rows with their lines, and what is not CSV."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING

from suffice.errors import DataError, MissingDataError
from suffice.sources.opened import Opened
from suffice.strict_json import LENGTH

if TYPE_CHECKING:
    from _csv import Reader

_MARKS = (",", ";", "\t")
_SEPARATOR = re.compile(r'"?sep=([^"\w\s]|\t)"?\s*', re.IGNORECASE)
"""The first line by which Excel is told what stands between the cells."""
_QUOTED = re.compile('"[^"]*"')

Rows = Iterator[tuple[int, list[str]]]
"""Each row that is not blank, with the line that it begins on."""


@contextmanager
def csv_rows(source: Opened, column: str) -> Iterator[tuple[int, list[str], Rows]]:
    """The line of a file's header, its column names, and its rows as a stream.

    Between cells stands what a line like `sep=;` before the header says; else the comma, semicolon or tab by which the
    header has the column that is named.
    Raises MissingDataError for a file that has no header, DataError with the line for what is not CSV.
    """
    with io.TextIOWrapper(source, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            first = text.readline()
            row = _Row(source.name)
            told = _SEPARATOR.fullmatch(first)
            names = text.readline() if told else first
            mark = told[1] if told else _delimiter(names, column)
            reader = csv.reader(row.lines(chain([names], text)), strict=True, delimiter=mark)
            header = next(reader)
            if not names:
                raise MissingDataError(f"{source.name}: is empty; needed: a header line and at least one row")
            before = 1 if told else 0
            yield before + 1, [name.strip() for name in header], _numbered(reader, row, before)
        except csv.Error as error:
            raise DataError(f"{source.name}, line {reader.line_num}: is not CSV: {error}") from error
        except UnicodeDecodeError as error:
            # Text is decoded in blocks, long before its rows are read; the block ends where the source was read to.
            line = source.lines + 1 - bytes(error.object[error.start :]).count(b"\n")
            raise DataError(f"{source.name}, line {line}: is not UTF-8; allowed: CSV in UTF-8") from error


def _delimiter(header: str, column: str) -> str:
    """What stands between the cells: that by which the header has this column, or else what it has out of quotes."""
    for mark in _MARKS:
        with suppress(csv.Error):
            if column in [name.strip() for name in next(csv.reader([header], delimiter=mark), [])]:
                return mark
    return next((mark for mark in _MARKS if mark in _QUOTED.sub("", header)), ",")


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


def _numbered(reader: "Reader", row: _Row, before: int) -> Rows:
    """The rows below the header; `before` lines stand above it."""
    row.length = 0
    line = before + reader.line_num + 1
    for cells in reader:
        row.length = 0
        if cells:
            yield line, cells
        line = before + reader.line_num + 1
