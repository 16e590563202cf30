"""The sample-reduction gate, its interval, and what audits leave of the benefit."""

from dataclasses import asdict, replace
from fractions import Fraction
from math import nextafter, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.errors import RolloutError
from suffice.evidence.measurements import Evidence
from suffice.evidence.saving import Saving
from suffice.gates.betting import lower
from suffice.gates.outcome import GateResult, Outcome
from suffice.gates.sample_reduction import check_net, judge, net_possible


def judged(decisions: int, mean_draws: int, adaptive: int | None = None, audit_draws: int = 0) -> GateResult:
    """So many decisions that took so many of 100 draws."""
    evidence = alike(decisions, mean_draws, 100, audit_draws)
    return judge(evidence if adaptive is None else replace(evidence, adaptive=adaptive), 0.30, 0.95)


def alike(decisions: int, draws: int, n: int, audit_draws: int = 0) -> Evidence:
    """So many decisions in force that took so many draws of n each."""
    return Evidence(
        adaptive=decisions,
        stopped=decisions,
        stopping_draws=decisions * draws,
        fixed_draws=decisions * n,
        reductions={str(10_000 * (n - draws) // n): decisions} if decisions else {},
        audit_draws=audit_draws,
    )


@pytest.mark.parametrize(
    "decisions, mean_draws, outcome, sentence",
    [
        (0, 0, Outcome.INCONCLUSIVE, "no adaptive decision yet, 0 draws saved (limit 30 %)"),
        (6, 21, Outcome.INCONCLUSIVE, "79 % fewer draws in 6 decisions; proven ≥ 26.6 % (limit 30 %)"),
        (7, 21, Outcome.SUCCESSFUL, "79 % fewer draws in 7 decisions; proven ≥ 31.9 % (limit 30 %)"),
        (500, 21, Outcome.SUCCESSFUL, "79 % fewer draws in 500 decisions; proven ≥ 78.1 % (limit 30 %)"),
        (100, 68, Outcome.INCONCLUSIVE, "32 % fewer draws in 100 decisions; proven ≥ 29.7 % (limit 30 %)"),
        (500, 85, Outcome.FAILED, "15 % fewer draws in 500 decisions; proven ≤ 16.4 % (limit 30 %)"),
    ],
)
def test_proven_not_proven_or_not_worth_it(decisions: int, mean_draws: int, outcome: Outcome, sentence: str) -> None:
    result = judged(decisions, mean_draws)
    assert result.outcome is outcome
    assert result.sentence.startswith(sentence)


def test_what_is_proven_exactly_at_the_limit_is_enough_and_not_too_little() -> None:
    evidence = alike(500, 60, 100)
    bounds = judge(evidence, 0.3, 0.95).numbers
    lower, upper = bounds["lower"], bounds["upper"]
    assert lower is not None and upper is not None
    assert judge(evidence, lower, 0.95).outcome is Outcome.SUCCESSFUL
    assert judge(evidence, nextafter(lower, 1), 0.95).outcome is Outcome.INCONCLUSIVE
    assert judge(evidence, upper, 0.95).outcome is Outcome.INCONCLUSIVE
    assert judge(evidence, nextafter(upper, 1), 0.95).outcome is Outcome.FAILED


@pytest.mark.parametrize(("draws", "audit_draws"), [(1000, 0), (900, 100)])
def test_all_draws_that_fixed_would_take_are_possible(draws: int, audit_draws: int) -> None:
    evidence = alike(10, draws // 10, 100, audit_draws)
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


@pytest.mark.parametrize(
    ("saving", "adaptive", "words"),
    [
        (Saving(40.1, 12.34, 20_000.0, 11_520.0), 500, "; saved 12.3 of 40.1 (USD) and 3 h 12 min of drawing"),
        (Saving(40_100.0, 12_345.6), 500, "; saved 12,346 of 40,100 (USD)"),
        (Saving(seconds=90.0, seconds_saved=61.0), 0, "in the shadow; would save 1 min 1 s of drawing"),
        (Saving(cost=3.0), 500, "; saved 0 of 3 (USD)"),
        (Saving(seconds=0.9, seconds_saved=0.7), 500, "net of audits"),
        (Saving(), 500, "net of audits"),
    ],
)
def test_what_was_saved_stands_beside_it_where_it_is_known(saving: Saving, adaptive: int, words: str) -> None:
    evidence = replace(alike(500, 20, 100), adaptive=adaptive, saving=saving)
    result = judge(evidence, 0.30, 0.95, "USD")
    assert result.sentence.endswith(words)
    told = asdict(saving) if "save" in words else {}
    assert result.numbers == {**judge(replace(evidence, saving=Saving()), 0.30, 0.95).numbers, **told}


def test_no_decision_has_no_reduction() -> None:
    result = judged(0, 0)
    assert (result.value, result.limit, result.numbers) == (None, 0.30, {"decisions": 0})


@pytest.mark.parametrize(
    "changed, sentence",
    [
        ({"stopping_draws": 1001}, "1,001 draws up to the stopping times, where N allows 1,000"),
        ({"stopping_draws": 0, "fixed_draws": 0}, "10 decisions, which fixed would take 0 draws"),
        ({"audit_draws": 101}, "101 draws of audits, where N leaves 100"),
        ({"reductions": {"1000": 10, "0": 1}}, "11 shares of draws saved, in 10 decisions"),
        *(({"reductions": {step: 1}}, f"a reduction of step {step!r}") for step in ("10001", "-1", "1.5", "²", "")),
    ],
)
def test_impossible_counts_are_an_error(changed: dict[str, Any], sentence: str) -> None:
    result = judge(replace(alike(10, 90, 100), **changed), 0.3, 0.95)
    assert result.outcome is Outcome.ERROR
    assert result.sentence == f"impossible counts: {sentence} (limit 30 %)"


def test_one_decision_of_one_draw_can_be_judged() -> None:
    assert judge(alike(1, 1, 1), 0.3, 0.95).outcome is Outcome.INCONCLUSIVE


def test_bounds_are_shares() -> None:
    assert (judged(2, 21).numbers["upper"], judged(2, 90).numbers["lower"]) == (1.0, 0.0)


def test_each_decision_counts_with_its_own_n() -> None:
    """Half of them save 90 of 100 draws and half none of 10,000: 45 % of a decision's draws, and 0.9 % of all."""
    short, long = alike(200, 10, 100), alike(200, 10_000, 10_000)
    together = Evidence(
        adaptive=400, stopped=400, audit_draws=0, stopping_draws=200 * 10_010, fixed_draws=200 * 10_100,
        reductions={**short.reductions, **long.reductions},  # type: ignore[dict-item]
    )  # fmt: skip
    result = judge(together, 0.30, 0.95)
    assert result.value == pytest.approx(200 * 90 / (200 * 10_100))
    assert result.numbers["lower"] == pytest.approx(0.45, abs=0.07)


def test_decisions_of_a_version_that_kept_no_shares_are_observed_and_prove_nothing() -> None:
    before = replace(alike(500, 20, 100), reductions={})
    result = judge(before, 0.30, 0.95)
    assert (result.outcome, result.value) == (Outcome.INCONCLUSIVE, 0.8)
    assert "proven ≥ 0 % by the last 0 (limit 30 %)" in result.sentence
    after = replace(before, reductions={"6000": 100})
    assert judge(after, 0.30, 0.95).numbers["lower"] == judge(alike(100, 40, 100), 0.30, 0.95).numbers["lower"]


def test_a_share_counts_as_its_step_for_the_lower_bound_and_as_the_next_for_the_upper() -> None:
    bounds = judged(500, 20).numbers
    assert bounds["lower"] == lower([0.8], [500], 0.95)
    assert bounds["upper"] == pytest.approx(1 - lower([0.1999], [500], 0.99), abs=1e-12)


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), min_size=1, max_size=6))
def test_rounding_a_share_never_proves_more(taken: list[tuple[int, int]]) -> None:
    pairs = [(min(pair), max(pair)) for pair in taken]
    steps = [10_000 * (n - draws) // n for draws, n in pairs]
    shares, ones = [float(1 - Fraction(draws, n)) for draws, n in pairs], [1] * len(pairs)
    evidence = Evidence(
        adaptive=len(pairs), stopped=len(pairs), audit_draws=0, stopping_draws=sum(d for d, _ in pairs),
        fixed_draws=sum(n for _, n in pairs), reductions={str(step): steps.count(step) for step in steps},
    )  # fmt: skip
    bounds = judge(evidence, 0.30, 0.95).numbers
    assert bounds["lower"] <= lower(shares, ones, 0.95) + 1e-12
    assert bounds["upper"] >= 1 - lower([1 - share for share in shares], ones, 0.99) - 1e-12


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
