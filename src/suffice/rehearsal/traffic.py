"""Recorded corrections as production traffic: the same corrections arrive again in pass after pass."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice, product
from math import ceil

from suffice.sources.correction import Correction
from suffice.sources.recipe import Described

DAY = 86_400.0
ELSEWHERE = "us-east-1"
_PASS = "#pass-"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Corrections, or cases of a service, that arrive evenly, all of them once a day, in the regions named.

    The pass is part of the key, so that each arrival has a stream of its own, and of the record's target, so that each
    pass starts with records that no storm has touched. The region of a target is fixed by a hash of it.
    """

    corrections: Sequence[Correction] | Sequence[Described]
    regions: Sequence[str]

    def per_cycle(self, cycle: float) -> int:
        """Arrivals in a cycle of this many seconds."""
        return max(1, ceil(len(self.corrections) * cycle / DAY))

    def cycles(self, cycle: float, passes: int, skip: int = 0) -> Iterator[list[Correction | Described]]:
        """The arrivals of each cycle but the first `skip`, for this many passes; a pass that ends within a cycle
        shortens it."""
        size = self.per_cycle(cycle)
        beginnings = product(range(passes), range(0, len(self.corrections), size))
        for number, start in islice(beginnings, skip, None):
            yield [self._arrival(c, number) for c in self.corrections[start : start + size]]

    def targets(self) -> list[str]:
        """Every target, once, in the order of the corrections."""
        return list(dict.fromkeys(correction.target for correction in self.corrections))

    def _arrival(self, correction: Correction | Described, number: int) -> Correction | Described:
        return replace(
            correction,
            key=f"{correction.key}{_PASS}{number}",
            target=f"{correction.target}{_PASS}{number}",
            region=correction.region or region_of(correction.target, self.regions),
        )


def lasting(name: str) -> str:
    """The key or target without its pass: arm, region and audit are chosen by the lasting target."""
    return name.rsplit(_PASS, 1)[0]


def pass_of(key: str) -> str:
    """The pass of an arrival's key."""
    return key.rsplit(_PASS, 1)[-1]


def region_of(target: str, regions: Sequence[str]) -> str:
    """The region of a target, by a hash of it."""
    digest = blake2b(target.encode(), digest_size=8, key=b"region").digest()
    return regions[int.from_bytes(digest, "big") % len(regions)]
