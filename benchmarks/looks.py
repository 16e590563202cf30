"""The share of an ask/tell decision that is the Run's own: what a look of 8 draws costs beside drawing them."""

from dataclasses import dataclass
from time import perf_counter

import numpy as np

import suffice
from suffice.decision.rule import Rule
from suffice.stopping.run import Boundary, Run

BLOCK, LOOKS, ROUNDS = 8, 500, 200


@dataclass(frozen=True)
class Share:
    """Microseconds of a look, and of starting a run; the least of many rounds."""

    rule: str
    look: float
    start: float


def measure() -> list[Share]:
    """Both tallies, fed through `need` and `observe` with lists made before; no look stops."""
    rng = np.random.default_rng(1)
    values = rng.standard_normal((LOOKS + 1, BLOCK))
    rules: dict[str, tuple[Rule, list[list[float]]]] = {
        "counts": (suffice.Proportion(0.8), (values < 0.8).astype(float).tolist()),
        "t": (suffice.PairedMean(min_effect=0.0), (values + 0.1).tolist()),
    }
    return [_measure(name, *measured) for name, measured in rules.items()]


def _measure(name: str, rule: Rule, blocks: list[list[float]]) -> Share:
    n = BLOCK * (LOOKS + 1)
    # Boundaries that the statistic is compared with and never reaches.
    boundaries = [Boundary(BLOCK * (i + 1), -1e300, 1e300) for i in range(LOOKS)]
    looks = starts = float("inf")
    for _ in range(ROUNDS):
        before = perf_counter()
        run = Run(rule, n, boundaries)
        begun = perf_counter()
        at = 0
        while at < LOOKS:
            if run.need == BLOCK:
                run.observe(blocks[at])
            at += 1
        looks, starts = min(looks, perf_counter() - begun), min(starts, begun - before)
        assert run.open and run.n == BLOCK * LOOKS
    return Share(name, looks / LOOKS * 1e6, starts * 1e6)
