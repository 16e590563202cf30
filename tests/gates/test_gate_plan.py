"""The plan gate: decisions of another plan prove nothing."""

import pytest

from suffice.evidence.measurements import NOTHING_MEASURED, Evidence
from suffice.gates import plan
from suffice.gates.outcome import Outcome

PLAN, OTHER = "a" * 64, "b" * 64


@pytest.mark.parametrize(
    ("plans", "outcome", "foreign"),
    [
        ({PLAN: 12}, Outcome.SUCCESSFUL, 0),
        ({PLAN: 1000, OTHER: 1}, Outcome.ERROR, 1),
        ({OTHER: 3}, Outcome.ERROR, 3),
    ],
)
def test_one_decision_of_another_plan_is_an_error(plans: dict[str, int], outcome: Outcome, foreign: int) -> None:
    result = plan.judge(Evidence(plans=plans), PLAN)
    assert (result.outcome, result.value, result.limit) == (outcome, foreign, 0.0)
    judged = f"{foreign:,} of {sum(plans.values()):,} decisions were made with another plan than aaaaaaaaaaaa (limit 0)"
    named = ": bbbbbbbbbbbb; restart those processes and start a new rollout" if foreign else ""
    assert result.sentence == judged + named


def test_before_the_first_decision_it_says_that_there_is_none() -> None:
    result = plan.judge(Evidence(plans={}), PLAN)
    assert (result.outcome, result.value, result.limit) == (Outcome.INCONCLUSIVE, 0, 0.0)
    assert result.sentence == "no decision yet, 0 were made with another plan than aaaaaaaaaaaa (limit 0)"


def test_plans_that_nobody_counted_are_an_error() -> None:
    result = plan.judge(NOTHING_MEASURED, PLAN)
    assert (result.outcome, result.sentence) == (Outcome.ERROR, "plans: not measured (limit 0)")


def test_an_impossible_count_is_an_error() -> None:
    assert plan.judge(Evidence(plans={PLAN: -1}), PLAN).outcome is Outcome.ERROR
