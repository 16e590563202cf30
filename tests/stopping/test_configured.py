"""The rule and the plan that a configuration names: a plan that was promoted is the plan that runs."""

import json
from pathlib import Path

import pytest

from suffice.config import VerifierConfig, parse
from suffice.decision.paired_mean import PairedMean
from suffice.decision.proportion import Proportion
from suffice.errors import PlanError
from suffice.stopping.make import configured_plan, configured_rule, plan


def section(**adaptive: object) -> VerifierConfig:
    """The verifier section of a configuration with rule proportion and these keys under adaptive_sampling."""
    text = json.dumps({"verifier": {"rule": "proportion", "n_samples": 64, "adaptive_sampling": adaptive}})
    return parse(text, "config.json").verifier


def test_the_rule_is_the_configured_one() -> None:
    assert configured_rule(section()) == Proportion(0.8)
    assert configured_rule(VerifierConfig()) == PairedMean(0.05, 1e-6)


def test_without_a_pinned_plan_the_section_describes_it(tmp_path: Path) -> None:
    configured = configured_plan(section(look_every=4, n_min=4), None, tmp_path)
    assert configured == plan(Proportion(0.8), 64, 0.01, look_every=4, n_min=4)


def test_a_pinned_plan_is_read_and_never_solved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned = plan(Proportion(0.8), 64, 0.001, looks=(16, 32))
    pinned.save(tmp_path / "plans" / "promoted.json")

    def solver(*_: object, **__: object) -> None:
        raise AssertionError("a solver ran")

    monkeypatch.setattr("suffice.stopping.make.plan", solver)
    assert configured_plan(section(plan_file="plans/promoted.json"), None, tmp_path) == pinned


@pytest.mark.parametrize(
    ("pinned", "what"),
    [
        (plan(Proportion(0.7), 64, 0.01), "the plan is for Proportion(at_least=0.7)"),
        (plan(PairedMean(), 64, method="margin"), "the plan is for PairedMean"),
        (plan(Proportion(0.8), 32, 0.01), "the plan is for N = 32"),
    ],
)
def test_a_pinned_plan_for_something_else_is_refused(tmp_path: Path, pinned, what: str) -> None:
    pinned.save(tmp_path / "plan.json")
    with pytest.raises(PlanError, match=r"plan\.json") as refusal:
        configured_plan(section(plan_file="plan.json"), None, tmp_path)
    assert what in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_pinned_plan_that_was_edited_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    plan(Proportion(0.8), 64, 0.01).save(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    boundary = next(b for b in content["boundaries"] if b["reject_at"] is not None)
    boundary["reject_at"] += 1
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(PlanError, match="edited or damaged"):
        configured_plan(section(plan_file="plan.json"), None, tmp_path)
