"""Decides cases both ways on the same draws, and counts."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any

from suffice.comparison.intervals import clopper_pearson
from suffice.decision.rule import Decision, Rule
from suffice.stopping.plan import Plan
from suffice.stopping.run import Run, Verdict
from suffice.verifier.case import Case
from suffice.verifier.loop import observations
from suffice.verifier.many import batched, worthwhile

BANDS = (1.0, 2.0, 4.0, 8.0)
"""Edges of the effect bands of the table: distance from the decision boundary in standard errors, both sides
together."""

CELL, CELLS_TO = 0.5, 10.0
"""Width and reach of the finer effect cells of the plots; what lies beyond falls into the outermost cell."""

KEPT = 1000
"""Disagreeing cases of a method that are kept; all are counted."""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One case decided by the baseline and by each plan, on the same draws. `effect` is NaN where the baseline is
    INVALID."""

    case: Case
    effect: float
    baseline: Verdict
    verdicts: tuple[Verdict, ...]

    @property
    def valid(self) -> bool:
        return self.baseline.decision is not Decision.INVALID

    def agrees(self, i: int) -> bool:
        return self.verdicts[i].decision is self.baseline.decision


@dataclass(slots=True)
class Total:
    """Counts over cases with a valid baseline."""

    cases: int = 0
    disagreements: int = 0
    fixed_draws: int = 0
    adaptive_draws: int = 0

    def add(self, result: CaseResult, i: int) -> None:
        self.cases += 1
        self.disagreements += not result.agrees(i)
        self.fixed_draws += result.baseline.n
        self.adaptive_draws += result.verdicts[i].n

    def merge(self, other: "Total") -> None:
        """Count in what another total counted."""
        self.cases += other.cases
        self.disagreements += other.disagreements
        self.fixed_draws += other.fixed_draws
        self.adaptive_draws += other.adaptive_draws

    @property
    def rate(self) -> float:
        return self.disagreements / self.cases if self.cases else nan

    @property
    def reduction(self) -> float:
        """The share of the fixed draws that was saved."""
        return 1 - self.adaptive_draws / self.fixed_draws if self.fixed_draws else nan


@dataclass(slots=True)
class MethodResult:
    """What one plan did over all cases. Cell c of `cells` covers effects from c·CELL to (c + 1)·CELL; `disagreeing`
    holds the first `KEPT` cases that differ."""

    plan: Plan
    total: Total = field(default_factory=Total)
    early: int = 0
    false_accepts: int = 0
    bands: list[Total] = field(default_factory=lambda: [Total() for _ in range(len(BANDS) + 1)])
    cells: defaultdict[int, Total] = field(default_factory=lambda: defaultdict(Total))
    disagreeing: list[CaseResult] = field(default_factory=list)

    def merge(self, other: "MethodResult") -> None:
        """Count in what the same method did over the cases that follow, of whatever N."""
        self.total.merge(other.total)
        self.early += other.early
        self.false_accepts += other.false_accepts
        for band, part in zip(self.bands, other.bands, strict=True):
            band.merge(part)
        for cell, part in other.cells.items():
            self.cells[cell].merge(part)
        self.disagreeing.extend(other.disagreeing[: KEPT - len(self.disagreeing)])


