"""The even set: truths evenly spread around the boundary, recomputed with SciPy's distributions."""

from itertools import pairwise
from math import inf, nan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, nct, norm
from scipy.stats import t as student

from suffice.decision.paired_mean import PairedMean
from suffice.decision.proportion import Proportion
from suffice.decision.rule import Decision, Rule
from suffice.errors import DataError
from suffice.sampling.distributions import Normal
from suffice.sampling.sampler import Draws, Pair
from suffice.sampling.streams import Stream
from suffice.sources.even import even_cases, even_paired_mean, even_proportion
from suffice.verifier.case import Case
from suffice.verifier.loop import decide_fixed, observations


def after(case: Case) -> Normal:
    assert isinstance(case.sampler, Pair)
    assert case.sampler.before == Normal(0, 1)
    assert isinstance(case.sampler.after, Normal)
    assert case.sampler.after.sd == 1
    return case.sampler.after


def effects(cases: list[Case]) -> list[float]:
    return [case.effect for case in cases if case.effect is not None]


def truth(case: Case) -> float:
    return float(norm.cdf(after(case).mean / sqrt(2)))


def assert_even(values: list[float]) -> None:
    steps = [b - a for a, b in pairwise(values)]
    assert min(steps) == pytest.approx(max(steps), rel=1e-6)
    assert min(steps) > 0


@given(st.integers(2, 2000).flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_proportion_truths_are_even_and_only_probabilities(numbers: tuple[int, int]) -> None:
    threshold, n = numbers
    p0 = (threshold - 0.5) / n
    se = sqrt(p0 * (1 - p0) / n)
    cases = even_proportion(threshold, n, 50)
    assert len(effects(cases)) == 50
    assert_even(effects(cases))
    low, high = max(-8, -p0 / se), min(8, (1 - p0) / se)
    half = (high - low) / 100
    assert effects(cases)[0] == pytest.approx(low + half)
    assert effects(cases)[-1] == pytest.approx(high - half)
    for case, effect in zip(cases, effects(cases), strict=True):
        assert 0 < truth(case) < 1
        assert truth(case) == pytest.approx(p0 + effect * se, rel=1e-6)


@given(st.floats(0.01, 100), st.integers(2, 100_000))
def test_paired_mean_truths_are_even_around_the_critical_value(critical: float, n: int) -> None:
    in_standard_errors = [after(case).mean / (sqrt(2) / sqrt(n)) for case in even_paired_mean(critical, n, 40)]
    assert in_standard_errors == pytest.approx([critical - 8 + 16 * (i + 0.5) / 40 for i in range(40)], abs=1e-9)


@given(st.floats(0.01, 100), st.integers(2, 100_000))
def test_a_paired_mean_effect_is_the_distance_from_the_nearer_boundary(critical: float, n: int) -> None:
    for case in even_paired_mean(critical, n, 40):
        truth = after(case).mean / (sqrt(2) / sqrt(n))
        distance = min(abs(truth - critical), abs(truth + critical))
        assert case.effect == pytest.approx(distance if abs(truth) > critical else -distance, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("rule", [Proportion(0.8), Proportion(0.5), PairedMean()], ids=["0.8", "0.5", "paired_mean"])
def test_the_baseline_accepts_as_the_effect_says(rule: Rule) -> None:
    """With SciPy's probabilities as witness: a share off by four of its standard errors would be seen."""
    n = 256
    cases = even_cases(rule, n)
    accepted = [decide_fixed(observations(c, rule, n, 42), rule).decision is Decision.ACCEPTED for c in cases]
    for low, high in ((-8, -3), (-1, 1), (3, 16)):
        inside = [i for i, effect in enumerate(effects(cases)) if low <= effect < high]
        powers = [power(rule, n, cases[i]) for i in inside]
        expected, spread = sum(powers), sqrt(sum(p * (1 - p) for p in powers))
        assert abs(sum(accepted[i] for i in inside) - expected) <= 4 * spread + 1e-6, (low, high)
    near = [accepted[i] for i, effect in enumerate(effects(cases)) if abs(effect) < 1]
    assert 0.3 < sum(near) / len(near) < 0.7


def power(rule: Rule, n: int, case: Case) -> float:
    """P(the baseline accepts)."""
    if isinstance(rule, Proportion):
        return float(binom.sf(rule.threshold(n) - 1, n, truth(case)))
    assert isinstance(rule, PairedMean)
    t, shift = student.ppf(1 - rule.alpha / 2, n - 1), after(case).mean / sqrt(2 / n)
    return float(nct.sf(t, n - 1, shift) + nct.sf(t, n - 1, -shift))


def test_far_truths_are_decided_as_they_should_and_the_boundary_is_a_coin() -> None:
    cases = even_proportion(80, 100, 1000)

    def accepted(case: Case) -> bool:
        pairs = Draws(case.sampler, Stream(42, case.key)).take(100)
        return int((pairs[:, 1] > pairs[:, 0]).sum()) >= 80

    decided = [accepted(case) for case in cases]
    at = effects(cases)
    assert not any(d for d, e in zip(decided, at, strict=True) if e < -5)
    assert all(d for d, e in zip(decided, at, strict=True) if e > 4)
    near = [d for d, e in zip(decided, at, strict=True) if abs(e) < 0.5]
    assert 0.3 < sum(near) / len(near) < 0.7


def test_a_thousand_cases_with_keys_of_their_own() -> None:
    for cases in (even_proportion(80, 100), even_paired_mean(1.97, 256)):
        assert len(cases) == len({case.key for case in cases}) == 1000
        assert all(case.target == case.key and case.direction == 1 for case in cases)
    assert even_proportion(80, 100)[1].key == "even/proportion/0001"
    assert even_paired_mean(1.97, 256)[1].key == "even/paired_mean/0001"


def test_a_rule_gets_the_set_of_its_own_boundary() -> None:
    assert even_cases(Proportion(at_least=0.8), 100) == even_proportion(80, 100)
    rule = PairedMean(alpha=0.05)
    assert even_cases(rule, 256) == even_paired_mean(rule.critical(256), 256)


@pytest.mark.parametrize(("threshold", "n"), [(0, 100), (-1, 100), (101, 100), (1, 0)])
def test_a_threshold_that_decides_all_alike_has_no_boundary(threshold: int, n: int) -> None:
    with pytest.raises(DataError) as caught:
        even_proportion(threshold, n)
    assert str(caught.value) == (
        f"source even: rule proportion decides all cases of N = {n} alike; no boundary to spread truths around"
    )


@pytest.mark.parametrize(("critical", "n"), [(0.0, 100), (-1.0, 100), (inf, 100), (nan, 100), (1.97, 1)])
def test_a_critical_value_that_is_none_is_refused(critical: float, n: int) -> None:
    with pytest.raises(DataError) as caught:
        even_paired_mean(critical, n)
    assert str(caught.value) == (
        f"source even: rule paired_mean has critical value {critical} at N = {n}; allowed: > 0, and N >= 2"
    )


@pytest.mark.parametrize("count", [0, -1])
def test_an_empty_set_would_prove_nothing(count: int) -> None:
    message = f"^source even: {count} cases; allowed: at least 1$"
    with pytest.raises(DataError, match=message):
        even_proportion(80, 100, count)
    with pytest.raises(DataError, match=message):
        even_paired_mean(1.97, 100, count)
