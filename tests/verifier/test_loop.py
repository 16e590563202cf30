"""Deciding a case: one stream, one verdict, no draw too many."""

import numpy as np
import pytest
from numpy.random import Generator

import suffice
from suffice.decision.rule import Decision
from suffice.errors import DataError
from suffice.sampling.sampler import BLOCK
from suffice.stopping.plan import Plan
from suffice.verifier.case import Case
from suffice.verifier.loop import decide, decide_fixed, observations

PLANS = {
    "counts": suffice.plan(suffice.Proportion(0.8), 64, 0.01, look_every=3),
    "means": suffice.plan(suffice.PairedMean(), 64, method="margin", margin=suffice.stopping.request.Margin(n0=5)),
}
SAMPLERS = {
    "pair": suffice.Pair(suffice.Normal(0.0, 1.0), suffice.SplitNormal(1.0, 0.5, 2.0)),
    "callable of pairs": lambda rng, n: rng.normal([0.0, 1.0], 1.0, (n, 2)),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_drawing_as_needed_and_drawing_all_decide_alike(plan: Plan, sampler) -> None:
    for i in range(60):
        case = Case(key=f"case-{i}", target="t", sampler=sampler)
        run = plan.start()
        run.observe(observations(case, plan.rule, plan.n, seed=42))
        assert decide(case, plan, seed=42) == run.verdict


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_baseline_is_the_rule_on_all_draws(plan: Plan) -> None:
    for i in range(30):
        case = Case(key=f"case-{i}", target="t", sampler=SAMPLERS["pair"])
        observed = observations(case, plan.rule, plan.n, seed=1)
        tally = plan.rule.tally()
        tally.add(observed)
        verdict = decide_fixed(observed, plan.rule)
        assert (verdict.decision, verdict.n, verdict.early) == (plan.rule.decide(tally), plan.n, False)


def test_the_verdict_depends_on_seed_and_key_alone() -> None:
    plan = PLANS["counts"]
    case = Case(key="a", target="t", sampler=SAMPLERS["pair"], region="eu")
    before = decide(case, plan, seed=7)
    decide(Case(key="b", target="t", sampler=SAMPLERS["pair"]), plan, seed=7)
    assert decide(Case(key="a", target="other", sampler=SAMPLERS["pair"]), plan, seed=7) == before
    verdicts = {decide(case, plan, seed=seed) for seed in range(20)}
    assert len(verdicts) > 1


def test_no_draw_is_made_beyond_the_block_of_the_stopping_look() -> None:
    plan = PLANS["counts"]
    drawn = []

    def fails(rng: Generator, n: int) -> np.ndarray:
        drawn.append(n)
        return np.zeros(n)

    verdict = decide(Case(key="a", target="t", sampler=fails), plan, seed=1)
    assert verdict.decision is Decision.REJECTED
    assert verdict.n < plan.n
    assert sum(drawn) == -(-verdict.n // BLOCK) * BLOCK


def test_a_draw_that_is_not_finite_makes_the_case_invalid() -> None:
    case = Case(key="a", target="t", sampler=lambda rng, n: np.full(n, np.nan))
    for plan in PLANS.values():
        verdict = decide(case, plan, seed=1)
        assert (verdict.decision, verdict.n) == (Decision.INVALID, 1)


def test_a_case_without_direction_has_nothing_to_correct() -> None:
    case = Case(key="a", target="t", sampler=SAMPLERS["pair"], direction=0)
    assert decide(case, PLANS["counts"], seed=1).decision is Decision.REJECTED


def test_a_sampler_of_something_else_is_an_error_and_not_a_verdict() -> None:
    with pytest.raises(DataError, match=r"^draw 1 is 0\.5; "):
        decide(Case(key="a", target="t", sampler=lambda rng, n: np.full(n, 0.5)), PLANS["counts"], seed=1)
