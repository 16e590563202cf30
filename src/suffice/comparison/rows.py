"""A row for each case of a comparison, written as it goes on: CSV or Parquet, in constant memory."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import Any

from suffice.extras import imported_for
from suffice.files import replacing
from suffice.verifier.many import CaseResult

Write = Callable[[list[CaseResult]], None]

CSV_COLUMNS = (
    "key", "target", "region", "effect", "method", "baseline", "decision", "n", "fixed_n", "estimate", "agrees",
)  # fmt: skip


@contextmanager
def csv_rows(path: Path, methods: Sequence[str]) -> Iterator[Write]:
    """Takes results and writes a line for each case and method; `path` is replaced when the block ends well."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)

        def write(results: list[CaseResult]) -> None:
            for result in results:
                writer.writerows(_lines(result, methods))

        yield write


@contextmanager
def parquet_rows(path: Path, methods: Sequence[str]) -> Iterator[Write]:
    """Takes results and writes a row for each case, with three columns for each method; `path` is replaced when the
    block ends well."""
    with imported_for(f"{path}: Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

    text, number, count = pa.string(), pa.float64(), pa.int64()
    columns = [("key", text), ("target", text), ("region", text), ("effect", number), ("fixed_n", count),
               ("baseline", text), ("baseline_n", count), ("baseline_estimate", number)]  # fmt: skip
    for method in methods:
        columns += [(f"{method}_decision", text), (f"{method}_n", count), (f"{method}_estimate", number),
                    (f"{method}_agrees", pa.bool_())]  # fmt: skip
    schema = pa.schema(columns)
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:

        def write(results: list[CaseResult]) -> None:
            if results:
                table = zip(*(_cells(result) for result in results), strict=True)
                arrays = [pa.array(cells, kind) for cells, (_, kind) in zip(table, columns, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

        yield write


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


def _cells(result: CaseResult) -> list[Any]:
    """The row of a case; an INVALID one has no effect and no estimate."""
    case, baseline = result.case, result.baseline
    cells = [case.key, case.target, case.region, _known(result.effect), baseline.fixed_n]
    cells += [baseline.decision.value, baseline.n, _known(baseline.estimate)]
    for i, verdict in enumerate(result.verdicts):
        cells += [verdict.decision.value, verdict.n, _known(verdict.estimate), result.agrees(i)]
    return cells


def _known(value: float) -> float | None:
    return None if isnan(value) else value
