"""Distributions as functions of one standard normal and one uniform value a draw.

So a draw's position in the stream does not depend on the distribution, its neighbours or the block size.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from suffice.errors import DataError

Floats = NDArray[np.float64]


class Distribution(Protocol):
    """What a value is drawn from. `uses_uniform` tells whether `draw` reads its second argument."""

    @property
    def uses_uniform(self) -> bool: ...

    def draw(self, normal: Floats, uniform: Floats) -> Floats:
        """One draw for each standard normal and uniform value; all three have the same shape."""
        ...


@dataclass(frozen=True, slots=True)
class Normal:
    """Normal distribution; sd 0 is a constant. Raises DataError when a parameter is not finite or sd < 0."""

    mean: float
    sd: float
    uses_uniform = False

    def __post_init__(self) -> None:
        _check_location("mean", self.mean)
        _check_scale("sd", self.sd)

    def draw(self, normal: Floats, uniform: Floats) -> Floats:  # noqa: ARG002
        # What overflows is infinite, and so INVALID: an answer, which needs no warning.
        with np.errstate(over="ignore"):
            return self.mean + self.sd * normal


@dataclass(frozen=True, slots=True)
class SplitNormal:
    """Split (two-piece) normal distribution: a continuous density with its mode at `mode` and unequal halves.

    P(x < mode) = sd_lower / (sd_lower + sd_upper); mean = mode + √(2/π)·(sd_upper − sd_lower).
    Raises DataError when a parameter is not finite, a scale is negative or both are 0.

    Source: Wallis 2014, "The two-piece normal, binormal, or double Gaussian distribution", Statistical Science 29.
    """

    mode: float
    sd_lower: float
    sd_upper: float
    uses_uniform = True

    def __post_init__(self) -> None:
        _check_location("mode", self.mode)
        _check_scale("sd_lower", self.sd_lower)
        _check_scale("sd_upper", self.sd_upper)
        if self.sd_lower + self.sd_upper == 0:
            raise DataError("split normal: sd_lower and sd_upper are both 0; at least one must be positive")

    def draw(self, normal: Floats, uniform: Floats) -> Floats:
        below = uniform * (self.sd_lower + self.sd_upper) < self.sd_lower
        with np.errstate(over="ignore"):
            return self.mode + np.where(below, -self.sd_lower, self.sd_upper) * np.abs(normal)


@dataclass(frozen=True, slots=True)
class Empirical:
    """Resampling with replacement from recorded values. Raises DataError when there are none."""

    values: tuple[float, ...]
    uses_uniform = True

    def __post_init__(self) -> None:
        if not self.values:
            raise DataError("empirical distribution: no values; at least one is needed")

    def draw(self, normal: Floats, uniform: Floats) -> Floats:  # noqa: ARG002
        values = np.asarray(self.values, dtype=np.float64)
        return values[(uniform * len(values)).astype(np.intp)]


def _check_location(name: str, value: float) -> None:
    if not isfinite(value):
        raise DataError(f"{name} is {value}; it must be finite")


def _check_scale(name: str, value: float) -> None:
    if not (isfinite(value) and value >= 0):
        raise DataError(f"{name} is {value}; it must be finite and not negative")
