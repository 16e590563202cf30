"""Audits as the shadow makes them: production's own decisions on the draws of made-up cases."""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

import suffice
from suffice.sampling.distributions import Floats
from suffice.serving.ledger_rows import row_of
from suffice.serving.served import serve_shadow
from suffice.serving.situation import Situation
from suffice.stopping.plan import Plan
from suffice.stopping.request import Margin
from suffice.store.decision_row import DecisionRow
from suffice.verifier.case import Case, Features

RULE, N = suffice.Proportion(at_least=0.8), 64
LARGE = suffice.plan(RULE, 256, 0.01, look_every=8)
OPTIMAL = suffice.plan(RULE, N, 0.01, look_every=8)
MARGIN = suffice.plan(RULE, N, 0.01, method="margin", margin=Margin(8, 2, 0.01))


class Sampler:
    """Successes at a rate, after `warm_up` draws that all fail."""

    def __init__(self, rate: float, warm_up: int = 0) -> None:
        self._rate, self._warm_up, self._drawn = rate, warm_up, 0

    def __call__(self, rng: Generator, n: int) -> Floats:
        warm = self._drawn + np.arange(n) >= self._warm_up
        self._drawn += n
        return (warm & (rng.random(n) < self._rate)).astype(np.float64)


def case(key: str, sampler: Sampler, features: Features | None = None) -> Case:
    return Case(key, f"target {key}", sampler, features=features or {})


def audits(cases: list[Case], plan: Plan, seed: int) -> list[DecisionRow]:
    """The ledger rows of a shadow stage in which these cases are decided."""
    situation = Situation("r-1", "canary", 1.0, shadow=True)
    return [
        row_of(each, serve_shadow(each, plan, seed), situation, plan.id, seed, float(at))
        for at, each in enumerate(cases)
    ]


def traffic(count: int, seed: int, sampler: Callable[[Generator], Sampler]) -> list[Case]:
    rng = np.random.default_rng(seed)
    return [case(f"k{number}", sampler(rng)) for number in range(count)]


def spread(rng: Generator) -> Sampler:
    """Truths on both sides of the rule's threshold."""
    return Sampler(rng.uniform(0.5, 1.0))


def warming_up(rng: Generator) -> Sampler:
    """As `spread`, but for 3 %, an eighth of whose draws fails at first; a third of them is decided otherwise."""
    return Sampler(rng.uniform(0.85, 1.0), N // 8) if rng.random() < 0.03 else spread(rng)
