"""Every file that is written as data, read back by four libraries that other people have: the same names and values."""

import csv
import json
from collections.abc import Callable
from datetime import datetime
from itertools import permutations
from math import isnan
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.csv as arrow_csv
import pyarrow.json as arrow_json
import pyarrow.parquet as pq
import pytest
from small_rehearsal import OWN, write

from suffice.cli.main import run
from suffice.comparison.rows import rows_to
from suffice.stopping.make import METHODS

Rows = list[dict[str, Any]]
TABLES = (".csv", ".parquet", ".jsonl", ".json")
WRITTEN = {
    "audits.jsonl",
    "cases.csv",
    "cases.parquet",
    "config.json",
    "disagreements.jsonl",
    "environment.json",
    "eval_summary.json",
    "events.jsonl",
    "evidence.json",
    "flag.json",
    "gates.json",
    "ledger.jsonl",
    "metrics.json",
    "plan.json",
    "receipt.json",
    "state.json",
    "summary.json",
    "sweep_results.csv",
}
"""What there is to read, but for the sweep's reports and a faulty plan, which are named for what they hold."""

KEYS = ('pump, "17"', "two\nlines", "cr\rin", "=1+1", "ü/№ 7 😀", "007", "-5", "#hash", "back\\slash", "it's; so")
"""Keys that a careless writer, or reader, takes for something else."""

NUMBERS = ("effect", "n", "fixed_n", "estimate", "repeat", "global_seed")
"""The columns of numbers in our CSV."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the commands that write files have run; draws that overflow make one case INVALID."""
    folder = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write(folder, 90)
        with Path("records.csv").open("a", encoding="utf-8") as file:
            file.write("huge,huge,-1.7e308,1e307\n")
        with Path("measurements.csv").open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("invalid", "huge", "1.7e308", "1e307"), *((k, "r1", 2.5, 0.1) for k in KEYS)])
        methods = ["--method", "optimal,margin,fixed", "--csv", "cases.csv", "--out", "cases.parquet"]
        assert run(["resolve", *OWN]) == 0
        assert run(["compare", *OWN, *methods]) == 0
        assert run(["sweep", "--budget", "6", "--deterministic"]) == 0
        assert run(["eval", "--only", "config_round_trip,reference_workload"]) == 0
        assert run(["plan", "--save", "plan.json"]) == 0
        broken = ["--fault", "canary:margin", "--waive", "targets"]
        assert run(["rehearse", *OWN, "--no-checks", *broken, "--out-dir", "rehearsal"]) == 2
    return folder


def written(folder: Path) -> list[Path]:
    given = {folder / name for name in ("records.csv", "measurements.csv", "config.json")}
    return sorted(path for path in folder.rglob("*") if path.suffix in TABLES and path not in given)


# Four readers, as their documentation begins


def by_pyarrow(path: Path) -> Rows:
    if path.suffix == ".csv":
        options = arrow_csv.ParseOptions(newlines_in_values=True)
        return list(arrow_csv.read_csv(path, parse_options=options).to_pylist())
    if path.suffix == ".parquet":
        return list(pq.read_table(path).to_pylist())
    whole = arrow_json.ParseOptions(newlines_in_values=path.suffix == ".json")
    return list(arrow_json.read_json(path, parse_options=whole).to_pylist())


def by_pandas(path: Path) -> Rows:
    if path.suffix == ".csv":
        table = pd.read_csv(path)
    elif path.suffix == ".parquet":
        table = pd.read_parquet(path)
    elif path.suffix == ".jsonl":
        table = pd.read_json(path, lines=True, precise_float=True, dtype=False)
    else:
        series = pd.read_json(path, typ="series", precise_float=True, dtype=False)
        return list(series) if is_list(path) else [series.to_dict()]
    return list(table.to_dict("records"))


def by_polars(path: Path) -> Rows:
    read = {".csv": pl.read_csv, ".parquet": pl.read_parquet, ".jsonl": pl.read_ndjson, ".json": pl.read_json}
    return read[path.suffix](path).to_dicts()


def by_duckdb(path: Path) -> Rows:
    read = {".csv": "read_csv", ".parquet": "read_parquet"}.get(path.suffix, "read_json")
    with duckdb.connect() as connection:
        answer = connection.execute(f"SELECT * FROM {read}(?)", [str(path)])
        names = [column[0] for column in answer.description or ()]
        return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


