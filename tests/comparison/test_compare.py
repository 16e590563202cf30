"""Comparison: every case counted once, in the right places."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from math import inf, nan

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.stats import binomtest

import suffice
from suffice.comparison.compare import BANDS, Comparison, band_edges, compare
from suffice.decision.rule import Decision
from suffice.stopping.request import Margin
from suffice.verifier.case import Case
from suffice.verifier.loop import decide, decide_fixed, observations
from suffice.verifier.many import results

N, SEED = 64, 42
RULE = suffice.Proportion(0.8)
PLANS = [
    suffice.plan(RULE, N, 0.05, look_every=4),
    suffice.plan(RULE, N, 0, method="curtailed-exact"),
    suffice.plan(RULE, N, method="margin", margin=Margin(n0=8)),
]


def cases(count: int = 300, invalid: int = 7) -> Iterator[Case]:
    for i in range(count):
        gap = i / 60
        sampler = suffice.Pair(suffice.Normal(0.0, 1.0), suffice.Normal(gap, 1.0))
        yield Case(key=f"case-{i}", target=f"target-{i % 40}", sampler=sampler, effect=gap - 2 if i % 3 else None)
    for i in range(invalid):
        yield Case(key=f"invalid-{i}", target="t", sampler=lambda rng, n: np.full((n, 2), np.nan))


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compare(cases(), RULE, N, PLANS, SEED)


def test_each_case_is_decided_both_ways_on_the_same_draws(comparison: Comparison) -> None:
    fixed = suffice.plan(RULE, N, method="fixed")
    by_hand = [(decide(case, fixed, SEED), [decide(case, plan, SEED) for plan in PLANS]) for case in cases(invalid=0)]
    for i, method in enumerate(comparison.methods):
        assert method.total.cases == len(by_hand)
        assert method.total.fixed_draws == len(by_hand) * N
        assert method.total.adaptive_draws == sum(verdicts[i].n for _, verdicts in by_hand)
        wrong = [v[i].decision for baseline, v in by_hand if v[i].decision is not baseline.decision]
        assert method.total.disagreements == len(wrong)
        assert method.false_accepts == wrong.count(Decision.ACCEPTED)
        assert method.early == sum(verdicts[i].n < N for _, verdicts in by_hand)


def test_the_heuristic_disagrees_and_exact_curtailment_does_not(comparison: Comparison) -> None:
    optimal, exact, margin = (method.total for method in comparison.methods)
    assert exact.disagreements == 0
    assert margin.disagreements > 10
    assert optimal.disagreements < margin.disagreements
    assert optimal.reduction > exact.reduction > 0


def test_bands_and_cells_part_the_valid_cases(comparison: Comparison) -> None:
    for method in comparison.methods:
        for parts in (method.bands, method.cells.values()):
            for count in ("cases", "disagreements", "fixed_draws", "adaptive_draws"):
                assert sum(getattr(part, count) for part in parts) == getattr(method.total, count)


def test_cases_fall_into_the_band_of_their_effect() -> None:
    compared = list(results(cases(), RULE, N, PLANS, SEED))
    whole = compare(cases(), RULE, N, PLANS, SEED)
    for (low, high), part in zip(band_edges(), whole.methods[0].bands, strict=True):
        inside = [r for r in compared if r.valid and low <= abs(r.effect) < (inf if high is None else high)]
        assert part.cases == len(inside)
    assert [edge for edge, _ in band_edges()] == [0.0, *BANDS]


def test_the_effect_is_the_truth_where_it_is_known() -> None:
    for result in results(cases(12, 0), RULE, N, PLANS, SEED):
        if result.case.effect is not None:
            assert result.effect == result.case.effect
        else:
            assert (result.effect > 0) == (result.baseline.decision is Decision.ACCEPTED)


@pytest.mark.parametrize(
    "effect, cell", [(0.0, 0), (0.49, 0), (0.5, 1), (-0.1, -1), (-0.5, -1), (99.0, 19), (-99.0, -20)]
)
def test_cells_reach_so_far_and_hold_what_lies_beyond(effect: float, cell: int) -> None:
    case = Case(key="a", target="t", sampler=lambda rng, n: np.ones(n), effect=effect)
    compared = compare([case], RULE, N, PLANS, SEED)
    assert list(compared.methods[0].cells) == list(compared.whole.examples) == [cell]


def test_an_infinite_effect_falls_into_the_outermost_cell() -> None:
    rule = suffice.PairedMean()
    case = Case(key="a", target="t", sampler=lambda rng, n: np.ones(n))
    compared = compare([case], rule, 256, [suffice.plan(rule, 256, method="margin")], SEED)
    assert list(compared.methods[0].cells) == [19]
    assert compared.methods[0].bands[-1].cases == 1


def test_disagreeing_cases_are_listed(comparison: Comparison) -> None:
    for i, (method, differing) in enumerate(zip(comparison.methods, comparison.disagreeing, strict=True)):
        assert len(differing) == method.total.disagreements
        assert all(r.verdicts[i].decision is not r.baseline.decision for r in differing)
        assert len({r.case.key for r in differing}) == len(differing)


def test_cases_that_are_invalid_on_both_paths_are_counted_apart(comparison: Comparison) -> None:
    assert (comparison.whole.cases, comparison.whole.invalid) == (307, 7)
    assert comparison.methods[0].total.cases == 300
    without = compare(cases(invalid=0), RULE, N, PLANS, SEED)
    for i in range(3):
        assert {**without.summary(i), "cases": 307, "invalid": 7} == comparison.summary(i)


def test_a_region_in_which_nothing_can_be_judged_is_none() -> None:
    blind = Case(key="a", target="t", sampler=lambda rng, n: np.full((n, 2), nan), region="blind")
    seen = Case(key="b", target="t", sampler=lambda rng, n: np.ones(n), region="seen")
    assert list(compare([blind, seen], RULE, N, PLANS, SEED).by_region(0)) == ["seen"]


def test_to_decide_before_an_invalid_draw_is_to_differ_and_saves_nothing() -> None:
    def late(rng, n):
        late.calls += 1
        return np.zeros(n) if late.calls < 4 else np.full(n, nan)

    late.calls = 0
    compared = compare([Case(key="a", target="t", sampler=late)], RULE, N, PLANS, SEED)
    assert (compared.whole.cases, compared.whole.invalid) == (1, 1)
    for i, method in enumerate(compared.methods):
        decided = compared.disagreeing[i]
        total, differs = method.total, [one.verdicts[i].decision for one in decided] == [Decision.REJECTED]
        assert (total.cases, total.disagreements, total.over_invalid) == ((1, 1, 1) if differs else (0, 0, 0))
        assert (total.fixed_draws, total.adaptive_draws) == (0, 0)
        summary = json.loads(json.dumps(compared.summary(i), allow_nan=False))
        assert (summary["judged"], summary["decided_over_invalid"], summary["avg_fixed_n"]) == (differs, differs, None)
    assert compared.methods[0].total.disagreements == 1, "some method stops before the draw that is no number"


def test_one_draw_in_a_hundred_that_is_no_number_is_not_blindness() -> None:
    """Today's baseline is INVALID in most such cases, and an early stop decides them all the same."""
    share = 0.01

    def some(rng: Generator, n: int) -> NDArray[np.float64]:
        return np.where(rng.random(n) < share, nan, (rng.random(n) < 0.95).astype(float))

    compared = compare([Case(f"k{i}", "t", some) for i in range(400)], RULE, N, PLANS, SEED)
    of_plan = compared.methods[0].total
    # The witness: each case by itself, by the interpreter's own loop.
    witness = [(decide_fixed(observations(c, RULE, N, SEED), RULE).decision, decide(c, PLANS[0], SEED).decision)
               for c in (Case(f"k{i}", "t", some) for i in range(400))]  # fmt: skip
    differing = sum(fixed is not adaptive for fixed, adaptive in witness)
    both = sum(fixed is adaptive is Decision.INVALID for fixed, adaptive in witness)
    assert (of_plan.cases, of_plan.disagreements) == (400 - both, differing)
    assert of_plan.over_invalid > 50 and of_plan.rate > 0.1


