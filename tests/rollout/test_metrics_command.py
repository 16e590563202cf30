"""`suffice metrics` beside a rollout: the current stage beside the totals, and whether file and ledger agree."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from production import Production, producing

from suffice.cli.main import run
from suffice.serving.counted import counters_of
from suffice.store.ledger import Ledger
from suffice.telemetry.counters import Counter, Counters
from suffice.telemetry.metrics_file import flush
from suffice.verifier.arm import Arm


def asked(production: Production, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(said(production, capsys, "--json", *more))
    return answer


def said(production: Production, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    place = production.place
    assert run(["metrics", "--reports-dir", str(place.queue), "--config", str(place.config), *more]) == 0
    return capsys.readouterr().out


def counted(production: Production) -> Counters:
    """What the service counted, as its ledger says."""
    return counters_of(Ledger(production.store).each_row(production.operator.current.id))


def test_the_current_stage_stands_beside_the_totals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        production.traffic()
        production.disagreements(2, "canary")
        ledger = Ledger(production.store)
        audit = next(row for row in ledger.rows(production.operator.current.id, "canary") if row.is_audit)
        ledger.append([replace(audit, key="elsewhere", region="us")])
        alone = {"arm": Arm.ADAPTIVE, "audited": False, "agrees": None, "baseline_decision": None}
        ledger.append([replace(audit, key="priced", n=8, adaptive_n=8, drawn=8, cost=0.5, draw_seconds=600.0, **alone)])
        production.cycle()
        flush(counted(production), production.place.queue / "metrics.json")
        rows = ledger.rows(production.operator.current.id)
        answer = asked(production, capsys)
        stage = answer["stage"]
        of_stage = [row for row in rows if row.stage == "canary"]
        assert (stage["rollout"], stage["stage"]) == ("verifier-000001", "canary")
        assert (answer["decisions"], stage["decisions"]) == (len(rows), len(of_stage))
        assert stage["adaptive"]["decisions"] == sum(row.is_adaptive for row in of_stage) > 0
        assert stage["adaptive"]["draws"] == sum(row.n for row in of_stage if row.is_adaptive)
        assert stage["disagreement_rate"] == 2 / sum(row.is_audit for row in of_stage)
        assert answer["disagreement_rate"] == 2 / sum(row.is_audit for row in rows) < stage["disagreement_rate"]
        assert (answer["differs_from_ledger"], stage["rollbacks"]) == ({}, None)
        shown = said(production, capsys)
        assert "stage canary of verifier-000001" in " ".join(shown.split())
        assert "and the ledger differ" not in " ".join(shown.split())
        health = {check["gate"]: check["outcome"] for check in stage["health"]}
        assert (health["keys"], health["audits"], health["arms"]) == ("Successful",) * 3
        assert "processes cannot be adaptive" in " ".join(shown.split())
        assert [(part["gate"], part["numbers"]["disagreements"]) for part in stage["slices"]] == [("region eu", 2)]
        assert "Disagreement in stage canary" in shown and "region eu" in shown
        assert stage["saved"]["cost_saved"] == answer["saved"]["cost_saved"] == 0.5 * (audit.fixed_n - 8)
        assert f"saved in stage canary: 12 of {audit.fixed_n / 2:.3g} (cost) and 30 min" in shown


def test_errors_of_samplers_are_shown_by_type_and_are_no_difference_from_the_ledger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with producing(tmp_path) as production:
        production.traffic(40)
        counters = counted(production)
        for error in (TimeoutError(), OSError(), TimeoutError()):
            counters.sampler_raised(error)
        counters.sampler_raised(TimeoutError(), retried=True)
        flush(counters, production.place.queue / "metrics.json")
        answer = asked(production, capsys)
        assert (answer["sampler_errors"], answer["sampler_retries"], answer["differs_from_ledger"]) == (4, 1, {})
        assert answer["sampler_errors_by_type"] == {"TimeoutError": 3, "OSError": 1}
        assert "4: TimeoutError 3, OSError 1" in said(production, capsys)
        assert asked(production, capsys, "--from-ledger")["sampler_errors"] is None


def test_a_file_that_says_otherwise_than_the_ledger_is_told_and_the_ledger_can_be_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with producing(tmp_path) as production:
        production.traffic(40)
        counters = counted(production)
        counters.decided(5)
        counters.add(Counter.AUDITS, 3)
        flush(counters, production.place.queue / "metrics.json")
        answer = asked(production, capsys)
        audits = answer["audits"]
        assert answer["differs_from_ledger"] == {"decisions": [45, 40], "verifier_audits_total": [audits, audits - 3]}
        assert "- decisions: 45, in the ledger 40" in said(production, capsys)
        truth = asked(production, capsys, "--from-ledger")
        assert (truth["source"], truth["decisions"], truth["audits"]) == ("the ledger", 40, audits - 3)
        assert (truth["differs_from_ledger"], truth["escalations"]) == ({}, None)


def test_counters_of_an_evaluation_are_not_held_against_the_ledger(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with producing(tmp_path) as production:
        production.traffic(40)
        options = ["--only", "reference_workload", "--metrics-file", str(production.place.queue / "metrics.json")]
        assert run(["eval", *options, "--config", str(production.place.config)]) == 0
        capsys.readouterr()
        answer = asked(production, capsys)
        assert (answer["source"], answer["differs_from_ledger"]) == ("run_eval", {})
        assert answer["stage"]["decisions"] == 40


def test_a_rate_of_nothing_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Seen: `disagreements  0 = –` where nothing was audited."""
    content = {"metrics": {"resolution_adaptive_used_total": 90, "resolution_adaptive_samples_total": 5000}}
    (tmp_path / "metrics.json").write_text(json.dumps(content), encoding="utf-8")
    assert run(["metrics", "--reports-dir", str(tmp_path)]) == 0
    rows = dict(re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()[1:])
    assert (rows["audits"], rows["disagreements"]) == ("0", "0")


def test_a_ledger_that_cannot_be_read_hides_no_counters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with producing(tmp_path) as production:
        production.traffic(40)
        flush(counted(production), production.place.queue / "metrics.json")
        production.opened.close()
        (production.place.queue / "store.db").write_bytes(b"no store")
        answer = asked(production, capsys)
        assert answer["decisions"] == 40
        assert "store.db" in answer["ledger_unread"]
        assert "the ledger cannot be read: " in said(production, capsys)
