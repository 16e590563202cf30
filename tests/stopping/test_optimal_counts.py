"""The optimal count plan: a plain linear program, exact curtailment and published figures as witnesses."""

from collections.abc import Sequence
from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.sparse import coo_matrix

import suffice
from property_examples import examples
from suffice.stopping.looks import default_looks
from suffice.stopping.optimal_counts import _Lattice, _price, optimal_counts


def least_asn(size: int, threshold: int, looks: Sequence[int], accept: float, reject: float) -> float:
    """The least ASN under the uniform mix, as one linear program over flows of probability.

    A variable for each node and what happens there (accept, reject, go on); a stop decides for the side the sample is
    on. Under the uniform mix every count is equally likely. Constraints: at K = threshold − 1 and K = threshold.
    """
    nodes = {node: i for i, node in enumerate((n, k) for n in looks for k in range(n + 1))}
    count = len(nodes)
    entries = [(i, side * count + i, 1.0) for i in range(count) for side in range(3)]
    for n, n_next in pairwise(looks):
        for k in range(n + 1):
            for gained in range(n_next - n + 1):
                orders = comb(n, k) * comb(n_next - n, gained) / comb(n_next, k + gained)
                entries.append((nodes[n_next, k + gained], 2 * count + nodes[n, k], -orders * (n + 1) / (n_next + 1)))
    rows, columns, values = zip(*entries, strict=True)
    arriving = np.array([1 / (n + 1) if n == looks[0] else 0.0 for n, _ in nodes])
    saved, highest, risk = np.zeros(3 * count), np.full(3 * count, np.inf), np.zeros((2, 3 * count))
    for (n, k), i in nodes.items():
        side = 0 if k * size >= threshold * n else 1
        total, budget = (threshold - 1, accept) if side == 0 else (threshold, reject)
        highest[(1 - side) * count + i] = 0.0
        saved[side * count + i] = size - n
        if k <= total <= size - n + k:
            risk[side, side * count + i] = (n + 1) * comb(total, k) * comb(size - total, n - k) / comb(size, n)
            if budget == 0:
                highest[side * count + i] = 0.0
    bounded = [row / budget for row, budget in zip(risk, (accept, reject), strict=True) if budget]
    solved = linprog(
        -saved,
        A_ub=np.array(bounded) if bounded else None,
        b_ub=np.ones(len(bounded)) if bounded else None,
        A_eq=coo_matrix((values, (rows, columns))).tocsr(),
        b_eq=arriving,
        bounds=np.column_stack((np.zeros(3 * count), highest)),
        method="highs-ipm",
    )
    assert solved.status == 0, solved.message
    return size + float(solved.fun)


@pytest.mark.parametrize(
    "accept, reject", [(0.01, 0.01), (0.001, 0.01), (0.05, 0.001), (0, 0.01), (0.01, 0), (0.2, 0.2)]
)
@pytest.mark.parametrize(
    "size, threshold, looks",
    [
        (60, 48, range(1, 60)),
        (60, 30, range(4, 60, 4)),
        (60, 60, range(1, 60, 2)),
        (60, 1, range(1, 60)),
        (37, 36, (3, 5, 30)),
    ],
)
def test_the_lower_bound_is_the_optimum_of_the_linear_program(size, threshold, looks, accept, reject) -> None:
    optimum = optimal_counts(size, threshold, tuple(looks), accept, reject)
    assert optimum.lower_bound == pytest.approx(least_asn(size, threshold, tuple(looks), accept, reject), rel=1e-4)


@pytest.mark.parametrize("threshold", [205, 128])
def test_the_lower_bound_is_the_optimum_for_256_draws(threshold: int) -> None:
    looks = tuple(range(8, 256, 8))
    optimum = optimal_counts(256, threshold, looks, 0.01, 0.01)
    assert optimum.lower_bound == pytest.approx(least_asn(256, threshold, looks, 0.01, 0.01), rel=1e-4)


@pytest.mark.parametrize("at_least", [0, 1])
def test_all_or_nothing(at_least: int) -> None:
    looks = tuple(range(4, 60, 4))
    plan = suffice.plan(suffice.Proportion(at_least), 60, 0.01, looks=looks)
    assert plan.lower_bound == pytest.approx(least_asn(60, 60 * at_least, looks, 0.01, 0.01), rel=1e-4)
    if at_least == 0:
        assert (plan.uniform_asn, plan.worst_disagreement) == (4.0, 0.0)


@pytest.mark.parametrize(
    "n, at_least, look_every",
    [(12, 0.5, 1), (100, 0.8, 1), (100, 0.5, 7), (256, 0.95, 8), (1000, 0.8, 25), (2500, 0.5, 250)],
)
def test_without_disagreement_it_is_exact_curtailment(n: int, at_least: float, look_every: int) -> None:
    """(2,500 draws: a risk of 10⁻⁷⁵⁰ is not 0, even where a float cannot hold it.)"""
    rule = suffice.Proportion(at_least)
    optimal = suffice.plan(rule, n, 0, look_every=look_every)
    exact = suffice.plan(rule, n, 0, look_every=look_every, method="curtailed-exact")
    assert optimal.uniform_asn == pytest.approx(exact.uniform_asn, rel=1e-12)
    assert optimal.worst_disagreement == exact.worst_disagreement == 0
    for boundary, settled in zip(optimal.boundaries, exact.boundaries, strict=True):
        assert boundary.accept_at is None or (settled.accept_at is not None and boundary.accept_at >= settled.accept_at)
        assert boundary.reject_at is None or (settled.reject_at is not None and boundary.reject_at <= settled.reject_at)


