"""The determinism gate."""

import pytest

from suffice.evidence.measurements import Evidence
from suffice.gates.determinism import judge
from suffice.gates.outcome import Outcome


@pytest.mark.parametrize(
    "recomputed, differing, decisions, outcome",
    [
        (20, 0, 500, Outcome.SUCCESSFUL),
        (20, 1, 500, Outcome.FAILED),
        (1, 1, 1, Outcome.FAILED),
        (0, 0, 0, Outcome.INCONCLUSIVE),
        (0, 0, 19, Outcome.INCONCLUSIVE),
        (19, 0, 19, Outcome.INCONCLUSIVE),
        (0, 0, 20, Outcome.ERROR),
        (19, 0, 500, Outcome.ERROR),
        (5, 6, 500, Outcome.ERROR),
        (None, None, 500, Outcome.ERROR),
    ],
)
def test_every_recomputed_decision_must_come_out_the_same(
    recomputed: int | None, differing: int | None, decisions: int, outcome: Outcome
) -> None:
    evidence = Evidence(stopped=decisions, recomputed=recomputed, differing=differing)
    assert judge(evidence, 20).outcome is outcome


def test_one_recomputed_decision_is_enough_where_no_number_is_asked_for() -> None:
    assert judge(Evidence(stopped=1, recomputed=1, differing=0)).outcome is Outcome.SUCCESSFUL


@pytest.mark.parametrize("at_least", [0, 1])
def test_nothing_recomputed_is_an_error_once_there_are_decisions(at_least: int) -> None:
    assert judge(Evidence(stopped=1, recomputed=0, differing=0), at_least).outcome is Outcome.ERROR


def test_the_sentences() -> None:
    nothing = judge(Evidence(stopped=0, recomputed=0, differing=0), 20)
    assert (nothing.outcome, nothing.sentence) == (
        Outcome.INCONCLUSIVE,
        "no decision to recompute yet, 0 differ (limit 0)",
    )
    assert judge(Evidence(stopped=0, recomputed=1, differing=1), 1).sentence.startswith("1 of 1 decisions recomputed")
    assert judge(Evidence(stopped=20, recomputed=20, differing=0), 20).sentence == (
        "0 of 20 decisions recomputed in a fresh process differ (limit 0)"
    )
    assert judge(Evidence(stopped=50, recomputed=20, differing=1), 20).sentence == (
        "1 of 20 decisions recomputed in a fresh process differs (limit 0)"
    )
    assert judge(Evidence(stopped=50, recomputed=20, differing=2, first_differing="pump-17/1"), 20).sentence == (
        "2 of 20 decisions recomputed in a fresh process differ (limit 0), the first of key 'pump-17/1'"
    )
    assert judge(Evidence(stopped=50, recomputed=3, differing=0), 20).sentence == (
        "0 of 3 decisions recomputed in a fresh process differ (limit 0); at least 20 of 50 must be recomputed"
    )
