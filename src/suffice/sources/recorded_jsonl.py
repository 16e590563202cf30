"""Recorded samples as JSON lines: a line for each case."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from suffice import strict_json
from suffice.errors import DataError, shown
from suffice.sampling.distributions import Floats
from suffice.sampling.draw import as_written
from suffice.sources.opened import Opened
from suffice.sources.recording import (
    WORDS,
    LeftOut,
    RecordedFile,
    Recording,
    check_columns,
    exact_pairs,
    may_lose_digits,
    recording,
)

_NUMBERS = {int, float, Decimal}
_BINARY = {int, float, Decimal, bool}


def read(place: RecordedFile, source: Opened) -> Iterator[Recording]:
    """Each line's case: `{"case": …, "samples": […]}` or `{"case": …, "before": […], "after": […]}`, with `target` and
    `region` where wanted. Blank lines are passed over. Raises DataError with the line."""
    names: list[str] = []
    draws: tuple[str, ...] = ()
    for line, text in enumerate(source, start=1):
        text = text.removeprefix(b"\xef\xbb\xbf") if line == 1 else text
        if not text.strip():
            continue
        content = _object(place, line, text)
        if list(content) != names:
            names = list(content)
            draws = check_columns(place, place.at(line), names, "samples")
        yield _recording(place, line, content, draws)


def _object(place: RecordedFile, line: int, text: bytes) -> dict[str, Any]:
    try:
        content = strict_json.loads(text, decimal=as_written)
    except strict_json.NotStrict as error:
        raise DataError(f"{place.at(line)}: {error}") from None
    except ValueError as error:
        raise DataError(f"{place.at(line)}: is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{place.at(line)}: is {type(content).__name__}; allowed: an object with case and samples")
    return content


def _recording(place: RecordedFile, line: int, content: dict[str, Any], columns: tuple[str, ...]) -> Recording:
    written = [content[place.called(name)] for name in columns]
    draws = [_numbers(place, line, name, values, len(columns)) for name, values in zip(columns, written, strict=True)]
    names = [_text(place, line, content, name) for name in ("case", "target", "region")]
    even = len({len(values) for values in draws}) == 1
    values = _values(place, line, written, draws) if even else np.empty((0, 2))
    case = recording(place, names, lambda _: line, values)
    return case if even else replace(case, left_out=LeftOut.UNEVEN)


def _values(place: RecordedFile, line: int, written: list[list[Any]], draws: list[Floats]) -> Floats:
    """The draws as a rule takes them; where doubles would lose digits, pairs are compared as they were written."""
    plain = draws[0] if len(draws) == 1 else np.stack(draws, axis=1)
    suspects = {Decimal, int} if any(map(may_lose_digits, draws)) else {Decimal}
    if all(suspects.isdisjoint(map(type, values)) for values in written):
        return plain
    if len(draws) == 2:
        return exact_pairs(*written, ties_within=place.ties_within)
    for i, value in enumerate(written[0]):
        place.check_whole(value, f"{place.at(line, 'samples')}: entry {i + 1}")
    return plain


def _text(place: RecordedFile, line: int, content: dict[str, Any], name: str) -> str:
    value = content.get(place.called(name))
    if value is None and name != "case":
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DataError(f"{place.at(line, name)}: is {shown(value)}; allowed: text")
    return str(value)


def _numbers(place: RecordedFile, line: int, name: str, values: Any, columns: int) -> Floats:
    if not isinstance(values, list):
        raise DataError(f"{place.at(line, name)}: is {type(values).__name__}; allowed: a list of numbers")
    if place.only_binary(columns) and str in map(type, values):
        values = [WORDS.get(value.lower(), value) if isinstance(value, str) else value for value in values]
    kinds = _BINARY if place.only_binary(columns) else _NUMBERS
    if set(map(type, values)) <= kinds:
        try:
            draws = np.array(values, dtype=np.float64)
        except OverflowError:
            draws = np.array([np.inf if abs(value) > 1e300 else value for value in values], dtype=np.float64)
        fits = place.fits(draws, columns)
        if fits.all():
            return draws
        bad = int(np.argmin(fits))
    else:
        bad = next(i for i, value in enumerate(values) if type(value) not in kinds)
    raise DataError(
        f"{place.at(line, name)}: entry {bad + 1} is {shown(values[bad])}; allowed: {place.allowed(columns)}"
    )
