"""Verifies what a sweep wrote, and compares two sweeps. Reads the files alone; knows nothing of how they were made."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from suffice import strict_json
from suffice.files import read_whole
from suffice.runbook import sweep_files as files
from suffice.runbook.sweep_files import COLUMNS, REPORT_KEYS, RESULTS, Name

SHOWN_DIFFERENCES = 3
_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong, with the file that it is wrong in."""

    file: str
    what: str


def check(folder: Path) -> list[Finding]:
    """Everything that is wrong with a sweep's folder; empty when its outputs are complete and agree."""
    return [Finding((folder / finding.file).as_posix(), finding.what) for finding in _check(folder)]


def compare(folder: Path, other: Path) -> list[Finding]:
    """Where two sweeps differ in anything but `report_file`."""
    return [*_compare_tables(folder / RESULTS, other / RESULTS), *compare_reports(folder, other)]


def compare_reports(folder: Path, other: Path) -> list[Finding]:
    """Where the reports of two folders, those of a sweep or the folders of reports themselves, differ."""
    one, two = _by_name(folder), _by_name(other)
    findings = [Finding(path.as_posix(), f"is in {folder} only") for name, path in one.items() if name not in two]
    findings += [Finding(path.as_posix(), f"is in {other} only") for name, path in two.items() if name not in one]
    if not one and not two:
        findings.append(Finding(folder.as_posix(), "there are no reports to compare"))
    for name in sorted(one.keys() & two.keys()):
        findings += _compare_report(one[name], two[name])
    return findings


def _check(folder: Path) -> Iterator[Finding]:
    rows, flaws = _table(folder / RESULTS)
    yield from flaws
    if rows is None:
        return
    if not rows:
        yield Finding(RESULTS, "has no rows")
    seen: dict[str, int] = {}
    for line, row in enumerate(rows, start=2):
        where = f"line {line}"
        if row["run_id"] in seen:
            yield Finding(RESULTS, f"{where}: run {row['run_id']} stands in line {seen[row['run_id']]} already")
            continue
        seen[row["run_id"]] = line
        if Path(row["report_file"]).is_absolute():
            # As older systems wrote them: a table that names them cannot be moved, or compared with another's.
            yield Finding(RESULTS, f"{where}: report_file is {row['report_file']!r}; allowed: relative to the table")
            row = {**row, "report_file": f"{files.REPORTS}/{Path(row['report_file']).name}"}
        flaw = _row_flaw(row)
        if flaw:
            yield Finding(RESULTS, f"{where}: {flaw}")
        else:
            yield from _check_report(folder, row)
    yield from _orphans(folder, {Path(row["report_file"]).name for row in rows})


def _table(path: Path) -> tuple[list[dict[str, str]] | None, list[Finding]]:
    try:
        lines = list(csv.reader(io.StringIO(read_whole(path).decode(), newline=""), strict=True))
    except FileNotFoundError:
        return None, [Finding(RESULTS, "is missing: the sweep is not finished")]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return None, [Finding(RESULTS, f"cannot be read: {error}")]
    if not lines or tuple(lines[0]) != COLUMNS:
        return None, [Finding(RESULTS, f"line 1: the header is not {','.join(COLUMNS)}")]
    odd = [
        Finding(RESULTS, f"line {i}: {len(cells)} cells; allowed: {len(COLUMNS)}")
        for i, cells in enumerate(lines[1:], start=2)
        if len(cells) != len(COLUMNS)
    ]
    if odd:
        return None, odd
    return [dict(zip(COLUMNS, cells, strict=True)) for cells in lines[1:]], []


def _row_flaw(row: Mapping[str, str]) -> str | None:
    """What is wrong with a row by itself."""
    for column in ("repeat", "n", "fixed_n"):
        if not (row[column].isdecimal() and row[column].isascii() and len(row[column]) <= _DIGITS):
            return f"{column} is {row[column]!r}; allowed: a whole number, 0 or more"
    for column in ("deterministic_mode", "passed", "agrees"):
        if row[column] not in ("true", "false"):
            return f"{column} is {row[column]!r}; allowed: true or false"
    try:
        params = strict_json.loads(row["params"])
        canonical = files.canonical(params)
    except (ValueError, AttributeError, TypeError):
        return f"params is {row['params']!r}; allowed: a JSON object"
    if row["params"] != canonical or row["cell_id"] != files.cell_id(params):
        return f"cell_id is {row['cell_id']!r}; that of its params is {files.cell_id(params)!r}"
    name = Name(row["scenario_id"], row["cell_id"], int(row["repeat"]))
    for column, expected in (("run_id", name.run_id), ("report_file", name.report_file)):
        if row[column] != expected:
            return f"{column} is {row[column]!r}; the canonical name is {expected!r}"
    return None


