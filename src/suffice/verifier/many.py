"""Many cases, each by the baseline and by several plans on the same draws: by compiled kernels or by ask/tell runs.

Both give the same verdicts, so that only the time depends on which of them decides.
"""

from collections.abc import Iterable, Iterator, Sequence, Sized
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from math import nan
from typing import cast

import numpy as np

from suffice.decision.rule import Decision, Rule, Tally
from suffice.extras import installed
from suffice.sampling.recorded import Recorded
from suffice.stopping.plan import Plan
from suffice.stopping.run import Run, StopReason, Verdict
from suffice.verifier.batch import DECISIONS, BatchResult, decide_columns, supports
from suffice.verifier.case import Case
from suffice.verifier.columns import Columns, fits
from suffice.verifier.kernel_cache import kernels_kept
from suffice.verifier.loop import observations

CHUNK = 4096
"""Cases decided at once: enough for the kernels, and few enough for progress to be seen."""

LOADING, COMPILING = 5_000, 60_000
"""Decisions whose runs take as long as loading the kernels, and as compiling them, which happens once on a machine."""

_NO_DRAWS = Recorded(np.empty(0))


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case decided by the baseline and by each plan, on the same draws.

    `effect` is the truth where the case knows it, else how far the baseline's estimate is from the boundary, in
    standard errors; NaN where the baseline is INVALID.
    """

    case: Case
    effect: float
    baseline: Verdict
    verdicts: tuple[Verdict, ...]

    @property
    def valid(self) -> bool:
        return self.baseline.decision is not Decision.INVALID

    def agrees(self, i: int) -> bool:
        return self.verdicts[i].decision is self.baseline.decision

    def without_draws(self) -> "CaseResult":
        """The same, without the draws of a recorded case."""
        if not isinstance(self.case.sampler, Recorded):
            return self
        return replace(self, case=replace(self.case, sampler=_NO_DRAWS))


class Work:
    """How many decisions a caller makes, and so whether loading or compiling the kernels is worth it.

    `expected` is what the caller knows beforehand. Where it knows nothing, the decisions that were left to runs tell:
    then it never takes much more than twice the time of the better choice. A caller of many small comparisons keeps
    one of these for all of them.
    """

    __slots__ = ("_done", "_expected")

    def __init__(self, expected: int = 0) -> None:
        self._expected = expected
        self._done = 0

    def suits_kernels(self, cases: Sequence[Case], plans: Sequence[Plan]) -> bool:
        """Whether the kernels can decide these cases, which count as done from now on, and should."""
        if not plans or not all(map(supports, plans)) or not all(map(fits, cases)):
            return False
        self._done += len(cases) * (1 + len(plans))
        known = max(self._done, self._expected)
        return known >= LOADING and installed("numba") and (known >= COMPILING or kernels_kept())


def results(
    cases: Iterable[Case], rule: Rule, n: int, plans: Sequence[Plan], seed: int, work: Work | None = None
) -> Iterator[CaseResult]:
    """Each case decided by the baseline and by every plan on the same n draws, in the order of the cases.

    The results are a function of cases, rule, plans and seed alone; `work` is the caller's, if it makes more decisions
    than these.
    """
    work = work or Work(len(cases) * (1 + len(plans)) if isinstance(cases, Sized) else 0)
    source = iter(cases)
    while chunk := list(islice(source, CHUNK)):
        if work.suits_kernels(chunk, plans):
            yield from _by_kernels(chunk, rule, n, plans, seed)
        else:
            yield from (_by_runs(case, rule, n, plans, seed) for case in chunk)


def _by_runs(case: Case, rule: Rule, n: int, plans: Sequence[Plan], seed: int) -> CaseResult:
    observed = observations(case, rule, n, seed)
    baseline, *adaptive = (_observed(run, observed) for run in (Run(rule, n, ()), *(plan.start() for plan in plans)))
    effect = nan
    if baseline.verdict.decision is not Decision.INVALID:
        effect = baseline.effect if case.effect is None else case.effect
    return CaseResult(case, effect, baseline.verdict, tuple(run.verdict for run in adaptive))


def _observed(run: Run, draws: list[float]) -> Run:
    run.observe(draws)
    return run


def _by_kernels(cases: Sequence[Case], rule: Rule, n: int, plans: Sequence[Plan], seed: int) -> Iterator[CaseResult]:
    columns, (first, *others) = Columns.of(cases, seed), plans
    decided = [decide_columns(columns, first, with_baseline=True), *(decide_columns(columns, p) for p in others)]
    assert decided[0].baseline is not None
    baseline = decided[0].baseline
    verdicts = [_verdicts(result, n) for result in (baseline, *decided)]
    for case, distance, fixed, *adaptive in zip(cases, _effects(baseline, rule, n), *verdicts, strict=True):
        known = case.effect is not None and fixed.decision is not Decision.INVALID
        yield CaseResult(case, case.effect if known else distance, fixed, tuple(adaptive))


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
