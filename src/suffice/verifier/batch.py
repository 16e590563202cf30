"""Many cases at once: compiled kernels that give every case the verdict of its ask/tell run.

The compiler is imported when the first batch is decided, not with this module.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, floor, inf, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.decision.means import MeanTally
from suffice.decision.rule import Decision, Rule
from suffice.errors import PlanError
from suffice.sampling.distributions import Floats
from suffice.stopping.plan import Plan
from suffice.stopping.run import Boundary
from suffice.verifier.case import Case
from suffice.verifier.columns import Columns

Integers = NDArray[np.int64]

DECISIONS = (Decision.REJECTED, Decision.ACCEPTED, Decision.INVALID)
"""The decision of each code."""

_INVALID = DECISIONS.index(Decision.INVALID)

_LEAST_CHUNK, _CHUNKS_PER_THREAD = 256, 4


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What was decided, a row for each case: `decisions` holds codes (see `DECISIONS`).

    `statistics` and `estimates` are those of the tally when the case stopped; NaN where it is INVALID. `baseline` has
    the decision of the rule on all N draws, where it was asked for.
    """

    decisions: NDArray[np.int8]
    n: Integers
    statistics: Floats
    estimates: Floats
    baseline: "BatchResult | None" = None


def supports(plan: Plan) -> bool:
    """Whether there is a kernel for a plan: the shares of pairs that move as claimed, and the mean of differences."""
    return not plan.guarded and plan.rule.name in _KERNELS


def decide_batch(
    cases: Sequence[Case], plan: Plan, seed: int, *, threads: int | None = None, with_baseline: bool = False
) -> BatchResult:
    """Decide each case exactly as `verifier.loop.decide` does: same stream, same verdict.

    With `with_baseline` the draws go on to N and the fixed decision on them is given, too. `threads` is the number of
    processors to use, all unless given; the result does not depend on it. Raises DataError for a case that does not
    `fit`, PlanError for a plan that is not `supported`.
    """
    return decide_columns(Columns.of(cases, seed), plan, threads=threads, with_baseline=with_baseline)


def decide_columns(
    columns: Columns, plan: Plan, *, threads: int | None = None, with_baseline: bool = False
) -> BatchResult:
    """As `decide_batch`, for cases that are columns already."""
    if not supports(plan):
        raise PlanError(
            f"there is no batch kernel for a {'guarded ' * plan.guarded}plan of rule {plan.rule.name}; "
            "allowed: proportion, paired_mean and mean, not guarded"
        )
    adaptive = _decide(columns, plan, plan.boundaries, threads)
    return replace(adaptive, baseline=_decide(columns, plan, (), threads)) if with_baseline else adaptive


def _decide(columns: Columns, plan: Plan, boundaries: Sequence[Boundary], threads: int | None) -> BatchResult:
    used = [b for b in boundaries if b.n < plan.n]
    return _KERNELS[plan.rule.name](columns, plan.rule, plan.n, used, threads)


def _decide_counts(
    columns: Columns, rule: Rule, size: int, boundaries: Sequence[Boundary], threads: int | None
) -> BatchResult:
    from suffice.verifier import kernels

    reject_at, accept_at = np.full(size + 1, -1), np.full(size + 1, size + 1)
    for b in boundaries:
        reject_at[b.n] = -1 if b.reject_at is None else floor(b.reject_at)
        accept_at[b.n] = size + 1 if b.accept_at is None else ceil(b.accept_at)
    reject_at[size], accept_at[size] = rule.critical(size) - 1, rule.critical(size)
    within = _looks_within([*(b.n for b in boundaries), size])
    codes, n, successes = _results(columns, np.int8, np.int64, np.int64)

    def decide(start: int, stop: int) -> None:
        kernels.decide_counts(
            *(columns.keys, columns.before, columns.after, columns.kinds, columns.directions, start, stop),
            *(*_memory(), within, reject_at, accept_at, codes, n, successes),
        )

    in_chunks(decide, len(columns), threads)
    statistics = np.where(codes == _INVALID, nan, successes)
    return BatchResult(codes, n, statistics, statistics / n)


def _decide_means(
    columns: Columns, rule: Rule, size: int, boundaries: Sequence[Boundary], threads: int | None
) -> BatchResult:
    from suffice.verifier import kernels

    reject_at, accept_at = np.full(size + 1, -inf), np.full(size + 1, inf)
    for b in boundaries:
        reject_at[b.n] = -inf if b.reject_at is None else b.reject_at
        accept_at[b.n] = inf if b.accept_at is None else b.accept_at
    accept_at[size] = rule.critical(size)
    within = _looks_within([*(b.n for b in boundaries), size])
    tally = rule.tally()
    assert isinstance(tally, MeanTally)
    decided_by = rule.critical(size), float(tally.min_effect), float(tally.value), tally.sign
    codes, n, statistics, estimates = _results(columns, np.int8, np.int64, np.float64, np.float64)

    def decide(start: int, stop: int) -> None:
        kernels.decide_means(
            *(columns.keys, columns.before, columns.after, columns.kinds, start, stop),
            *(*_memory(), within, reject_at, accept_at, *decided_by, codes, n, statistics, estimates),
        )

    in_chunks(decide, len(columns), threads)
    return BatchResult(codes, n, statistics, estimates)


_KERNELS = {"proportion": _decide_counts, "paired_mean": _decide_means, "mean": _decide_means}
"""By the rule's name."""


def _results(columns: Columns, *kinds: type) -> list[Any]:
    return [np.empty(len(columns), kind) for kind in kinds]


def _looks_within(looks: Sequence[int]) -> Integers:
    """For each block of pairs that are drawn at once: 1 where a look comes before its last pair, else 0."""
    from suffice.verifier.ziggurat import NORMALS

    pairs = NORMALS // 2
    within = np.zeros(ceil(looks[-1] / pairs), np.int64)
    within[[n // pairs for n in looks if n % pairs]] = 1
    return within


def _memory() -> tuple[NDArray[np.uint64], Floats, NDArray[np.uint64]]:
    from suffice.verifier.ziggurat import NORMALS, WORDS

    return np.empty(WORDS, np.uint64), np.empty(NORMALS), np.empty(NORMALS, np.uint64)


def in_chunks(decide: Callable[[int, int], None], cases: int, threads: int | None) -> None:
    """Ranges of cases in threads of this process: kernels hold no lock, and cases differ in their draws."""
    workers = min(threads or os.cpu_count() or 1, ceil(cases / _LEAST_CHUNK))

    def quietly(part: tuple[int, int]) -> None:
        with np.errstate(all="ignore"):  # only the interpreted kernels can warn; the state is each thread's own
            decide(*part)

    if workers <= 1:
        quietly((0, cases))
        return
    edges = np.linspace(0, cases, workers * _CHUNKS_PER_THREAD + 1).astype(int).tolist()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(quietly, pairwise(edges)))
