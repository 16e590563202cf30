"""Clopper–Pearson against SciPy."""

import pytest
from scipy.stats import binom, binomtest

from suffice.comparison.intervals import clopper_pearson


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
@pytest.mark.parametrize(
    "k, n", [(0, 1), (1, 1), (0, 367), (1, 657), (5, 10), (9, 13_000), (13_000, 13_000), (50, 100)]
)
def test_agrees_with_scipy(k: int, n: int, confidence: float) -> None:
    expected = binomtest(k, n).proportion_ci(confidence, method="exact")
    assert clopper_pearson(k, n, confidence) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_nothing_observed_says_nothing() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("p", [0.001, 0.01, 0.2, 0.5])
def test_covers_the_truth_at_least_as_often_as_it_says(p: float) -> None:
    covered = 0.0
    for k in range(101):
        low, high = clopper_pearson(k, 100)
        covered += float(binom.pmf(k, 100, p)) * (low <= p <= high)
    assert covered >= 0.95
