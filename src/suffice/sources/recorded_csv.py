"""Recorded samples as CSV: a row for each draw."""

import re
from array import array
from collections.abc import Iterator
from math import isfinite, nan

import numpy as np

from suffice.errors import DataError, shown
from suffice.sampling.draw import as_decimal, is_long
from suffice.sources.csv_rows import Rows, csv_rows, number
from suffice.sources.opened import Opened
from suffice.sources.recording import (
    NEAR,
    SLICES,
    WORDS,
    Exact,
    RecordedFile,
    Recording,
    check_columns,
    exact_pairs,
    recording,
)

_LONG_TEXT = 16
"""A shorter text has at most 15 digits, and shares its double with no other one but where doubles get sparse at 0."""

_TINY = 1e-300
_WHOLE = re.compile(r"[-+]?[0-9]+")


def read(place: RecordedFile, source: Opened) -> Iterator[Recording]:
    """Each case of a file with the columns case and value, or case, before and after; target and region where wanted.

    Rows with equal case, target and region that follow each other are one case. An empty cell is a draw that is not
    there. Raises DataError with line and column, MissingDataError for a file without a header.
    """
    with csv_rows(source, place.called("case")) as (line, header, rows):
        draws = check_columns(place, place.at(line), header, "value")
        yield from _cases(place, header, draws, rows)


def _cases(place: RecordedFile, header: list[str], draws: tuple[str, ...], rows: Rows) -> Iterator[Recording]:
    at, binary = [header.index(place.called(name)) for name in draws], place.only_binary(len(draws))
    of = [header.index(name) if name in header else None for name in map(place.called, ("case", *SLICES))]
    names: list[str] = []
    # Arrays: of a long case, lists would take ten times the memory.
    lines, values = array("q"), array("d")
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{place.at(line)}: found {len(cells)} cells; allowed: {len(header)}, one a column")
        mine = [cells[i].strip() if i is not None else "" for i in of]
        if mine != names and lines:
            yield _closed(place, names, lines, values)
            lines, values = array("q"), array("d")
        names = mine
        lines.append(line)
        place.check_draws(line, len(lines))
        texts = [cells[i].strip() for i in at]
        row = [value for text in texts if (value := _value(text, binary)) is not None]
        if len(row) < len(texts):
            wrong = next(i for i, text in enumerate(texts) if _value(text, binary) is None)
            allowed = place.allowed(len(draws))
            raise DataError(f"{place.at(line, draws[wrong])}: is {shown(cells[at[wrong]])}; allowed: {allowed}")
        values.extend(_exactly(place, texts, row, line))
    if lines:
        yield _closed(place, names, lines, values)


def _exactly(place: RecordedFile, texts: list[str], row: list[float], line: int) -> list[float]:
    """The row's draws; of a pair whose digits doubles would lose, 0 and its difference."""
    loses = any(len(text) >= _LONG_TEXT and _may_lose_digits(text) for text in texts)
    if not loses and (len(row) == 1 or not _nearly_tie(texts, *row)):
        return row
    written = [_written(text) for text in texts]
    if len(written) == 1:
        place.check_whole(written[0], place.at(line, "value"))
        return row
    difference: list[float] = exact_pairs(written[:1], written[1:], ties_within=place.ties_within)[0].tolist()
    return difference


def _may_lose_digits(text: str) -> bool:
    return is_long(text) or ("." not in text and _WHOLE.fullmatch(text) is not None)


def _nearly_tie(texts: list[str], before: float, after: float) -> bool:
    """Whether numbers whose doubles are near each other, or one, are others than these doubles."""
    larger = max(abs(before), abs(after))
    if not abs(after - before) <= NEAR * larger or texts[0] == texts[1]:
        return False
    if max(map(len, texts)) < _LONG_TEXT and larger >= _TINY:
        return False
    pairs = zip(texts, (repr(before), repr(after)), strict=True)
    return any(text != double and as_decimal(text) != as_decimal(double) for text, double in pairs)


def _written(text: str) -> Exact | None:
    if not text:
        return None
    decimal = as_decimal(text)
    return int(decimal) if decimal == decimal.to_integral_value() else decimal


def _closed(place: RecordedFile, names: list[str], lines: "array[int]", values: "array[float]") -> Recording:
    draws = np.frombuffer(values, dtype=np.float64)
    return recording(place, names, lines.__getitem__, draws if len(draws) == len(lines) else draws.reshape(-1, 2))


def _value(text: str, binary: bool) -> float | None:  # noqa: FBT001
    """The draw in a cell, NaN where there is none; None for what is not allowed."""
    if not text:
        return nan
    value = number(text)
    if not binary:
        return value if value is not None and isfinite(value) else None
    value = WORDS.get(text.lower()) if value is None else value
    return value if value in (0, 1) else None
