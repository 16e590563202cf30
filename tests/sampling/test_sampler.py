"""Draws: the same i-th draw however the draws before it were asked for."""

import asyncio
from concurrent import futures

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import Generator

from suffice.errors import DataError
from suffice.sampling.distributions import Empirical, Normal, SplitNormal
from suffice.sampling.sampler import BLOCK, Draws, Pair
from suffice.sampling.streams import Stream

_buffer = np.zeros(BLOCK)


def reuses_its_buffer(rng: Generator, n: int) -> np.ndarray:
    _buffer[:] = rng.standard_normal(n)
    return _buffer


SAMPLERS = {
    "normal": Normal(1, 2),
    "split normal": SplitNormal(1, 2, 3),
    "empirical": Empirical((1.0, 2.0, 5.0)),
    "pair": Pair(Normal(0, 1), SplitNormal(1, 2, 3)),
    "pair of normals": Pair(Normal(0, 1), Normal(1, 1)),
    "callable": lambda rng, n: rng.standard_normal(n),
    "callable of pairs": lambda rng, n: rng.standard_normal((n, 2)),
    "callable of bools": lambda rng, n: rng.random(n) < 0.5,
    "callable of lists": lambda rng, n: list(rng.random(n)),
    "callable with one buffer": reuses_its_buffer,
}


@pytest.mark.parametrize("name", SAMPLERS)
@given(splits=st.lists(st.integers(0, 30), min_size=1, max_size=8))
def test_draws_do_not_depend_on_how_they_are_asked_for(name: str, splits: list[int]) -> None:
    whole, parts = (Draws(SAMPLERS[name], Stream(42, name)) for _ in range(2))
    together = whole.take(sum(splits))
    assert together.dtype == np.float64
    assert together.shape in ((sum(splits),), (sum(splits), 2))
    assert np.array_equal(together, np.concatenate([parts.take(n) for n in splits]))


def test_the_members_of_a_pair_are_their_own_distributions_and_independent() -> None:
    draws = Draws(Pair(Normal(5, 1), Normal(-5, 2)), Stream(42, "pair")).take(20_000)
    assert np.allclose(draws.mean(axis=0), [5, -5], atol=4 * 2 / np.sqrt(20_000))
    assert np.allclose(draws.std(axis=0), [1, 2], rtol=4 / np.sqrt(2 * 20_000))
    assert abs(np.corrcoef(draws.T)[0, 1]) < 4 / np.sqrt(20_000)


def test_a_callable_is_called_in_blocks_and_only_when_draws_are_missing() -> None:
    asked: list[int] = []

    def sampler(rng: Generator, n: int) -> np.ndarray:
        asked.append(n)
        return rng.random(n)

    draws = Draws(sampler, Stream(42, "blocks"))
    for taken, calls in ((3, 1), (5, 1), (1, 2), (16, 4), (7, 4)):
        draws.take(taken)
        assert asked == [BLOCK] * calls


def test_each_block_has_a_generator_of_its_own() -> None:
    greedy = Draws(lambda rng, n: rng.random(1000)[:n], Stream(42, "case")).take(24)
    modest = Draws(lambda rng, n: rng.random(n), Stream(42, "case")).take(24)
    assert np.array_equal(greedy, modest)


