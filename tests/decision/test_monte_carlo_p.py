"""MonteCarloP: exact fractions, brute force over counts, and its size under the null hypothesis."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import suffice
from suffice.decision.monte_carlo_p import MonteCarloP
from suffice.decision.rule import Decision
from suffice.decision.rules import rule_of
from suffice.errors import DataError, PlanError
from suffice.stopping.plan import Plan
from suffice.stopping.run import Run


@pytest.mark.parametrize("digits", ["0.05", "0.1", "0.001", "0.3", "0.29", "0.5"])
@pytest.mark.parametrize("n", [19, 20, 99, 100, 999, 1000])
def test_accepts_iff_the_p_value_is_at_most_alpha(digits: str, n: int) -> None:
    rule = MonteCarloP(float(digits))
    if Fraction(1, n + 1) > Fraction(digits):
        with pytest.raises(PlanError):
            rule.check_n(n)
        return
    rule.check_n(n)
    for exceedances in range(n + 1):
        accepts = Fraction(1 + exceedances, n + 1) <= Fraction(digits)
        assert (n - exceedances >= rule.threshold(n)) == accepts


def test_every_p_value_is_at_most_itself() -> None:
    for n in range(2, 101):
        for exceedances in range(n):
            for alpha in ((1 + exceedances) / (n + 1), (1 + exceedances, n + 1), Fraction(1 + exceedances, n + 1)):
                if float(Fraction(1 + exceedances, n + 1)) < 1:
                    assert MonteCarloP(alpha).threshold(n) == n - exceedances


def test_a_level_needs_as_many_draws_as_its_p_value_does() -> None:
    for n in range(1, 1001):
        MonteCarloP(1 / (n + 1)).check_n(n)
        if n > 1:
            with pytest.raises(PlanError, match=f"allowed: at least {n} draws"):
                MonteCarloP(1 / (n + 1)).check_n(n - 1)


def test_a_run_counts_exceedances_against_acceptance() -> None:
    plan = suffice.plan(MonteCarloP(0.05), 99, 0.01)
    assert plan.guarantee == "exact"
    clear = plan.start()
    clear.observe([1] * 99)
    assert (clear.verdict.decision, clear.verdict.early) == (Decision.REJECTED, True)
    assert clear.verdict.estimate == 1.0
    extreme = plan.start()
    extreme.observe([0] * 99)
    assert (extreme.verdict.decision, extreme.verdict.early) == (Decision.ACCEPTED, True)
    assert extreme.verdict.estimate == 1 / (extreme.verdict.n + 1)


def test_it_is_the_mirrored_proportion() -> None:
    """(1 + e)/100 ≤ 0.05 iff e ≤ 4 iff at least 95 of 99 draws do not exceed."""
    mirrored = suffice.plan(suffice.Proportion(0.9595), 99, 0.01)
    assert mirrored.rule.threshold(99) == MonteCarloP(0.05).threshold(99) == 95
    assert suffice.plan(MonteCarloP(0.05), 99, 0.01).boundaries == mirrored.boundaries
    exact = suffice.plan(MonteCarloP(0.05), 99, 0, method="curtailed-exact")
    run = exact.start()
    run.observe([1] * 99)
    assert run.verdict.n == 5


def test_the_size_of_the_test_is_kept_under_the_null_hypothesis() -> None:
    """The observed statistic is exchangeable with the simulated ones: P(ACCEPTED) = ⌊alpha·(N + 1)⌋/(N + 1)."""
    runs, rng, plan = 4_000, np.random.default_rng(9), suffice.plan(MonteCarloP(0.1), 39, 0.01)
    accepted = 0
    for observed in rng.standard_normal(runs):
        run = plan.start()
        run.observe((rng.standard_normal(39) >= observed).astype(int))
        accepted += run.verdict.decision is Decision.ACCEPTED
    assert accepted / runs == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / runs) + 0.01)


def test_pairs_are_observed_and_simulated() -> None:
    pairs = np.array([[1.0, 1.0], [1.0, 0.5], [1.0, 2.0], [1.0, np.nan], [np.inf, 1.0]])
    observed = MonteCarloP().observations(pairs, 1)
    assert observed[:3] == [1.0, 0.0, 1.0]
    assert np.isnan(observed[3:]).all()


ROUNDED = [[0.1 + 0.2, 0.3], [0.3, 0.1 + 0.2], [-0.3, -0.1 - 0.2], [3e300, 2.9999999999e300], [0.0, -1e-300]]


def test_a_tie_up_to_rounding_is_an_exceedance_where_it_is_asked_for() -> None:
    pairs = np.array([*ROUNDED, [1.0, 0.999], [1.7e308, -1.7e308], [np.inf, np.inf]])
    assert MonteCarloP().observations(pairs, 1)[:7] == [0, 1, 0, 0, 0, 0, 0]
    within = MonteCarloP(ties_within=1e-9).observations(pairs, 1)
    assert within[:7] == [1, 1, 1, 1, 0, 0, 0]
    assert np.isnan(within[7])


STATISTICS = st.floats(allow_nan=False, allow_infinity=False)


@given(STATISTICS, st.integers(-9, 9) | STATISTICS, st.sampled_from([1e-15, 1e-9, 0.01, 0.5]))
def test_ties_are_those_of_exact_arithmetic_and_only_add_exceedances(
    observed: float, steps: float, share: float
) -> None:
    simulated = observed * (1 + steps * share / 4) if isinstance(steps, int) else steps
    assume(np.isfinite(simulated))
    pairs = np.array([[observed, simulated]])
    (exceeds,), (within,) = MonteCarloP().observations(pairs, 1), MonteCarloP(ties_within=share).observations(pairs, 1)
    one, other = Fraction(observed), Fraction(simulated)
    difference, size = abs(other - one), max(abs(one), abs(other))
    assume(abs(difference - Fraction(share) * size) > size / 2**50)
    assert within == (other >= one or difference <= Fraction(share) * size)
    assert within >= exceeds


def test_the_tolerance_is_kept_with_the_plan_where_there_is_one() -> None:
    exact, within = (suffice.plan(MonteCarloP(0.05, ties), 99, 0.01) for ties in (0.0, 1e-9))
    assert exact.rule.parameters == {"alpha": 0.05}
    assert exact.boundaries == within.boundaries
    assert Plan.from_dict(within.to_dict()).rule == MonteCarloP(0.05, 1e-9)
    assert exact.id != within.id


@pytest.mark.parametrize("ties", [-1e-9, 1, 2.0, float("nan")])
def test_impossible_tolerances_are_refused(ties: float) -> None:
    with pytest.raises(PlanError, match=r"ties_within is .*; allowed: from 0 to below 1, like 1e-9"):
        MonteCarloP(ties_within=ties)


def test_a_draw_that_is_no_outcome_is_refused() -> None:
    with pytest.raises(DataError, match=r"draw 2 is 0\.5"):
        Run(MonteCarloP(), 19, ()).observe([1, 0.5])


def test_by_name() -> None:
    assert rule_of("monte_carlo_p", {"alpha": 0.1}) == MonteCarloP(0.1)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, float("nan")])
def test_impossible_alphas_are_refused(alpha: float) -> None:
    with pytest.raises(PlanError, match="allowed: between 0 and 1"):
        MonteCarloP(alpha)


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(PlanError, match=r"n is 18; allowed: at least 19 draws, fewer cannot reach alpha = 0\.05"):
        suffice.plan(MonteCarloP(0.05), 18)
