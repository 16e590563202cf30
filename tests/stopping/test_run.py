"""The ask/tell run: one verdict, however the draws come."""

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import count
from math import inf, isnan, nan, sqrt
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

import suffice
from suffice.decision.rule import Decision, Rule
from suffice.errors import DataError, RunError
from suffice.stopping.guard import guard_of
from suffice.stopping.run import Boundary, Run, StopReason, Verdict

COUNTS = suffice.plan(suffice.Proportion(0.8), 40, 0.05)
MEANS = suffice.plan(
    suffice.PairedMean(), 40, method="margin", margin=suffice.stopping.request.Margin(n0=5, early_stop_margin=0.04)
)
OUTCOMES = st.lists(st.sampled_from([0, 1, 1, 1, True, False, 1.0]), min_size=40, max_size=60)
DIFFERENCES = st.lists(st.floats(-2, 4) | st.sampled_from([0.0, 1.0, nan, inf]), min_size=40, max_size=60)


def in_blocks(run: Run, draws: list[float], sizes: Iterable[int]) -> None:
    at = 0
    for size in sizes:
        if run.open:
            run.observe(draws[at : at + size])
            at += size
    if run.open:
        run.observe(draws[at:])


def by_need(run: Run, draws: list[float], _: list[int]) -> None:
    source = iter(draws)
    while run.open:
        assert run.observe(next(source) for _ in range(run.need)) > 0


WAYS: dict[str, Callable[[Run, list[float], list[int]], object]] = {
    "one by one": lambda run, draws, sizes: in_blocks(run, draws, [1] * len(draws)),
    "blocks": in_blocks,
    "generator": lambda run, draws, sizes: run.observe(draw for draw in draws),
    "array": lambda run, draws, sizes: run.observe(np.array(draws, dtype=np.float64)),
    "tuple": lambda run, draws, sizes: run.observe(tuple(draws)),
    "numpy values": lambda run, draws, sizes: run.observe([np.float64(draw) for draw in draws]),
    "as asked": by_need,
}


@pytest.mark.parametrize("way", WAYS)
@given(draws=OUTCOMES, sizes=st.lists(st.integers(0, 20), max_size=10))
def test_counts_reach_the_same_verdict(way: str, draws: list[float], sizes: list[int]) -> None:
    run, whole = COUNTS.start(), COUNTS.start()
    WAYS[way](run, draws, sizes)
    whole.observe(draws)
    assert run.verdict == whole.verdict


@pytest.mark.parametrize("way", WAYS)
@given(draws=DIFFERENCES, sizes=st.lists(st.integers(0, 20), max_size=10))
def test_means_reach_the_same_verdict(way: str, draws: list[float], sizes: list[int]) -> None:
    run, whole = MEANS.start(), MEANS.start()
    WAYS[way](run, draws, sizes)
    whole.observe(draws)
    assert run.verdict == whole.verdict


@given(OUTCOMES)
def test_the_verdict_is_the_first_boundary_that_the_count_reaches(draws: list[float]) -> None:
    run = COUNTS.start()
    run.observe(draws)
    for b in COUNTS.boundaries:
        k = sum(draws[: b.n])
        accepts, rejects = b.accept_at is not None and k >= b.accept_at, b.reject_at is not None and k <= b.reject_at
        if accepts or rejects:
            reason = StopReason.ACCEPT_BOUNDARY if accepts else StopReason.REJECT_BOUNDARY
            decision = Decision.ACCEPTED if accepts else Decision.REJECTED
            assert run.verdict == Verdict(decision, b.n, 40, k / b.n, reason)
            assert run.verdict.early
            return
    decision = Decision.ACCEPTED if sum(draws[:40]) >= 32 else Decision.REJECTED
    assert run.verdict == Verdict(decision, 40, 40, sum(draws[:40]) / 40, StopReason.REACHED_N)
    assert not run.verdict.early


