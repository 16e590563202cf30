"""Plans: immutable, and the same after a journey through a file."""

import json
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

import suffice
from suffice.errors import OutputError, PlanError
from suffice.stopping.plan import SCHEMA, Plan

PLANS = {
    "optimal": suffice.plan(suffice.Proportion(0.8), 30, 0.01),
    "split": suffice.plan(suffice.Proportion(0.5), 30, {"accept": 0.001, "reject": 0.01}, look_every=5),
    "exact": suffice.plan(suffice.Proportion(0.9), 30, 0, method="curtailed-exact"),
    "margin": suffice.plan(suffice.PairedMean(), 256, method="margin"),
    "fixed": suffice.plan(suffice.PairedMean(alpha=0.01), 30, method="fixed"),
}


@pytest.mark.parametrize("name", PLANS)
def test_a_saved_plan_is_the_same_plan(name: str, tmp_path: Path) -> None:
    plan, path = PLANS[name], tmp_path / "folder" / "plan.json"
    plan.save(path)
    loaded = Plan.load(path)
    assert loaded == plan == Plan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert loaded.id == plan.id == plan.to_dict()["id"]
    assert loaded.operating.worst()[0] == pytest.approx(plan.worst_disagreement, rel=1e-12)
    assert [p.name for p in path.parent.iterdir()] == ["plan.json"]


def test_the_written_table_alone_gives_both_figures() -> None:
    content = PLANS["split"].to_dict()
    from suffice.stopping.operating_counts import count_operating
    from suffice.stopping.run import Boundary

    computed = count_operating(30, 15, [Boundary(**b) for b in content["boundaries"]])
    assert computed.worst() == (content["worst_disagreement"], content["worst_at"])
    assert computed.mean_asn() == content["asn"]


def edits(content: dict) -> list[dict]:
    boundaries = [dict(b) for b in content["boundaries"]]
    boundaries[-1]["reject_at"] += 1
    return [
        {**content, "boundaries": boundaries},
        {**content, "n": 31},
        {**content, "worst_disagreement": 0.0},
        {**content, "parameters": {"at_least": 0.81}},
        {**content, "id": "0" * 64},
        {**content, "extra": 1},
        {key: value for key, value in content.items() if key != "id"},
        {key: value for key, value in content.items() if key != "boundaries"},
    ]


@pytest.mark.parametrize("edit", range(8))
def test_an_edited_plan_is_refused(edit: int, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(edits(PLANS["optimal"].to_dict())[edit]), encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        Plan.load(path)
    assert str(caught.value) == (
        f"{path}: the plan's id is not the hash of its content: it was edited or damaged; make it anew"
    )


@pytest.mark.parametrize("schema", [None, 0, SCHEMA + 1, str(SCHEMA)])
def test_another_schema_is_refused(schema) -> None:
    with pytest.raises(PlanError, match=f"^plan schema is {schema!r}; allowed: {SCHEMA}$"):
        Plan.from_dict({**PLANS["optimal"].to_dict(), "schema": schema})


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"plan"', "\x00"])
def test_what_is_no_plan_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        Plan.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    for name in ("missing.json", "binary.json", "."):
        with pytest.raises(PlanError, match="cannot be read as a plan"):
            Plan.load(tmp_path / name)


def test_a_plan_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        PLANS["optimal"].save(tmp_path / "file" / "plan.json")


def test_a_plan_cannot_be_changed() -> None:
    plan = PLANS["optimal"]
    with pytest.raises(FrozenInstanceError):
        plan.n = 5  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        plan.boundaries[0].n = 5  # type: ignore[misc]
    assert isinstance(plan.boundaries, tuple)
    assert replace(plan, n=31).id != plan.id


def test_a_whole_number_is_the_same_bound_as_a_fraction() -> None:
    rule = suffice.Proportion(1)
    assert suffice.plan(rule, 20, 0).id == suffice.plan(suffice.Proportion(1.0), 20, 0.0).id
    assert suffice.plan(rule, 20, {"accept": 0.01, "reject": 0.01}).id == suffice.plan(rule, 20, 0.01).id


def test_the_id_does_not_depend_on_process_and_hash_seed() -> None:
    code = "import suffice; print(suffice.plan(suffice.Proportion(0.5), 30, {'reject': 0.01, 'accept': 0.001}, "
    code += "look_every=5).id)"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == PLANS["split"].id


def test_a_table_that_was_made_for_another_count_is_refused(tmp_path: Path) -> None:
    """An earlier version asked for 31 of 36 where the share is 5/6."""
    path = tmp_path / "plan.json"
    for count, refused in ((31, True), (30, False)):
        made = suffice.plan(suffice.Proportion((count, 36)), 36, 0.05)
        replace(made, rule=suffice.Proportion(5 / 6)).save(path)
        if refused:
            with pytest.raises(PlanError, match="made for 31 of 36 by an earlier version, and its rule asks for 30"):
                Plan.load(path)
        else:
            assert Plan.load(path).boundaries == made.boundaries
