"""The plan cache: what it returns is what the solver would give."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import suffice
from suffice.stopping.budget import Budget
from suffice.stopping.cache import SOLVER, PlanCache, default_cache
from suffice.stopping.plan import Plan
from suffice.stopping.request import Margin, Request

LOOKS = tuple(range(1, 30))
REQUEST = Request(suffice.Proportion(0.8), 30, "optimal", Budget.of(0.05), LOOKS, Margin())
PLAN = suffice.plan(suffice.Proportion(0.8), 30, 0.05)
OTHER = suffice.plan(suffice.Proportion(0.8), 30, 0.05, looks=(10, 20))


def never() -> Plan:
    raise AssertionError("the solver was asked")


def entry_of(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_the_second_call_reads_the_file(tmp_path: Path) -> None:
    assert PlanCache(tmp_path).get(REQUEST, lambda: PLAN) == PLAN
    assert PlanCache(tmp_path).get(REQUEST, never) == PLAN
    assert entry_of(tmp_path).suffix == ".json"


@pytest.mark.parametrize(
    "request_",
    [
        replace(REQUEST, looks=(10, 20)),
        replace(REQUEST, n=31),
        replace(REQUEST, method="curtailed-exact"),
        replace(REQUEST, budget=Budget.of(0.04)),
        replace(REQUEST, budget=Budget.of({"accept": 0.05, "reject": 0.04})),
        replace(REQUEST, rule=suffice.Proportion(0.81)),
        replace(REQUEST, margin=Margin(early_stop_margin=0.02)),
    ],
)
def test_another_request_is_another_entry(request_: Request, tmp_path: Path) -> None:
    cache = PlanCache(tmp_path)
    cache.get(REQUEST, lambda: PLAN)
    assert cache.get(request_, lambda: OTHER) == OTHER
    assert cache.get(REQUEST, never) == PLAN
    assert len(list(tmp_path.iterdir())) == 2


def test_a_plan_of_another_solver_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PlanCache(tmp_path).get(REQUEST, lambda: OTHER)
    monkeypatch.setattr("suffice.stopping.cache.SOLVER", SOLVER + 1)
    assert PlanCache(tmp_path).get(REQUEST, lambda: PLAN) == PLAN
    monkeypatch.undo()
    assert PlanCache(tmp_path).get(REQUEST, never) == OTHER


def damaged(path: Path, how: str) -> str | bytes:
    entry = json.loads(path.read_text(encoding="utf-8"))
    edited = json.loads(json.dumps(entry))
    edited["plan"]["boundaries"][5]["reject_at"] = 5
    return {
        "empty": "",
        "cut": path.read_text(encoding="utf-8")[:200],
        "binary": b"\xff\x00\xfe",
        "no object": "[]",
        "no plan": json.dumps({"request": entry["request"], "plan": None}),
        "edited": json.dumps(edited),
        "a bare plan": json.dumps(entry["plan"]),
        "another plan": json.dumps(OTHER.to_dict()),
        "another request": json.dumps({"request": {**entry["request"], "looks": [10, 20]}, "plan": OTHER.to_dict()}),
    }[how]


@pytest.mark.parametrize(
    "how",
    ["empty", "cut", "binary", "no object", "no plan", "edited", "a bare plan", "another plan", "another request"],
)
def test_a_broken_edited_or_foreign_entry_is_made_anew_and_replaced(how: str, tmp_path: Path) -> None:
    cache = PlanCache(tmp_path)
    cache.get(REQUEST, lambda: PLAN)
    path = entry_of(tmp_path)
    content = damaged(path, how)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert cache.get(REQUEST, lambda: PLAN) == PLAN
    assert cache.get(REQUEST, never) == PLAN
    assert entry_of(tmp_path) == path


def test_a_folder_that_cannot_be_written_only_costs_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    cache = PlanCache(tmp_path / "file" / "plans")
    assert cache.get(REQUEST, lambda: PLAN) == PLAN
    assert [path.name for path in tmp_path.iterdir() if path.name != "plan-cache"] == ["file"]


def test_an_entry_in_whose_place_is_a_folder_only_costs_time(tmp_path: Path) -> None:
    cache = PlanCache(tmp_path)
    cache.get(REQUEST, lambda: PLAN)
    path = entry_of(tmp_path)
    path.unlink()
    path.mkdir()
    assert cache.get(REQUEST, lambda: PLAN) == PLAN
    assert list(tmp_path.iterdir()) == [path]


def test_a_solver_that_fails_leaves_no_entry(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="the solver was asked"):
        PlanCache(tmp_path).get(REQUEST, never)
    assert list(tmp_path.iterdir()) == []


def test_plan_uses_the_cache_it_is_given(tmp_path: Path) -> None:
    plan = suffice.plan(suffice.Proportion(0.8), 30, 0.05, cache=PlanCache(tmp_path))
    assert plan == PLAN
    assert PlanCache(tmp_path).get(REQUEST, never) == PLAN


def test_the_default_folder_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUFFICE_CACHE_DIR", str(tmp_path / "mine"))
    suffice.plan(suffice.Proportion(0.8), 30, 0.05, cache=default_cache())
    assert entry_of(tmp_path / "mine" / "plans").suffix == ".json"
