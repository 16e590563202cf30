"""The escalation gate: the same targets in two worlds."""

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from suffice.evidence.measurements import Evidence
from suffice.gates.e_process import log_e_above
from suffice.gates.escalation import judge, log_e_excess
from suffice.gates.outcome import GateResult, Outcome


def judged(targets: int, more: int, fewer: int, limit: float = 0.0) -> GateResult:
    return judge(Evidence(audited_targets=targets, excess=more, spared=fewer), limit, 0.95)


@pytest.mark.parametrize(
    "targets, more, fewer, outcome",
    [
        (0, 0, 0, Outcome.INCONCLUSIVE),
        (812, 0, 0, Outcome.SUCCESSFUL),
        (812, 3, 3, Outcome.SUCCESSFUL),
        (812, 0, 5, Outcome.SUCCESSFUL),
        (812, 1, 0, Outcome.SUCCESSFUL),
        (812, 6, 0, Outcome.SUCCESSFUL),
        (812, 7, 0, Outcome.INCONCLUSIVE),
        (812, 8, 0, Outcome.INCONCLUSIVE),
        (812, 9, 0, Outcome.FAILED),
        (812, 20, 2, Outcome.FAILED),
    ],
)
def test_escalations_stay_at_or_below_the_baseline(targets: int, more: int, fewer: int, outcome: Outcome) -> None:
    assert judged(targets, more, fewer).outcome is outcome


@pytest.mark.parametrize(
    "more, outcome",
    [(9, Outcome.SUCCESSFUL), (16, Outcome.SUCCESSFUL), (19, Outcome.INCONCLUSIVE), (21, Outcome.FAILED)],
)
def test_with_a_limit_the_rate_is_judged_against_it(more: int, outcome: Outcome) -> None:
    assert judged(812, more, 0, 0.01).outcome is outcome


def test_the_sentence() -> None:
    assert judged(812, 1, 0).sentence == (
        "1 target escalates only adaptively, 0 only in the baseline, of 812 audited targets: "
        "excess 0.123 % (limit 0 %); evidence of harm 1.5, 100 fails"
    )


def test_what_the_baseline_alone_escalates_is_taken_off_the_excess() -> None:
    result = judged(812, 2, 5)
    assert result.value == -3 / 812
    assert result.sentence.startswith("2 targets escalate only adaptively, 5 only in the baseline, of 812")
    assert result.numbers["excess"] == 2 and result.numbers["spared"] == 5


def test_targets_may_all_be_discordant() -> None:
    assert judged(5, 3, 2).outcome is Outcome.SUCCESSFUL


def test_no_target_has_no_excess() -> None:
    result = judged(0, 0, 0)
    assert (result.value, result.limit, result.numbers) == (None, 0.0, {"targets": 0})


def test_overwhelming_evidence_is_still_a_number() -> None:
    assert judged(10**6, 10**6, 0).numbers["evidence"] == exp(700)


def test_more_discordant_targets_than_targets_are_impossible() -> None:
    assert judged(5, 3, 3).outcome is Outcome.ERROR


@given(st.integers(0, 200), st.integers(0, 100))
def test_without_a_margin_it_is_the_sign_tests_e_process(more: int, fewer: int) -> None:
    exact = log_e_above(more, more + fewer, 0.5, a=1, b=1)
    assert log_e_excess(10_000, more, fewer, 0.0) == pytest.approx(exact, abs=0.01)


@given(st.integers(0, 300), st.integers(0, 300))
def test_it_asks_at_least_what_the_exact_sign_test_asks(more: int, fewer: int) -> None:
    if judged(10_000, more, fewer).outcome is Outcome.FAILED:
        assert binomtest(more, more + fewer, alternative="greater").pvalue <= 0.01


@given(
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(0, 2000),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_no_target_within_the_limit_gains_evidence_on_average(
    more: int, fewer: int, neither: int, limit: float, spared: float, share: float
) -> None:
    """The supermartingale property, for every split of a target's chances with an excess of at most the limit."""
    gained = min(limit + spared, 1 - spared) * share if spared < 1 else 0.0
    targets = more + fewer + neither
    now = log_e_excess(targets, more, fewer, limit)
    chances = ((gained, 1, 0), (spared, 0, 1), (1 - gained - spared, 0, 0))
    after = sum(p * exp(log_e_excess(targets + 1, more + a, fewer + b, limit) - now) for p, a, b in chances if p > 0)
    assert after <= 1 + 1e-9


def test_evidence_for_a_margin_is_the_average_gamblers_fortune() -> None:
    targets, more, fewer, limit = 400, 12, 2, 0.01
    outcomes = np.array([1] * more + [-1] * fewer + [0] * (targets - more - fewer))
    stakes = (np.arange(256) + 0.5) / 256 / 1.01
    fortunes = [float(np.prod(1 + stake * (outcomes - limit))) for stake in stakes]
    assert log_e_excess(targets, more, fewer, limit) == pytest.approx(log(sum(fortunes) / 256))


def test_a_failed_gate_always_observes_more_than_the_limit() -> None:
    for limit in (0.0, 0.01, 0.1, 1.0):
        for more in range(0, 200, 7):
            result = judged(200, more, 0, limit)
            assert result.outcome is not Outcome.FAILED or (result.value or 0) > limit
