"""PairedMean: SciPy's paired t-test, and exact rational arithmetic where that one has too few digits."""

from fractions import Fraction
from math import inf, isclose, nan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from suffice.decision.means import MeanTally
from suffice.decision.paired_mean import PairedMean
from suffice.decision.rule import Decision
from suffice.decision.rules import rule_of
from suffice.errors import PlanError


def tally_of(draws: list[float], min_effect: float = 0.0, block: int = 8) -> MeanTally:
    tally = PairedMean(min_effect=min_effect).tally()
    assert all(tally.add(draws[i : i + block]) for i in range(0, len(draws), block))
    return tally


def exact_t(draws: list[float]) -> float:
    """|t| from the floats as they are, rounded once."""
    values = [Fraction(x) for x in draws]
    mean = sum(values) / len(values)
    spread = sum((x - mean) ** 2 for x in values)
    scaled = mean**2 * len(values) * (len(values) - 1) / spread
    shift = (scaled.numerator.bit_length() - scaled.denominator.bit_length()) // 2
    return sqrt(scaled / Fraction(4) ** shift) * 2.0**shift


SAMPLES = st.builds(
    lambda seed, n, scale, offset: (np.random.default_rng(seed).standard_normal(n) + offset) * scale,
    seed=st.integers(0, 2**32),
    n=st.integers(2, 300),
    scale=st.sampled_from([1.0, 1e-100, 1e-12, 1e9, 1e100]),
    offset=st.sampled_from([0.0, 0.1, -0.3, 5.0, -1e4, 1e8]),
)


@given(SAMPLES)
def test_decides_as_scipys_paired_t_test(after: np.ndarray) -> None:
    rule = PairedMean(alpha=0.05, min_effect=0.0)
    tally = tally_of(after.tolist())
    witness = stats.ttest_rel(after, np.zeros_like(after))
    assert isclose(tally.statistic, abs(witness.statistic), rel_tol=1e-9)
    if abs(witness.pvalue - 0.05) > 1e-9:
        assert rule.decide(tally) is (Decision.ACCEPTED if witness.pvalue < 0.05 else Decision.REJECTED)


@given(SAMPLES, st.integers(1, 50))
def test_the_statistic_is_exact_in_any_blocks(draws: np.ndarray, block: int) -> None:
    assert isclose(tally_of(draws.tolist(), block=block).statistic, exact_t(draws.tolist()), rel_tol=1e-11)


@pytest.mark.parametrize("place", [0, 1, 255])
def test_one_outlier_of_a_hundred_million_sd(place: int) -> None:
    draws = np.random.default_rng(42).standard_normal(256) + 3.0
    draws[place] = 1e8
    tally = tally_of(draws.tolist())
    assert isclose(tally.statistic, exact_t(draws.tolist()), rel_tol=1e-11)
    assert PairedMean(min_effect=0.0).decide(tally) is Decision.REJECTED


@pytest.mark.parametrize("size", [1e150, 9e152, 1e153])
def test_one_outlier_near_the_largest_square_does_not_become_significant(size: float) -> None:
    tally = tally_of([size] + [0.0] * 99)
    assert isclose(tally.statistic, 1.0, rel_tol=1e-12)


def test_draws_too_far_apart_to_square_count_as_infinite() -> None:
    tally = MeanTally(0.0)
    assert not tally.add([1.0, 2.0, 1e200, 3.0])
    assert tally.n == 3


def test_two_draws() -> None:
    assert isclose(tally_of([1.0, 3.0]).statistic, stats.ttest_1samp([1.0, 3.0], 0).statistic, rel_tol=1e-14)


def test_equal_draws_are_certain_and_zeros_are_not() -> None:
    rule = PairedMean(min_effect=1e-6)
    assert rule.decide(tally_of([0.1] * 10, 1e-6)) is Decision.ACCEPTED
    assert rule.decide(tally_of([-0.1] * 10, 1e-6)) is Decision.ACCEPTED
    assert rule.decide(tally_of([0.0] * 10, 1e-6)) is Decision.REJECTED
    assert rule.decide(tally_of([1e-7] * 10, 1e-6)) is Decision.REJECTED


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20), st.floats(0, 10))
def test_a_mean_within_min_effect_is_never_accepted(draws: list[float], min_effect: float) -> None:
    rule = PairedMean(alpha=0.5, min_effect=min_effect)
    tally = rule.tally()
    tally.add(draws)
    if rule.decide(tally) is Decision.ACCEPTED:
        assert abs(tally.estimate) > min_effect


@pytest.mark.parametrize("bad", [nan, inf, -inf])
@pytest.mark.parametrize("place", [0, 1, 5])
def test_a_draw_that_is_not_finite_is_found_where_it_is(bad: float, place: int) -> None:
    draws = [1.0] * 6
    draws[place] = bad
    tally = MeanTally(0.0)
    assert not tally.add(draws)
    assert tally.n == place + 1


@pytest.mark.parametrize("alpha", [0.5, 0.05, 1e-3, 1e-8, 1e-15, 1e-30])
@pytest.mark.parametrize("n", [2, 3, 10, 256, 10_000])
def test_the_critical_value_is_the_t_quantile_also_far_out(alpha: float, n: int) -> None:
    assert isclose(PairedMean(alpha=alpha).critical(n), stats.t.isf(alpha / 2, n - 1), rel_tol=1e-12)


def test_differences_of_pairs() -> None:
    rule = PairedMean()
    assert rule.observations(np.array([[1.0, 3.0], [2.0, 1.0]]), 0) == [2.0, -1.0]
    invalid = rule.observations(np.array([[nan, 1.0], [inf, inf], [-1.7e308, 1.7e308]]), 1)
    assert not np.isfinite(invalid).any()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: PairedMean(alpha=0), "alpha is 0; allowed: between 0 and 1"),
        (lambda: PairedMean(alpha=1), "alpha is 1; allowed: between 0 and 1"),
        (lambda: PairedMean(alpha=nan), "alpha is nan; allowed: between 0 and 1"),
        (lambda: PairedMean(min_effect=-1), "min_effect is -1; allowed: 0 or more"),
        (lambda: PairedMean(min_effect=inf), "min_effect is inf; allowed: 0 or more"),
        (lambda: PairedMean().check_n(1), "n is 1; allowed: at least 2 draws, a t-test needs a spread"),
        (lambda: rule_of("median", {}), "rule is 'median'; allowed: "),
        (lambda: rule_of("paired_mean", {"beta": 1}), "rule paired_mean: the parameters {'beta': 1} do not fit"),
    ],
)
def test_impossible_rules_are_refused(make, message) -> None:
    with pytest.raises(PlanError) as caught:
        make()
    assert str(caught.value).startswith(message)
