"""The applicability guard: SciPy's moments, a second implementation in NumPy, and simulated draws of many shapes."""

from math import inf, sqrt

import numpy as np
import pytest
from benchmarks.simulated_runs import OUTSIDE, TESTED_FAMILY, execute, simulate
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import suffice
from lazily import Lazily
from suffice.decision.mean import Mean
from suffice.decision.means import MeanTally, ShapeTally
from suffice.decision.rule import Decision
from suffice.sampling.distributions import Empirical, Normal, SplitNormal
from suffice.sampling.sampler import Pair, of_known_shape
from suffice.stopping.guard import Guard, guard_of
from suffice.stopping.run import Boundary, Run, StopReason

PAIRED = suffice.PairedMean(alpha=0.05, min_effect=0.0)
ONE_SIDED = Mean(at_least=0.0)
GUARDED = Lazily(
    {
        "two-sided": lambda: suffice.plan(PAIRED, 256, 0.01, look_every=8, guarded=True),
        "one-sided": lambda: suffice.plan(ONE_SIDED, 256, 0.01, look_every=8, guarded=True),
    }
)


def tally_of(draws: list[float], tally: MeanTally) -> MeanTally:
    assert all(tally.add(draws[i : i + 8]) for i in range(0, len(draws), 8))
    return tally


@given(
    st.integers(0, 2**32),
    st.integers(8, 300),
    st.sampled_from([1.0, 1e-9, 1e6]),
    st.sampled_from([0.0, -3.0, 1e3]),
)
def test_skewness_and_kurtosis_are_scipys(seed: int, n: int, scale: float, offset: float) -> None:
    draws = scale * (np.random.default_rng(seed).standard_exponential(n) + offset)
    tally = tally_of(draws.tolist(), ShapeTally())
    assert tally.skewness == pytest.approx(stats.skew(draws), rel=1e-6, abs=1e-6)
    assert tally.excess_kurtosis == pytest.approx(stats.kurtosis(draws), rel=1e-6, abs=1e-6)
    assert tally.furthest == pytest.approx(np.abs(draws - draws.mean()).max(), rel=1e-9)
    assert tally.statistic == tally_of(draws.tolist(), MeanTally()).statistic


@pytest.mark.parametrize("place", [0, 100])
def test_one_outlier_of_a_million_sd(place: int) -> None:
    draws = np.random.default_rng(1).standard_normal(128)
    draws[place] = 1e6
    tally = tally_of(draws.tolist(), ShapeTally())
    assert tally.skewness == pytest.approx(stats.skew(draws), rel=1e-9)
    assert tally.excess_kurtosis == pytest.approx(stats.kurtosis(draws), rel=1e-9)


@pytest.mark.parametrize("sides", GUARDED)
@pytest.mark.parametrize("shape", TESTED_FAMILY)
def test_runs_agree_with_the_second_implementation(sides: str, shape: str) -> None:
    plan = GUARDED[sides]
    rng = np.random.default_rng(11)
    effects = rng.uniform(-8, 8, 60)[:, None]
    draws = TESTED_FAMILY[shape](rng, (60, 256)) + effects / sqrt(256)
    accepts, used, _ = execute(plan, draws)
    for row, accepted, n in zip(draws, accepts, used, strict=True):
        run = plan.start()
        run.observe(row)
        assert (run.verdict.decision is Decision.ACCEPTED, run.verdict.n) == (accepted, n)
        assert run.verdict.guarded


def test_it_is_off_where_the_shape_is_known() -> None:
    plain = suffice.plan(PAIRED, 256, 0.01, look_every=8)
    assert not plain.guarded
    assert not plain.start().guarded
    assert plain.worst_disagreement > 2 * GUARDED["two-sided"].worst_disagreement
    assert type(plain).from_dict(GUARDED["two-sided"].to_dict()).start().guarded
    count = suffice.plan(suffice.Proportion(0.8), 20, guarded=True)
    assert not count.guarded
    assert guard_of(count.rule, 20, guarded=True) is None


