"""Pass rates, N = 100, accepted from 80 successes: every method on the same draws."""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np

import suffice
from benchmarks.alternatives import beta_binomial
from benchmarks.cases import SEED
from benchmarks.floor import draw
from benchmarks.tables import Measured, Row
from benchmarks.timing import least_seconds
from suffice.sampling.distributions import Normal
from suffice.sampling.sampler import Pair
from suffice.stopping.plan import Plan
from suffice.verifier.batch import decide_columns
from suffice.verifier.case import Case
from suffice.verifier.columns import Columns
from suffice.verifier.loop import decide, observations

N, SHARE = 100, 0.8
RULE = suffice.Proportion(SHARE)
TRUTHS = tuple(round(0.6 + 0.02 * i, 2) for i in range(20))
CASES_A_TRUTH = 1500
LOOPED = 500


@dataclass(frozen=True)
class Optimum:
    """Expected draws over the uniform mix of truths: of the plan, and of the best plan there can be."""

    max_disagreement: float
    plan: float
    limit: float


def plans() -> dict[str, Plan]:
    return {
        "suffice, optimal, 1 %": suffice.plan(RULE, N, 0.01),
        "suffice, optimal, 0.1 %": suffice.plan(RULE, N, 0.001),
        "predictive curtailment, 1 %": suffice.plan(RULE, N, 0.01, method="curtailed"),
        "exact curtailment": suffice.plan(RULE, N, method="curtailed-exact"),
        "margin heuristic": suffice.plan(RULE, N, method="margin"),
        "suffice, fixed": suffice.plan(RULE, N, method="fixed"),
    }


def optima() -> list[Optimum]:
    optima = []
    for bound in (0.01, 0.001):
        plan = suffice.plan(RULE, N, bound)
        assert plan.lower_bound is not None
        optima.append(Optimum(bound, plan.uniform_asn, plan.lower_bound))
    return optima


def measure(rounds: int) -> list[Row]:
    """The table for counts; a pair succeeds when it rises, which it does with the probability that is the truth."""
    truths = np.repeat(TRUTHS, CASES_A_TRUTH)
    cases = [_case(i, float(truth)) for i, truth in enumerate(truths)]
    columns = Columns.of(cases, SEED)
    designed = plans()
    results = {name: decide_columns(columns, plan, threads=1) for name, plan in designed.items()}
    measured = Measured(N, truths, SHARE, results["suffice, fixed"].decisions == 1)
    successes = np.array([observations(case, RULE, N, SEED) for case in cases]) == 1
    generator = np.random.default_rng(SEED)
    some = cases[:: len(cases) // LOOPED][:LOOPED]
    threshold = RULE.threshold(N)
    work: dict[str, Any] = {
        name: (lambda plan=plan: decide_columns(columns, plan, threads=1)) for name, plan in designed.items()
    }
    work["bare draws, as many as optimal, 1 %"] = lambda: draw(columns, results["suffice, optimal, 1 %"].n, 1)
    work["beta-binomial confidence sequence"] = lambda: beta_binomial(
        generator.random(successes.shape) < truths[:, None], SHARE, threshold
    )
    work["NumPy, fixed, vectorised"] = lambda: generator.binomial(N, truths) >= threshold
    work["suffice, optimal, 1 %, ask/tell"] = lambda: [
        decide(case, designed["suffice, optimal, 1 %"], SEED) for case in some
    ]
    least = least_seconds(work, rounds)
    answers: dict[str, Any] = {name: (result.decisions == 1, result.n) for name, result in results.items()}
    answers["suffice, optimal, 1 %, ask/tell"] = answers["suffice, optimal, 1 %"]
    answers["beta-binomial confidence sequence"] = beta_binomial(successes, SHARE, threshold)
    answers["NumPy, fixed, vectorised"] = answers["suffice, fixed"]
    answers["bare draws, as many as optimal, 1 %"] = answers["suffice, optimal, 1 %"]
    divisor = {"suffice, optimal, 1 %, ask/tell": LOOPED}
    return [measured.row(name, least[name] / divisor.get(name, len(cases)), answer) for name, answer in answers.items()]


def _case(i: int, truth: float) -> Case:
    shift = sqrt(2) * NormalDist().inv_cdf(truth)
    return Case(f"benchmark/counts/{i}", "benchmark", Pair(Normal(0.0, 1.0), Normal(shift, 1.0)))
