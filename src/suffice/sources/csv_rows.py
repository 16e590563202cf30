"""What the readers of CSV files share: a header, rows with their lines, and what is not CSV."""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from suffice.errors import DataError, MissingDataError

if TYPE_CHECKING:
    from _csv import Reader

_BLOCK = 1 << 20


Rows = Iterator[tuple[int, list[str]]]
"""Each row that is not blank, with the line that it begins on."""


@contextmanager
def csv_rows(path: Path) -> Iterator[tuple[list[str], Rows, Callable[[], float]]]:
    """The column names of a file, its rows as a stream, and what tells how much of it was read so far, 0 to 1.

    Raises MissingDataError for a file that is not there or has no header, DataError with the line for what is not CSV.
    """
    check_there(path)
    with path.open("rb") as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            delimiter = _delimiter(text.readline())
            text.seek(0)
            reader = csv.reader(text, strict=True, delimiter=delimiter)
            header = next(reader, None)
            if header is None:
                raise MissingDataError(f"{path}: is empty; needed: a header line and at least one row")
            size = path.stat().st_size
            yield [name.strip() for name in header], _numbered(reader), lambda: min(file.tell() / size, 1.0)
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: is not CSV: {error}") from error
        except UnicodeDecodeError as error:
            # Text is decoded in blocks, long before its rows are read; the block ends where the file was read to.
            line = _line_at(file, file.tell() - len(error.object) + error.start)
            raise DataError(f"{path}, line {line}: is not UTF-8; allowed: CSV in UTF-8") from error


def _delimiter(header: str) -> str:
    """What stands between the cells: the comma, or what a header without one has in its place."""
    return next((mark for mark in (",", ";", "\t") if mark in header), ",")


def check_there(path: Path) -> None:
    """Raises MissingDataError for a file that is not there, DataError for one that cannot be read."""
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise MissingDataError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def number(text: str) -> float | None:
    """What a cell says, or None where that is no number."""
    try:
        # float() reads 1_5 as 15, which in a data file is a slip and not a number.
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _numbered(reader: "Reader") -> Rows:
    # A quoted cell may hold line ends.
    line = reader.line_num + 1
    for cells in reader:
        if cells:
            yield line, cells
        line = reader.line_num + 1


def _line_at(file: BinaryIO, place: int) -> int:
    line, left = 1, place
    file.seek(0)
    while left > 0 and (block := file.read(min(left, _BLOCK))):
        line += block.count(b"\n")
        left -= len(block)
    return line
