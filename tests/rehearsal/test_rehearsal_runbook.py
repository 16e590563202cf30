"""The runbook's checks inside a rehearsal: once for each stage, beside the traffic, as a gate, and in the bundle."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rehearsing import Done, config_text, rehearsed, setup

from suffice.cli.main import run
from suffice.gates.outcome import Outcome
from suffice.rehearsal.runbook import Runbook
from suffice.triage.manifest import check

OUTPUTS = {"pytest_adversarial.out", "run_eval.out", "metrics_summary.out", "escalation_gate.out", "verify_sweep.out"}


def answered(folder: Path, **codes: int) -> Runbook:
    stage = folder / "staging"
    stage.mkdir(parents=True)
    (stage / "runbook.json").write_text(json.dumps({"checks": codes}), encoding="utf-8")
    return Runbook(folder, folder / "config.json")


@pytest.mark.parametrize(
    ("codes", "outcome", "sentence"),
    [
        ({"run_eval": 0, "compare": 0}, Outcome.SUCCESSFUL, "0 of 2 checks fail (limit 0)"),
        ({"run_eval": 2, "compare": 3}, Outcome.FAILED, "1 of 2 checks fail (limit 0): run_eval"),
        ({"run_eval": 0, "compare": 3}, Outcome.ERROR, "0 of 2 checks fail (limit 0): compare cannot tell"),
        ({}, Outcome.ERROR, "0 of 0 checks fail (limit 0)"),
    ],
)
def test_the_worst_answer_is_the_gates(tmp_path: Path, codes: dict[str, int], outcome: Outcome, sentence: str) -> None:
    result = answered(tmp_path, **codes).answer("staging", wait=True)
    assert (result.outcome, result.sentence) == (outcome, sentence)


def test_checks_that_left_no_answer_are_an_error_and_ones_not_waited_for_prove_nothing(tmp_path: Path) -> None:
    runbook = Runbook(tmp_path, tmp_path / "config.json")
    assert runbook.answer("staging", wait=True).outcome is Outcome.ERROR
    assert answered(tmp_path / "other", run_eval=0).answer("staging", wait=False).outcome is Outcome.INCONCLUSIVE


def test_checks_that_cannot_start_are_an_error_with_the_reason_kept(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    runbook = Runbook(tmp_path / "checks", tmp_path / "config.json")
    runbook.begin("staging")
    assert runbook.answer("staging", wait=True).outcome is Outcome.ERROR
    assert "config.json" in (tmp_path / "checks" / "staging" / "trouble.out").read_text(encoding="utf-8")


def test_a_rolled_back_rehearsal_has_the_outputs_of_the_failing_stage_in_its_bundle(tmp_path: Path) -> None:
    checked = replace(setup(tmp_path, "staging:margin"), checks=True)
    ending, summary = rehearsed(checked)
    assert (ending.status, summary["failed_gate"]) == ("rolled_back", "disagreement")
    bundle = Path(str(ending.bundle))
    assert check(bundle) > len(OUTPUTS)
    kept = {path.name for path in (bundle / "checks").iterdir()}
    assert kept >= OUTPUTS
    assert {"sweep_a", "sweep_b", "metrics.json"} <= kept
    # The fault is in the rehearsal's traffic, not in the plan that the checks are about.
    answers = json.loads((bundle / "checks" / "runbook.json").read_text(encoding="utf-8"))
    assert set(answers["checks"].values()) == {0}
    assert [gate["gate"] for gate in summary["stages"][0]["gates"]][-1] == "runbook"


def test_without_checks_none_is_asked_production_s_neither(completed: Done) -> None:
    """Seen: a rehearsal without checks asked production's, whose answer depends on the speed of the machine."""
    gates = {gate["gate"] for stage in completed.summary["stages"] for gate in stage["gates"]}
    assert "disagreement" in gates
    assert "runbook" not in gates
    assert not (completed.setup.directory / "checks").exists()


def test_a_plan_that_breaks_decisions_fails_the_checks_and_each_says_so_in_its_own_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(config_text(method="margin"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert run(["runbook", "--budget", "12", "--json"]) == 2
    codes = json.loads(capsys.readouterr().out)["checks"]
    assert {name for name, code in codes.items() if code == 2} >= {"pytest_adversarial", "run_eval", "compare"}
    assert codes["verify_sweep"] == codes["metrics_summary"] == codes["escalation_gate"] == 0
    kept = tmp_path / "TemporaryQueue" / "runbook"
    assert "- agreement_even: FAIL" in (kept / "run_eval.out").read_text(encoding="utf-8")
    assert json.loads((kept / "runbook.json").read_text(encoding="utf-8"))["checks"] == codes
