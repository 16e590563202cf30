"""`suffice gate --use-config` beside a rollout: what the baseline escalates too is no harm of the adaptive arm."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from production import Production, content, producing, situation_in

from suffice.cli.main import run
from suffice.decision.rule import Decision
from suffice.rollout.phases import Phase
from suffice.sources.correction import Correction, Estimate
from suffice.store.ledger import Ledger
from suffice.telemetry.counters import Counter, Counters
from suffice.telemetry.metrics_file import flush
from suffice.verifier.arm import Arm


def storms(production: Production, targets: int, *, adaptive: Decision, baseline: Decision) -> None:
    """For each target three audited decisions in a row: three rejections make a storm."""
    stage, rollout = production.state.current.name, production.operator.current.id
    row = Ledger(production.store).rows(rollout)[-1]
    rows = [
        replace(
            row,
            key=f"storm {target}/{i}",
            target=f"stormy {target}",
            arm=Arm.ADAPTIVE,
            decision=adaptive,
            adaptive_decision=adaptive,
            baseline_decision=baseline,
            agrees=adaptive is baseline,
            audited=True,
            epoch=None,
            at=production.clock(),
            stage=stage,
        )
        for target in range(targets)
        for i in range(3)
    ]
    Ledger(production.store).append(rows)
    counters = Counters()
    counters.decided(len(rows))
    counters.add(Counter.ESCALATIONS, targets)
    flush(counters, production.place.queue / "metrics.json")


def asked(production: Production, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, dict[str, Any], str]:
    place = production.place
    options = ["--reports-dir", str(place.queue), "--config", str(place.config), *more]
    code = run(["gate", *options, "--json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else {}, printed.err


def strict() -> dict[str, Any]:
    """Hundreds of audits of few targets: what differs is judged by the escalation gate alone here."""
    return content(acceptance={"max_disagreement_rate": 0.9, "max_excess_escalations": 0.0})


def test_what_the_baseline_escalates_too_is_no_harm_of_the_rollout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with producing(tmp_path, strict()) as production:
        production.until("canary")
        production.traffic(10)
        storms(production, 599, adaptive=Decision.REJECTED, baseline=Decision.REJECTED)
        code, answer, _ = asked(production, capsys, "--use-config")
        assert (code, answer["rollout"], answer["stage"]) == (0, "verifier-000001", "canary")
        assert answer["outcome"] == "Successful"
        # Without the rollout the 599 are all that there is to see.
        assert asked(production, capsys)[0] == 2
        assert asked(production, capsys, "--use-config", "--max-escalations", "0")[0] == 2


def baselines_own_storms(production: Production, targets: int = 40) -> None:
    """Claims that the noise cannot support, four for each target: three rejections of the baseline make a storm."""
    was, measured = Estimate(0.0, 1.0, 1.0), Estimate(0.1, 1.0, 1.0)
    stage = production.state.current.name
    with production.process(situation_in(production.store)) as verifier:
        for claim in range(4 * targets):
            key, target = f"{stage} storm {claim}", f"stormy {claim % targets}"
            verifier.verify(Correction(key, target, was, measured, region=("eu", "us")[claim % 2]).case())


def test_a_healthy_service_with_many_escalations_of_the_baseline_completes(tmp_path: Path) -> None:
    """Seen: the baseline's own escalations rolled a healthy service back in its first cycle."""
    with producing(tmp_path, content(acceptance={"max_disagreement_rate": 0.1})) as production:
        for stage in ("staging", "canary", "full"):
            production.until(stage)
            baselines_own_storms(production)
        production.traffic()
        assert production.cycle().phase is Phase.COMPLETED, production.state.why
        rows = Ledger(production.store).rows(production.operator.current.id)
        rejected = [row for row in rows if row.target.startswith("stormy") and row.decision is Decision.REJECTED]
        assert len(rejected) > 0.9 * 3 * 4 * 40


@pytest.mark.parametrize("stage", ["canary", "full"])
def test_a_service_that_escalates_because_of_the_adaptive_arm_is_rolled_back(tmp_path: Path, stage: str) -> None:
    with producing(tmp_path, strict()) as production:
        production.until(stage)
        production.traffic(10)
        storms(production, 30, adaptive=Decision.REJECTED, baseline=Decision.ACCEPTED)
        assert production.cycle().phase is Phase.ROLLED_BACK
        assert "excess_escalations" in [result.gate for result in production.state.failed]


def test_escalations_of_the_adaptive_arm_alone_fail_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with producing(tmp_path, strict()) as production:
        production.until("canary")
        production.traffic(10)
        storms(production, 30, adaptive=Decision.REJECTED, baseline=Decision.ACCEPTED)
        code, answer, _ = asked(production, capsys, "--use-config")
        assert (code, answer["outcome"]) == (2, "Failed")
        assert "only adaptively" in answer["sentence"]


def test_asking_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        before = production.operator.current, production.operator.history()
        assert asked(production, capsys, "--use-config")[0] == 0
        assert (production.operator.current, production.operator.history()) == before


def test_without_a_rollout_under_way_the_counters_are_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        storms(production, 2, adaptive=Decision.REJECTED, baseline=Decision.REJECTED)
        production.operator.tell("rollback", "ann", "enough")
        code, answer, _ = asked(production, capsys, "--use-config")
        assert (code, answer["source"], answer["value"]) == (2, "production", 2)
