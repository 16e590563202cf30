"""The cases of the benchmark, as columns and as the draws of their streams."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suffice.sampling.distributions import Normal
from suffice.sampling.sampler import Pair
from suffice.sampling.streams import Stream
from suffice.sources import pdg
from suffice.verifier.case import Case

Floats = NDArray[np.float64]

SEED = 42
DELTAS = tuple(round(0.05 * i, 2) for i in range(25))
CASES_A_DELTA = 800


@dataclass(frozen=True)
class Grid:
    """Paired comparisons of N(0, 1) and N(δ, 1), as many for each δ; `differences` are all draws, shape (cases, N)."""

    cases: list[Case]
    deltas: Floats
    differences: Floats


def grid(n: int) -> Grid:
    deltas = np.repeat(DELTAS, CASES_A_DELTA)
    cases = [
        Case(f"benchmark/{i}", "benchmark", Pair(Normal(0.0, 1.0), Normal(float(delta), 1.0)))
        for i, delta in enumerate(deltas)
    ]
    normals = np.stack([Stream(SEED, case.key).normals(2 * n).reshape(n, 2) for case in cases])
    return Grid(cases, deltas, normals[:, :, 1] + deltas[:, None] - normals[:, :, 0])


def corrections() -> list[Case]:
    """The real corrections of the source `pdg`."""
    return [correction.case() for correction in pdg.corrections()]
