"""`suffice rehearse`: what it prints, what it leaves, and how it ends."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from small_rehearsal import OWN, write

from suffice.cli.main import run
from suffice.flag.client import FlagClient
from suffice.triage.manifest import check
from suffice.verifier.arm import Arm

KEYS = {
    "name",
    "weight",
    "decisions",
    "audits",
    "disagreements",
    "disagreement_upper",
    "sample_reduction",
    "gates",
}
LEFT = {"config.json", "flag.json", "metrics.json", "report.html", "store.db", "summary.json"}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
    code = run(["rehearse", *OWN, "--no-checks", "--json", *options])
    out, err = capsys.readouterr()
    assert err == ""
    return code, json.loads(out)


def test_json_of_a_completed_rehearsal(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, summary = printed(capsys)
    assert (code, summary["status"], summary["corrections"]) == (0, "completed", 240)
    assert summary["decisions"] == sum(stage["decisions"] for stage in summary["stages"]) > 900
    assert [stage["name"] for stage in summary["stages"]] == ["staging", "canary", "full"]
    assert all(stage.keys() >= KEYS for stage in summary["stages"])
    assert all(gate.keys() >= {"gate", "outcome", "sentence"} for stage in summary["stages"] for gate in stage["gates"])
    left = here / "TemporaryQueue" / "rehearsal"
    assert json.loads((left / "summary.json").read_text(encoding="utf-8")) == summary
    assert {path.name for path in left.iterdir()} >= LEFT
    assert json.loads((here / "config.json").read_text(encoding="utf-8"))["verifier"]["adaptive_sampling"] == {
        "n0": 8,
        "n_min": 8,
        "look_every": 8,
    }


@pytest.mark.parametrize("rule", ["proportion", "paired_mean"])
def test_json_of_a_margin_that_is_put_back(here: Path, capsys: pytest.CaptureFixture[str], rule: str) -> None:
    code, summary = printed(capsys, "--fault", "canary:margin", "--rule", rule)
    assert (code, summary["status"], summary["failed_gate"]) == (2, "rolled_back", "disagreement")
    assert check(Path(summary["bundle"])) > 0
    with FlagClient.from_file(here / "TemporaryQueue" / "rehearsal" / "flag.json") as flag:
        answers = [flag.ask(f"t{i}", region) for i in range(100) for region in ("eu-west-1", "us-east-1")]
    assert {(answer.arm, answer.resolved) for answer in answers} == {(Arm.FIXED, True)}


def test_json_without_metrics_pauses(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, summary = printed(capsys, "--fault", "canary:no-metrics")
    assert (code, summary["status"], summary["bundle"]) == (3, "paused", None)
    assert summary["stages"][-1]["name"] == "canary"


def test_equal_seeds_print_equal_bytes_and_another_seed_others(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for seed in ("1", "1", "2"):
        run(["rehearse", *OWN, "--no-checks", "--json", "--fault", "staging:margin", "--seed", seed])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]


def test_plain_lines_tell_each_stage_and_the_end_on_one_screen(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rehearse", *OWN, "--no-checks"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^day +\d+\.\d\d  Progressing staging: ", out, re.MULTILINE)
    assert re.search(r"^day +\d+\.\d\d  Progressing canary: ", out, re.MULTILINE)
    assert "Rehearsal on records.csv and measurements.csv: completed" in out
    assert "flag answers adaptive" in out
    assert len(out.splitlines()) < 60


def test_going_on_with_what_has_ended_says_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = printed(capsys, "--fault", "staging:margin")
    assert printed(capsys, "--fault", "staging:margin", "--continue") == first


@pytest.mark.parametrize(
    ("options", "code", "complaint"),
    [
        (["--fault", "canary:nonsense"], 2, "--fault is 'canary:nonsense'; allowed: STAGE:KIND, stages staging, "),
        (["--fault", "nowhere:margin"], 2, "--fault is 'nowhere:margin'"),
        (["--fault", "margin"], 2, "--fault is 'margin'"),
        (["--method", "nonsense"], 2, "--method is 'nonsense'; allowed: optimal, curtailed, "),
        (["--rule", "nonsense"], 2, "--rule is 'nonsense'; allowed: proportion, paired_mean, "),
        (["--config", "nowhere.json"], 2, "nowhere.json: there is no such file"),
        (["--source", "pdg"], 2, "are both given"),
        (["--continue"], 2, "there is no rehearsal to go on with; leave out --continue"),
        (["--out-dir", "config.json"], 2, "config.json: cannot be used"),
        (["--dir", "config.json"], 2, "config.json: cannot be used"),
        (["--seed", "x"], 2, "--seed"),
    ],
)
def test_bad_input_ends_with_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, complaint: str
) -> None:
    assert run(["rehearse", *OWN, "--no-checks", *options]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1
    assert not (here / "TemporaryQueue" / "rehearsal" / "summary.json").exists()


def test_a_source_without_corrections_is_refused_with_those_that_have_some(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rehearse", "--source", "even"]) == 2
    assert capsys.readouterr().err == (
        "suffice: --source is 'even'; allowed: pdg, codata, ledger, or --records with --measurements\n"
    )


def test_going_on_with_something_else_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["rehearse", *OWN, "--no-checks", "--json", "--fault", "staging:margin"])
    capsys.readouterr()
    assert (
        run(["rehearse", *OWN, "--no-checks", "--json", "--fault", "staging:margin", "--seed", "7", "--continue"]) == 2
    )
    assert "was made from something else; begin anew" in capsys.readouterr().err


def test_too_few_targets_pause_and_name_the_way_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, 90)
    assert run(["rehearse", *OWN, "--no-checks"]) == 3
    out = capsys.readouterr().out
    assert "116 targets without a disagreement prove 3 %" in " ".join(out.split())
    assert "few targets: --waive targets goes without their gate, here and in suffice rollout start" in out
