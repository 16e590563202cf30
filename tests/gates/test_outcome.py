"""What a gate answers, and the worst of several answers."""

from itertools import combinations

import pytest

from suffice.errors import MissingDataError
from suffice.gates.outcome import GateResult, Outcome, unknown, worst


def result(outcome: Outcome) -> GateResult:
    return GateResult("any", outcome, "a sentence", None, None)


@pytest.mark.parametrize("better, worse", list(combinations(Outcome, 2)))
def test_successful_then_inconclusive_then_error_then_failed(better: Outcome, worse: Outcome) -> None:
    assert worst([result(better), result(worse)]) is worst([result(worse), result(better)]) is worse
    assert worst([result(better)]) is better


def test_what_is_missing_is_an_error_with_the_limit_and_no_value() -> None:
    assert unknown("any", MissingDataError("no audits"), 0.01, "1 %") == GateResult(
        "any", Outcome.ERROR, "no audits (limit 1 %)", None, 0.01
    )


def test_no_answer_is_an_error() -> None:
    assert worst([]) is Outcome.ERROR


def test_numbers_are_none_where_nothing_else_was_seen() -> None:
    assert result(Outcome.ERROR).numbers == {}