def test_a_single_look_is_held_by_the_imagined_draw() -> None:
    """Clear of the boundary as it is; with one draw at 1.5 × the largest deviation against it, not any more."""
    draws = [1.0 + 0.5 * (-1) ** i for i in range(15)] + [9.0]
    t = abs(stats.ttest_1samp(draws, 0).statistic)
    accept_at = t - 0.2
    for guarded, n in ((False, 16), (True, 64)):
        run = Run(PAIRED, 64, [Boundary(16, None, accept_at)], guard_of(PAIRED, 64, guarded=guarded))
        run.observe(draws + [1.0] * 48)
        assert run.verdict.n == n
    mean, furthest = np.mean(draws), 9.0 - np.mean(draws)
    assert stats.ttest_1samp([*draws, mean - 1.5 * furthest], 0).statistic < accept_at


def test_equal_draws_stop_nothing_when_guarded() -> None:
    for guarded, n in ((False, 16), (True, 64)):
        run = Run(PAIRED, 64, [Boundary(16, None, 3.0)], guard_of(PAIRED, 64, guarded=guarded))
        run.observe([1.0] * 64)
        assert (run.verdict.decision, run.verdict.n) == (Decision.ACCEPTED, n)


@pytest.mark.parametrize("scale", [1e-150, 1e-100, 1e100, 1e150])
def test_powers_that_do_not_fit_a_float_stop_nothing(scale: float) -> None:
    run = Run(PAIRED, 64, [Boundary(16, None, 3.0)], guard_of(PAIRED, 64, guarded=True))
    run.observe([(1.0 + 0.1 * (i % 3)) * scale for i in range(64)])
    assert (run.verdict.reason, run.verdict.decision) == (StopReason.REACHED_N, Decision.ACCEPTED)


@pytest.mark.parametrize("min_effect, early", [(0.0, True), (0.05, True), (0.2, False), (10.0, False)])
def test_a_min_effect_that_is_not_negligible_puts_accept_stops_off(min_effect: float, early: bool) -> None:
    """Significant at N = 256 means |mean| > 0.12 sd; only then is significance the whole question."""
    rule = suffice.PairedMean(0.05, min_effect)
    plan = suffice.plan(rule, 256, 0.01, look_every=8)
    run = plan.start()
    run.observe(np.random.default_rng(3).standard_normal(256) + 0.9)
    assert run.verdict.early == early
    assert run.verdict.decision is (Decision.ACCEPTED if min_effect < 1 else Decision.REJECTED)


def test_a_min_effect_beside_the_mean_keeps_the_bound() -> None:
    """Negative control for the check above: without it, half of the early accepts would be wrong."""
    rule, runs = suffice.PairedMean(0.05, 0.5), 300
    plan = suffice.plan(rule, 256, 0.01, look_every=8)
    draws = np.random.default_rng(4).standard_normal((runs, 256)) + 0.5
    wrong = unchecked = 0
    for row in draws:
        fixed, run, bare = Run(rule, 256, ()), plan.start(), Run(rule, 256, plan.boundaries)
        for each in (fixed, run, bare):
            each.observe(row)
        wrong += run.verdict.decision is not fixed.verdict.decision
        unchecked += bare.verdict.decision is not fixed.verdict.decision
    assert wrong <= 0.01 * runs
    assert unchecked > 0.1 * runs


def test_which_samplers_need_it() -> None:
    known = Pair(Normal(0, 1), SplitNormal(1, 0.5, 2))
    assert all(of_known_shape(s) for s in (known, Normal(0, 1), SplitNormal(0, 1, 2)))
    unknown = (Empirical((1.0, 2.0)), Pair(Normal(0, 1), Empirical((1.0,))), lambda rng, n: rng.standard_exponential(n))
    assert not any(of_known_shape(s) for s in unknown)


