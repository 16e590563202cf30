"""A run resumed from its state, through JSON, goes on as the run that was never interrupted."""

import json
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import suffice
from lazily import Lazily
from suffice.decision.binary_mean import BinaryMean
from suffice.decision.mean import Mean
from suffice.decision.monte_carlo_p import MonteCarloP
from suffice.decision.rule import Decision
from suffice.errors import RunError
from suffice.stopping.run import Run

N = 48
COUNT_PLANS = Lazily(
    {
        "proportion": lambda: suffice.plan(suffice.Proportion(0.8), N, 0.05),
        "monte carlo p": lambda: suffice.plan(MonteCarloP(0.1), N, 0.05),
        "binary mean": lambda: suffice.plan(BinaryMean(at_most=0.3), N, 0.05, method="curtailed"),
    }
)
MEAN_PLANS = Lazily(
    {
        "paired mean": lambda: suffice.plan(suffice.PairedMean(), N, 0.05, look_every=4),
        "guarded": lambda: suffice.plan(suffice.PairedMean(), N, 0.1, look_every=4, guarded=True),
        "mean": lambda: suffice.plan(Mean(at_least=0.5), N, 0.05, look_every=4),
        "fixed": lambda: suffice.plan(Mean(at_most=0.5), N, method="fixed"),
    }
)
BIT = st.sampled_from([0, 1])
VALUE = st.floats(-1e6, 1e6) | st.sampled_from([0.0, nan, inf])
CUTS = st.lists(st.integers(1, N), max_size=4)


def through_json(run: Run) -> Run:
    return Run.from_dict(json.loads(json.dumps(run.to_dict(), allow_nan=False)))


def same(one: Run, other: Run) -> bool:
    if one.open or other.open:
        return (one.open, one.n, one.need, one.guarded) == (other.open, other.n, other.need, other.guarded)
    return one.verdict == other.verdict


def interrupted(run: Run, draws: list[float], cuts: list[int]) -> Run:
    at = 0
    for cut in [*sorted(cuts), len(draws)]:
        if run.open:
            run.observe(draws[at:cut])
            run = through_json(run)
            at = cut
    return run


@pytest.mark.parametrize("name", COUNT_PLANS)
@given(draws=st.lists(BIT, min_size=N, max_size=N), cuts=CUTS)
def test_counts_go_on(name: str, draws: list[int], cuts: list[int]) -> None:
    whole = COUNT_PLANS[name].start()
    whole.observe(draws)
    assert same(interrupted(COUNT_PLANS[name].start(), draws, cuts), whole)


@pytest.mark.parametrize("name", MEAN_PLANS)
@given(draws=st.lists(VALUE, min_size=N, max_size=N), cuts=CUTS)
def test_means_go_on(name: str, draws: list[float], cuts: list[int]) -> None:
    whole = MEAN_PLANS[name].start()
    whole.observe(draws)
    assert same(interrupted(MEAN_PLANS[name].start(), draws, cuts), whole)


@pytest.mark.parametrize("name", MEAN_PLANS)
@given(seed=st.integers(0, 2**32), effect=st.floats(-1, 1), cuts=CUTS)
def test_means_of_usual_draws_go_on(name: str, seed: int, effect: float, cuts: list[int]) -> None:
    draws = (np.random.default_rng(seed).standard_normal(N) + effect).tolist()
    whole = MEAN_PLANS[name].start()
    whole.observe(draws)
    assert same(interrupted(MEAN_PLANS[name].start(), draws, cuts), whole)


def test_a_new_run_has_a_state_too() -> None:
    for plan in (*COUNT_PLANS.values(), *MEAN_PLANS.values()):
        assert same(through_json(plan.start()), plan.start())


def test_a_closed_run_keeps_its_verdict() -> None:
    run = COUNT_PLANS["proportion"].start()
    run.observe([0] * N)
    again = through_json(run)
    assert again.verdict == run.verdict
    assert (again.open, again.need, again.n) == (False, 0, run.verdict.n)
    with pytest.raises(RunError, match="the run is closed"):
        again.observe([1])


def edited(**changes: object) -> dict[str, object]:
    run = COUNT_PLANS["proportion"].start()
    run.observe([1, 0])
    return {**run.to_dict(), **changes}


CLOSED = {
    "decision": Decision.ACCEPTED.value,
    "n": 8,
    "fixed_n": N,
    "estimate": 1.0,
    "reason": "REACHED_N",
    "guarded": False,
}


@pytest.mark.parametrize(
    "content, message",
    [
        ({}, "run schema is None; allowed: 1"),
        (edited(schema=2), "run schema is 2; allowed: 1"),
        (edited(rule="median"), "the run's state lacks or garbles rule is 'median'"),
        (edited(boundaries=[{"n": 3}]), "the run's state lacks or garbles 'reject_at'"),
        (edited(tally={"n": 2}), "the state's successes is None; it must be a whole number, 0 or more"),
        (edited(tally={"n": 2, "successes": 3}), "the state has 3 successes of 2 draws; allowed: at most 2"),
        (edited(tally={"n": -1, "successes": 0}), "the state's n is -1; it must be a whole number, 0 or more"),
        (edited(tally={"n": N, "successes": 3}), f"the run's state has {N} draws and no verdict; N is {N}"),
        (edited(tally=None), "the run's state lacks or garbles"),
        (edited(verdict={"decision": "maybe"}), "the run's state lacks or garbles"),
        (edited(boundaries=3), "the run's state lacks or garbles"),
        (edited(verdict={**CLOSED, "decision": "maybe"}), "the run's state lacks or garbles 'maybe' is not a valid"),
        (edited(verdict={**CLOSED, "reason": "BOREDOM"}), "the run's state lacks or garbles 'BOREDOM'"),
    ],
)
def test_what_is_no_state_is_refused(content: dict[str, object], message: str) -> None:
    with pytest.raises(RunError) as caught:
        Run.from_dict(content)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_mean_tally_needs_finite_numbers() -> None:
    state = MEAN_PLANS["mean"].start().to_dict()
    with pytest.raises(RunError, match="the state's squares is nan; it must be a finite number"):
        Run.from_dict({**state, "tally": {"n": 3, "first": 0.0, "total": 0.0, "squares": nan}})