@pytest.mark.parametrize(
    "sampler, message",
    [
        (lambda rng, n: rng.random(n - 1), r"sampler returned shape \(7,\); asked for 8 draws, allowed"),
        (lambda rng, n: 0.5, r"sampler returned shape \(\); asked for 8 draws"),
        (lambda rng, n: rng.random((n, 3)), r"sampler returned shape \(8, 3\); asked for 8 draws"),
        (lambda rng, n: rng.random((2, n)), r"sampler returned shape \(2, 8\); asked for 8 draws"),
        (lambda rng, n: None, "sampler returned"),
        (lambda rng, n: [1.0, "1", *[1.0] * (n - 2)], "case 'wrong': draw 1 is '1.0'; allowed: a number"),
        (lambda rng, n: [1.0] * (n - 1) + [None], "case 'wrong': draw 8 is None; allowed: a number"),
        (lambda rng, n: [[1.0, 2.0]] * (n - 1) + [[1.0, None]], "case 'wrong': draw 8 is None; allowed: a number"),
        (lambda rng, n: [{}] * n, "case 'wrong': draw 1 is {}; allowed: a number"),
        (lambda rng, n: [[1], [1, 2]], "sampler returned something that is not an array of numbers"),
    ],
)
def test_a_wrong_shape_is_refused(sampler, message) -> None:
    with pytest.raises(DataError, match=message):
        Draws(sampler, Stream(42, "wrong")).take(5)


def test_values_and_pairs_must_not_alternate() -> None:
    shapes = iter([(BLOCK,), (BLOCK, 2)])
    draws = Draws(lambda rng, n: np.ones(next(shapes)), Stream(42, "both"))
    draws.take(4)
    with pytest.raises(DataError, match="values in one block and pairs in another"):
        draws.take(10)


def test_what_a_sampler_raises_is_not_hidden() -> None:
    def broken(rng: Generator, n: int) -> np.ndarray:
        raise ZeroDivisionError("simulation diverged")

    with pytest.raises(ZeroDivisionError, match="simulation diverged") as raised:
        Draws(broken, Stream(42, "broken")).take(1)
    assert raised.value.__notes__ == ["raised by the sampler of case 'broken' at draws 1 to 8"]


class Shaky:
    """A sampler that raises `error` in some of its calls, counted from 1, after it has drawn."""

    def __init__(self, *failing: int, error: BaseException | None = None) -> None:
        self.failing, self.error, self.calls = failing, error or TimeoutError("no answer"), 0

    def __call__(self, rng: Generator, n: int) -> np.ndarray:
        values, self.calls = rng.random(n), self.calls + 1
        if self.calls in self.failing:
            raise self.error
        return values


def test_a_call_that_raised_is_made_again_and_gives_what_a_first_success_would_have_given() -> None:
    retried: list[Exception] = []
    draws = Draws(Shaky(1, 2, 4), Stream(42, "case"), 2, retried.append).take(24)
    np.testing.assert_array_equal(draws, Draws(Shaky(), Stream(42, "case")).take(24))
    assert [type(error) for error in retried] == [TimeoutError] * 3


def test_a_call_is_made_again_no_more_often_than_allowed() -> None:
    sampler, retried = Shaky(1, 3, 4, 5), list[Exception]()
    with pytest.raises(TimeoutError) as raised:
        Draws(sampler, Stream(42, "shaky"), 2, retried.append).take(24)
    assert raised.value.__notes__ == ["raised by the sampler of case 'shaky' at draws 9 to 16, after 2 retries"]
    assert (sampler.calls, len(retried)) == (5, 3)


def test_draws_that_no_rule_can_use_are_not_asked_for_again() -> None:
    calls = []
    with pytest.raises(DataError, match="sampler returned shape"):
        Draws(lambda rng, n: calls.append(n) or rng.random(n + 1), Stream(42, "wrong"), 5).take(8)
    assert calls == [BLOCK]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, futures.CancelledError])
def test_what_was_stopped_or_cancelled_is_not_tried_again(kind: type[BaseException]) -> None:
    sampler = Shaky(1, error=kind())
    with pytest.raises(kind):
        Draws(sampler, Stream(42, "stopped"), 5).take(8)
    assert sampler.calls == 1


def test_an_error_that_takes_no_note_keeps_its_type() -> None:
    class Closed(Exception):
        __slots__ = ()

        def add_note(self, note: str) -> None:
            raise AttributeError(note)

    def broken(rng: Generator, n: int) -> np.ndarray:
        raise Closed("no answer")

    with pytest.raises(Closed, match="no answer"):
        Draws(broken, Stream(1, "broken")).take(8)
