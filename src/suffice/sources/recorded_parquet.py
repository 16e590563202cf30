"""Recorded samples as Parquet: a row for each draw."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from suffice.errors import DataError, shown
from suffice.extras import imported_for
from suffice.sampling.distributions import Floats
from suffice.sources.opened import check_there
from suffice.sources.recording import (
    SLICES,
    WORDS,
    LeftOut,
    ReadSoFar,
    RecordedFile,
    Recording,
    check_columns,
    exact_pairs,
    may_lose_digits,
    recording,
)

with imported_for("reading Parquet"):
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

BATCH = 1 << 16
_LISTS = 1 << 10


def read(place: RecordedFile, told: ReadSoFar) -> Iterator[Recording]:
    """Each case of a file with the columns that a CSV file has; null is a draw that is not there. Where the columns of
    draws hold lists, each row is a case, as in JSON lines.

    Holds one batch of 65,536 rows, what Arrow buffers of a row group, and one case. Raises DataError with the row.
    """
    with _opened(place) as file:
        draws = check_columns(place, place.at(0).replace(" row 0", " schema"), file.schema_arrow.names, "value")
        _check_types(place, file.schema_arrow, draws)
        names = [name for name in ("case", *SLICES) if place.called(name) in file.schema_arrow.names]
        total = max(file.metadata.num_rows, 1)
        if _is_list(file.schema_arrow.field(place.called(draws[0])).type):
            for case in _of_lists(place, file, names, draws):
                told(case.row / total)
                yield case
            return
        last: _Part | None = None
        for part in _parts(place, file, names, draws):
            told(part.row / total)
            if last is not None and last.names == part.names:
                last.add(place, part)
                continue
            if last is not None:
                yield last.recording(place)
            last = part
        if last is not None:
            yield last.recording(place)


class _Part:
    """Draws of one case that follow each other; `row` is that of the first, from 1."""

    __slots__ = ("draws", "names", "row", "values")

    def __init__(self, names: tuple[str, ...], row: int, values: Floats) -> None:
        self.names = names
        self.row = row
        self.values = [values]
        self.draws = len(values)

    def add(self, place: RecordedFile, part: "_Part") -> None:
        self.values.extend(part.values)
        self.draws += part.draws
        place.check_draws(part.row + part.draws - 1, self.draws)

    def recording(self, place: RecordedFile) -> Recording:
        # A copy: a view would keep its whole batch in memory.
        return recording(place, self.names, lambda i: self.row + i, np.concatenate(self.values))


def _opened(place: RecordedFile) -> pq.ParquetFile:
    check_there(place.path)
    if not place.path.is_file():
        raise DataError(f"{place.path}: is no plain file; Parquet is read from its end")
    try:
        file = pq.ParquetFile(place.path, pre_buffer=False, page_checksum_verification=True)
        file.schema_arrow.names  # noqa: B018 (whether they are text is found when they are asked for)
        return file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{place.path}: is cut short, or is not Parquet; no row of it can be read: {_first_line(error)}"
        ) from error


def _check_types(place: RecordedFile, schema: pa.Schema, draws: tuple[str, ...]) -> None:
    types = [schema.field(place.called(name)).type for name in draws]
    if len(set(map(_is_list, types))) > 1:
        raise DataError(f"{place.at(1, draws[0])}: one of before and after holds lists; allowed: both, or neither")
    for name, of in zip(draws, types, strict=True):
        kind = of.value_type if _is_list(of) else of
        # A column of nulls only has a type of its own: cases without draws.
        kinds = (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal, pa.types.is_null)
        number = any(fits(kind) for fits in kinds)
        if not (number or ((pa.types.is_boolean(kind) or _is_text(kind)) and place.only_binary(len(draws)))):
            raise DataError(f"{place.at(1, name)}: has the type {kind}; allowed: {place.allowed(len(draws))}")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _of_lists(
    place: RecordedFile, file: pq.ParquetFile, names: list[str], draws: tuple[str, ...]
) -> Iterator[Recording]:
    """A case a row."""
    done, batches = 0, file.iter_batches(_LISTS, columns=[place.called(name) for name in (*names, *draws)])
    while (batch := _next(place, batches, done)) is not None:
        texts = {name: _texts(place, batch, name, done).to_pylist() for name in names}
        for i in range(len(batch)):
            of = [texts[name][i] if name in texts else "" for name in ("case", *SLICES)]
            yield _listed(
                place, done + i + 1, of, [_cell(batch.column(place.called(name)), i) for name in draws], draws
            )
        done += len(batch)


def _listed(place: RecordedFile, row: int, of: list[str], columns: list[Any], draws: tuple[str, ...]) -> Recording:
    def row_of(_: int) -> int:
        return row

    values = [_numbers(place, column, name, row_of, len(draws)) for name, column in zip(draws, columns, strict=True)]
    even = len(set(map(len, columns))) == 1
    case = recording(place, of, row_of, _table(place, columns, draws, row_of, values) if even else np.empty((0, 2)))
    return case if even else replace(case, left_out=LeftOut.UNEVEN)


def _cell(column: Any, i: int) -> Any:
    """The list of a row as an array; an empty one for null."""
    listed = column[i].values
    return column.values.slice(0, 0) if listed is None else listed


def _parts(place: RecordedFile, file: pq.ParquetFile, names: list[str], draws: tuple[str, ...]) -> Iterator[_Part]:
    done = 0
    batches = file.iter_batches(BATCH, columns=[place.called(name) for name in (*names, *draws)])
    while (batch := _next(place, batches, done)) is not None:
        if len(batch):
            yield from _parts_of(place, batch, done, names, draws)
        done += len(batch)


def _next(place: RecordedFile, batches: Iterator[Any], done: int) -> Any:
    try:
        return next(batches, None)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{place.path}, after row {done}: is cut short or damaged: {_first_line(error)}") from error


def _parts_of(place: RecordedFile, batch: Any, done: int, names: list[str], draws: tuple[str, ...]) -> Iterator[_Part]:
    texts = [_texts(place, batch, name, done) for name in names]
    columns = [batch.column(place.called(name)) for name in draws]
    values = [
        _numbers(place, column, name, lambda i: done + i + 1, len(draws))
        for name, column in zip(draws, columns, strict=True)
    ]
    table = _table(place, columns, draws, lambda i: done + i + 1, values)
    ends = np.unique(np.concatenate([pc.run_end_encode(text).run_ends.to_numpy() for text in texts]))
    starts = np.concatenate(([0], ends[:-1]))
    at_starts = {name: text.take(pa.array(starts)).to_pylist() for name, text in zip(names, texts, strict=True)}
    missing = [""] * len(starts)
    keys = zip(at_starts["case"], *(at_starts.get(name, missing) for name in SLICES), strict=True)
    for key, start, end in zip(keys, starts.tolist(), ends.tolist(), strict=True):
        yield _Part(key, done + start + 1, table[start:end])


def _table(
    place: RecordedFile, columns: list[Any], draws: tuple[str, ...], row_of: Callable[[int], int], values: list[Floats]
) -> Floats:
    """The draws as a rule takes them; where doubles would lose digits, pairs are compared as they are stored."""
    plain = values[0] if len(values) == 1 else np.stack(values, axis=1)
    decimal = any(pa.types.is_decimal(column.type) for column in columns)
    if not decimal and (all(pa.types.is_floating(c.type) for c in columns) or not any(map(may_lose_digits, values))):
        return plain
    written = [column.to_pylist() for column in columns]
    if len(written) == 2:
        return exact_pairs(*written, ties_within=place.ties_within)
    for i, value in enumerate(written[0]):
        place.check_whole(value, place.at(row_of(i), draws[0]))
    return plain


def _texts(place: RecordedFile, batch: Any, name: str, done: int) -> Any:
    try:
        texts = batch.column(place.called(name)).cast(pa.string())
        texts.validate(full=True)
    except pa.ArrowException as error:
        raise DataError(f"{place.at(done + 1, name)}: is not text: {_first_line(error)}") from error
    return texts.fill_null("")


def _numbers(place: RecordedFile, column: Any, name: str, row_of: Callable[[int], int], columns: int) -> Floats:
    """The column as floats, NaN for null; a NaN or infinity of its own is refused."""
    draws: Floats
    if _is_text(column.type):
        texts = column.cast(pa.string()).to_pylist()
        # What is no word is NaN, and so refused below.
        draws = np.array([np.nan if text is None else WORDS.get(text.lower(), np.nan) for text in texts])
    else:
        draws = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    fits = place.fits(draws, columns)
    if column.null_count:
        fits |= column.is_null().to_numpy(zero_copy_only=False)
    if not fits.all():
        bad = int(np.argmin(fits))
        value = column[bad].as_py()
        raise DataError(f"{place.at(row_of(bad), name)}: is {shown(value)}; allowed: {place.allowed(columns)}")
    return draws


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
