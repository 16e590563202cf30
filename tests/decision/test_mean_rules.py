"""Mean and BinaryMean: SciPy's one-sided t-test as the witness."""

from math import inf, isclose, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import suffice
from suffice.decision.binary_mean import BinaryMean
from suffice.decision.counts import CountRule
from suffice.decision.mean import Mean
from suffice.decision.means import MeanRule
from suffice.decision.rule import Decision
from suffice.decision.rules import RULES, rule_of
from suffice.errors import PlanError
from suffice.stopping.run import Run


def decided(rule, draws) -> Decision:
    run = Run(rule, len(draws), ())
    run.observe(draws)
    return run.verdict.decision


SAMPLES = st.builds(
    lambda seed, n, offset: np.random.default_rng(seed).standard_normal(n) + offset,
    st.integers(0, 2**32),
    st.integers(2, 200),
    st.sampled_from([0.0, 0.1, -0.3, 5.0]),
)


@given(SAMPLES, st.sampled_from([0.0, 0.2, -1.0, 5.0]), st.sampled_from([0.001, 0.05, 0.4, 0.7]), st.booleans())
def test_decides_as_scipys_one_sided_t_test(draws: np.ndarray, value: float, alpha: float, above: bool) -> None:
    rule = Mean(at_least=value, alpha=alpha) if above else Mean(at_most=value, alpha=alpha)
    witness = stats.ttest_1samp(draws, value, alternative="greater" if above else "less")
    tally = rule.tally()
    tally.add(draws.tolist())
    assert isclose(tally.statistic, witness.statistic if above else -witness.statistic, rel_tol=1e-9, abs_tol=1e-12)
    if abs(witness.pvalue - alpha) > 1e-9:
        assert decided(rule, draws) is (Decision.ACCEPTED if witness.pvalue < alpha else Decision.REJECTED)
        assert (rule.effect(tally) > 0) == (witness.pvalue < alpha)


def test_equal_draws_keep_the_claim_strictly_or_not() -> None:
    assert decided(Mean(at_least=1.0), [2.0] * 5) is Decision.ACCEPTED
    assert decided(Mean(at_least=1.0), [1.0] * 5) is Decision.REJECTED
    assert decided(Mean(at_most=1.0), [0.5] * 5) is Decision.ACCEPTED
    assert decided(Mean(at_most=1.0), [2.0] * 5) is Decision.REJECTED
    assert decided(Mean(at_least=-1.0), [0.0] * 5) is Decision.ACCEPTED


def test_pairs_count_as_their_difference() -> None:
    pairs = np.array([[1.0, 3.0], [2.0, 1.0], [nan, 1.0]])
    assert Mean(at_least=0.0).observations(pairs, 1)[:2] == [2.0, -1.0]
    assert np.isnan(Mean(at_least=0.0).observations(pairs, 1)[2])
    assert BinaryMean(at_least=0.5).observations(pairs, 1)[:2] == [1.0, 0.0]
    assert np.isnan(BinaryMean(at_least=0.5).observations(pairs, 1)[2])


@pytest.mark.parametrize("value", [0.0, 0.03, 0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.3])
@pytest.mark.parametrize("n", [2, 5, 37, 100])
@pytest.mark.parametrize("above", [True, False])
def test_the_count_decides_as_scipys_t_test(value: float, alpha: float, n: int, above: bool) -> None:
    rule = BinaryMean(at_least=value, alpha=alpha) if above else BinaryMean(at_most=value, alpha=alpha)
    same = Mean(at_least=value, alpha=alpha) if above else Mean(at_most=value, alpha=alpha)
    for ones in range(n + 1):
        draws = [1.0] * ones + [0.0] * (n - ones)
        if 0 < ones < n:
            p = stats.ttest_1samp(draws, value, alternative="greater" if above else "less").pvalue
            accepts = p < alpha
        else:
            accepts = ones / n > value if above else ones / n < value
        assert decided(rule, draws) is (Decision.ACCEPTED if accepts else Decision.REJECTED)
        assert decided(same, draws) is decided(rule, draws)
        successes = ones if above else n - ones
        assert (successes >= rule.threshold(n)) == accepts


def test_ten_thousand_draws() -> None:
    threshold = BinaryMean(at_least=0.8).threshold(10_000)
    for ones, accepts in ((threshold, True), (threshold - 1, False)):
        draws = np.repeat([1.0, 0.0], [ones, 10_000 - ones])
        assert (stats.ttest_1samp(draws, 0.8, alternative="greater").pvalue < 0.05) == accepts


def test_binary_plans_are_exact_and_others_asymptotic() -> None:
    plan = suffice.plan(BinaryMean(at_most=0.1), 60, 0.01)
    assert (plan.guarantee, plan.worst_disagreement <= 0.01) == ("exact", True)
    run = plan.start()
    run.observe([0] * 60)
    assert (run.verdict.decision, run.verdict.early, run.verdict.estimate) == (Decision.ACCEPTED, True, 0.0)
    assert suffice.plan(Mean(at_most=0.1), 60, 0.01).guarantee == "asymptotic"


@pytest.mark.parametrize("rule", [Mean(at_least=1.5), Mean(at_most=-2, alpha=0.1), BinaryMean(at_most=0.2)])
def test_by_name(rule) -> None:
    assert rule_of(rule.name, rule.parameters) == rule
    assert RULES[rule.name] is type(rule)
    assert isinstance(rule, CountRule if rule.counts else MeanRule)
    assert rule.counts == isinstance(rule, BinaryMean)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Mean(), "at_least is None and at_most is None; allowed: exactly one of them"),
        (lambda: Mean(1.0, 2.0), "at_least is 1.0 and at_most is 2.0; allowed: exactly one of them"),
        (lambda: Mean(at_least=nan), "at_least is nan; allowed: a finite number"),
        (lambda: Mean(at_most=inf), "at_most is inf; allowed: a finite number"),
        (lambda: Mean(at_least=0, alpha=0), "alpha is 0; allowed: between 0 and 1"),
        (lambda: Mean(at_least=0).check_n(1), "n is 1; allowed: at least 2 draws, a t-test needs a spread"),
        (lambda: BinaryMean(at_least=1.1), "at_least is 1.1; allowed: 0 to 1, as draws are 0 or 1"),
        (lambda: BinaryMean(at_most=0.5, alpha=1), "alpha is 1; allowed: between 0 and 1"),
        (lambda: BinaryMean(at_most=0.5).check_n(1), "n is 1; allowed: at least 2 draws"),
        (lambda: suffice.plan(BinaryMean(at_most=0.5), 9, method="margin"), "method margin is not made for rule"),
    ],
)
def test_impossible_rules_are_refused(make, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        make()
    assert str(caught.value).startswith(message)
