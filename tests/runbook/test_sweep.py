"""The sweep: budgets, grids, reports, and going on after a kill."""

import csv
import json
import subprocess
import sys
import time
from collections import Counter as Tally
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.cli.main import run
from suffice.comparison.workers import Failed, pool
from suffice.decision.proportion import Proportion
from suffice.errors import DataError
from suffice.resolution.storm import StormPolicy
from suffice.runbook.scenarios.catalogue import SCENARIOS, named
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Setup
from suffice.runbook.sweep import Conditions, Task, make, read_grid, sweep, tasks
from suffice.runbook.sweep_check import check, compare
from suffice.runbook.sweep_files import COLUMNS, REPORT_KEYS, Name, canonical, cell_id, report_text
from suffice.stopping.make import plan
from suffice.telemetry.counters import Counter
from suffice.telemetry.metrics_file import read

AT = datetime(2025, 1, 1, tzinfo=UTC)
CONDITIONS = Conditions(plan(Proportion(0.8), 64, 0.01), 42, StormPolicy(3), AT)
QUICK = named(["small_noise", "rollback_storm", "zero_variance"])
SIZES = {scenario.id: len(scenario.cells()) for scenario in SCENARIOS}


def swept(folder: Path, wanted: Sequence[Task], conditions: Conditions, workers: int = 1) -> Iterator[dict[str, Any]]:
    """The reports of a sweep in which no chunk fails."""
    with pool(workers) as hands:
        for one in sweep(folder, wanted, conditions, hands):
            assert not isinstance(one, Failed)
            yield one


@given(budget=st.integers(1, 300), repeats=st.integers(1, 4))
def test_a_budget_is_never_exceeded_and_reaches_every_scenario(budget: int, repeats: int) -> None:
    planned = tasks(SCENARIOS, repeats, budget)
    shares = Tally(task.scenario.id for task in planned)
    every = repeats * sum(SIZES.values())
    assert len(planned) == min(budget, every)
    assert len({task.name for task in planned}) == len(planned)
    assert len(shares) == min(budget, len(SCENARIOS))
    # No scenario has two runs more than one that could have had more itself.
    starved = [shares[name] for name, size in SIZES.items() if shares[name] < repeats * size]
    if starved:
        assert max(shares.values()) <= min(starved) + 1


def test_what_a_budget_leaves_out_is_spread_too() -> None:
    assert [task.scenario.id for task in tasks(SCENARIOS, budget=3)] == [SCENARIOS[i].id for i in (0, 4, 8)]
    effects = [task.params["effect"] for task in tasks(named(["boundary_effect"]), budget=2)]
    assert effects == [-1.0, 0.0]


@pytest.mark.parametrize("wrong", [{"budget": 0}, {"repeats": 0}, {"budget": -5}])
def test_a_budget_or_repeats_below_one_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(DataError, match="allowed: at least 1"):
        tasks(SCENARIOS, **wrong)


def test_a_cell_has_the_same_name_in_every_grid() -> None:
    assert cell_id({"a": 1, "b": "x"}) == cell_id({"b": "x", "a": 1.0}) != cell_id({"a": 2, "b": "x"})
    assert canonical({"b": "x", "a": 1}) == '{"a": 1.0, "b": "x"}'
    assert len({task.name for task in tasks(SCENARIOS)}) == sum(SIZES.values())


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.suffix in (".csv", ".json")}


