"""The optimal plan for t rules: brute force over one look, rival tables, published quantiles and simulation."""

from itertools import product
from math import sqrt

import numpy as np
import pytest
from benchmarks.simulated_runs import NORMAL, simulate
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq

import suffice
from property_examples import examples
from suffice.decision.mean import Mean
from suffice.errors import PlanError
from suffice.stopping.brownian import FIRST_LOOK, t_of_z
from suffice.stopping.budget import Budget
from suffice.stopping.operating_means import mean_operating, z_of_t
from suffice.stopping.optimal_means import least_asn, optimal_means
from suffice.stopping.run import Boundary

PAIRED = suffice.PairedMean(alpha=0.05, min_effect=0.0)
ONE_SIDED = Mean(at_least=0.0)
EVERY_8 = {"look_every": 8}


@pytest.mark.parametrize("bound, asn, optimum", [(0.01, 0.556, 0.547), (0.001, 0.648, 0.636)])
def test_agreed_figures(bound: float, asn: float, optimum: float) -> None:
    plan = suffice.plan(PAIRED, 256, bound, **EVERY_8)
    assert plan.uniform_asn <= asn * 256
    assert plan.worst_disagreement <= bound
    assert plan.guarantee == "asymptotic"
    assert plan.lower_bound == pytest.approx(optimum * 256, rel=0.005)


@pytest.mark.parametrize("rule", [PAIRED, ONE_SIDED], ids=["two-sided", "one-sided"])
@pytest.mark.parametrize("bound", [0.2, 0.01, 1e-6])
def test_the_table_is_within_a_thousandth_of_the_lower_bound(rule, bound: float) -> None:
    looks, critical, budget = list(range(16, 256, 8)), rule.critical(256), Budget.of(bound)
    table = optimal_means(256, critical, looks, budget, two_sided=rule.two_sided)
    computed = mean_operating(256, critical, table, two_sided=rule.two_sided)
    least = least_asn(256, critical, looks, budget, two_sided=rule.two_sided)
    assert 0.99 * bound <= computed.worst()[0] <= bound
    assert least <= computed.mean_asn() <= (1.001 if bound < 0.1 else 1.01) * least


def best_single_look(n: int, bound: float) -> float:
    """The least ASN of a table with one look at n of 256, by trying reject boundaries and solving for the other one."""
    critical = PAIRED.critical(256)

    def found(reject: float | None, accept: float):
        return mean_operating(256, critical, [Boundary(n, reject, accept)])

    least = 256.0
    for reject in (None, *np.linspace(0.02, 1.9, 30)):
        if found(reject, 50.0).worst()[0] < bound:
            accept = brentq(lambda a, r=reject: found(r, a).worst()[0] - bound, (reject or 0.0) + 1e-6, 50.0, xtol=1e-6)
            least = min(least, found(reject, accept).mean_asn())
    return least


@pytest.mark.parametrize("n, bound", [(64, 0.01), (192, 0.01)])
def test_one_look_is_solved_as_by_brute_force(n: int, bound: float) -> None:
    table = optimal_means(256, PAIRED.critical(256), [n], Budget.of(bound))
    asn = mean_operating(256, PAIRED.critical(256), table).mean_asn()
    assert asn == pytest.approx(best_single_look(n, bound), rel=2e-3)


@pytest.mark.parametrize("reject_power, accept_power", list(product([4, 16], [0.0, 0.5])))
def test_no_rival_table_is_below_the_lower_bound(reject_power: float, accept_power: float) -> None:
    """Tables of other forms (constant, falling as 1/√t; reject lines of several bends), scaled to the same bound."""
    looks, critical = range(16, 256, 8), PAIRED.critical(256)

    def rival(scale: float) -> list[Boundary]:
        return [
            Boundary(n, critical * (n / 256) ** reject_power / scale, critical * scale * (n / 256) ** -accept_power)
            for n in looks
        ]

    scale = brentq(lambda s: mean_operating(256, critical, rival(s)).worst()[0] - 0.01, 1.01, 20)
    asn = mean_operating(256, critical, rival(scale)).mean_asn()
    assert asn >= least_asn(256, critical, list(looks), Budget.of(0.01))


@settings(max_examples=examples(12))
@given(
    n=st.integers(20, 400),
    alpha=st.sampled_from([0.001, 0.05, 0.3]),
    budgets=st.tuples(*[st.sampled_from([0, 1e-4, 0.01, 0.1])] * 2),
    looks=st.sets(st.integers(16, 399), min_size=1, max_size=6),
    one_sided=st.booleans(),
)
def test_every_possible_request_keeps_its_bounds(n, alpha, budgets, looks, one_sided) -> None:
    rule = Mean(at_most=1.0, alpha=alpha) if one_sided else suffice.PairedMean(alpha)
    kept = sorted(look for look in looks if look < n)
    plan = suffice.plan(rule, n, {"accept": budgets[0], "reject": budgets[1]}, looks=kept)
    accepts, rejects = plan.operating.worst_by_side()
    assert accepts <= budgets[0]
    assert rejects <= budgets[1]
    assert plan.worst_disagreement <= max(budgets)
    assert plan.lower_bound <= plan.uniform_asn * (1 + 1e-3)