def _check_report(folder: Path, row: Mapping[str, str]) -> Iterator[Finding]:
    file = row["report_file"]
    report, flaw = _read(folder / file)
    if report is None:
        yield Finding(file, flaw)
        return
    if set(report) != set(REPORT_KEYS):
        yield Finding(file, f"has the keys {', '.join(sorted(report))}; allowed: {', '.join(sorted(REPORT_KEYS))}")
        return
    try:
        told = files.row_of(report)
        result, chains = report["result"], report["provenance_snapshot"]
        held = bool(result["checks"]) and all(check["holds"] is True for check in result["checks"])
        broken = [arm for arm, chain in chains.items() if chain["intact"] is not True]
        missing = not chains and held
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield Finding(file, f"lacks or garbles {error}")
        return
    for column in COLUMNS:
        if told[column] != row[column]:
            yield Finding(file, f"{column} is {told[column]!r}, in {RESULTS} it is {row[column]!r}")
    if held is not result["passed"]:
        yield Finding(file, f"passed is {result['passed']}, its checks say {held}")
    if broken or missing:
        yield Finding(file, f"its provenance does not hold: {', '.join(broken) or 'there is none'}")


def _orphans(folder: Path, known: set[str]) -> Iterator[Finding]:
    for path in files.report_paths(folder):
        if path.name not in known:
            yield Finding(f"{files.REPORTS}/{path.name}", f"belongs to no row of {RESULTS}")


def _compare_tables(one: Path, other: Path) -> Iterator[Finding]:
    (rows, flaws), (others, more) = _table(one), _table(other)
    yield from (
        Finding(path.as_posix(), flaw.what) for path, theirs in ((one, flaws), (other, more)) for flaw in theirs
    )
    if rows is None or others is None:
        return
    if len(rows) != len(others):
        yield Finding(other.as_posix(), f"has {len(others)} rows, {one} has {len(rows)}")
    for line, (row, counterpart) in enumerate(zip(rows, others, strict=False), start=2):
        for column in COLUMNS[:-1]:
            if row[column] != counterpart[column]:
                what = f"line {line}: {column} is {counterpart[column]!r}, in {one} it is {row[column]!r}"
                yield Finding(other.as_posix(), what)


def _compare_report(one: Path, other: Path) -> Iterator[Finding]:
    (report, flaw), (counterpart, other_flaw) = _read(one), _read(other)
    if report is None or counterpart is None:
        path, what = (one, flaw) if report is None else (other, other_flaw)
        yield Finding(path.as_posix(), what)
        return
    for place in islice(_differences(report, counterpart, ""), SHOWN_DIFFERENCES):
        yield Finding(other.as_posix(), f"{place} differs from {one}")


def _differences(one: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if not path and key == "report_file":
                continue
            inner = f"{path}.{key}" if path else key
            if key not in one or key not in other:
                yield inner
            else:
                yield from _differences(one[key], other[key], inner)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (part, counterpart) in enumerate(zip(one, other, strict=True)):
            yield from _differences(part, counterpart, f"{path}[{i}]")
    # As text: 1, 1.0 and true are equal to Python and are not the same report.
    elif json.dumps(one) != json.dumps(other):
        yield path


def _read(path: Path) -> tuple[dict[str, Any] | None, str]:
    try:
        report = strict_json.loads(read_whole(path))
    except FileNotFoundError:
        return None, "is missing"
    except (OSError, ValueError) as error:
        return None, f"cannot be read: {error}"
    if not isinstance(report, dict):
        return None, f"holds {type(report).__name__}; allowed: an object"
    return report, ""


def _by_name(folder: Path) -> dict[str, Path]:
    reports = folder / files.REPORTS
    return {path.name: path for path in sorted((reports if reports.is_dir() else folder).glob("*.json"))}
