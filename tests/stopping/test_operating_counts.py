"""Operating characteristics of count plans: every order of outcomes, exact fractions, and simulation as witnesses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import comb, isclose, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import suffice
import suffice.errors
from property_examples import examples
from suffice.stopping import optimal_counts
from suffice.stopping.operating_counts import count_operating
from suffice.stopping.request import Design
from suffice.stopping.run import Boundary

METHODS = ("optimal", "curtailed-exact", "margin", "fixed")


@dataclass(frozen=True)
class Executed:
    """What a table does to each row of outcomes: draws used, whether it accepts; and the row's total."""

    used: np.ndarray
    accepts: np.ndarray
    total: np.ndarray
    threshold: int

    @property
    def wrong(self) -> np.ndarray:
        return self.accepts != (self.total >= self.threshold)


def execute(outcomes: np.ndarray, threshold: int, boundaries: Sequence[Boundary]) -> Executed:
    size = outcomes.shape[1]
    successes = outcomes.cumsum(axis=1)
    total = successes[:, -1]
    used, accepts, going = np.full(len(outcomes), size), total >= threshold, np.ones(len(outcomes), dtype=bool)
    for b in boundaries:
        k = successes[:, b.n - 1]
        accept = going & (k >= b.accept_at if b.accept_at is not None else False)
        reject = going & ~accept & (k <= b.reject_at if b.reject_at is not None else False)
        used[accept | reject], accepts[accept], accepts[reject] = b.n, True, False
        going &= ~(accept | reject)
    return Executed(used, accepts, total, threshold)


def every_order(size: int) -> np.ndarray:
    return (np.arange(2**size)[:, None] >> np.arange(size)) & 1


@st.composite
def tables(draw: st.DrawFn, sizes: st.SearchStrategy[int]) -> tuple[int, int, tuple[Boundary, ...]]:
    """(size, threshold, any table of boundaries): also ones that cross, never apply, or stop at once."""
    size = draw(sizes)
    looks = sorted(draw(st.sets(st.integers(1, size - 1), max_size=size - 1))) if size > 1 else []
    edge = st.none() | st.integers(-1, size + 1)
    return size, draw(st.integers(0, size)), tuple(Boundary(n, draw(edge), draw(edge)) for n in looks)


def assert_operating_is_that_of_every_order(size: int, threshold: int, boundaries: Sequence[Boundary]) -> None:
    computed = count_operating(size, threshold, boundaries)
    run = execute(every_order(size), threshold, boundaries)
    given_total = [run.wrong[run.total == total].mean() for total in range(size + 1)]
    for total in range(size + 1):
        assert isclose(computed.disagreement_given(total), given_total[total], abs_tol=1e-12)
    worst, worst_at = computed.worst()
    assert isclose(worst, max(given_total), abs_tol=1e-12)
    assert isclose(given_total[worst_at], worst, abs_tol=1e-12)
    assert isclose(computed.worst_by_side()[0], max(given_total[:threshold], default=0.0), abs_tol=1e-12)
    assert isclose(computed.worst_by_side()[1], max(given_total[threshold:], default=0.0), abs_tol=1e-12)
    used_given = [run.used[run.total == total].mean() for total in range(size + 1)]
    assert isclose(computed.mean_asn(), np.mean(used_given), rel_tol=1e-12)
    for p in (0.0, 0.1, 0.5, 0.83, 1.0):
        weight = p**run.total * (1 - p) ** (size - run.total)
        assert isclose(computed.disagreement(p), weight @ run.wrong, abs_tol=1e-12)
        assert isclose(computed.asn(p), weight @ run.used, rel_tol=1e-12)


@settings(max_examples=examples(60))
@given(tables(st.integers(1, 10)))
def test_any_table_agrees_with_every_order_of_outcomes(table) -> None:
    assert_operating_is_that_of_every_order(*table)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("at_least", [0, 0.3, 0.5, 0.8, 1])