def test_a_direction_budget_buys_draws() -> None:
    both = suffice.plan(PAIRED, 256, 0.001, **EVERY_8)
    strict = suffice.plan(PAIRED, 256, {"accept": 0.001, "reject": 0.01}, **EVERY_8)
    assert strict.operating.worst_by_side()[0] <= 0.001
    assert strict.operating.worst_by_side()[1] > 0.005
    assert strict.uniform_asn < both.uniform_asn - 5


def test_without_a_budget_a_mean_never_stops() -> None:
    assert suffice.plan(PAIRED, 256, 0, **EVERY_8).uniform_asn == pytest.approx(256)
    one_way = suffice.plan(PAIRED, 256, {"accept": 0, "reject": 0.01}, **EVERY_8)
    assert all(b.accept_at is None for b in one_way.boundaries)
    assert one_way.uniform_asn < 256


def test_the_first_look_is_not_before_sixteen_draws() -> None:
    assert FIRST_LOOK == 16
    assert suffice.plan(PAIRED, 64, look_every=4).looks[0] == 16


def test_too_many_looks_are_refused() -> None:
    with pytest.raises(PlanError, match="there are 1500 looks; allowed for a rule on means: at most 1000"):
        suffice.plan(PAIRED, 2000, looks=range(1, 1501))


@pytest.mark.parametrize("n", [2, 16, 256])
@pytest.mark.parametrize("z", [-6.0, -1.0, 0.0, 0.3, 1.96, 4.0, 7.5])
def test_boundaries_have_equal_tail_probability(n: int, z: float) -> None:
    assert stats.t.sf(abs(t_of_z(z, n)), n - 1) == pytest.approx(stats.norm.sf(abs(z)), rel=1e-9)
    assert z_of_t(t_of_z(z, n), n) == pytest.approx(z, abs=1e-9)


def test_by_side_adds_up_and_each_side_has_its_effect() -> None:
    computed = suffice.plan(PAIRED, 256, 0.01, **EVERY_8).operating
    for effect in (0.0, 1.6, 3.0):
        assert sum(computed.disagreement_by_side(effect)) == pytest.approx(computed.disagreement(effect), rel=1e-12)
    assert all(side <= computed.worst()[0] for side in computed.worst_by_side())


def worst_and_savings(plan, effects: list[float], runs: int, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    simulated = [simulate(plan, NORMAL, effect, runs, rng) for effect in effects]
    return max(one.wrong for one in simulated), float(np.mean([one.asn for one in simulated])) / plan.n


@pytest.mark.parametrize("rule", [PAIRED, ONE_SIDED], ids=["two-sided", "one-sided"])
def test_simulated_normal_draws_keep_the_bound(rule) -> None:
    runs = 20_000
    plan = suffice.plan(rule, 256, 0.01, **EVERY_8)
    worst, _ = worst_and_savings(plan, [1.3, 1.6, 1.9], runs, seed=1)
    assert worst <= 0.01 + 3 * sqrt(0.01 / runs)
    heuristic = suffice.plan(rule, 256, method="margin")
    assert worst_and_savings(heuristic, [2.8], 2_000, seed=2)[0] > 0.3


def test_simulated_normal_draws_save_what_was_designed() -> None:
    plan = suffice.plan(PAIRED, 256, 0.01, **EVERY_8)
    _, share = worst_and_savings(plan, list(np.arange(0.25, 8, 0.5)), 2_000, seed=3)
    assert share <= 0.575
    assert share == pytest.approx(plan.uniform_asn / 256, abs=0.02)


@pytest.mark.campaign
@pytest.mark.parametrize("rule", [PAIRED, ONE_SIDED], ids=["two-sided", "one-sided"])
@pytest.mark.parametrize("n, look_every, bound", [(64, 4, 0.01), (256, 8, 0.01), (256, 8, 0.001), (1024, 32, 0.01)])
def test_many_simulated_normal_draws_keep_the_bound(rule, n: int, look_every: int, bound: float) -> None:
    runs = 100_000
    plan = suffice.plan(rule, n, bound, look_every=look_every)
    effects = [-1.0, 0.0, 0.5, 1.0, 1.3, 1.6, 1.9, 2.2, 2.6, 3.0, 4.0]
    worst, _ = worst_and_savings(plan, effects, runs, seed=4)
    assert worst <= bound + 2 * sqrt(bound / runs)
