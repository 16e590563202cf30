"""Curtailment by predictive probability: SciPy's beta-binomial, simulation and the optimal plans as witnesses."""

import numpy as np
import pytest
from benchmarks.simulated_runs import NORMAL, simulate
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import suffice
from property_examples import examples
from suffice.decision.mean import Mean
from suffice.decision.monte_carlo_p import MonteCarloP
from suffice.stopping.brownian import t_of_z
from suffice.stopping.curtailed import _mean_boundary, _predicted
from suffice.stopping.operating_means import z_of_t

PAIRED = suffice.PairedMean(min_effect=0.0)


@given(st.integers(2, 200), st.data())
def test_the_prediction_is_beta_binomial(size: int, data: st.DataObject) -> None:
    n, threshold = data.draw(st.integers(1, size - 1)), data.draw(st.integers(0, size + 1))
    rejects, accepts = _predicted(size, threshold, n)
    for k in {0, n // 2, n}:
        later = stats.betabinom(size - n, k + 1, n - k + 1)
        assert accepts[k] == pytest.approx(later.sf(threshold - k - 1), abs=1e-11)
        assert rejects[k] == pytest.approx(later.cdf(threshold - k - 1), abs=1e-11)


@pytest.mark.parametrize("rule", [PAIRED, Mean(at_least=0.0)], ids=["two-sided", "one-sided"])
def test_the_prediction_of_a_mean_is_normal_around_its_trend(rule) -> None:
    """At the boundary 2 % of simulated futures decide otherwise, with a drift drawn from its posterior."""
    boundary, t, runs = _mean_boundary(rule, 256, 128, 0.02), 0.5, 400_000
    rng = np.random.default_rng(7)
    for edge, accepted in ((boundary.accept_at, True), (boundary.reject_at, False)):
        if edge is None:
            continue
        s = z_of_t(edge, 128) * np.sqrt(t)
        drift = s / t + rng.standard_normal(runs) / np.sqrt(t)
        final = s + drift * (1 - t) + rng.standard_normal(runs) * np.sqrt(1 - t)
        accepts = (np.abs(final) if rule.two_sided else final) > z_of_t(rule.critical(256), 256)
        assert np.mean(accepts != accepted) == pytest.approx(0.02, abs=4 * np.sqrt(0.02 / runs))
    assert boundary.accept_at is not None


@pytest.mark.parametrize(
    "n, look_every, bound, excess", [(100, 1, 0.01, 1.04), (100, 1, 0.001, 1.03), (256, 8, 0.01, 1.04)]
)
def test_counts_cost_little_more_than_the_optimum(n: int, look_every: int, bound: float, excess: float) -> None:
    rule = suffice.Proportion(0.8)
    plan = suffice.plan(rule, n, bound, method="curtailed", look_every=look_every)
    optimum = suffice.plan(rule, n, bound, look_every=look_every).lower_bound
    assert 0.9 * bound <= plan.worst_disagreement <= bound
    assert plan.guarantee == "exact"
    assert optimum <= plan.uniform_asn <= excess * optimum


@pytest.mark.parametrize("bound", [0.01, 0.001])
@pytest.mark.parametrize("rule", [PAIRED, Mean(at_most=2.0)], ids=["two-sided", "one-sided"])
def test_means_cost_little_more_than_the_optimum(rule, bound: float) -> None:
    plan = suffice.plan(rule, 256, bound, method="curtailed", look_every=8)
    best = suffice.plan(rule, 256, bound, look_every=8)
    assert 0.85 * bound <= plan.worst_disagreement <= bound
    assert plan.guarantee == "asymptotic"
    assert best.uniform_asn <= plan.uniform_asn <= 1.02 * best.uniform_asn


@pytest.mark.parametrize("at_least", [0.0, 0.5, 0.8, 1.0])
def test_without_disagreement_it_is_exact_curtailment(at_least: float) -> None:
    rule = suffice.Proportion(at_least)
    plan = suffice.plan(rule, 60, 0, method="curtailed")
    exact = suffice.plan(rule, 60, 0, method="curtailed-exact")
    assert plan.worst_disagreement == 0
    assert plan.uniform_asn == pytest.approx(exact.uniform_asn, rel=1e-12)


def test_without_a_budget_a_mean_never_stops() -> None:
    assert suffice.plan(PAIRED, 256, 0, method="curtailed", look_every=8).boundaries == ()


@settings(max_examples=examples(10))
@given(
    n=st.integers(19, 120),
    budgets=st.tuples(*[st.sampled_from([0, 1e-6, 0.001, 0.02, 0.3])] * 2),
    rule=st.sampled_from([suffice.Proportion(0.8), suffice.Proportion(0.03), MonteCarloP(0.05)]),
)
def test_both_directions_keep_their_bounds(n, budgets, rule) -> None:
    plan = suffice.plan(rule, n, {"accept": budgets[0], "reject": budgets[1]}, method="curtailed")
    accepts, rejects = plan.operating.worst_by_side()
    assert accepts <= budgets[0]
    assert rejects <= budgets[1]


def test_simulated_normal_draws_keep_the_bound() -> None:
    runs, rng = 20_000, np.random.default_rng(5)
    plan = suffice.plan(PAIRED, 256, 0.01, method="curtailed", look_every=8)
    worst = max(simulate(plan, NORMAL, effect, runs, rng).wrong for effect in (1.2, 1.4, 1.6))
    assert worst <= 0.01 + 3 * np.sqrt(0.01 / runs)


def test_boundaries_are_quantiles_of_equal_probability() -> None:
    boundary = _mean_boundary(PAIRED, 256, 128, 0.02)
    assert boundary.accept_at == pytest.approx(t_of_z(z_of_t(boundary.accept_at, 128), 128), rel=1e-12)
