"""An e-detector for a rate that rises: evidence that begins anew with every trial, so that a good past hides nothing.

M starts at 0; each trial multiplies M + 1 by the likelihood ratio of a higher rate against p0. At a rate of p0 or less,
M minus the number of trials is a supermartingale: the mean time until M first reaches A is at least A trials, and the
chance that it does within n of them at most n / A. Mixed over several higher rates, it finds small and large rises.
Source: Shin, Ramdas & Rinaldo 2024, E-detectors: a nonparametric framework for sequential change detection (New England
Journal of Statistics in Data Science 2), after Shiryaev 1963 and Roberts 1966.

Assumes, as the e-processes do, that each trial has, given everything before it, a chance of at most p0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

_Vector: TypeAlias = NDArray[np.float64]

HOLDS, FAILS = 1e5, 1.5e6
"""Trials until a false alarm, in the mean: of one that holds a stage, and of one that fails it; at a p0 below 1 % as
many more as events are rarer (`scaled`)."""

_TIMES_P0 = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
_MOST = 1e280
"""Far beyond every alarm, and far enough from what a float holds."""


@dataclass(frozen=True, slots=True)
class Drift:
    """The evidence that the rate has risen above p0: after the last trial, and the most there ever was."""

    now: float = 0.0
    peak: float = 0.0

    @classmethod
    def of(cls, trials: int, positions: Sequence[int], p0: float) -> Self:
        """The evidence after so many trials of which those at `positions` (from 1, rising) were events.

        At p0 = 0 and 1 nothing can rise, or the first event says all: the evidence stays at 0. Between events it nears
        a value below 2 / p0, which no alarm is: so a peak of interest is at an event.
        """
        rates = np.array([times * p0 for times in _TIMES_P0 if times * p0 < 1])
        if p0 == 0 or not rates.size:
            return cls()
        up, down = rates / p0, (1 - rates) / (1 - p0)
        evidence, peak, last = np.zeros(len(rates)), 0.0, 0
        for position in positions:
            evidence = (_after(evidence, down, position - last - 1) + 1) * up
            evidence = np.minimum(evidence, _MOST)
            peak, last = max(peak, float(evidence.mean())), position
        return cls(float(_after(evidence, down, trials - last).mean()), peak)


def scaled(alarm: float, p0: float) -> float:
    """An alarm's level at p0: evidence that is of no event at all grows as p0 falls, and the level with it."""
    return alarm * max(1.0, 0.01 / p0) if p0 else alarm


def _after(evidence: _Vector, down: _Vector, count: int) -> _Vector:
    """The evidence after so many trials without an event: the sum of a geometric series, not a step for each."""
    faded = down**count
    return evidence * faded + down * (1 - faded) / (1 - down)