def test_a_guard_confirms_nothing_for_another_rules_tally() -> None:
    guard = Guard(PAIRED, 64, 2.0, shape=True)
    assert not guard.confirms(suffice.Proportion(0.5).tally(), -inf)


SAVINGS = {
    "normal": 0.31,
    "exponential": 0.24,
    "t(3)": 0.28,
    "lognormal(0, 1)": 0.22,
    "Bernoulli(0.1)": 0.25,
    "Bernoulli(0.02)": 0.12,
    "2 % at 10 sd": 0.30,
}


def worst_of(plan, shape, effects, runs: int) -> float:
    rng = np.random.default_rng(20261123)
    return max(simulate(plan, shape, effect, runs, rng).wrong for effect in effects)


@pytest.mark.parametrize("shape", ["lognormal(0, 1)", "2 % at 10 sd"])
def test_the_hardest_shapes_keep_the_bound(shape: str) -> None:
    runs = 3_000
    effects = [-2.0, -1.5] if shape == "lognormal(0, 1)" else [3.0]
    assert worst_of(GUARDED["two-sided"], TESTED_FAMILY[shape], effects, runs) <= 0.01 + 3 * sqrt(0.01 / runs)
    unguarded = suffice.plan(PAIRED, 256, 0.01, look_every=8)
    assert worst_of(unguarded, TESTED_FAMILY[shape], effects, runs) > 0.03


def test_a_one_sided_rule_guards_reject_stops_too() -> None:
    """Rare ones far above the mean: a t rule that sees none of them yet would reject what the baseline accepts."""
    shape, runs = TESTED_FAMILY["Bernoulli(0.1)"], 3_000
    assert worst_of(GUARDED["one-sided"], shape, [2.0, 5.0], runs) <= 0.01 + 3 * sqrt(0.01 / runs)
    assert worst_of(suffice.plan(ONE_SIDED, 256, 0.01, look_every=8), shape, [5.0], runs) > 0.1


@pytest.mark.campaign
@pytest.mark.parametrize("shape", TESTED_FAMILY)
def test_the_tested_family_keeps_the_bound_one_sided(shape: str) -> None:
    draw, runs, rng = TESTED_FAMILY[shape], 100_000, np.random.default_rng(20261123)
    coarse = np.arange(-8, 8.1, 0.5)
    simulated = {effect: simulate(GUARDED["one-sided"], draw, effect, 4_000, rng) for effect in coarse}
    hardest = sorted(coarse, key=lambda e: simulated[e].wrong)[-4:]
    assert worst_of(GUARDED["one-sided"], draw, hardest, runs) <= 0.01 + 2 * sqrt(0.01 / runs)


@pytest.mark.campaign
@pytest.mark.parametrize("shape", TESTED_FAMILY)
def test_the_tested_family_keeps_the_bound_and_saves(shape: str) -> None:
    draw, runs = TESTED_FAMILY[shape], 100_000
    coarse, rng = np.arange(-8, 8.1, 0.5), np.random.default_rng(20261123)
    simulated = {effect: simulate(GUARDED["two-sided"], draw, effect, 4_000, rng) for effect in coarse}
    saved = 1 - np.trapezoid([simulated[e].asn for e in coarse[coarse >= 0]], dx=0.5) / 8 / 256
    assert saved >= SAVINGS[shape] - 0.005
    hardest = sorted(coarse, key=lambda e: simulated[e].wrong)[-4:]
    assert worst_of(GUARDED["two-sided"], draw, hardest, runs) <= 0.01 + 2 * sqrt(0.01 / runs)


@pytest.mark.campaign
@pytest.mark.parametrize("shape", OUTSIDE)
def test_what_lies_outside_the_family_exceeds_the_bound(shape: str) -> None:
    """Not a promise; the figures in docs/statistics.md come from here."""
    effects = np.arange(-4, 4.1, 0.5)
    assert worst_of(GUARDED["two-sided"], OUTSIDE[shape], effects, 4_000) > 0.012
