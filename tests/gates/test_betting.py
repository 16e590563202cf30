"""The betting bound for a mean of numbers in [0, 1]."""

from math import exp, log

import numpy as np
import pytest

from suffice.gates.betting import lower

STAKES = [2.0 ** (half / 2) for half in range(-14, 9)]
WEIGHTS = [exp(-(((half / 2 + 0.5) / 1.8) ** 2) / 2) for half in range(-14, 9)]


def evidence(numbers: list[float], mean: float) -> float:
    """That the mean of these is above this one: a bet after another, at every stake."""
    wealth = list(WEIGHTS)
    for x in numbers:
        wealth = [w * (1 + stake * x) / (1 + stake * mean) for w, stake in zip(wealth, STAKES, strict=True)]
    return sum(wealth) / sum(WEIGHTS)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_the_bound_is_where_the_bets_have_won_enough(confidence: float) -> None:
    numbers = [float(x) for x in np.random.default_rng(1).choice([0.0, 0.3, 0.9, 1.0], 60)]
    kinds = sorted(set(numbers))
    bound = lower(kinds, [numbers.count(kind) for kind in kinds], confidence)
    assert 0 < bound < float(np.mean(numbers))
    assert evidence(numbers, bound) == pytest.approx(1 / (1 - confidence), rel=1e-9)


def test_one_bet_wins_nothing_in_the_mean_where_the_mean_is_as_said() -> None:
    """The negative control: it does where the mean is above it."""
    for mean in (0.1, 0.5, 0.9):
        assert mean * evidence([1.0], mean) + (1 - mean) * evidence([0.0], mean) == pytest.approx(1)
        assert mean * evidence([1.0], mean - 0.05) + (1 - mean) * evidence([0.0], mean - 0.05) > 1


@pytest.mark.parametrize(("numbers", "times"), [([], []), ([0.0], [1_000]), ([1.0], [1]), ([0.5, 1.0], [0, 0])])
def test_nothing_is_proven_by_nothing(numbers: list[float], times: list[int]) -> None:
    assert lower(numbers, times, 0.95) == 0.0


def test_it_comes_near_the_mean_however_many_there_are() -> None:
    """As near as a mixture can: by sqrt(2 variance (log 20 + log of what the mixing costs) / count)."""
    for count, cost in ((20, 1), (2_000, 3), (200_000, 6)):
        gap = 0.5 - lower([0.0, 1.0], [count // 2, count // 2], 0.95)
        assert 0 < gap < np.sqrt(2 * 0.25 * (log(20) + cost) / count)
