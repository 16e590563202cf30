"""The checks beside a rollout's cycles: what they answer, where they keep it, and what they leave alone."""

import json
import sys
from pathlib import Path

import pytest

from suffice.errors import ExitCode
from suffice.runbook.production import main
from suffice.store.database import open_store
from suffice.telemetry.counters import Counters
from suffice.telemetry.metrics_file import flush

QUICK = {"rule": "proportion", "n_samples": 32}


def asked(folder: Path, *names: str, config: str | None = None) -> ExitCode:
    """The answer of these checks, whose service keeps everything in `folder`/queue."""
    path = folder / "config.json"
    path.write_text(config or json.dumps({"verifier": QUICK}), encoding="utf-8")
    return main(str(folder / "checks"), str(path), str(folder / "queue"), "verifier", *names)


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """A service's folder with an empty store."""
    (tmp_path / "queue").mkdir()
    open_store(tmp_path / "queue" / "store.db").close()
    return tmp_path / "queue"


def test_a_service_that_has_decided_nothing_yet_has_a_summary_that_says_so(queue: Path) -> None:
    assert asked(queue.parent, "metrics_summary") is ExitCode.HOLDS
    kept = (queue.parent / "checks" / "metrics_summary.out").read_text(encoding="utf-8")
    assert kept == "no decision has been counted yet\n"


def test_what_cannot_be_read_is_no_failure_and_the_last_line_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(tmp_path, "metrics_summary") is ExitCode.CANNOT_TELL
    assert "CANNOT TELL: suffice: " in capsys.readouterr().out.splitlines()[-1]
    assert asked(tmp_path, "metrics_summary", config="{") is ExitCode.CANNOT_TELL
    assert "the checks cannot run: " in capsys.readouterr().out


def test_the_cases_leave_productions_counters_alone(queue: Path) -> None:
    counters = Counters()
    counters.decided(7)
    flush(counters, queue / "metrics.json")
    before = (queue / "metrics.json").read_bytes()
    assert asked(queue.parent, "verify_sweep") is ExitCode.HOLDS
    assert (queue / "metrics.json").read_bytes() == before
    assert sorted(path.name for path in queue.iterdir()) == ["metrics.json", "metrics.json.lock", "store.db"]


def test_cases_whose_package_is_not_installed_are_left_out_and_named(
    queue: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a bare installation."""
    monkeypatch.setitem(sys.modules, "pdg", None)
    monkeypatch.setattr("suffice.runbook.production.installed", lambda package: package != "pdg")
    assert asked(queue.parent, "run_eval") is ExitCode.HOLDS
    kept = (queue.parent / "checks" / "run_eval.out").read_text(encoding="utf-8")
    assert "without agreement_pdg, which needs pdg: pip install 'suffice[data]'" in kept
    assert "- agreement_even: PASS" in kept
    left_out = "agreement_pdg, sample_reduction, excess_escalations"
    assert capsys.readouterr().out.splitlines()[-1] == f"1 of 1 checks hold; without {left_out} (see run_eval.out)"


def test_a_plan_that_breaks_decisions_fails_and_the_line_says_in_which_case(
    queue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.dumps({"verifier": {**QUICK, "adaptive_sampling": {"method": "margin", "n0": 8}}})
    assert asked(queue.parent, "run_eval", config=config) is ExitCode.FAILS
    assert "- run_eval: FAIL: - agreement_even: FAIL" in capsys.readouterr().out
