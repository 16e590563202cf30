"""Cases as arrays: what the batch kernels read."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suffice.errors import DataError
from suffice.sampling.distributions import Distribution, Floats, Normal, SplitNormal
from suffice.sampling.sampler import Pair
from suffice.sampling.streams import philox_key
from suffice.verifier.case import Case

BEFORE_SPLIT, AFTER_SPLIT, HUGE = 1, 2, 4
"""What is special about a case: a distribution that is split normal, draws that may overflow. A case of kind 0 has
nothing special, and a loop of its own."""

LARGEST_NORMAL = 14.0
"""No standard normal is further from 0: the last layer of the ziggurat ends at 3.66 − ln(2⁻⁵³)/3.65 < 13.8."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Cases as arrays, a row for each: Philox keys, (centre, lower scale, upper scale) of both distributions, what is
    special about the case, and the claimed directions."""

    keys: NDArray[np.uint64]
    before: Floats
    after: Floats
    kinds: NDArray[np.int8]
    directions: NDArray[np.int8]

    @classmethod
    def of(cls, cases: Sequence[Case], seed: int) -> "Columns":
        """Raises DataError for a case that is not a pair of normal or split normal distributions."""
        pairs = [_pair(case) for case in cases]
        before, after = _shapes([pair.before for pair in pairs]), _shapes([pair.after for pair in pairs])
        split = np.array([_split(pair) for pair in pairs], np.int8)
        return cls(
            keys_of([case.key for case in cases], seed),
            before,
            after,
            split | HUGE * _may_overflow(before, after),
            np.array([case.direction for case in cases], np.int8),
        )

    def __len__(self) -> int:
        return len(self.keys)


def keys_of(case_keys: Sequence[str], seed: int) -> NDArray[np.uint64]:
    """The Philox keys of cases, shape (n, 2), low word first."""
    joined = b"".join([philox_key(seed, key).to_bytes(16, "little") for key in case_keys])
    return np.frombuffer(joined, "<u8").astype(np.uint64).reshape(len(case_keys), 2)


def fits(case: Case) -> bool:
    """Whether a case's draws are pairs of normal and split normal values."""
    sampler = case.sampler
    return isinstance(sampler, Pair) and all(
        type(part) in (Normal, SplitNormal) for part in (sampler.before, sampler.after)
    )


def _pair(case: Case) -> Pair:
    if not fits(case):
        raise DataError(f"case {case.key}: the batch kernels draw pairs of normal and split normal values only")
    assert isinstance(case.sampler, Pair)
    return case.sampler


def _may_overflow(before: Floats, after: Floats) -> NDArray[np.int8]:
    reach = [1.0, LARGEST_NORMAL, LARGEST_NORMAL]
    with np.errstate(over="ignore"):
        furthest = np.abs(before) @ reach + np.abs(after) @ reach
    return (~np.isfinite(furthest)).astype(np.int8)


def _split(pair: Pair) -> int:
    return BEFORE_SPLIT * pair.before.uses_uniform + AFTER_SPLIT * pair.after.uses_uniform


def _shapes(distributions: Sequence[Distribution]) -> Floats:
    return np.array([_shape(distribution) for distribution in distributions], np.float64).reshape(-1, 3)


def _shape(distribution: Distribution) -> tuple[float, float, float]:
    if isinstance(distribution, SplitNormal):
        return distribution.mode, distribution.sd_lower, distribution.sd_upper
    assert isinstance(distribution, Normal)
    return distribution.mean, distribution.sd, distribution.sd
