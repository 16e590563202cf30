"""Verification of sweep outputs: what is right passes, and each kind of damage is found with its file."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from suffice.comparison.workers import pool
from suffice.decision.proportion import Proportion
from suffice.resolution.storm import StormPolicy
from suffice.runbook.scenarios.catalogue import named
from suffice.runbook.sweep import Conditions, sweep, tasks
from suffice.runbook.sweep_check import check, compare, compare_reports
from suffice.stopping.make import plan

AT = datetime(2025, 1, 1, tzinfo=UTC)
CSV = "sweep_results.csv"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    conditions = Conditions(plan(Proportion(0.8), 64, 0.01), 42, StormPolicy(3), AT)
    with pool() as workers:
        list(sweep(folder, tasks(named(["small_noise", "zero_variance"])), conditions, workers))
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def rows(folder: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO((folder / CSV).read_text(encoding="utf-8"), newline="")))


def write_rows(folder: Path, cells: list[list[str]]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(cells)
    (folder / CSV).write_text(text.getvalue(), encoding="utf-8")


def change_cell(folder: Path, column: str, value: str) -> str:
    cells = rows(folder)
    cells[2][cells[0].index(column)] = value
    write_rows(folder, cells)
    return CSV


def first_report(folder: Path) -> Path:
    return folder / rows(folder)[1][-1]


def change_report(folder: Path, change: Callable[[dict], None]) -> str:
    path = first_report(folder)
    report = json.loads(path.read_text(encoding="utf-8"))
    change(report)
    path.write_text(json.dumps(report), encoding="utf-8")
    return path.name


def no_table(folder: Path) -> str:
    (folder / CSV).unlink()
    return CSV


def table_not_text(folder: Path) -> str:
    (folder / CSV).write_bytes(b"\xff\xfe run_id")
    return CSV


def table_without_a_column(folder: Path) -> str:
    write_rows(folder, [cells[:-1] for cells in rows(folder)])
    return CSV


def table_cut_off(folder: Path) -> str:
    text = (folder / CSV).read_text(encoding="utf-8")
    (folder / CSV).write_text(text[:-60], encoding="utf-8")
    return CSV


def table_empty(folder: Path) -> str:
    write_rows(folder, rows(folder)[:1])
    return CSV


def duplicate_row(folder: Path) -> str:
    cells = rows(folder)
    write_rows(folder, [*cells, cells[1]])
    return CSV


def report_missing(folder: Path) -> str:
    path = first_report(folder)
    path.unlink()
    return path.name


def report_half_written(folder: Path) -> str:
    path = first_report(folder)
    path.write_bytes(path.read_bytes()[:200])
    return path.name


def orphan(folder: Path) -> str:
    path = first_report(folder)
    shutil.copy(path, path.with_name(path.name.replace("_r0", "_r9")))
    return path.name.replace("_r0", "_r9")


def misnamed_report(folder: Path) -> str:
    path = first_report(folder)
    path.rename(path.with_name("report_1.json"))
    return "report_1.json"


def reports_exchanged(folder: Path) -> str:
    one, two = (folder / cells[-1] for cells in rows(folder)[1:3])
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    return one.name


CORRUPTIONS: list[Callable[[Path], str]] = [
    no_table,
    table_not_text,
    table_without_a_column,
    table_cut_off,
    table_empty,
    duplicate_row,
    report_missing,
    report_half_written,
    orphan,
    misnamed_report,
    reports_exchanged,
]


@pytest.mark.parametrize("corrupt", CORRUPTIONS, ids=lambda corrupt: corrupt.__name__)
def test_each_kind_of_corruption_is_found_with_its_file(folder: Path, corrupt: Callable[[Path], str]) -> None:
    assert check(folder) == []
    culprit = corrupt(folder)
    findings = check(folder)
    assert any(finding.file.endswith(culprit) for finding in findings), findings
    assert all(Path(finding.file).is_relative_to(folder) for finding in findings)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("run_id", "small_noise_1"),
        ("scenario_id", "large_noise"),
        ("cell_id", "00000000"),
        ("repeat", "one"),
        ("params", "{'noise': 0.1}"),
        ("params", "[]"),
        ("params", '{"noise": 0.7}'),
        ("passed", "True"),
        ("agrees", ""),
        ("deterministic_mode", "yes"),
        ("n", "-1"),
        ("fixed_n", "1e3"),
        ("report_file", "reports/other.json"),
        ("report_file", "../reports/adversarial_report_small_noise_800eba65_r0.json"),
    ],
)
def test_a_cell_that_cannot_be_is_found_in_the_table(folder: Path, column: str, value: str) -> None:
    change_cell(folder, column, value)
    assert [finding for finding in check(folder) if finding.file.endswith(CSV) and "line 3" in finding.what]


@pytest.mark.parametrize(
    ("column", "value"),
    [("passed", "false"), ("agrees", "false"), ("n", "7"), ("fixed_n", "7"), ("global_seed", "7"),
     ("deterministic_mode", "false"), ("expectation", "Anything goes.")],
)  # fmt: skip
def test_a_row_that_its_report_does_not_support_is_found_in_the_report(folder: Path, column: str, value: str) -> None:
    change_cell(folder, column, value)
    (finding,) = check(folder)
    assert finding.file.endswith(rows(folder)[2][-1])
    assert finding.what.startswith(f"{column} is ")


def fails_its_checks(report: dict) -> None:
    report["result"]["checks"][0]["holds"] = False


def has_no_checks(report: dict) -> None:
    report["result"]["checks"] = []


def has_a_broken_chain(report: dict) -> None:
    report["provenance_snapshot"]["fixed"]["intact"] = False


def has_no_provenance(report: dict) -> None:
    report["provenance_snapshot"] = {}


def lacks_a_key(report: dict) -> None:
    del report["end_ts"]


def has_a_key_too_many(report: dict) -> None:
    report["comment"] = "looks fine"


def lacks_its_result(report: dict) -> None:
    report["result"] = {}


def is_about_another_seed(report: dict) -> None:
    report["seed_obj"]["global_seed"] = 43


def names_another_file(report: dict) -> None:
    report["report_file"] = "reports/other.json"


@pytest.mark.parametrize(
    "change",
    [
        fails_its_checks,
        has_no_checks,
        has_a_broken_chain,
        has_no_provenance,
        lacks_a_key,
        has_a_key_too_many,
        lacks_its_result,
        is_about_another_seed,
        names_another_file,
    ],
    ids=lambda change: change.__name__,
)
def test_a_report_that_was_edited_is_found(folder: Path, change: Callable[[dict], None]) -> None:
    culprit = change_report(folder, change)
    assert [finding.file for finding in check(folder)] == [(folder / "reports" / culprit).as_posix()]


def test_a_folder_that_is_not_there_holds_no_sweep(tmp_path: Path) -> None:
    assert [finding.what for finding in check(tmp_path / "nowhere")] == ["is missing: the sweep is not finished"]


def test_equal_sweeps_are_equal_but_for_report_file(finished: Path, folder: Path) -> None:
    assert compare(finished, folder) == []
    change_report(folder, names_another_file)
    cells = rows(folder)
    write_rows(folder, [cells[0], *([*row[:-1], f"/elsewhere/{row[-1]}"] for row in cells[1:])])
    assert compare(finished, folder) == []


@pytest.mark.parametrize("change", [fails_its_checks, lacks_a_key, is_about_another_seed])
def test_reports_that_differ_are_named(finished: Path, folder: Path, change: Callable[[dict], None]) -> None:
    culprit = change_report(folder, change)
    for findings in (compare(finished, folder), compare_reports(finished / "reports", folder / "reports")):
        assert [Path(finding.file).name for finding in findings] == [culprit]


def test_a_row_that_differs_is_named(finished: Path, folder: Path) -> None:
    change_cell(folder, "n", "1")
    (finding,) = compare(finished, folder)
    assert finding.file == (folder / CSV).as_posix()
    assert finding.what.startswith("line 3: n is '1'")


def test_reports_that_only_one_has_are_named(finished: Path, folder: Path) -> None:
    gone = report_missing(folder)
    (finding,) = compare_reports(finished, folder)
    assert finding.file.endswith(gone)
    assert compare_reports(finished / "nothing", folder / "nothing") != []


def test_one_and_true_are_not_the_same_report(finished: Path, folder: Path) -> None:
    def one_for_true(report: dict) -> None:
        report["result"]["passed"] = 1

    change_report(folder, one_for_true)
    assert [finding.what.split()[0] for finding in compare_reports(finished, folder)] == ["result.passed"]