def test_a_sweep_writes_a_row_and_a_report_for_each_run(tmp_path: Path) -> None:
    wanted = tasks(QUICK, repeats=2)
    reports = list(swept(tmp_path, wanted, CONDITIONS))
    rows = list(csv.DictReader((tmp_path / "sweep_results.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == len(reports) == len(wanted) == 2 * (4 + 3 + 4)
    assert tuple(rows[0]) == COLUMNS
    for task, row, report in zip(wanted, rows, reports, strict=True):
        assert json.loads((tmp_path / row["report_file"]).read_text(encoding="utf-8")) == report
        assert set(report) == set(REPORT_KEYS)
        assert row["run_id"] == f"{task.scenario.id}_{row['cell_id']}_r{row['repeat']}"
        assert row["report_file"] == f"reports/adversarial_report_{row['run_id']}.json"
        assert (row["global_seed"], row["deterministic_mode"], row["passed"]) == ("42", "true", "true")
        assert 0 < int(row["n"]) <= int(row["fixed_n"])
        assert report["start_ts"] == report["end_ts"] == "2025-01-01T00:00:00Z"
        assert report["provenance_snapshot"]["adaptive"]["intact"] is True
    assert check(tmp_path) == []


def test_repeats_have_draws_of_their_own() -> None:
    first, second = (make(task, CONDITIONS) for task in tasks(named(["rollback_storm"]), repeats=2)[::3])
    assert first["result"]["params"] == second["result"]["params"]
    assert first["seed_obj"] != second["seed_obj"]
    heads = [report["provenance_snapshot"]["adaptive"]["head"] for report in (first, second)]
    assert heads[0] != heads[1]


def test_equal_seeds_give_equal_bytes_and_other_seeds_do_not(tmp_path: Path) -> None:
    wanted = tasks(SCENARIOS, budget=12)
    for name, conditions in (("a", CONDITIONS), ("b", CONDITIONS), ("c", replace(CONDITIONS, seed=43))):
        list(swept(tmp_path / name, wanted, conditions))
    assert written(tmp_path / "a") == written(tmp_path / "b")
    assert compare(tmp_path / "a", tmp_path / "b") == []
    assert len(compare(tmp_path / "a", tmp_path / "c")) >= len(wanted)


def test_a_sweep_counts_in_a_file_of_its_own(tmp_path: Path) -> None:
    reports = list(swept(tmp_path, tasks(named(["rollback_storm"])), CONDITIONS))
    counted = read(tmp_path / "metrics.json")
    for name in (Counter.ESCALATIONS, Counter.ROLLBACKS, Counter.AUDITS):
        expected = sum(world["counters"][name] for report in reports for world in report["result"]["worlds"].values())
        assert counted.value(name) == expected > 0


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    wanted = tasks(QUICK)
    list(swept(tmp_path / "whole", wanted, CONDITIONS))
    begun = swept(tmp_path / "begun", wanted, CONDITIONS)
    first = [next(begun)["report_file"] for _ in range(4)]
    begun.close()
    assert [finding.what for finding in check(tmp_path / "begun")] == ["is missing: the sweep is not finished"]
    stamps = [(tmp_path / "begun" / file).stat().st_mtime_ns for file in first]
    list(swept(tmp_path / "begun", wanted, CONDITIONS))
    assert [(tmp_path / "begun" / file).stat().st_mtime_ns for file in first] == stamps
    assert written(tmp_path / "begun") == written(tmp_path / "whole")


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 7},
        {"at": AT + timedelta(days=1)},
        {"policy": StormPolicy(2)},
        {"plan": plan(Proportion(0.9), 64, 0.01)},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_reports_made_under_other_conditions_are_made_anew(tmp_path: Path, changed: Mapping[str, Any]) -> None:
    wanted = tasks(named(["small_noise"]))
    begun = swept(tmp_path, wanted, CONDITIONS)
    old = next(begun)
    begun.close()
    now = replace(CONDITIONS, **changed)
    assert next(iter(list(swept(tmp_path, wanted, now)))) == make(wanted[0], now) != old


def test_a_report_made_without_determinism_is_no_deterministic_one(tmp_path: Path) -> None:
    wanted = tasks(named(["small_noise"]))
    begun = swept(tmp_path, wanted, replace(CONDITIONS, at=None))
    assert next(begun)["deterministic_mode"] is False
    begun.close()
    assert next(iter(list(swept(tmp_path, wanted, CONDITIONS)))) == make(wanted[0], CONDITIONS)


def test_a_damaged_report_is_made_anew(tmp_path: Path) -> None:
    wanted = tasks(named(["small_noise"]))
    path = tmp_path / wanted[0].name.report_file
    path.parent.mkdir()
    path.write_text('{"scenario_id": ', encoding="utf-8")
    list(swept(tmp_path, wanted, CONDITIONS))
    assert check(tmp_path) == []


def test_a_finished_sweep_is_made_anew_and_reports_of_others_are_removed(tmp_path: Path) -> None:
    list(swept(tmp_path, tasks(QUICK), CONDITIONS))
    (tmp_path / "reports" / "notes.txt").write_text("mine", encoding="utf-8")
    list(swept(tmp_path, tasks(named(["small_noise"])), CONDITIONS))
    assert [finding.file for finding in check(tmp_path)] == [f"{tmp_path.as_posix()}/reports/notes.txt"]
    (tmp_path / "reports" / "notes.txt").unlink()
    assert len(list((tmp_path / "reports").iterdir())) == 4
    assert check(tmp_path) == []


KILLED = ("--scenarios", "zero_variance", "--repeats", "8")


def killed_sweep(folder: Path, reports: int) -> None:
    """Start a sweep and kill it when this many reports are there."""
    command = [
        sys.executable,
        "-m",
        "suffice.cli.main",
        "sweep",
        "--out-dir",
        str(folder),
        "--scenarios",
        "zero_variance",
    ]
    with subprocess.Popen([*command, "--repeats", "8"], cwd=folder.parent, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and len(list(folder.glob("reports/*.json"))) < reports:
            time.sleep(0.005)
        process.kill()


def test_a_kill_leaves_whole_reports_and_the_sweep_resumes(tmp_path: Path) -> None:
    folder = tmp_path / "sweep"
    killed_sweep(folder, 5)
    left = list(folder.glob("reports/adversarial_report_*.json"))
    assert 5 <= len(left) < 32
    assert not (folder / "sweep_results.csv").exists()
    for path in left:
        assert set(json.loads(path.read_text(encoding="utf-8"))) == set(REPORT_KEYS)
    stamps = {path: path.stat().st_mtime_ns for path in left}
    assert run(["sweep", "--out-dir", str(folder), *KILLED, "--json"]) == 0
    assert {path: path.stat().st_mtime_ns for path in left} == stamps
    assert check(folder) == []


def broken(_: Any, __: Any) -> Setup:
    raise RuntimeError("the product has a bug")


def test_an_exception_is_a_failed_run_that_hides_no_other(tmp_path: Path) -> None:
    bad = replace(QUICK[0], setup=broken)
    wanted = [Task(bad, {"noise": 0.1}, Name(bad.id, cell_id({"noise": 0.1}), 0)), *tasks(QUICK[1:], budget=2)]
    reports = list(swept(tmp_path, wanted, CONDITIONS))
    assert [report["result"]["passed"] for report in reports] == [False, True, True]
    assert reports[0]["result"]["checks"] == [{"what": "it raised RuntimeError: the product has a bug", "holds": False}]
    assert check(tmp_path) == []


def test_a_run_without_a_check_proves_nothing() -> None:
    nothing: Scenario = replace(QUICK[0], setup=lambda *_: Setup(()), expect=lambda *_: ())
    report = make(Task(nothing, {"noise": 0.1}, Name("x", "0", 0)), CONDITIONS)
    assert report["result"]["n"] == 0
    assert json.loads(report_text(report)) == report


def grid(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "grid.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_grid_file_replaces_the_values_it_names(tmp_path: Path) -> None:
    path = grid(tmp_path, {"poisoned_source": {"bias": [7, 8.5, 9]}, "front_loaded_draws": {"order": ["shuffled"]}})
    chosen = named(["poisoned_source", "front_loaded_draws", "small_noise"])
    planned = tasks(chosen, grid=read_grid(path, chosen))
    assert Tally(task.scenario.id for task in planned) == {
        "small_noise": 4, "poisoned_source": 6, "front_loaded_draws": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "culprit"),
    [
        ("{", "cannot be read as a grid"),
        ([], "a grid is an object"),
        ({"small_noise": [0.1]}, "a grid is an object"),
        ({"moon": {}}, "scenario 'moon' is not in this sweep"),
        ({"small_noise": {"noize": [1]}}, "parameter 'noize' is not known; allowed: noise"),
        ({"small_noise": {"noise": 0.1}}, "a list of at least one value"),
        ({"small_noise": {"noise": []}}, "a list of at least one value"),
        ({"small_noise": {"noise": ["much"]}}, "allowed: finite numbers"),
        ({"small_noise": {"noise": [True]}}, "allowed: finite numbers"),
        ('{"small_noise": {"noise": [NaN]}}', "allowed: finite numbers"),
        ({"front_loaded_draws": {"order": ["sorted"]}}, "allowed: recorded, shuffled"),
    ],
)
def test_a_grid_that_cannot_be_is_refused_with_its_place(tmp_path: Path, content: Any, culprit: str) -> None:
    path = grid(tmp_path, content)
    with pytest.raises(DataError, match=r"grid\.json") as refused:
        read_grid(path, SCENARIOS)
    assert culprit in str(refused.value)


def test_values_that_a_scenario_cannot_have_are_refused_with_the_cell(tmp_path: Path) -> None:
    path = grid(tmp_path, {"small_noise": {"noise": [-1]}})
    chosen = named(["small_noise"])
    with pytest.raises(DataError, match=r'scenario small_noise, {"noise": -1.0}: u_plus is -1.0'):
        list(swept(tmp_path / "out", tasks(chosen, grid=read_grid(path, chosen)), CONDITIONS))
