"""Writes docs/plan-test-vectors.json: plans, draws and the verdicts that executing them must give.

Run from the repository root: `python tools/plan_test_vectors.py [FILE]`. Equal output for equal code.
"""

import json
import sys
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

import suffice
from suffice.decision.binary_mean import BinaryMean
from suffice.decision.mean import Mean
from suffice.decision.monte_carlo_p import MonteCarloP
from suffice.files import write_atomically
from suffice.stopping.plan import Plan

TARGET = Path("docs/plan-test-vectors.json")

N = 40
PLANS = {
    "proportion": suffice.plan(suffice.Proportion(0.8), N, 0.05, look_every=4),
    "monte_carlo_p": suffice.plan(MonteCarloP(0.1), N, 0.05, look_every=4),
    "binary_mean": suffice.plan(BinaryMean(at_most=0.3), N, 0.05, look_every=4),
    "paired_mean": suffice.plan(suffice.PairedMean(), N, 0.1, look_every=4),
    "paired_mean, min_effect": suffice.plan(suffice.PairedMean(min_effect=0.4), N, 0.1, look_every=4),
    "paired_mean, guarded": suffice.plan(suffice.PairedMean(), N, 0.2, look_every=4, guarded=True),
    "mean, guarded": suffice.plan(Mean(at_least=0.5), N, 0.2, look_every=4, guarded=True),
    "proportion, 5/6": suffice.plan(suffice.Proportion((5, 6)), 36, 0.05, look_every=4),
    "monte_carlo_p, 1/7": suffice.plan(MonteCarloP((1, 7)), 34, 0.05, look_every=4),
}


def draws_for(plan: Plan, rng: np.random.Generator) -> list[list[float]]:
    """Clear ones, close ones, equal ones, and one with a draw that is not finite."""
    if hasattr(plan.rule, "threshold"):
        samples = [(rng.random(plan.n) < p).astype(int).tolist() for p in (0.0, 0.02, 0.3, 0.75, 0.8, 0.98, 1.0)]
        # Exactly five ones of six, and a p-value of exactly 1/7.
        samples += [[int(i % 6 != 0) for i in range(plan.n)], [int(i % 9 == 0) for i in range(plan.n)]]
    else:
        shapes = [rng.standard_normal(N) + effect for effect in (0.0, 0.1, 0.4, 0.9, -0.9, 1.5)]
        shapes += [rng.standard_exponential(N), 0.5 - rng.standard_exponential(N), np.ones(N), np.zeros(N)]
        samples = [np.round(each, 3).tolist() for each in shapes]
    return [*samples, [*samples[2][:2], float("nan"), *samples[2][3:]]]


def vector(plan: Plan, draws: list[float]) -> dict[str, Any]:
    run = plan.start()
    run.observe(draws)
    verdict = run.verdict
    return {
        "draws": [draw if isfinite(draw) else None for draw in draws],
        "decision": verdict.decision.value,
        "n": verdict.n,
        "estimate": verdict.estimate if isfinite(verdict.estimate) else None,
        "reason": verdict.reason.name,
    }


def vectors() -> dict[str, Any]:
    rng = np.random.default_rng(20261123)
    return {
        name: {"plan": plan.to_dict(), "runs": [vector(plan, draws) for draws in draws_for(plan, rng)]}
        for name, plan in PLANS.items()
    }


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    write_atomically(target, json.dumps(vectors(), indent=1) + "\n")