@pytest.mark.parametrize("plan", [COUNTS, MEANS], ids=["counts", "means"])
@pytest.mark.parametrize("bad", [nan, inf, -inf])
@given(place=st.integers(0, 39), sizes=st.lists(st.integers(1, 20), max_size=10))
def test_a_draw_that_is_not_finite_is_invalid_and_never_accepted(plan, bad, place, sizes) -> None:
    draws: list[float] = [1.0] * 40
    draws[place] = bad
    fixed = Run(plan.rule, 40, ())
    in_blocks(fixed, draws, sizes)
    verdict = fixed.verdict
    assert (verdict.decision, verdict.n, verdict.reason) == (Decision.INVALID, place + 1, StopReason.NON_FINITE)
    assert isnan(verdict.estimate)
    run = plan.start()
    in_blocks(run, draws, sizes)
    assert run.verdict.decision is Decision.INVALID or run.verdict.n <= place


@pytest.mark.parametrize("draws", [[1.0, nan], [1.0] * 40], ids=["invalid", "accepted"])
def test_a_verdict_equals_its_copy_and_no_other(draws: list[float]) -> None:
    run = COUNTS.start()
    run.observe(draws)
    copy = pickle.loads(pickle.dumps(run.verdict))
    assert (copy, hash(copy)) == (run.verdict, hash(run.verdict))
    for change in ({"estimate": 0.5}, {"decision": Decision.REJECTED}, {"n": 3}, {"fixed_n": 9}, {"guarded": True}):
        assert replace(copy, **change) != copy
    assert replace(copy, reason=StopReason.REJECT_BOUNDARY) != copy
    assert copy != copy.estimate


def test_need_counts_the_draws_to_the_next_look() -> None:
    run = Run(suffice.Proportion(0.5), 20, [Boundary(5, 0, 5), Boundary(8, None, None), Boundary(12, 2, 9)])
    assert (run.open, run.need, run.n) == (True, 5, 0)
    run.observe([1, 0])
    assert (run.need, run.n) == (3, 2)
    run.observe([1, 0, 1])
    assert (run.need, run.n) == (7, 5)
    run.observe([0] * 7)
    assert (run.need, run.n) == (8, 12)
    assert run.observe([1] * 8) == 8
    assert (run.open, run.need, run.n) == (False, 0, 20)


def test_draws_after_the_close_are_not_read() -> None:
    read = []

    def trials() -> Iterator[int]:
        for i in range(1000):
            read.append(i)
            yield 0

    run = COUNTS.start()
    assert run.observe(trials()) == run.verdict.n == len(read)
    assert run.verdict.n < 40


def test_no_more_than_n_draws_are_read() -> None:
    run = Run(suffice.Proportion(0.5), 10, ())
    source = iter([1, 0] * 10)
    assert run.observe(source) == 10
    assert len(list(source)) == 10


def test_observing_nothing_changes_nothing() -> None:
    run = COUNTS.start()
    assert run.observe([]) == 0
    assert (run.open, run.n) == (True, 0)


def test_a_verdict_too_early_and_a_draw_too_late_are_refused() -> None:
    run = Run(suffice.Proportion(0.5), 10, ())
    run.observe([1, 0, 1])
    with pytest.raises(
        RunError, match=r"^the run is open after 3 draws; observe 7 more before asking for its verdict$"
    ):
        _ = run.verdict
    run.observe([1] * 7)
    with pytest.raises(RunError, match=r"^the run is closed after 10 draws; start a new one$"):
        run.observe([1])


def test_the_draws_before_a_refused_one_are_observed() -> None:
    run = Run(suffice.Proportion(0.5), 10, [Boundary(4, 0, 4)])
    with pytest.raises(DataError, match=r"^draw 7 is 0\.3; "):
        run.observe([1, 0, 1, 0, 1, 1, 0.3, 1])
    assert (run.open, run.n, run.need) == (True, 6, 4)