def test_the_summary_is_plain_json_with_exact_intervals(comparison: Comparison) -> None:
    for i, method in enumerate(comparison.methods):
        summary = json.loads(json.dumps(comparison.summary(i), allow_nan=False))
        interval = binomtest(summary["disagreements"], 300).proportion_ci(0.95, method="exact")
        assert summary["disagreement_lower"] == pytest.approx(interval.low, rel=1e-9)
        assert summary["disagreement_upper"] == pytest.approx(interval.high, rel=1e-9)
        assert summary["disagreement_rate"] == summary["disagreements"] / 300
        assert summary["false_accepts"] + summary["false_rejects"] == summary["disagreements"]
        assert summary["avg_fixed_n"] == N
        assert summary["sample_reduction"] == pytest.approx(1 - summary["avg_adaptive_n"] / N, rel=1e-12)
        assert summary["plan_id"] == method.plan.id
        assert (summary["rule"], summary["n"], summary["seed"]) == ("proportion", N, SEED)


def test_no_valid_case_gives_no_rate() -> None:
    summary = compare(cases(0, 3), RULE, N, PLANS, SEED).summary(0)
    assert (summary["cases"], summary["invalid"]) == (3, 3)
    for name in ("disagreement_rate", "avg_fixed_n", "avg_adaptive_n", "sample_reduction"):
        assert summary[name] is None
    assert (summary["disagreement_lower"], summary["disagreement_upper"]) == (0.0, 1.0)


def test_examples_hold_the_first_case_of_each_cell(comparison: Comparison) -> None:
    first = {}
    for result in results(cases(invalid=0), RULE, N, PLANS, SEED):
        first.setdefault(int(np.floor(np.clip(result.effect, -10, 9.5) / 0.5)), result.case.key)
    assert {cell: result.case.key for cell, result in comparison.whole.examples.items()} == first


def test_processes_and_hash_seeds_give_the_same_bytes() -> None:
    code = """
import json, suffice
from suffice.comparison.compare import compare
from suffice.verifier.case import Case
rule = suffice.Proportion(0.8)
cases = [Case(f"c{i}", "t", suffice.Pair(suffice.Normal(0, 1), suffice.SplitNormal(i / 20, 1, 2))) for i in range(60)]
text = json.dumps(compare(cases, rule, 40, [suffice.plan(rule, 40, 0.05)], 42).summary(0))
"""
    here: dict[str, str] = {}
    exec(code, here)
    command = [sys.executable, "-c", f"{code}print(text)"]
    environment = {**os.environ, "PYTHONHASHSEED": "99"}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout == f"{here['text']}\n"