READERS: list[Callable[[Path], Rows]] = [by_pyarrow, by_pandas, by_polars, by_duckdb]


# What Python's own readers find


def by_python(path: Path) -> Rows:
    if path.suffix == ".parquet":
        return as_parquet(by_python(path.with_suffix(".csv")))
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            return [
                {name: typed(name, cell) for name, cell in row.items()} for row in csv.DictReader(file, strict=True)
            ]
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in file]
        content = json.load(file)
        return content if isinstance(content, list) else [content]


def as_parquet(lines: Rows) -> Rows:
    """The rows that belong to the lines of a CSV: a row for each case, in place of one for each case and method."""
    cases: dict[str, dict[str, Any]] = {}
    for line in lines:
        key, method = line["key"], line["method"]
        # The apostrophe keeps spreadsheets from calculating.
        case = cases.setdefault(key, {"key": key.removeprefix("'")})
        case |= {name: line[name] for name in ("target", "region", "effect", "fixed_n", "baseline")}
        case |= {f"{method}_{name}": line[name] for name in ("decision", "n", "estimate", "agrees")}
        if method == "fixed":
            case |= {"baseline_n": case.pop("fixed_n"), "baseline_estimate": line["estimate"]}
            case["fixed_n"] = line["fixed_n"]
    return list(cases.values())


def typed(name: str, cell: str) -> Any:
    if cell in ("true", "false"):
        return cell == "true"
    return float(cell) if name in NUMBERS else cell


def is_list(path: Path) -> bool:
    return path.read_text(encoding="utf-8").startswith("[")


def first_difference(expected: Any, read: Any, place: str = "") -> str | None:
    """Where two values differ. What is not there is None, NaN, an empty text, or an object of such, as each has it."""
    if is_missing(expected) or is_missing(read):
        return None if is_missing(expected) and is_missing(read) else f"{place}: {expected!r}, read as {read!r}"
    if isinstance(expected, dict) and isinstance(read, dict):
        names = expected.keys() | read.keys()
        parts = (first_difference(expected.get(name), read.get(name), f"{place}/{name}") for name in sorted(names))
        return next(filter(None, parts), None)
    if isinstance(expected, list) and not isinstance(read, str) and len(expected) == len(read):
        parts = (first_difference(a, b, f"{place}/{i}") for i, (a, b) in enumerate(zip(expected, read, strict=True)))
        return next(filter(None, parts), None)
    if isinstance(read, datetime) and isinstance(expected, str):
        expected, read = datetime.fromisoformat(expected).replace(tzinfo=None), read.replace(tzinfo=None)
    if isinstance(expected, bool) is isinstance(read, bool) and expected == read:
        return None
    return f"{place}: {expected!r}, read as {read!r}"


def is_missing(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(is_missing, value.values()))
    return value is None or value == "" or (isinstance(value, float) and isnan(value))


def test_there_is_everything_to_read(folder: Path) -> None:
    reports = sorted((folder / "TemporaryQueue" / "adversarial_sweep" / "reports").glob("*.json"))
    faulty = sorted(folder.rglob("plans/*.json"))
    assert (len(reports), len(faulty)) == (6, 1)
    assert {path.name for path in {*written(folder)} - {*reports, *faulty}} == WRITTEN
    cases = by_python(folder / "cases.csv")
    assert {case["baseline"] for case in cases} == {"accepted", "rejected", "invalid"}
    assert {case["key"].removeprefix("'") for case in cases} >= set(KEYS)


@pytest.mark.parametrize("reader", READERS)
def test_others_read_the_same_names_and_values(folder: Path, reader: Callable[[Path], Rows]) -> None:
    for path in written(folder):
        if reader is by_pyarrow and path.suffix == ".json" and is_list(path):
            continue  # Arrow reads objects only.
        rows, expected = reader(path), by_python(path)
        assert len(rows) == len(expected) > 0, path
        assert first_difference(expected, rows) is None, path
        if path.suffix != ".json":
            assert list(rows[0]) == list(dict.fromkeys(rows[0])), path


def test_every_choice_of_methods_has_each_column_once(tmp_path: Path) -> None:
    path = tmp_path / "cases.parquet"
    for count in range(1, len(METHODS) + 1):
        for methods in permutations(METHODS, count):
            with rows_to(None, path, methods):
                pass
            names = pq.read_schema(path).names
            assert len(names) == len(set(names)) == 8 + 4 * count - ("fixed" in methods), methods
