"""A comparison is the same whether its cases are decided by runs or by the batch kernels."""

import json

import numpy as np
import pytest

import suffice
from suffice.comparison.compare import Comparison, compare, results
from suffice.sampling.distributions import Normal, SplitNormal
from suffice.sampling.sampler import Pair
from suffice.stopping.plan import Plan
from suffice.stopping.request import Margin
from suffice.verifier import many
from suffice.verifier.case import Case

METHODS = ("optimal", "margin", "fixed")
FIRST = Margin(n0=8)
RULES = {
    "counts": [suffice.plan(suffice.Proportion(0.8), 60, 0.01, method=method, margin=FIRST) for method in METHODS],
    "means": [suffice.plan(suffice.PairedMean(), 60, 0.02, method=method, margin=FIRST) for method in METHODS],
}


@pytest.fixture
def cases() -> list[Case]:
    """Every way to end, effects that are known and that are not; in the last ones a draw may be infinite."""
    truths = [*np.linspace(-1.5, 1.5, 100).tolist(), 1.6e308, 1.7e308]
    pairs = [Pair(Normal(0.0, 1.0), SplitNormal(truth, 1.0, abs(truth) / 10 + 0.5)) for truth in truths]
    return [
        Case(f"{i}", "t", pair, direction=1 - i % 7 // 6, effect=float(i) / 100 if i % 3 == 0 else None)
        for i, pair in enumerate(pairs)
    ]


def kernels_from(decisions: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "LOADING", decisions)
    monkeypatch.setattr(many, "COMPILING", decisions)


def in_full(comparison: Comparison) -> str:
    return json.dumps([comparison.summary(i) for i in range(len(METHODS))])


@pytest.mark.filterwarnings("ignore:overflow encountered")
@pytest.mark.parametrize("plans", RULES.values(), ids=RULES)
def test_kernels_and_runs_give_equal_results(
    plans: list[Plan], cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = plans[0].rule
    kernels_from(10**9, monkeypatch)
    assert not many.worthwhile(cases, plans)
    by_runs, comparison = list(results(cases, rule, 60, plans, 42)), compare(cases, rule, 60, plans, 42)
    kernels_from(0, monkeypatch)
    monkeypatch.setattr(many, "CHUNK", 32)
    assert many.worthwhile(cases, plans)
    assert [repr(result) for result in results(cases, rule, 60, plans, 42)] == list(map(repr, by_runs))
    assert in_full(compare(cases, rule, 60, plans, 42)) == in_full(comparison)
    assert comparison.invalid > 0
    assert all(method.early > 0 for method in comparison.methods[:2])


def test_cases_that_kernels_cannot_draw_are_left_to_runs(cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    kernels_from(0, monkeypatch)
    simulated = Case("simulated", "t", lambda rng, n: rng.random(n) < 0.5)
    assert not many.worthwhile([*cases, simulated], RULES["counts"])
    guarded = suffice.plan(suffice.PairedMean(), 60, 0.02, guarded=True)
    assert not many.worthwhile(cases, [guarded])


def test_few_cases_are_left_to_runs_until_they_have_become_many(
    cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many._Spent, "decisions", 0)
    kernels_from(4 * len(cases) + 1, monkeypatch)
    assert [many.worthwhile(cases, RULES["counts"]) for _ in range(3)] == [False, True, True]