@pytest.mark.parametrize("n, look_every, bound", [(1, 1, 0.01), (7, 1, 0.1), (12, 1, 0.05), (12, 3, 0.2)])
def test_every_method_agrees_with_every_order_of_outcomes(method, at_least, n, look_every, bound) -> None:
    margin = suffice.stopping.request.Margin(n0=2, multiplier=2, early_stop_margin=0.1)
    plan = suffice.plan(suffice.Proportion(at_least), n, bound, method=method, look_every=look_every, margin=margin)
    threshold = plan.rule.threshold(n)
    assert_operating_is_that_of_every_order(n, threshold, plan.boundaries)
    run = execute(every_order(n), threshold, plan.boundaries)
    worst = max(run.wrong[run.total == total].mean() for total in range(n + 1))
    assert isclose(plan.worst_disagreement, worst, abs_tol=1e-12)
    assert method == "margin" or worst <= bound
    assert isclose(plan.uniform_asn, np.mean([run.used[run.total == k].mean() for k in range(n + 1)]), rel_tol=1e-12)


def exact_disagreements(size: int, threshold: int, boundaries: Sequence[Boundary]) -> list[Fraction]:
    """By counting the paths that reach each node, one draw at a time: no hypergeometric recursion, no rounding."""
    at = {b.n: b for b in boundaries}
    paths, wrong = {0: 1}, [Fraction(0)] * (size + 1)
    for n in range(1, size):
        after: dict[int, int] = {}
        for k, count in paths.items():
            for k_next in (k, k + 1):
                after[k_next] = after.get(k_next, 0) + count
        b = at.get(n, Boundary(n, None, None))
        paths = {}
        for k, count in after.items():
            accepts = b.accept_at is not None and k >= b.accept_at
            if not accepts and (b.reject_at is None or k > b.reject_at):
                paths[k] = count
                continue
            for total in range(k, size - n + k + 1):
                if accepts != (total >= threshold):
                    wrong[total] += Fraction(count * comb(size - n, total - k), comb(size, total))
    return wrong


@pytest.mark.parametrize("at_least, bound", [(0.8, 0.01), (0.5, 0.001), (0.95, 0.1), (0.5, 1e-9)])
@pytest.mark.parametrize("method", ["optimal", "margin"])
def test_forty_draws_agree_with_exact_fractions(at_least: float, bound: float, method: str) -> None:
    margin = suffice.stopping.request.Margin(n0=8)
    plan = suffice.plan(suffice.Proportion(at_least), 40, bound, method=method, margin=margin)
    exact = exact_disagreements(40, plan.rule.threshold(40), plan.boundaries)
    assert all(isclose(plan.operating.disagreement_given(total), exact[total], rel_tol=1e-11) for total in range(41))
    assert isclose(plan.worst_disagreement, max(exact), rel_tol=1e-11)
    assert method == "margin" or max(exact) <= Fraction(str(bound))


@settings(max_examples=examples(40))
@given(tables(st.integers(2, 14)))
def test_only_the_totals_beside_the_threshold_can_be_worst(table) -> None:
    size, threshold, boundaries = table
    exact = exact_disagreements(size, threshold, boundaries)
    beside = [exact[total] for total in (threshold - 1, threshold) if total >= 0]
    assert max(exact) == max(beside)


def test_many_draws_lose_no_more_than_the_last_digits() -> None:
    """Path counts of 300 digits witness the logarithms of factorials."""
    plan = suffice.plan(suffice.Proportion(0.8), 1000, 0.01, look_every=25)
    exact = exact_disagreements_beside(plan)
    assert isclose(plan.worst_disagreement, max(exact), rel_tol=1e-10)
    assert max(exact) <= Fraction(1, 100)


@pytest.mark.campaign
def test_ten_thousand_draws_lose_no_more_than_the_last_digits() -> None:
    plan = suffice.plan(suffice.Proportion(0.95), 10_000, 0.01)
    exact = exact_disagreements_beside(plan)
    assert isclose(plan.worst_disagreement, max(exact), rel_tol=1e-9)
    assert max(exact) <= Fraction(1, 100)


def exact_disagreements_beside(plan) -> list[Fraction]:
    """For the two totals beside the threshold, with arrays of Python integers."""
    size, threshold = plan.n, plan.rule.threshold(plan.n)
    looks, sums = {b.n: b for b in plan.boundaries}, {threshold - 1: 0, threshold: 0}
    low, paths = 0, np.array([1], dtype=object)
    for n in range(1, size):
        paths = np.append(paths, 0) + np.append(0, paths)
        if n not in looks or not len(paths):
            continue
        b = looks[n]
        k = low + np.arange(len(paths))
        accepts = k >= (size + 1 if b.accept_at is None else b.accept_at)
        rejects = ~accepts & (k <= (-1 if b.reject_at is None else b.reject_at))
        for total, stops in ((threshold - 1, accepts), (threshold, rejects)):
            for i in np.flatnonzero(stops):
                if 0 <= total - k[i] <= size - n:
                    sums[total] += paths[i] * comb(size - n, int(total - k[i]))
        going = np.flatnonzero(~accepts & ~rejects)
        low, paths = (int(k[going[0]]), paths[going]) if len(going) else (low, paths[:0])
    return [Fraction(sums[total], comb(size, total)) for total in sums]


