"""Recorded samples as Parquet: a row for each draw."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from suffice.errors import DataError
from suffice.extras import imported_for
from suffice.sampling.distributions import Floats
from suffice.sources.recording import (
    SLICES,
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


def read(place: RecordedFile, told: ReadSoFar) -> Iterator[Recording]:
    """Each case of a file with the columns that a CSV file has; null is a draw that is not there.

    Holds one batch of 65,536 rows, what Arrow buffers of a row group, and one case. Raises DataError with the row.
    """
    with _opened(place) as file:
        draws = check_columns(place.at(0).replace(" row 0", " schema"), file.schema_arrow.names, "value")
        _check_types(place, file.schema_arrow, draws)
        names = [name for name in ("case", *SLICES) if name in file.schema_arrow.names]
        total = max(file.metadata.num_rows, 1)
        last: _Part | None = None
        for part in _parts(place, file, names, draws):
            told(part.row / total)
            if last is not None and last.names == part.names:
                last.values.extend(part.values)
                continue
            if last is not None:
                yield last.recording(place)
            last = part
        if last is not None:
            yield last.recording(place)


class _Part:
    """Draws of one case that follow each other; `row` is that of the first, from 1."""

    __slots__ = ("names", "row", "values")

    def __init__(self, names: tuple[str, ...], row: int, values: Floats) -> None:
        self.names = names
        self.row = row
        self.values = [values]

    def recording(self, place: RecordedFile) -> Recording:
        # A copy: a view would keep its whole batch in memory.
        return recording(place, self.names, lambda i: self.row + i, np.concatenate(self.values))


def _opened(place: RecordedFile) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(place.path, pre_buffer=False, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{place.path}: is cut short, or is not Parquet; no row of it can be read: {_first_line(error)}"
        ) from error


def _check_types(place: RecordedFile, schema: pa.Schema, draws: tuple[str, ...]) -> None:
    for name in draws:
        kind = schema.field(name).type
        # A column of nulls only has a type of its own: cases without draws.
        kinds = (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal, pa.types.is_null)
        number = any(fits(kind) for fits in kinds)
        if not (number or (pa.types.is_boolean(kind) and place.only_binary(len(draws)))):
            raise DataError(f"{place.at(1, name)}: has the type {kind}; allowed: {place.allowed(len(draws))}")


def _parts(place: RecordedFile, file: pq.ParquetFile, names: list[str], draws: tuple[str, ...]) -> Iterator[_Part]:
    done = 0
    batches = file.iter_batches(BATCH, columns=[*names, *draws])
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
    values = [_numbers(place, batch.column(name), name, done, len(draws)) for name in draws]
    table = _table(place, batch, draws, done, values)
    ends = np.unique(np.concatenate([pc.run_end_encode(text).run_ends.to_numpy() for text in texts]))
    starts = np.concatenate(([0], ends[:-1]))
    at_starts = {name: text.take(pa.array(starts)).to_pylist() for name, text in zip(names, texts, strict=True)}
    missing = [""] * len(starts)
    keys = zip(at_starts["case"], *(at_starts.get(name, missing) for name in SLICES), strict=True)
    for key, start, end in zip(keys, starts.tolist(), ends.tolist(), strict=True):
        yield _Part(key, done + start + 1, table[start:end])


def _table(place: RecordedFile, batch: Any, draws: tuple[str, ...], done: int, values: list[Floats]) -> Floats:
    """The draws as a rule takes them; where doubles would lose digits, pairs are compared as they are stored."""
    plain = values[0] if len(values) == 1 else np.stack(values, axis=1)
    columns = [batch.column(name) for name in draws]
    decimal = any(pa.types.is_decimal(column.type) for column in columns)
    if not decimal and (all(pa.types.is_floating(c.type) for c in columns) or not any(map(may_lose_digits, values))):
        return plain
    written = [column.to_pylist() for column in columns]
    if len(written) == 2:
        return exact_pairs(*written)
    for i, value in enumerate(written[0]):
        place.check_whole(value, place.at(done + i + 1, draws[0]))
    return plain


def _texts(place: RecordedFile, batch: Any, name: str, done: int) -> Any:
    try:
        texts = batch.column(name).cast(pa.string())
    except pa.ArrowException as error:
        raise DataError(f"{place.at(done + 1, name)}: is not text: {_first_line(error)}") from error
    return texts.fill_null("")


def _numbers(place: RecordedFile, column: Any, name: str, done: int, columns: int) -> Floats:
    """The column as floats, NaN for null; a NaN or infinity of its own is refused."""
    draws: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    fits = place.fits(draws, columns)
    if column.null_count:
        fits |= column.is_null().to_numpy(zero_copy_only=False)
    if not fits.all():
        bad = int(np.argmin(fits))
        value = column[bad].as_py()
        raise DataError(f"{place.at(done + bad + 1, name)}: is {value!r}; allowed: {place.allowed(columns)}")
    return draws


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
