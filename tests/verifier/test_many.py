"""A comparison is the same whether its cases are decided by runs or by the batch kernels."""

import json

import numpy as np
import pytest

import suffice
from lazily import Lazily
from suffice.comparison.compare import Comparison, compare
from suffice.sampling.distributions import Normal, SplitNormal
from suffice.sampling.sampler import Pair
from suffice.stopping.request import Margin
from suffice.verifier import many
from suffice.verifier.case import Case
from suffice.verifier.many import Work, results

METHODS = ("optimal", "margin", "fixed")
FIRST = Margin(n0=8)
RULES = Lazily(
    {
        "counts": lambda: [
            suffice.plan(suffice.Proportion(0.8), 60, 0.01, method=each, margin=FIRST) for each in METHODS
        ],
        "means": lambda: [suffice.plan(suffice.PairedMean(), 60, 0.02, method=each, margin=FIRST) for each in METHODS],
    }
)


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
@pytest.mark.parametrize("kind", RULES)
def test_kernels_and_runs_give_equal_results(kind: str, cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    plans = RULES[kind]
    rule = plans[0].rule
    kernels_from(10**9, monkeypatch)
    assert not Work().suits_kernels(cases, plans)
    by_runs, comparison = list(results(cases, rule, 60, plans, 42)), compare(cases, rule, 60, plans, 42)
    kernels_from(0, monkeypatch)
    monkeypatch.setattr(many, "CHUNK", 32)
    assert Work().suits_kernels(cases, plans)
    assert [repr(result) for result in results(cases, rule, 60, plans, 42)] == list(map(repr, by_runs))
    assert in_full(compare(cases, rule, 60, plans, 42)) == in_full(comparison)
    assert comparison.whole.invalid > 0
    assert all(method.early > 0 for method in comparison.methods[:2])


def test_cases_that_kernels_cannot_draw_are_left_to_runs(cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    kernels_from(0, monkeypatch)
    simulated = Case("simulated", "t", lambda rng, n: rng.random(n) < 0.5)
    assert not Work().suits_kernels([*cases, simulated], RULES["counts"])
    guarded = suffice.plan(suffice.PairedMean(), 60, 0.02, guarded=True)
    assert not Work().suits_kernels(cases, [guarded])


def test_few_cases_are_left_to_runs_until_they_have_become_many(
    cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels_from(4 * len(cases) + 1, monkeypatch)
    work = Work()
    assert [work.suits_kernels(cases, RULES["counts"]) for _ in range(3)] == [False, True, True]


def test_what_other_callers_decided_counts_for_nothing(cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    kernels_from(4 * len(cases) + 1, monkeypatch)
    assert [Work().suits_kernels(cases, RULES["counts"]) for _ in range(3)] == [False] * 3


def test_a_caller_that_knows_how_much_is_to_come_starts_with_kernels(
    cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels_from(4 * len(cases), monkeypatch)
    assert Work(4 * len(cases)).suits_kernels(cases[:1], RULES["counts"])
    assert not Work(4 * len(cases) - 1).suits_kernels(cases[:1], RULES["counts"])


def test_what_is_loaded_is_not_yet_worth_compiling(cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "LOADING", 4)
    monkeypatch.setattr(many, "COMPILING", 8)
    for kept, taken in ((True, [True, True]), (False, [False, True])):
        monkeypatch.setattr(many, "kernels_kept", lambda kept=kept: kept)
        work = Work()
        assert [work.suits_kernels(cases[:1], RULES["counts"]) for _ in range(2)] == taken


def test_without_the_compiler_every_case_is_left_to_runs(cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    kernels_from(0, monkeypatch)
    monkeypatch.setattr(many, "installed", lambda package: package != "numba")
    assert not Work(10**9).suits_kernels(cases, RULES["counts"])