def moved(boundaries: Sequence[Boundary], i: int, side: str, by: int) -> tuple[Boundary, ...]:
    edge = getattr(boundaries[i], side)
    return (*boundaries[:i], replace(boundaries[i], **{side: edge + by}), *boundaries[i + 1 :])


def test_a_boundary_moved_by_one_count_changes_the_figures() -> None:
    plan = suffice.plan(suffice.Proportion(0.8), 100, 0.01)
    for i, boundary in list(enumerate(plan.boundaries))[::4]:
        for side, inwards in (("reject_at", 1), ("accept_at", -1)):
            if getattr(boundary, side) is None:
                continue
            for by in (1, -1):
                computed = count_operating(100, 80, moved(plan.boundaries, i, side, by))
                reached = (computed.worst_by_side(), computed.mean_asn()) != (
                    plan.operating.worst_by_side(),
                    plan.uniform_asn,
                )
                assert reached, (boundary, side, by)
                assert (computed.mean_asn() < plan.uniform_asn) == (by == inwards)


def test_a_table_that_exceeds_the_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: widen the optimal table count by count; the first one beyond the bound is no plan any more."""
    plan = suffice.plan(suffice.Proportion(0.8), 100, 0.01)
    refused = 0
    for i, boundary in enumerate(plan.boundaries):
        if boundary.reject_at is None:
            continue
        table = moved(plan.boundaries, i, "reject_at", 1)
        monkeypatch.setattr(optimal_counts, "design_counts", lambda request, table=table: Design(table))
        exceeds = max(exact_disagreements_of(table)) > Fraction(1, 100)
        if exceeds:
            refused += 1
            with pytest.raises(
                suffice.errors.PlanError, match=r"disagrees in up to 0\.\d+ of decisions; allowed: 0\.01"
            ):
                suffice.plan(suffice.Proportion(0.8), 100, 0.01)
        else:
            assert suffice.plan(suffice.Proportion(0.8), 100, 0.01).worst_disagreement <= 0.01
    assert refused > 10


def exact_disagreements_of(table: Sequence[Boundary]) -> list[Fraction]:
    plan = replace(suffice.plan(suffice.Proportion(0.8), 100, method="fixed"), boundaries=tuple(table))
    return exact_disagreements_beside(plan)


@pytest.mark.parametrize("method, bound", [("optimal", 0.01), ("margin", 0.01)])
def test_simulated_agreement_is_the_computed_one(method: str, bound: float) -> None:
    runs, rng = 20_000, np.random.default_rng(20261123)
    plan = suffice.plan(
        suffice.Proportion(0.8), 100, bound, method=method, margin=suffice.stopping.request.Margin(n0=16)
    )
    truths = [*rng.uniform(0, 1, 3), 0.75, 0.79, 0.8, 0.81, 0.85]
    rates = []
    for p in truths:
        run = execute((rng.random((runs, 100)) < p).astype(np.int64), 80, plan.boundaries)
        expected = plan.disagreement(p)
        assert abs(run.wrong.mean() - expected) <= 4 * sqrt(expected * (1 - expected) / runs) + 1e-9
        assert abs(run.used.mean() - plan.asn(p)) <= 4 * run.used.std() / sqrt(runs) + 1e-9
        rates.append(run.wrong.mean())
    if method == "optimal":
        assert max(rates) <= bound + 3 * sqrt(bound / runs)
    else:
        assert max(rates) > 0.1


def test_draws_that_never_meet_a_boundary_decide_as_the_baseline() -> None:
    computed = count_operating(20, 10, ())
    assert (computed.worst(), computed.mean_asn(), computed.asn(0.3), computed.disagreement(0.3)) == (
        (0.0, 10),
        20.0,
        20.0,
        0.0,
    )
