"""A sweep gives the same files whoever makes its runs, and whatever happens to them."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
from benchmarks.cluster import Cluster

from suffice.cli.main import run
from suffice.comparison.workers import Failed, Pool, pool
from suffice.decision.proportion import Proportion
from suffice.resolution.storm import StormPolicy
from suffice.runbook import sweep as sweep_module
from suffice.runbook.scenarios.catalogue import SCENARIOS, named
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Check, Params, Setting
from suffice.runbook.scenarios.worlds import Worlds
from suffice.runbook.sweep import RUNS, Conditions, Task, make, make_chunk, sweep, tasks
from suffice.runbook.sweep_check import check, compare
from suffice.runbook.sweep_files import Name, cell_id
from suffice.stopping.make import plan

CONDITIONS = Conditions(plan(Proportion(0.8), 64, 0.01), 42, StormPolicy(3), datetime(2025, 1, 1, tzinfo=UTC))
WANTED = tasks(named(["small_noise", "rollback_storm", "zero_variance", "context_swap"]))
DEADLY = WANTED[4]


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def swept(folder: Path, workers: Pool, wanted: Sequence[Task] = WANTED) -> list[object]:
    return list(sweep(folder, wanted, CONDITIONS, workers))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    with pool() as workers:
        assert swept(folder, workers) == [make(task, CONDITIONS) for task in WANTED]
    return folder


def dying(mark: Path | None, scenario: Scenario, params: Params, setting: Setting) -> tuple[Worlds, list[Check]]:
    """Kills its process at one cell: each time, or when a mark is named only as long as it is not there."""
    if setting.scope == DEADLY.name.scope and (mark is None or not mark.exists()):
        if mark is not None:
            mark.touch()
        os._exit(1)
    return ORIGINAL(scenario, params, setting)


ORIGINAL = sweep_module.run


def make_deadly(mark: Path | None) -> None:
    """What each worker does first."""
    sweep_module.run = partial(dying, mark)


def deadly_pool(mark: Path | None) -> Pool:
    # The product spawns its workers, as the other tests do; forked ones have their imports already.
    context = get_context("forkserver")
    return Pool(
        lambda: ProcessPoolExecutor(2, mp_context=context, initializer=make_deadly, initargs=(mark,)),
        lambda executor: executor.shutdown(wait=True, cancel_futures=True),
        2,
    )


def test_two_commands_with_one_and_two_processes_write_equal_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("sweep", "--budget", str(3 * RUNS), "--deterministic", "--json")
    printed = []
    for workers in ("1", "2"):
        assert run((*asked, "--out-dir", str(tmp_path / workers), "--workers", workers)) == 0
        printed.append({**json.loads(capsys.readouterr().out), "out_dir": None})
    assert printed[0] == printed[1]
    assert (printed[0]["runs"], printed[0]["not_made"]) == (3 * RUNS, [])
    assert files(tmp_path / "1") == files(tmp_path / "2")
    compared = ("verify-sweep", "--sweep-dir", str(tmp_path / "1"), "--compare-dir", str(tmp_path / "2"), "--json")
    assert run(compared) == 0
    assert json.loads(capsys.readouterr().out) == {"holds": True, "findings": []}


@pytest.mark.parametrize("size", [1, 100])
def test_nothing_depends_on_how_runs_are_cut_into_chunks(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(sweep_module, "RUNS", size)
    with pool() as workers:
        swept(tmp_path, workers)
    assert files(tmp_path) == files(alone)


def test_a_cluster_writes_the_same(alone: Path, tmp_path: Path) -> None:
    with Cluster(tmp_path / "cluster") as cluster, pool(cluster=cluster.address) as workers:
        swept(tmp_path / "sweep", workers)
    assert files(tmp_path / "sweep") == files(alone)


def test_a_killed_worker_costs_only_its_chunks(alone: Path, tmp_path: Path) -> None:
    workers = deadly_pool(tmp_path / "died")
    swept(tmp_path / "sweep", workers)
    workers.close()
    assert (tmp_path / "died").exists()
    assert files(tmp_path / "sweep") == files(alone)
    assert compare(alone, tmp_path / "sweep") == []


def test_a_chunk_that_kills_its_worker_twice_is_told_with_its_cells_and_the_rest_is_made(
    alone: Path, tmp_path: Path
) -> None:
    workers = deadly_pool(None)
    reports = swept(tmp_path, workers)
    workers.close()
    lost = [one for one in reports if isinstance(one, Failed)]
    assert len(lost) == 1
    assert "its worker died" in lost[0].why
    cells = [task.name for task in lost[0].chunk.tasks]
    assert DEADLY.name in cells
    assert len(cells) <= RUNS
    reported = {task.name.report_file for task in WANTED if task.name not in cells}
    expected = files(alone)
    assert files(tmp_path) == {name: expected[name] for name in reported}
    assert [finding.what for finding in check(tmp_path)] == ["is missing: the sweep is not finished"]
    stamps = {name: (tmp_path / name).stat().st_mtime_ns for name in reported}
    with pool() as hands:
        swept(tmp_path, hands)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in reported} == stamps
    assert files(tmp_path) == expected


def test_the_command_tells_what_was_not_made_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work breaks at some runs, as if it did not fit the memory of a worker."""

    def breaking(chunk: sweep_module.Chunk) -> object:
        if any(task.scenario.id == "zero_variance" for task in chunk.tasks):
            raise MemoryError("no room")
        return make_chunk(chunk)

    monkeypatch.setattr(sweep_module, "make_chunk", breaking)
    monkeypatch.setattr(sweep_module, "RUNS", 2)
    asked = ("sweep", "--out-dir", str(tmp_path), "--scenarios", "small_noise,zero_variance", "--json")
    assert run(asked) == 2
    printed = capsys.readouterr()
    answered = json.loads(printed.out)
    assert (answered["runs"], answered["passed"], len(answered["not_made"])) == (4, 4, 4)
    assert printed.err.count("\n") == 1
    assert "4 runs were not made, their chunk failed twice (MemoryError: no room): zero_variance_" in printed.err


@pytest.mark.parametrize("workers", [1, 2])
def test_values_that_a_scenario_cannot_have_are_the_users_error_for_any_number_of_workers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], workers: int
) -> None:
    grid = tmp_path / "grid.json"
    grid.write_text('{"small_noise": {"noise": [0.1, -1]}}', encoding="utf-8")
    asked = ("sweep", "--scenarios", "small_noise", "--grid-file", str(grid), "--workers", str(workers))
    assert run((*asked, "--out-dir", str(tmp_path / "sweep"))) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert 'scenario small_noise, {"noise": -1.0}: u_plus is -1.0' in printed.err
    assert not (tmp_path / "sweep" / "sweep_results.csv").exists()


def test_a_scenario_that_is_not_in_the_catalogue_stays_in_this_process(tmp_path: Path) -> None:
    mine = replace(SCENARIOS[0], id="mine")
    wanted = [Task(mine, {"noise": 0.1}, Name("mine", cell_id({"noise": 0.1}), 0))]
    with pool(2) as workers:
        (report,) = swept(tmp_path, workers, wanted)
    assert isinstance(report, Failed)
    assert "scenario mine is not in the catalogue" in report.why
    with pool() as workers:
        assert swept(tmp_path, workers, wanted) == [make(wanted[0], CONDITIONS)]
