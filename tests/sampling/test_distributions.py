"""Distributions against SciPy and closed forms; a wrong one must fail."""

from math import inf, nan, pi, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from suffice.errors import DataError
from suffice.sampling.distributions import Distribution, Empirical, Normal, SplitNormal
from suffice.sampling.sampler import Draws
from suffice.sampling.streams import Stream

SIZE = 40_000
MODE, LOWER, UPPER = 3.0, 0.5, 2.0


def sample(distribution: Distribution) -> NDArray[np.float64]:
    return Draws(distribution, Stream(42, "distribution")).take(SIZE)


def split_normal_cdf(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Wallis 2014, equation 2, integrated."""
    below = 2 * LOWER / (LOWER + UPPER) * stats.norm.cdf((x - MODE) / LOWER)
    above = LOWER / (LOWER + UPPER) + 2 * UPPER / (LOWER + UPPER) * (stats.norm.cdf((x - MODE) / UPPER) - 0.5)
    return np.where(x < MODE, below, above)


def test_normal() -> None:
    assert stats.kstest(sample(Normal(-2.0, 3.0)), stats.norm(-2.0, 3.0).cdf).pvalue > 1e-3


def test_split_normal() -> None:
    values = sample(SplitNormal(MODE, LOWER, UPPER))
    assert stats.kstest(values, split_normal_cdf).pvalue > 1e-3
    mean = MODE + sqrt(2 / pi) * (UPPER - LOWER)
    assert abs(values.mean() - mean) < 4 * values.std() / sqrt(SIZE)
    share = LOWER / (LOWER + UPPER)
    assert abs((values < MODE).mean() - share) < 4 * sqrt(share * (1 - share) / SIZE)


def test_two_half_normals_of_equal_weight_are_not_a_split_normal() -> None:
    z = Stream(42, "distribution").normals(SIZE)
    halves = MODE + np.where(z < 0, LOWER, UPPER) * z
    assert stats.kstest(halves, split_normal_cdf).pvalue < 1e-100


def test_equal_halves_are_normal() -> None:
    assert stats.kstest(sample(SplitNormal(1.0, 2.0, 2.0)), stats.norm(1.0, 2.0).cdf).pvalue > 1e-3


@pytest.mark.parametrize("lower, upper, side", [(0.0, 1.0, 1), (1.0, 0.0, -1)])
def test_a_half_of_no_width_is_never_drawn(lower: float, upper: float, side: int) -> None:
    assert np.all(side * (sample(SplitNormal(0.0, lower, upper))) >= 0)


def test_empirical_frequencies() -> None:
    recorded = (1.0, 1.0, 5.0, 7.0)
    values, counts = np.unique(sample(Empirical(recorded)), return_counts=True)
    assert values.tolist() == [1.0, 5.0, 7.0]
    assert stats.chisquare(counts, np.array([0.5, 0.25, 0.25]) * SIZE).pvalue > 1e-3


def test_empirical_index_stays_inside_for_the_largest_uniform() -> None:
    largest = np.array([np.nextafter(1.0, 0.0)])
    for n in (1, 2, 3, 7, 1000, 4095, 4096, 4097):
        assert Empirical(tuple(map(float, range(n)))).draw(largest, largest) == n - 1


def test_a_draw_depends_on_its_own_position_only() -> None:
    normal, uniform = np.linspace(-3, 3, 50), np.linspace(0, 0.99, 50)
    for distribution in (Normal(1, 2), SplitNormal(1, 2, 3), Empirical((1.0, 2.0, 9.0))):
        whole = distribution.draw(normal, uniform)
        assert [distribution.draw(normal[i : i + 1], uniform[i : i + 1])[0] for i in range(50)] == whole.tolist()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Normal(nan, 1), "mean is nan; it must be finite"),
        (lambda: Normal(0, -1), "sd is -1; it must be finite and not negative"),
        (lambda: Normal(0, inf), "sd is inf; it must be finite and not negative"),
        (lambda: SplitNormal(inf, 1, 1), "mode is inf; it must be finite"),
        (lambda: SplitNormal(0, -1, 1), "sd_lower is -1; it must be finite and not negative"),
        (lambda: SplitNormal(0, 1, nan), "sd_upper is nan; it must be finite and not negative"),
        (lambda: SplitNormal(0, 0, 0), "split normal: sd_lower and sd_upper are both 0; at least one must be positive"),
        (lambda: Empirical(()), "empirical distribution: no values; at least one is needed"),
    ],
)
def test_impossible_parameters_are_refused(make, message) -> None:
    with pytest.raises(DataError) as caught:
        make()
    assert str(caught.value) == message