@dataclass(slots=True)
class Comparison:
    """Several plans for one rule and N over the same cases. `examples` holds the first case of each effect cell."""

    rule: Rule
    n: int
    seed: int
    methods: list[MethodResult]
    cases: int = 0
    invalid: int = 0
    examples: dict[int, CaseResult] = field(default_factory=dict)

    @classmethod
    def of(cls, rule: Rule, n: int, seed: int, plans: Sequence[Plan]) -> "Comparison":
        """The comparison of these plans before any case."""
        return cls(rule, n, seed, [MethodResult(plan) for plan in plans])

    def add(self, result: CaseResult) -> None:
        """Count one case in."""
        self.cases += 1
        if not result.valid:
            self.invalid += 1
            return
        cell, band = _cell(result.effect), bisect_right(BANDS, abs(result.effect))
        self.examples.setdefault(cell, result)
        for i, method in enumerate(self.methods):
            for part in (method.total, method.bands[band], method.cells[cell]):
                part.add(result, i)
            method.early += result.verdicts[i].early
            if not result.agrees(i):
                method.false_accepts += result.verdicts[i].decision is Decision.ACCEPTED
                if len(method.disagreeing) < KEPT:
                    method.disagreeing.append(result)

    def merge(self, other: "Comparison") -> None:
        """Count in the comparison of the same plans over the cases that follow."""
        self.cases += other.cases
        self.invalid += other.invalid
        for cell, result in other.examples.items():
            self.examples.setdefault(cell, result)
        for mine, method in zip(self.methods, other.methods, strict=True):
            mine.merge(method)

    def summary(self, i: int) -> dict[str, Any]:
        """Plain JSON values for method i; rates are over cases with a valid baseline, intervals are exact (95 %)."""
        method = self.methods[i]
        total = method.total
        lower, upper = clopper_pearson(total.disagreements, total.cases)
        return {
            "method": method.plan.method,
            "rule": self.rule.name,
            "parameters": dict(self.rule.parameters),
            "n": self.n,
            "seed": self.seed,
            "max_disagreement": method.plan.max_disagreement,
            "guarantee": method.plan.guarantee,
            "worst_disagreement": method.plan.worst_disagreement,
            "plan_id": method.plan.id,
            "cases": self.cases,
            "invalid": self.invalid,
            "disagreements": total.disagreements,
            "false_accepts": method.false_accepts,
            "false_rejects": total.disagreements - method.false_accepts,
            "disagreement_rate": number(total.rate),
            "disagreement_lower": lower,
            "disagreement_upper": upper,
            "avg_fixed_n": number(total.fixed_draws / total.cases if total.cases else nan),
            "avg_adaptive_n": number(total.adaptive_draws / total.cases if total.cases else nan),
            "sample_reduction": number(total.reduction),
            "early_stops": method.early,
            "bands": [_band(edges, part) for edges, part in zip(band_edges(), method.bands, strict=True)],
        }


def compare(cases: Iterable[Case], rule: Rule, n: int, plans: Sequence[Plan], seed: int) -> Comparison:
    """Decide each case by the baseline and by every plan on the same n draws, and count.

    The result is a function of cases, rule, plans and seed alone.
    """
    comparison = Comparison.of(rule, n, seed, plans)
    for result in results(cases, rule, n, plans, seed):
        comparison.add(result)
    return comparison


def results(cases: Iterable[Case], rule: Rule, n: int, plans: Sequence[Plan], seed: int) -> Iterator[CaseResult]:
    """Each case decided by the baseline and by every plan on the same n draws, in the order of the cases."""
    if isinstance(cases, Sequence) and worthwhile(cases, plans):
        for case, (distance, fixed, verdicts) in zip(cases, batched(cases, rule, n, plans, seed), strict=True):
            known = case.effect is not None and fixed.decision is not Decision.INVALID
            yield CaseResult(case, case.effect if known else distance, fixed, verdicts)
        return
    for case in cases:
        observed = observations(case, rule, n, seed)
        baseline = _observed(Run(rule, n, ()), observed)
        yield CaseResult(
            case,
            _effect(case, baseline),
            baseline.verdict,
            tuple(_observed(plan.start(), observed).verdict for plan in plans),
        )


def band_edges() -> list[tuple[float, float | None]]:
    """(from, below) of each effect band; None for no end."""
    return list(zip((0.0, *BANDS), (*BANDS, None), strict=True))


def _observed(run: Run, draws: list[float]) -> Run:
    run.observe(draws)
    return run


def _effect(case: Case, fixed: Run) -> float:
    """The truth where the case knows it; else how far the baseline's estimate is from the boundary."""
    if fixed.verdict.decision is Decision.INVALID:
        return nan
    return fixed.effect if case.effect is None else case.effect


def _cell(effect: float) -> int:
    return int(max(-CELLS_TO, min(effect, CELLS_TO - CELL)) // CELL)


def number(value: float) -> float | None:
    """The value as JSON has it: None for NaN."""
    return None if isnan(value) else value


def _band(edges: tuple[float, float | None], part: Total) -> dict[str, Any]:
    return {
        "effect_from": edges[0],
        "effect_below": edges[1],
        "cases": part.cases,
        "disagreements": part.disagreements,
        "disagreement_rate": number(part.rate),
        "sample_reduction": number(part.reduction),
    }
