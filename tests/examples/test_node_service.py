"""A service in another language: it places targets as the vectors say, follows the word, decides by the plan file, and
a rollout counts its audits."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from suffice.cli.main import run

ROOT = Path(__file__).parents[2]
NODE = ROOT / "examples" / "node"
VECTORS = ROOT / "docs" / "bucketing-test-vectors.json"
PLACED = """
import { audited, bucket } from "./suffice.mjs";
import { readFileSync } from "node:fs";
const { fractions, vectors } = JSON.parse(readFileSync(0, "utf8"));
const placed = vectors.map(({ salt, target }) => ({
  salt, target, bucket: bucket(salt, target), audited_at: fractions.filter((each) => audited(salt, target, each)),
}));
console.log(JSON.stringify(placed));
"""

CONFIG: dict[str, Any] = {
    "verifier": {"rule": "proportion", "n_samples": 32, "adaptive_sampling": {"enabled": True}},
    "rollout": {
        "acceptance": {"max_disagreement_rate": 0.1, "max_excess_escalations": 0.2},
        "cycle": "1s",
        "checks": {"run": []},
        "stages": [
            {"name": "staging", "weight": 0, "shadow": True, "hold": "1s", "min_audits": 40},
            {"name": "full", "weight": 100, "audit_fraction": 0.2},
        ],
    },
}


def test_targets_are_placed_and_audited_as_the_vectors_say() -> None:
    text = VECTORS.read_text(encoding="utf-8")
    command = ["node", "--input-type=module", "--eval", PLACED]
    done = subprocess.run(command, input=text, capture_output=True, text=True, encoding="utf-8", check=True, cwd=NODE)
    vectors = json.loads(text)["vectors"]
    assert json.loads(done.stdout) == vectors
    assert len({vector["bucket"] for vector in vectors}) > 20


def test_the_vectors_are_those_of_this_code(tmp_path: Path) -> None:
    written = tmp_path / "vectors.json"
    subprocess.run([sys.executable, str(ROOT / "tools" / "bucketing_test_vectors.py"), str(written)], check=True)
    assert written.read_bytes() == VECTORS.read_bytes()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return tmp_path


def test_a_service_in_node_takes_part_in_a_rollout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = 0

    def suffice(*words: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = run([*words, "--json"])
        told = capsys.readouterr()
        assert told.out, told.err
        return code, json.loads(told.out)

    def serve(count: int) -> tuple[dict[str, int], dict[str, Any]]:
        """What the service did, and what became of its rows."""
        nonlocal asked
        rows = folder / f"rows-{asked}.jsonl"
        command = ["node", str(NODE / "service.mjs"), "plan.json", str(rows), str(asked), str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        asked += count
        code, taken = suffice("ingest", str(rows))
        assert (code, taken["refused"], taken["new"]) == (0, [], count)
        return json.loads(done.stdout), taken

    suffice("plan", "--use-config", "--save", "plan.json")
    assert suffice("rollout", "start", "--waive", "determinism")[0] == 0
    assert suffice("rollout", "cycle")[1]["stage"] == "staging"
    stage = "staging"
    while stage == "staging":
        done, _ = serve(60)
        assert done == {"adaptive": 0, "fixed": 60, "audited": 60}
        report = suffice("rollout", "cycle")[1]
        stage = report["stage"]
        assert report["phase"] == "Progressing" and asked <= 600, report
    done, _ = serve(60)
    assert done["adaptive"] == 60 and 2 < done["audited"] < 30
    assert suffice("rollout", "cycle")[0] == 0
    gates = {gate["gate"]: gate for gate in suffice("rollout", "explain")[1]["gates"]}
    assert gates["disagreement"]["numbers"]["audits"] == done["audited"]
    assert gates["disagreement"]["numbers"]["disagreements"] == 0
    assert gates["health"]["outcome"] == "Successful"
    suffice("rollout", "rollback", "--reason", "enough", "--no-wait")
    done, _ = serve(5)
    assert done["adaptive"] == 0
