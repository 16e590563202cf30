"""A row for each case of a comparison, written as it goes on: CSV or Parquet, in constant memory."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from math import isnan
from pathlib import Path
from typing import Any, Protocol

from suffice.extras import imported_for
from suffice.files import replacing
from suffice.verifier.many import CaseResult

Write = Callable[[list[CaseResult]], None]

ROW_GROUP = 10_000
"""Cases of a row group, however the cases came: equal comparisons give equal bytes."""

FIXED = "fixed"
"""The method whose column of draws would be called as that of N, and holds what `baseline_n` does: it has none."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that spreadsheets take for a formula."""

CSV_COLUMNS = (
    "key", "target", "region", "effect", "method", "baseline", "decision", "n", "fixed_n", "estimate", "agrees",
)  # fmt: skip


@contextmanager
def rows_to(
    lines: Path | None, parquet: Path | None, methods: Sequence[str], *, raw: bool = False
) -> Iterator[Write | None]:
    """Takes results and writes their rows to the files that are named; None where none is.

    Texts that a spreadsheet would take for a formula get a leading apostrophe in the CSV, unless it is to be `raw`.
    The files are replaced when the block ends well. Raises OutputError, and MissingPackage without pyarrow.
    """
    with ExitStack() as open_:
        kinds = ((partial(_csv_rows, raw=raw), lines), (_parquet_rows, parquet))
        writers = [open_.enter_context(kind(path, methods)) for kind, path in kinds if path is not None]

        def write(results: list[CaseResult]) -> None:
            for writer in writers:
                writer(results)

        yield write if writers else None


@contextmanager
def _csv_rows(path: Path, methods: Sequence[str], *, raw: bool) -> Iterator[Write]:
    """A line for each case and method."""
    with csv_lines(path, CSV_COLUMNS, raw=raw) as write_lines:

        def write(results: list[CaseResult]) -> None:
            for result in results:
                case = result.case
                write_lines(_lines(result, methods), careful="\r" in f"{case.key}{case.target}{case.region}")

        yield write


class WriteLines(Protocol):
    """Writes lines of CSV; those that hold a carriage return are to be written with care."""

    def __call__(self, lines: Iterable[Iterable[Any]], *, careful: bool) -> None: ...


@contextmanager
def csv_lines(path: Path, columns: Sequence[str], *, raw: bool = False) -> Iterator[WriteLines]:
    """Takes the lines of a CSV file that replaces `path` when the block ends well. Texts that a spreadsheet would take
    for a formula get a leading apostrophe, unless it is to be `raw`. Raises OutputError."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        # By itself Python's writer quotes no carriage return, which ends a row for many readers.
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(columns)

        def write(lines: Iterable[Iterable[Any]], *, careful: bool) -> None:
            (quoting if careful else writer).writerows(lines if raw else (map(_as_text, line) for line in lines))

        yield write


@contextmanager
def _parquet_rows(path: Path, methods: Sequence[str]) -> Iterator[Write]:
    """A row for each case, with four columns for each method."""
    with imported_for(f"{path}: Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    text, number, count = pa.string(), pa.float64(), pa.int64()
    columns = {"key": text, "target": text, "region": text, "effect": number, "fixed_n": count,
               "baseline": text, "baseline_n": count, "baseline_estimate": number}  # fmt: skip
    for method in methods:
        columns |= {f"{method}_decision": text, **({} if method == FIXED else {f"{method}_n": count}),
                    f"{method}_estimate": number, f"{method}_agrees": pa.bool_()}  # fmt: skip
    schema = pa.schema(columns)
    waiting: list[CaseResult] = []
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:

        def write(results: list[CaseResult], least: int = ROW_GROUP) -> None:
            waiting.extend(results)
            while len(waiting) >= least:
                table = zip(*(_cells(result, methods) for result in waiting[:ROW_GROUP]), strict=True)
                arrays = [pa.array(cells, kind) for cells, kind in zip(table, columns.values(), strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                del waiting[:ROW_GROUP]

        yield write
        write([], least=1)


def _lines(result: CaseResult, methods: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    case, baseline = result.case, result.baseline
    for i, method in enumerate(methods):
        verdict = result.verdicts[i]
        yield (
            case.key,
            case.target,
            case.region or "",
            result.effect,
            method,
            baseline.decision.value,
            verdict.decision.value,
            verdict.n,
            verdict.fixed_n,
            verdict.estimate,
            str(result.agrees(i)).lower(),
        )


def _as_text(cell: Any) -> Any:
    """A text that begins as a formula does, marked as one that is none; numbers stay as they are."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell


def _cells(result: CaseResult, methods: Sequence[str]) -> list[Any]:
    """The row of a case; an INVALID one has no effect and no estimate."""
    case, baseline = result.case, result.baseline
    cells = [case.key, case.target, case.region, _known(result.effect), baseline.fixed_n]
    cells += [baseline.decision.value, baseline.n, _known(baseline.estimate)]
    for i, (method, verdict) in enumerate(zip(methods, result.verdicts, strict=True)):
        n = [] if method == FIXED else [verdict.n]
        cells += [verdict.decision.value, *n, _known(verdict.estimate), result.agrees(i)]
    return cells


def _known(value: float) -> float | None:
    return None if isnan(value) else value
