"""The runbook's commands as an operator meets them: files of the repository root, exit codes, broken on purpose."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from small_rehearsal import OWN, write

from runbook_table import until_answered, wait_for_checks
from suffice.cli.main import run
from suffice.telemetry.counters import Counter, Counters
from suffice.telemetry.metrics_file import flush

ROOT = Path(__file__).parents[2]
QUICK = "config_round_trip,reference_workload,provenance_chain,agreement_even"
DOORS = (
    "run_eval.py",
    "metrics_dashboard.py",
    "scripts/check_rollback_storm_escalation_gate.py",
    "scripts/compare_adaptive_vs_fixed.py",
    "scripts/adversarial_sweep.py",
    "tools/verify_sweep_outputs.py",
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the configuration that we ship."""
    folder = tmp_path / "work"
    folder.mkdir()
    shutil.copy(ROOT / "config.json", folder)
    monkeypatch.chdir(folder)
    for name in ("SUFFICE_ESCALATION_GATE_ENABLED", "SUFFICE_ESCALATION_GATE_MAX_ESCALATIONS", "SUFFICE_FORCE_FIXED"):
        monkeypatch.delenv(name, raising=False)
    return folder


def door(path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / path), *arguments], capture_output=True, text=True, check=False, encoding="utf-8"
    )


