"""Many cases at once, decided by the batch kernels: the same verdicts as those of their ask/tell runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from math import nan
from typing import cast

from suffice.decision.rule import Decision, Rule, Tally
from suffice.extras import installed
from suffice.stopping.plan import Plan
from suffice.stopping.run import StopReason, Verdict
from suffice.verifier.batch import DECISIONS, BatchResult, decide_columns, supports
from suffice.verifier.case import Case
from suffice.verifier.columns import Columns, fits
from suffice.verifier.kernel_cache import kernels_kept

CHUNK = 4096
"""Cases decided at once: enough for the kernels, and few enough for progress to be seen."""

LOADING, COMPILING = 5_000, 60_000
"""Decisions whose runs take as long as loading the kernels, and as compiling them, which happens once on a machine."""

Decided = tuple[float, Verdict, tuple[Verdict, ...]]
"""How far the baseline is from the boundary, the baseline, and the verdict of each plan."""


class _Spent:
    """Decisions of this process that kernels could make."""

    decisions = 0


def worthwhile(cases: Sequence[Case], plans: Sequence[Plan]) -> bool:
    """Whether the kernels can decide these cases and should.

    A process cannot know how many cases will follow. It loads or compiles the kernels when these cases, and those that
    were left to runs before, are worth it: so it never takes much more than twice the time of the better choice.
    """
    if not plans or not installed("numba") or not all(map(supports, plans)) or not all(map(fits, cases)):
        return False
    _Spent.decisions += len(cases) * (1 + len(plans))
    return _Spent.decisions >= (LOADING if kernels_kept() else COMPILING)


def batched(cases: Sequence[Case], rule: Rule, n: int, plans: Sequence[Plan], seed: int) -> Iterator[Decided]:
    """Each case by the baseline and by every plan, in the order of the cases; NaN for the effect where INVALID."""
    source = iter(cases)
    while chunk := list(islice(source, CHUNK)):
        yield from _decided(Columns.of(chunk, seed), rule, n, plans)


def _decided(columns: Columns, rule: Rule, n: int, plans: Sequence[Plan]) -> Iterator[Decided]:
    first, *others = plans
    results = [decide_columns(columns, first, with_baseline=True), *(decide_columns(columns, p) for p in others)]
    assert results[0].baseline is not None
    baseline = results[0].baseline
    columns_of_verdicts = [_verdicts(result, n) for result in (baseline, *results)]
    for effect, fixed, *verdicts in zip(_effects(baseline, rule, n), *columns_of_verdicts, strict=True):
        yield effect, fixed, tuple(verdicts)


def _verdicts(result: BatchResult, size: int) -> Iterator[Verdict]:
    @lru_cache(maxsize=4 * CHUNK)
    def verdict(code: int, n: int, estimate: float) -> Verdict:
        return Verdict(DECISIONS[code], n, size, estimate, _reason(DECISIONS[code], n, size))

    yield from map(verdict, result.decisions.tolist(), result.n.tolist(), result.estimates.tolist())


def _reason(decision: Decision, n: int, size: int) -> StopReason:
    if decision is Decision.INVALID:
        return StopReason.NON_FINITE
    if n == size:
        return StopReason.REACHED_N
    return StopReason.ACCEPT_BOUNDARY if decision is Decision.ACCEPTED else StopReason.REJECT_BOUNDARY


@dataclass(frozen=True, slots=True)
class _Seen:
    """As much of a tally as a rule reads to tell its effect."""

    n: int
    statistic: float


def _effects(baseline: BatchResult, rule: Rule, n: int) -> Iterator[float]:
    @lru_cache(maxsize=4 * CHUNK)
    def effect(statistic: float) -> float:
        return rule.effect(cast(Tally, _Seen(n, statistic)))

    for code, statistic in zip(baseline.decisions.tolist(), baseline.statistics.tolist(), strict=True):
        yield nan if DECISIONS[code] is Decision.INVALID else effect(statistic)