@pytest.mark.parametrize(
    "n, at_least, bound, look_every, asn, optimum",
    [
        (100, 0.8, 0.01, 1, 29.07, 28.78),
        (100, 0.8, 0.001, 1, 34.34, 33.99),
        (100, 0.8, 0, 1, 51.14, 51.13),
        (100, 0.5, 0.01, 1, 36.43, 36.07),
        (100, 0.5, 0.001, 1, 43.17, 42.74),
        (256, 0.8, 0.01, 8, 54.4, 53.85),
        (256, 0.8, 0.01, 1, 52.1, 51.49),
        (1000, 0.8, 0.01, 10, 116.3, 115.56),
    ],
)
def test_agreed_figures(n: int, at_least: float, bound: float, look_every: int, asn: float, optimum: float) -> None:
    plan = suffice.plan(suffice.Proportion(at_least), n, bound, look_every=look_every)
    assert plan.uniform_asn <= asn
    assert plan.worst_disagreement <= bound
    assert plan.lower_bound == pytest.approx(optimum, abs=0.01)


@pytest.mark.parametrize("at_least, asn, optimum", [(0.8, 402, 398.2), (0.95, 221, 217.9), (0.5, 503, 498.0)])
def test_agreed_figures_for_ten_thousand_draws(at_least: float, asn: float, optimum: float) -> None:
    rule, looks = suffice.Proportion(at_least), default_looks(10_000)
    assert 58 <= len(looks) <= 60
    plan = suffice.plan(rule, 10_000, 0.01)
    assert plan.uniform_asn <= asn
    assert plan.worst_disagreement <= 0.01
    assert plan.lower_bound == pytest.approx(optimum, abs=0.1)


@pytest.mark.parametrize("at_least", [0.8, 0.95, 0.5])
def test_the_mixture_is_within_a_ten_thousandth_of_the_bound(at_least: float) -> None:
    budgets, threshold = np.array([0.01, 0.01]), suffice.Proportion(at_least).threshold(10_000)
    policies, mix, dual = _price(_Lattice(10_000, threshold, default_looks(10_000), budgets), budgets)
    saved = float(mix @ [policy.saved for policy in policies])
    assert np.all(mix @ [policy.risks for policy in policies] <= budgets * (1 + 1e-6))
    assert abs(dual - saved) <= 1e-4 * (10_000 - dual)


BUDGETS = st.sampled_from([0, 1e-12, 1e-9, 1e-6, 1e-4, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.9])


@settings(max_examples=examples(20))
@given(
    n=st.integers(1, 120),
    percent=st.integers(0, 100),
    budgets=st.tuples(BUDGETS, BUDGETS) | BUDGETS.map(lambda b: (b, b)),
    look_every=st.sampled_from([1, 1, 2, 5, 8]),
)
def test_every_possible_request_gets_a_plan_within_its_bounds(n, percent, budgets, look_every) -> None:
    """Also where rounding one side adds to the other's risk, and for bounds below a solver's tolerance."""
    bound = {"accept": budgets[0], "reject": budgets[1]}
    plan = suffice.plan(suffice.Proportion(percent / 100), n, bound, look_every=min(look_every, n))
    accepts, rejects = plan.operating.worst_by_side()
    assert accepts <= budgets[0]
    assert rejects <= budgets[1]
    assert plan.lower_bound <= plan.uniform_asn * (1 + 1e-9)
    exact = suffice.plan(
        suffice.Proportion(percent / 100), n, 0, method="curtailed-exact", look_every=min(look_every, n)
    )
    assert plan.lower_bound <= exact.uniform_asn * (1 + 1e-9)


@pytest.mark.parametrize(
    "n, at_least, look_every", [(59, 0.5, 2), (33, 0.5, 1), (39, 0.5, 2), (99, 0.5, 1), (255, 0.5, 5)]
)
def test_rounding_costs_little_where_both_sides_mirror_each_other(n: int, at_least: float, look_every: int) -> None:
    """Once, noise of 10⁻¹⁵ in the mixture's weights removed nearly all boundaries of these."""
    plan = suffice.plan(suffice.Proportion(at_least), n, 0.01, look_every=look_every)
    assert plan.uniform_asn <= 1.06 * plan.lower_bound


@pytest.mark.parametrize("bound", [1e-5, 1e-7, 1e-9, 1e-12, 1e-15])
def test_tiny_bounds_cost_as_little(bound: float) -> None:
    plan = suffice.plan(suffice.Proportion(0.8), 100, bound)
    assert 0.5 * bound <= plan.worst_disagreement <= bound
    assert plan.uniform_asn <= 1.005 * plan.lower_bound


def test_a_direction_without_budget_is_exact() -> None:
    plan = suffice.plan(suffice.Proportion(0.8), 60, {"accept": 0, "reject": 0.01})
    accepts, rejects = plan.operating.worst_by_side()
    assert accepts == 0
    assert 0 < rejects <= 0.01
    assert all(b.accept_at is None or b.accept_at >= 48 for b in plan.boundaries)