def answer(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    assert run([*arguments, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], arguments: Sequence[str], code: int = 2) -> str:
    assert run(arguments) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


def set_config(folder: Path, **verifier: Any) -> None:
    content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    content["verifier"].update({name: value for name, value in verifier.items() if name != "method"})
    content["verifier"]["adaptive_sampling"]["method"] = verifier.get("method", "optimal")
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")


def count(folder: Path, escalations: int, decisions: int = 10) -> None:
    counters = Counters()
    counters.decided(decisions)
    counters.add(Counter.ESCALATIONS, escalations)
    flush(counters, folder / "TemporaryQueue" / "metrics.json")


def test_every_door_works_and_says_what_its_command_says(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = ("--out-dir", "sweep", "--budget", "2", "--scenarios", "small_noise,zero_variance", "--deterministic")
    commands = [
        ("eval", "--only", QUICK),
        ("metrics", "--reports-dir", "TemporaryQueue", "--metrics-file", "metrics.json"),
        ("gate", "--use-config"),
        ("compare", "--use-config", "--deterministic", "--json"),
        ("sweep", *sweep),
        ("verify-sweep", "--sweep-dir", "sweep", "--detcheck", "sweep/reports", "sweep/reports"),
    ]
    for path, command in zip(DOORS, commands, strict=True):
        done = door(path, *command[1:])
        assert (done.returncode, done.stderr) == (0, ""), command
        # In another process, with other hashes.
        assert run(command) == 0
        assert done.stdout == capsys.readouterr().out != ""
    assert (here / "eval_summary.json").exists()


def test_doors_are_a_few_lines_and_only_doors() -> None:
    for path in DOORS:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert len(text.splitlines()) < 12
        assert "suffice.cli.main import run" in text


@pytest.mark.campaign
def test_the_runbook_works_line_by_line_in_a_fresh_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The monitoring block first, then each sentence with its command and what it must show."""
    for name in ("SUFFICE_ESCALATION_GATE_ENABLED", "SUFFICE_ESCALATION_GATE_MAX_ESCALATIONS", "SUFFICE_FORCE_FIXED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"AUTHOR_NAME": "Ann", "AUTHOR_EMAIL": "ann@example.org"}.items():
        monkeypatch.setenv(f"GIT_{name}", value)
        monkeypatch.setenv(f"GIT_{name.replace('AUTHOR', 'COMMITTER')}", value)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    subprocess.run(["git", "checkout", "--quiet", "-b", "main-of-hers"], cwd=clone, check=True)
    monkeypatch.setenv("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))

    def shell(line: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", "-e", "-o", "pipefail", "-c", line]
        return subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)

    block = re.findall(r"```sh\n(.*?)```", (clone / "docs" / "runbook.md").read_text(encoding="utf-8"), re.DOTALL)[0]
    for line in block.splitlines():
        done = shell(line)
        assert (done.returncode, done.stderr) == (0, ""), (line, done.stdout)
    kept = [
        clone / name for name in ("pytest_adversarial.out", "run_eval.out", "metrics_summary.out", "verify_sweep.out")
    ]
    for file in kept:
        assert file.read_text(encoding="utf-8")
        file.unlink()
    # All of it again, as a person pastes it into the plainest shell.
    done = subprocess.run(["sh", "-e"], input=block, cwd=clone, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(file.read_text(encoding="utf-8") for file in kept)
    for part in until_answered():
        for row in part:
            done = shell(row.command)
            assert done.returncode == 0, (row, done.stdout, done.stderr)
            assert row.is_shown(done.stdout), (row, done.stdout)
        wait_for_checks(clone)


def test_the_evaluation_prints_a_line_a_case_and_writes_its_summary(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eval", "--only", QUICK, "--junit", "out/junit.xml"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("- ")] == [f"- {name}: PASS" for name in QUICK.split(",")]
    summary = json.loads((here / "eval_summary.json").read_text(encoding="utf-8"))
    assert summary["passed"] is True
    assert [case["name"] for case in summary["cases"]] == QUICK.split(",")
    suite = ElementTree.parse(here / "out" / "junit.xml").getroot()
    assert [case.attrib["name"] for case in suite] == QUICK.split(",")
    counted = answer(capsys, "metrics")
    assert (counted["decisions"], counted["escalations"]) == (240, 0)


@pytest.mark.parametrize("rule", ["proportion", "paired_mean"])
def test_the_heuristic_makes_the_evaluation_fail_and_name_the_agreement_case(
    here: Path, capsys: pytest.CaptureFixture[str], rule: str
) -> None:
    set_config(here, rule=rule, method="margin")
    assert run(["eval", "--only", "agreement_even,config_round_trip"]) == 2
    printed = capsys.readouterr().out
    assert "- agreement_even: FAIL\n" in printed
    assert "- config_round_trip: PASS\n" in printed
    assert json.loads((here / "eval_summary.json").read_text(encoding="utf-8"))["passed"] is False


def test_cases_can_be_listed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "agreement_pdg" in [case["name"] for case in answer(capsys, "eval", "--list")]
    assert run(["eval", "--list"]) == 0
    assert "provenance_chain: " in capsys.readouterr().out
    assert not (here / "eval_summary.json").exists()


@pytest.mark.parametrize(
    ("arguments", "culprit", "code"),
    [
        (("eval", "--only", "moon"), "moon", 2),
        (("eval", "--config", "nowhere.json"), "nowhere.json", 2),
        (("eval", "--only", "config_round_trip", "--summary", "."), "it is a folder", 2),
        (("metrics",), "there is no metrics file", 3),
        (("metrics", "--config", "nowhere.json"), "nowhere.json: there is no such file", 2),
        (("gate", "--use-config"), "there is no metrics file", 3),
        (("gate", "--use-config", "--config", "nowhere.json"), "nowhere.json", 2),
        (("gate", "--max-escalations", "-1"), "--max-escalations is -1", 2),
        (("sweep", "--budget", "0"), "budget is 0", 2),
        (("sweep", "--repeats", "0"), "repeats is 0", 2),
        (("sweep", "--scenarios", "moon"), "moon", 2),
        (("sweep", "--grid-file", "nowhere.json"), "nowhere.json", 2),
        (("sweep", "--out-dir", "config.json"), "config.json", 2),
        (("verify-sweep",), "--sweep-dir", 2),
        (("verify-sweep", "--compare-dir", "a"), "without --sweep-dir", 2),
    ],
)
def test_bad_input_gets_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: Sequence[str], culprit: str, code: int
) -> None:
    assert culprit in refused(capsys, arguments, code)


@pytest.mark.parametrize(("escalations", "limit", "code"), [(0, 0, 0), (1, 0, 2), (3, 3, 0), (4, 3, 2)])
def test_the_gate_holds_at_the_limit_and_fails_above(
    here: Path, capsys: pytest.CaptureFixture[str], escalations: int, limit: int, code: int
) -> None:
    count(here, escalations)
    answered = answer(capsys, "gate", "--max-escalations", str(limit), code=code)
    assert (answered["value"], answered["limit"], answered["holds"]) == (escalations, limit, code == 0)
    assert run(["gate", "--max-escalations", str(limit)]) == code
    assert f"{escalations}, allowed: {limit}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("environment", "arguments", "code"),
    [
        ({}, (), 2),
        ({"MAX_ESCALATIONS": "5"}, (), 0),
        ({"MAX_ESCALATIONS": "5"}, ("--max-escalations", "4"), 2),
        ({"ENABLED": "false"}, (), 0),
        ({"ENABLED": "Off"}, ("--max-escalations", "0"), 0),
        ({"ENABLED": "1"}, (), 2),
        ({"ENABLED": "", "MAX_ESCALATIONS": ""}, (), 2),
    ],
)
def test_the_environment_stands_above_the_configuration_and_the_option_above_both(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    arguments: Sequence[str],
    code: int,
) -> None:
    count(here, escalations=5)
    for name, value in environment.items():
        monkeypatch.setenv(f"SUFFICE_ESCALATION_GATE_{name}", value)
    assert run(["gate", "--use-config", *arguments]) == code


@pytest.mark.parametrize(("name", "value"), [("ENABLED", "maybe"), ("MAX_ESCALATIONS", "-1"), ("MAX_ESCALATIONS", "x")])
def test_an_environment_that_cannot_be_read_is_refused(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    count(here, escalations=0)
    monkeypatch.setenv(f"SUFFICE_ESCALATION_GATE_{name}", value)
    assert f"SUFFICE_ESCALATION_GATE_{name} is '{value}'" in refused(capsys, ["gate"])


def test_the_configuration_switches_the_gate_off_and_sets_its_limit(here: Path) -> None:
    count(here, escalations=5)
    content = json.loads((here / "config.json").read_text(encoding="utf-8"))
    gate = content["error_resolution"]["rollback_storm_policy"]["ci_gate"]
    for change, code in (({"max_escalations": 5}, 0), ({"max_escalations": 4}, 2), ({"enabled": False}, 0)):
        gate.update(change)
        (here / "config.json").write_text(json.dumps(content), encoding="utf-8")
        assert run(["gate", "--use-config"]) == code


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"counters": {}}', '{"format": 0, "decisions": 1, "counters": {}}']
)
def test_metrics_that_cannot_be_read_are_not_zero(here: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    path = here / "TemporaryQueue" / "metrics.json"
    path.parent.mkdir()
    path.write_text(content, encoding="utf-8")
    assert "metrics.json" in refused(capsys, ["gate", "--use-config"], 3)
    assert "metrics.json" in refused(capsys, ["metrics"], 2)


def test_a_zero_is_a_zero_only_where_decisions_were_made(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count(here, escalations=0, decisions=0)
    assert "no decisions" in refused(capsys, ["gate"], 3)
    assert "no decisions" in refused(capsys, ["metrics"], 3)
    count(here, escalations=0)
    assert run(["gate"]) == 0


def test_ten_evaluations_a_sweep_and_a_rehearsal_leave_productions_counters_alone(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: four runs of the evaluation took production's disagreements from 5.6 % to 1.6 %."""
    write(here)
    count(here, escalations=3)
    before = (here / "TemporaryQueue" / "metrics.json").read_bytes()
    for _ in range(10):
        assert run(["eval", "--only", "reference_workload"]) == 0
    assert run(["sweep", "--budget", "2", "--scenarios", "rollback_storm,small_noise"]) == 0
    assert run(["rehearse", *OWN, "--no-checks"]) == 0
    assert (here / "TemporaryQueue" / "metrics.json").read_bytes() == before


def test_the_dashboard_adds_up(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counters = Counters()
    counters.decided(30)
    for counter, value in (
        (Counter.ADAPTIVE_USED, 20), (Counter.ADAPTIVE_SAMPLES, 1000), (Counter.ADAPTIVE_EARLY_STOP, 15),
        (Counter.FIXED_SAMPLES, 2000), (Counter.AUDITS, 10), (Counter.DISAGREEMENTS, 1), (Counter.ROLLBACKS, 4),
    ):  # fmt: skip
        counters.add(counter, value)
    flush(counters, here / "q" / "m.json")
    answered = answer(capsys, "metrics", "--reports-dir", "q", "--metrics-file", "m.json")
    assert answered["adaptive"] == {"decisions": 20, "draws": 1000, "average_n": 50.0}
    assert answered["fixed"] == {"decisions": 10, "draws": 2000, "average_n": 200.0}
    assert (answered["saving"], answered["early_stop_rate"], answered["rollbacks"], answered["escalations"]) == (
        0.75,
        0.75,
        4,
        0,
    )
    assert answered["disagreement_rate"] == 0.1
    # Clopper and Pearson's interval for 1 of 10, as tables have it.
    assert (answered["disagreement_lower"], answered["disagreement_upper"]) == pytest.approx(
        (0.00253, 0.44502), abs=1e-5
    )
    assert run(["metrics", "--reports-dir", "q", "--metrics-file", "m.json"]) == 0
    shown = capsys.readouterr().out
    for text in ("75.0 %", "1 = 10.00 %", "0.25 % … 44.50 %", "2,000"):
        assert text in shown
    assert "\x1b" not in shown


def test_without_fixed_decisions_the_saving_is_against_the_configured_n(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    counters = Counters()
    counters.decided(2)
    counters.add(Counter.ADAPTIVE_USED, 2)
    counters.add(Counter.ADAPTIVE_SAMPLES, 128)
    flush(counters, here / "TemporaryQueue" / "metrics.json")
    answered = answer(capsys, "metrics")
    assert (answered["saving"], answered["fixed"]["average_n"], answered["disagreement_rate"]) == (0.75, None, None)


def test_a_budget_of_twelve_reaches_every_scenario(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answered = answer(capsys, "sweep", "--out-dir", "s", "--budget", "12", "--deterministic")
    assert answered["runs"] == answered["passed"] == len(list((here / "s" / "reports").iterdir())) == 12
    assert len(answered["scenarios"]) == 12
    assert min(answered["scenarios"].values()) >= 1
    assert answered["left_out"] == []
    checked = answer(capsys, "verify-sweep", "--sweep-dir", "s")
    assert checked == {"holds": True, "findings": []}


def test_a_sweep_of_the_heuristic_fails_and_names_the_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    set_config(here, method="margin")
    assert run(["sweep", "--out-dir", "s", "--scenarios", "boundary_effect", "--budget", "1"]) == 2
    shown = capsys.readouterr().out
    assert "reports/adversarial_report_boundary_effect_" in shown
    assert "decisions differ" in shown
    # Failing is a result like any other: what was written is complete and agrees.
    assert run(["verify-sweep", "--sweep-dir", "s"]) == 0


def test_a_small_budget_says_what_it_leaves_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sweep", "--out-dir", "s", "--scenarios", "small_noise,zero_variance", "--budget", "1"]) == 0
    assert "the budget leaves out: zero_variance" in capsys.readouterr().out


def test_two_sweeps_are_compared_and_a_difference_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run(["sweep", "--out-dir", name, "--scenarios", "small_noise", "--seed", seed, "--deterministic"]) == 0
    capsys.readouterr()
    assert run(["verify-sweep", "--sweep-dir", "a", "--compare-dir", "b"]) == 0
    assert run(["verify-sweep", "--detcheck", "a/reports", "b/reports"]) == 0
    capsys.readouterr()
    answered = answer(capsys, "verify-sweep", "--sweep-dir", "a", "--compare-dir", "c", code=2)
    assert {finding["file"].split("/")[0] for finding in answered["findings"]} == {"c"}
    assert run(["verify-sweep", "--detcheck", "a/reports", "c/reports"]) == 2
    assert "seed_obj.global_seed differs" in capsys.readouterr().out
