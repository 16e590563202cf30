"""The sample-reduction gate, its interval, and what audits leave of the benefit."""

from math import nextafter, sqrt

import numpy as np
import pytest

from suffice.errors import RolloutError
from suffice.evidence.measurements import Evidence
from suffice.gates.outcome import GateResult, Outcome
from suffice.gates.sample_reduction import check_net, judge, mean_radius, net_possible


def judged(decisions: int, mean_draws: int, adaptive: int | None = None, audit_draws: int = 0) -> GateResult:
    """So many decisions that took so many of 100 draws."""
    evidence = Evidence(
        adaptive=decisions if adaptive is None else adaptive,
        stopped=decisions,
        stopping_draws=decisions * mean_draws,
        fixed_n=100,
        audit_draws=audit_draws,
    )
    return judge(evidence, 0.30, 0.95)


@pytest.mark.parametrize(
    "decisions, mean_draws, outcome, sentence",
    [
        (0, 0, Outcome.INCONCLUSIVE, "no adaptive decision yet, 0 draws saved (limit 30 %)"),
        (20, 21, Outcome.INCONCLUSIVE, "79 % fewer draws in 20 decisions; proven ≥ 21.6 % (limit 30 %)"),
        (500, 21, Outcome.SUCCESSFUL, "79 % fewer draws in 500 decisions; proven ≥ 72.2 % (limit 30 %)"),
        (500, 68, Outcome.INCONCLUSIVE, "32 % fewer draws in 500 decisions; proven ≥ 25.2 % (limit 30 %)"),
        (500, 85, Outcome.FAILED, "15 % fewer draws in 500 decisions; proven ≤ 23.1 % (limit 30 %)"),
    ],
)
def test_proven_not_proven_or_not_worth_it(decisions: int, mean_draws: int, outcome: Outcome, sentence: str) -> None:
    result = judged(decisions, mean_draws)
    assert result.outcome is outcome
    assert result.sentence.startswith(sentence)


def test_what_is_proven_exactly_at_the_limit_is_enough_and_not_too_little() -> None:
    evidence = Evidence(adaptive=500, stopped=500, stopping_draws=30_000, fixed_n=100, audit_draws=0)
    bounds = judge(evidence, 0.3, 0.95).numbers
    lower, upper = bounds["lower"], bounds["upper"]
    assert lower is not None and upper is not None
    assert judge(evidence, lower, 0.95).outcome is Outcome.SUCCESSFUL
    assert judge(evidence, nextafter(lower, 1), 0.95).outcome is Outcome.INCONCLUSIVE
    assert judge(evidence, upper, 0.95).outcome is Outcome.INCONCLUSIVE
    assert judge(evidence, nextafter(upper, 1), 0.95).outcome is Outcome.FAILED


@pytest.mark.parametrize(("draws", "audit_draws"), [(1000, 0), (900, 100)])
def test_all_draws_that_fixed_would_take_are_possible(draws: int, audit_draws: int) -> None:
    evidence = Evidence(stopped=10, stopping_draws=draws, fixed_n=100, adaptive=10, audit_draws=audit_draws)
    result = judge(evidence, 0.3, 0.95)
    assert (result.outcome, result.numbers["net"]) == (Outcome.INCONCLUSIVE, 0.0)


def test_net_of_audits_stands_beside_it() -> None:
    result = judged(500, 20, audit_draws=100 * 80)
    assert result.value == pytest.approx(0.8)
    assert result.numbers["net"] == pytest.approx(0.8 * (1 - 100 / 500)), "a fifth of the decisions was audited"
    assert result.sentence.endswith("64 % net of audits")


def test_the_shadow_has_a_benefit_and_saves_nothing() -> None:
    result = judged(500, 20, adaptive=0)
    assert result.outcome is Outcome.SUCCESSFUL
    assert result.numbers["net"] is None
    assert result.sentence.endswith("in the shadow")


def test_no_decision_has_no_reduction() -> None:
    result = judged(0, 0)
    assert (result.value, result.limit, result.numbers) == (None, 0.30, {"decisions": 0})


@pytest.mark.parametrize(
    "draws, fixed_n, audit_draws, sentence",
    [
        (1001, 100, 0, "1,001 draws up to the stopping times, where N allows 1,000"),
        (0, 0, 0, "10 decisions, which fixed would take 0 draws"),
        (900, 100, 101, "101 draws of audits, where N leaves 100"),
    ],
)
def test_impossible_counts_are_an_error(draws: int, fixed_n: int, audit_draws: int, sentence: str) -> None:
    evidence = Evidence(stopped=10, stopping_draws=draws, fixed_n=fixed_n, adaptive=10, audit_draws=audit_draws)
    result = judge(evidence, 0.3, 0.95)
    assert result.outcome is Outcome.ERROR
    assert result.sentence == f"impossible counts: {sentence} (limit 30 %)"


def test_one_decision_of_one_draw_can_be_judged() -> None:
    evidence = Evidence(stopped=1, stopping_draws=1, fixed_n=1, adaptive=1, audit_draws=0)
    assert judge(evidence, 0.3, 0.95).outcome is Outcome.INCONCLUSIVE


def test_bounds_are_shares() -> None:
    assert (judged(20, 21).numbers["upper"], judged(20, 90).numbers["lower"]) == (1.0, 0.0)


def test_the_interval_is_the_mixture_of_gaussian_bets() -> None:
    """At the radius the evidence ∫ exp(λs − λ²V/2) dN(λ; 0, 1/16) is exactly 1/α (V = n/4)."""
    for n, confidence in ((1, 0.95), (500, 0.95), (10_000, 0.99)):
        s = n * mean_radius(n, confidence)
        stakes = np.linspace(-6, 6, 2_000_001)
        bets = np.exp(stakes * s - stakes**2 * n / 8 - stakes**2 * 8) * sqrt(16 / (2 * np.pi))
        assert float(np.sum(bets) * (stakes[1] - stakes[0])) == pytest.approx(1 / (1 - confidence), rel=1e-6)


@pytest.mark.parametrize("audits, reduction, net", [(0.0, 0.5, 0.5), (1.0, 0.5, 0.0), (0.1, 0.54, 0.486)])
def test_net_possible(audits: float, reduction: float, net: float) -> None:
    assert net_possible(audits, reduction) == pytest.approx(net)


def test_net_possible_is_what_a_simulation_of_audits_leaves() -> None:
    rng = np.random.default_rng(7)
    n = rng.choice([8, 16, 64, 100], p=[0.5, 0.3, 0.1, 0.1], size=100_000)
    audited = rng.random(n.size) < 0.2
    spent = np.where(audited, 100, n)
    error = float(np.std(spent)) / 100 / sqrt(n.size)
    assert 1 - spent.mean() / 100 == pytest.approx(net_possible(0.2, 1 - n.mean() / 100), abs=4 * error)


def test_a_last_stage_that_cannot_keep_the_benefit_is_refused() -> None:
    check_net(0.02, 0.54, 0.30)
    check_net(0.5, 0.6, 0.30)
    with pytest.raises(RolloutError, match=r"audits of 50 % of the targets, can save 27 % .*allowed: at least 30 %"):
        check_net(0.5, 0.54, 0.30)
