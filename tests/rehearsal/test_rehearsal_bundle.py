"""The evidence of a rollback: its commands, pasted into a shell, show the difference again."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rehearsing import ROLLOUT, Done, setup, write_files

from suffice.errors import DataError
from suffice.flag.file import published
from suffice.rehearsal.faults import feed_of
from suffice.rehearsal.rehearse import rehearse
from suffice.rehearsal.setup import Setup
from suffice.serving.counted import counters_of
from suffice.stopping.plan import Plan
from suffice.store.database import open_store
from suffice.store.ledger import Ledger
from suffice.triage.manifest import check
from suffice.triage.reproduce import reproduce

BIN = Path(sys.executable).parent
FILES = {
    "MANIFEST",
    "TRIAGE.md",
    "audits.jsonl",
    "config.json",
    "disagreements.jsonl",
    "environment.json",
    "events.jsonl",
    "evidence.json",
    "flag.json",
    "gates.json",
    "ledger.jsonl",
    "metrics.json",
    "plan.json",
    "receipt.json",
    "state.json",
}


def bundle_of(prepared: Setup) -> Path:
    bundle = rehearse(prepared).bundle
    assert bundle is not None
    return Path(bundle)


@pytest.fixture
def frozen(rolled_back: Done) -> tuple[Setup, Path]:
    return rolled_back.setup, Path(rolled_back.summary["bundle"])


def read(bundle: Path, name: str) -> object:
    return json.loads((bundle / name).read_text(encoding="utf-8"))


def test_a_bundle_holds_all_that_triage_needs(frozen: tuple[Setup, Path]) -> None:
    prepared, bundle = frozen
    assert {path.name for path in bundle.iterdir()} == FILES | {"plans"}
    assert check(bundle) == len(FILES)
    assert Plan.load(bundle / "plan.json") == prepared.plan
    (other,) = (bundle / "plans").iterdir()
    assert (other.name, Plan.load(other).method) == (f"{Plan.load(other).id}.json", "margin")
    gates, state = read(bundle, "gates.json"), read(bundle, "state.json")
    assert isinstance(gates, list)
    assert isinstance(state, dict)
    assert [g["gate"] for g in gates if g["outcome"] == "Failed"] == [g["gate"] for g in state["failed"]]
    assert (state["phase"], state["stages"][state["stage"]]["name"]) == ("RolledBack", "canary")
    receipt = read(bundle, "receipt.json")
    assert isinstance(receipt, dict)
    assert receipt["asked"] == receipt["fixed"] > 0
    assert published(bundle / "flag.json") is None


def test_the_disagreements_are_those_of_the_ledger(frozen: tuple[Setup, Path]) -> None:
    prepared, bundle = frozen
    lines = (bundle / "disagreements.jsonl").read_text(encoding="utf-8").splitlines()
    with open_store(prepared.file("store.db")) as store:
        rows = Ledger(store).disagreements(ROLLOUT, "canary")
        before = [row for row in Ledger(store).rows(ROLLOUT) if row.at <= rows[-1].at]
    counted, window = counters_of(before).snapshot(), [row for row in before if row.stage == "canary"]
    assert [json.loads(line)["key"] for line in lines] == [row.key for row in rows]
    metrics = read(bundle, "metrics.json")
    assert isinstance(metrics, dict)
    assert metrics["decisions"] == counted.decisions
    frozen_rows = (bundle / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["key"] for line in frozen_rows} == {row.key for row in window}
    for line in lines:
        asked = json.loads(line)
        again = reproduce(bundle, asked["key"])
        assert again["differs"]
        assert (again["baseline"], again["adaptive"], again["adaptive_n"]) == (
            asked["baseline"],
            asked["adaptive"],
            asked["n"],
        )


@pytest.mark.parametrize("fault", ["canary:biased-sampler", "staging:storm", "canary:nan"])
def test_every_fault_that_makes_decisions_differ_can_be_seen_again(tmp_path: Path, fault: str) -> None:
    again = reproduce(bundle_of(setup(tmp_path, fault)), feed_of=feed_of)
    assert again["differs"]
    assert again["fault"] == fault.partition(":")[2]
    json.dumps(again, allow_nan=False)


def test_what_is_not_in_a_bundle_or_was_changed_is_refused(frozen: tuple[Setup, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(frozen[1], copy)
    with pytest.raises(DataError, match="no disagreeing decision nobody"):
        reproduce(copy, "nobody")
    (copy / "disagreements.jsonl").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="not what the manifest vouches for"):
        reproduce(copy)


def commands(item: str) -> str:
    fenced = re.search(r"```sh\n(.*?)```", item, re.DOTALL)
    assert fenced is not None
    return fenced[1]


def test_the_commands_of_the_item_work_when_pasted_into_a_shell(tmp_path: Path) -> None:
    folder = tmp_path / "a folder's name"
    folder.mkdir()
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    arguments = ["suffice", *write_files(folder), "--fault", "staging:margin", "--json"]
    arguments[arguments.index("--dir") + 1] = "an odd folder"
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    bundle = folder / json.loads(done.stdout)["bundle"]
    item = (bundle / "TRIAGE.md").read_text(encoding="utf-8")
    assert json.loads(done.stdout)["why"] in item
    pasted = subprocess.run(
        ["bash", "-e"],
        input=commands(item),
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert pasted.returncode == 0, pasted.stderr
    assert re.search(r"^\d+ files are as they were frozen$", pasted.stdout, re.MULTILINE)
    assert f"{ROLLOUT} is closed" in pasted.stdout
    first = json.loads((bundle / "disagreements.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert f"{first['key']}: fixed {first['baseline']} after 64" in pasted.stdout
    assert f"adaptive {first['adaptive']} after {first['n']}" in pasted.stdout