@pytest.mark.parametrize(
    "draw", ["3", "x", b"3", None, True, np.True_, [1.0], np.array([1.0]), np.ones(3), {}, "12", b"12"]
)
@pytest.mark.parametrize("guarded", [False, True])
def test_a_mean_of_what_is_no_number_is_refused_with_the_draw(draw: Any, guarded: bool) -> None:
    """Seen: text was taken as the number that it spells, None raised a TypeError."""
    run, same = (Run(MEANS.rule, 40, (), guard_of(MEANS.rule, 40, guarded=guarded)) for _ in range(2))
    with pytest.raises(DataError, match=r"^draw 3 is .*; allowed: a number$"):
        run.observe([1.5, 2, draw, 1.0])
    same.observe([1.5, 2])
    assert run.to_dict() == same.to_dict()


@pytest.mark.parametrize("draw", [(1.0, 2.0), [1.0, 2.0], np.array([1.0, 2.0])])
def test_a_pair_for_a_mean_is_refused_with_what_it_counts_as(draw: Any) -> None:
    with pytest.raises(
        DataError, match=r"^draw 1 is .*; allowed: a number; of a pair \(before, after\) that is after - b"
    ):
        Run(suffice.PairedMean(), 40, ()).observe([draw])


@pytest.mark.parametrize("draw", [Decimal("0.5"), Fraction(1, 2), np.float32(0.5), np.int64(2), np.array(0.5)])
def test_any_kind_of_number_is_the_double_that_it_is(draw: Any) -> None:
    run, same = MEANS.start(), MEANS.start()
    run.observe([draw, 1.0, draw])
    same.observe([float(draw), 1.0, float(draw)])
    assert run.to_dict() == same.to_dict()


def test_a_whole_number_beyond_a_double_is_infinite() -> None:
    run = MEANS.start()
    run.observe([1, 10**400])
    assert (run.verdict.decision, run.n) == (Decision.INVALID, 2)


class Broke(Exception):
    """A trial timed out."""


def breaking(outcomes: Iterable[float], breaks: set[int]) -> Iterator[Callable[[], float]]:
    """The trial of each outcome; the calls with these numbers raise instead."""
    source, calls = iter(outcomes), count(1)

    def trial() -> float:
        if next(calls) in breaks:
            raise Broke
        return next(source)

    while True:
        yield trial


@pytest.mark.parametrize("stop", [Broke, KeyboardInterrupt])
def test_draws_before_a_trial_that_raises_are_observed(stop: type[BaseException]) -> None:
    """Seen: `run.n` was 0 after the sixth trial had raised."""

    def trial() -> float:
        if next(calls) == 6:
            raise stop
        return 1

    calls, run = count(1), suffice.plan(suffice.Proportion(0.8), 100, 0.01).start()
    with pytest.raises(stop):
        while run.open:
            run.observe(trial() for _ in range(run.need))
    assert run.n == 5


@given(OUTCOMES | DIFFERENCES, st.sets(st.integers(1, 60)))
def test_a_run_whose_trials_break_ends_as_one_whose_trials_do_not(draws: list[float], breaks: set[int]) -> None:
    """The README's own loop, tried again after each error."""
    for plan in (COUNTS, MEANS) if set(draws) <= {0, 1} else (MEANS,):
        whole = plan.start()
        whole.observe(float(draw) for draw in draws)
        run, trials = plan.start(), breaking(map(float, draws), breaks)
        while run.open:
            with suppress(Broke):
                run.observe(next(trials)() for _ in range(run.need))
        assert run.verdict == whole.verdict


