"""Cases as few plain columns, so that handing them to another process costs little beside deciding them."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from suffice.sampling.distributions import Distribution, Normal, SplitNormal
from suffice.sampling.recorded import Recorded
from suffice.sampling.sampler import Pair, Sampler
from suffice.sources.recorded import Unusable
from suffice.sources.recording import LeftOut
from suffice.verifier.case import Case

Cases: TypeAlias = tuple[Case | Unusable, ...]
Packed: TypeAlias = tuple[list[tuple[Any, ...]], list[Any]]


def packed(cases: Sequence[Case | Unusable]) -> Packed:
    """What `unpacked` makes the same cases of."""
    recorded = [case.sampler for case in cases if isinstance(case, Case) and isinstance(case.sampler, Recorded)]
    blocks = []
    for width in (1, 2):
        values = [one.values for one in recorded if one.values.ndim == width]
        blocks.append(_narrow(np.concatenate(values)) if values else None)
    return [_head(case) for case in cases], blocks


def unpacked(heads: list[tuple[Any, ...]], blocks: list[Any]) -> Cases:
    """The cases that were packed."""
    wide = [None if block is None else block.astype(np.float64, copy=False) for block in blocks]
    at = [0, 0]
    cases: list[Case | Unusable] = []
    for head in heads:
        if len(head) == 2:
            cases.append(Unusable(head[0], LeftOut[head[1]]))
            continue
        key, target, region, direction, effect, what = head
        if type(what) is tuple and what[0] == "recorded":
            _, width, n, given_order = what
            start, at[width - 1] = at[width - 1], at[width - 1] + n
            sampler: Sampler = Recorded(wide[width - 1][start : start + n], given_order)
        elif type(what) is tuple:
            sampler = Pair(_distribution(what[1]), _distribution(what[2]))
        else:
            sampler = what
        cases.append(Case(key, key if target is None else target, sampler, region, direction, effect))
    return tuple(cases)


def _head(case: Case | Unusable) -> tuple[Any, ...]:
    if isinstance(case, Unusable):
        return case.key, case.reason.name
    target = None if case.target == case.key else case.target
    return case.key, target, case.region, case.direction, case.effect, _plain(case.sampler)


def _plain(sampler: Sampler | None) -> Any:
    if isinstance(sampler, Recorded):
        return "recorded", sampler.values.ndim, len(sampler.values), sampler.given_order
    if isinstance(sampler, Pair):
        return "pair", _parameters(sampler.before), _parameters(sampler.after)
    return sampler


def _parameters(distribution: Distribution) -> Any:
    if isinstance(distribution, Normal):
        return distribution.mean, distribution.sd
    if isinstance(distribution, SplitNormal):
        return distribution.mode, distribution.sd_lower, distribution.sd_upper
    return distribution


def _distribution(parameters: Any) -> Distribution:
    if type(parameters) is not tuple:
        distribution: Distribution = parameters
        return distribution
    return Normal(*parameters) if len(parameters) == 2 else SplitNormal(*parameters)


def _narrow(values: Any) -> Any:
    """Zeros and ones in a byte each."""
    small = values.astype(np.uint8) if values.ndim == 1 and values.min() >= 0 and values.max() <= 1 else values
    return small if np.array_equal(small, values) else values
