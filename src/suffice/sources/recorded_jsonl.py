"""Recorded samples as JSON lines: a line for each case."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice import strict_json
from suffice.errors import DataError, shown
from suffice.sampling.distributions import Floats
from suffice.sampling.draw import as_decimal, as_written
from suffice.sources.opened import Opened
from suffice.sources.recording import (
    WORDS,
    LeftOut,
    RecordedFile,
    Recording,
    check_columns,
    exact_pairs,
    is_its_double,
    may_lose_digits,
    near,
    recording,
)

_NUMBERS = {int, float, Decimal}
_BINARY = {int, float, Decimal, bool}
_MARK = b"\xef\xbb\xbf"
_LONG = 16


def read(place: RecordedFile, source: Opened) -> Iterator[Recording]:
    """Each line's case: `{"case": …, "samples": […]}` or `{"case": …, "before": […], "after": […]}`, with `target` and
    `region` where wanted. Blank lines are passed over. Raises DataError with the line."""
    names: list[str] = []
    draws: tuple[str, ...] = ()
    for line, text in enumerate(source, start=1):
        text = text.removeprefix(_MARK) if line == 1 else text
        if text.startswith(_MARK):
            raise DataError(f"{place.at(line)}: begins with a byte order mark; allowed: one, at the start of the file")
        if not text.strip():
            continue
        content = _object(place, line, text)
        if list(content) != names:
            names = list(content)
            draws = check_columns(place, place.at(line), names, "samples")
        yield _recording(place, line, content, draws, text)


def _object(
    place: RecordedFile, line: int, text: bytes, decimal: Callable[[str], float | Decimal] = as_written
) -> dict[str, Any]:
    try:
        content = strict_json.loads(text, decimal=decimal)
    except strict_json.NotStrict as error:
        raise DataError(f"{place.at(line)}: {error}") from None
    except ValueError as error:
        raise DataError(f"{place.at(line)}: is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise DataError(f"{place.at(line)}: is {type(content).__name__}; allowed: an object with case and samples")
    return content


def _recording(
    place: RecordedFile, line: int, content: dict[str, Any], columns: tuple[str, ...], text: bytes
) -> Recording:
    written = [content[place.called(name)] for name in columns]
    draws = [_numbers(place, line, name, values, len(columns)) for name, values in zip(columns, written, strict=True)]
    names = [_text(place, line, content, name) for name in ("case", "target", "region")]
    even = len({len(values) for values in draws}) == 1
    values = _values(place, line, written, draws) if even else np.empty((0, 2))
    if even and len(columns) == 2 and near(*draws).any() and _may_share_doubles(text):
        again = _object(place, line, text, as_decimal)
        values = _as_written(place, values, near(*draws), [again[place.called(name)] for name in columns])
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


def _may_share_doubles(text: bytes) -> bool:
    """Whether a line has more than 15 digits in a number, or numbers that may be too near 0."""
    codes = np.frombuffer(text, np.uint8)
    others = np.flatnonzero((codes < ord(".")) | (codes > ord("9")))
    return b"e-" in text or b"E-" in text or bool((np.diff(others) > _LONG).any())


def _as_written(
    place: RecordedFile, values: Floats, which: NDArray[np.bool_], written: list[list[int | Decimal]]
) -> Floats:
    """The pairs, some of which are compared as they were written, unless that is what is written for their doubles."""
    exact = values.copy()
    for i in np.flatnonzero(which).tolist():
        before, after = written[0][i], written[1][i]
        if before != after and not (is_its_double(before) and is_its_double(after)):
            exact[i] = exact_pairs([before], [after], ties_within=place.ties_within)[0]
    return exact


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