def test_decisions_of_trials_that_break_are_accepted_as_often_as_the_plan_says() -> None:
    """Lists that are lost with their draws would raise the share: after a 0 the next trial breaks more often."""
    share, runs, rng = 0.75, 3_000, np.random.default_rng(7)
    last = 1.0

    def trial() -> float:
        nonlocal last
        breaks, last = rng.random() < (0.02 if last else 0.4), float(rng.random() < share)
        if breaks:
            raise Broke
        return last

    def accepted(draw: Callable[[Run], Iterable[float]]) -> float:
        decisions = []
        for _ in range(runs):
            run = COUNTS.start()
            while run.open:
                with suppress(Broke):
                    run.observe(draw(run))
            decisions.append(run.verdict.decision is Decision.ACCEPTED)
        return sum(decisions) / runs

    fixed = float(binom.sf(COUNTS.rule.critical(40) - 1, 40, share))
    bound = 0.05 + 4 * sqrt(fixed * (1 - fixed) / runs)
    assert abs(accepted(lambda run: (trial() for _ in range(run.need))) - fixed) < bound
    assert accepted(lambda run: [trial() for _ in range(run.need)]) > fixed + bound


def test_a_copy_is_a_run_of_its_own() -> None:
    run = COUNTS.start()
    run.observe([1] * 3)
    other = copy(run)
    other.observe([0] * 2)
    assert (run.n, other.n) == (3, 5)
    run.observe([1] * 37)
    assert other.open and other.to_dict() != run.to_dict()


@pytest.mark.parametrize("rule", [suffice.Proportion(0.5), suffice.PairedMean()])
def test_boundaries_at_or_beyond_n_and_empty_ones_are_no_looks(rule: Rule) -> None:
    run = Run(rule, 10, [Boundary(3, None, None), Boundary(10, 9, 0), Boundary(12, 9, 0)])
    assert run.need == 10
    run.observe([1, 0] * 5)
    assert (run.verdict.reason, run.verdict.n) == (StopReason.REACHED_N, 10)


@pytest.mark.parametrize(
    "boundary, draw, reason",
    [
        (Boundary(4, None, 4), 1, StopReason.ACCEPT_BOUNDARY),
        (Boundary(4, 0, None), 0, StopReason.REJECT_BOUNDARY),
    ],
)
def test_a_boundary_on_one_side_is_a_look_for_that_side(boundary: Boundary, draw: int, reason: StopReason) -> None:
    run, other = (Run(suffice.Proportion(0.5), 10, [boundary]) for _ in range(2))
    assert run.need == 4
    run.observe([draw] * 4)
    assert run.verdict.reason is reason
    other.observe([1 - draw] * 4)
    assert other.need == 6


@pytest.mark.parametrize("way", [list, iter, np.array])
def test_it_tells_how_many_of_these_draws_it_has_taken(way: Callable[[list[int]], Iterable[float]]) -> None:
    run = Run(suffice.Proportion(0.5), 10, [Boundary(4, 0, 4)])
    assert [run.observe(way(draws)) for draws in ([1, 0], [1], [0, 1, 0], [1] * 20)] == [2, 1, 3, 4]


def test_a_run_shows_how_far_it_is() -> None:
    run = Run(suffice.Proportion(0.5), 10, [Boundary(4, 0, 4)])
    assert repr(run) == f"<Run {suffice.Proportion(0.5)} 0 of 10 draws, needs 4 more>"
    run.observe([1] * 4)
    assert repr(run) == f"<Run {suffice.Proportion(0.5)} 4 of 10 draws, {Decision.ACCEPTED.value}>"


def test_the_effect_is_what_the_rule_says_of_the_draws_so_far() -> None:
    rule, draws = suffice.Proportion(0.5), [1.0, 1.0, 0.0]
    run, tally = Run(rule, 10, ()), rule.tally()
    run.observe(draws)
    tally.add(draws)
    assert run.effect == rule.effect(tally) > 0


def test_an_accept_stop_of_a_mean_waits_for_the_least_effect() -> None:
    run = Run(suffice.PairedMean(min_effect=1.0), 10, [Boundary(4, None, 2.0)])
    run.observe([0.5, 0.51, 0.49, 0.5])
    assert run.open
    run.observe([0.5] * 6)
    assert run.verdict.decision is Decision.REJECTED
