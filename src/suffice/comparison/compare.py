"""What is counted over cases that were decided both ways on the same draws: in total, by N, by region, by effect."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import isnan, nan
from typing import Any

from suffice.comparison.intervals import clopper_pearson
from suffice.decision.rule import Decision, Rule
from suffice.stopping.plan import Plan
from suffice.verifier.case import Case
from suffice.verifier.many import CaseResult, Work, results

BANDS = (1.0, 2.0, 4.0, 8.0)
"""Edges of the effect bands of the table: distance from the decision boundary in standard errors, both sides
together."""

CELL, CELLS_TO = 0.5, 10.0
"""Width and reach of the finer effect cells of the plots; what lies beyond falls into the outermost cell."""

KEPT = 1000
"""Disagreeing cases of a method that are kept; all are counted."""

REGIONS = 1000
OTHER_REGIONS = "(other regions)"
"""Where the cases of further regions are counted: a column that names each case must not fill the memory."""

EXAMPLE_SIZES = 8
"""Different N whose example cases are kept for a report, with their draws."""

_WEAKER = ("exact", "asymptotic", "none")


@dataclass(slots=True)
class Total:
    """Counts over cases with a valid baseline."""

    cases: int = 0
    disagreements: int = 0
    over_invalid: int = 0
    fixed_draws: int = 0
    adaptive_draws: int = 0

    def add(self, fixed_n: int, n: int, *, differs: bool) -> None:
        """Count one case in, decided by the baseline after `fixed_n` draws and adaptively after `n`."""
        self.cases += 1
        self.disagreements += differs
        self.fixed_draws += fixed_n
        self.adaptive_draws += n

    def add_over_invalid(self) -> None:
        """Count one case in that was decided where the baseline is INVALID: it differs, and saved nothing."""
        self.cases += 1
        self.disagreements += 1
        self.over_invalid += 1

    def merge(self, other: "Total") -> None:
        """Count in what another total counted."""
        self.cases += other.cases
        self.disagreements += other.disagreements
        self.over_invalid += other.over_invalid
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
    """What one plan did over cases. Cell c of `cells` covers effects from c·CELL to (c + 1)·CELL."""

    plan: Plan
    total: Total = field(default_factory=Total)
    early: int = 0
    false_accepts: int = 0
    bands: list[Total] = field(default_factory=lambda: [Total() for _ in range(len(BANDS) + 1)])
    cells: defaultdict[int, Total] = field(default_factory=lambda: defaultdict(Total))

    def merge(self, other: "MethodResult") -> None:
        """Count in what the same method did over other cases, of whatever N."""
        self.total.merge(other.total)
        self.early += other.early
        self.false_accepts += other.false_accepts
        for band, part in zip(self.bands, other.bands, strict=True):
            band.merge(part)
        for cell, part in other.cells.items():
            self.cells[cell].merge(part)


@dataclass(slots=True)
class Counts:
    """What several methods did over the same cases. `examples` holds the first case of each effect cell."""

    methods: list[MethodResult]
    cases: int = 0
    invalid: int = 0
    examples: dict[int, CaseResult] = field(default_factory=dict)

    @classmethod
    def of(cls, plans: Iterable[Plan]) -> "Counts":
        """The counts of these plans before any case."""
        return cls([MethodResult(plan) for plan in plans])

    def merge(self, other: "Counts") -> None:
        """Count in the cases that follow, of whatever N."""
        self.cases += other.cases
        self.invalid += other.invalid
        for cell, result in other.examples.items():
            self.examples.setdefault(cell, result)
        for mine, method in zip(self.methods, other.methods, strict=True):
            mine.merge(method)


@dataclass(slots=True)
class Comparison:
    """Several methods for one rule over cases whose N may differ: counted for each N, and in total by region.

    `regions` has a total for each method, and of its disagreeing cases `disagreeing` holds the first `KEPT`, in the
    order of the cases and recorded ones without their draws. `left_out` counts the cases that were not decided, by
    reason; they are in no other count.
    """

    rule: Rule
    seed: int
    sizes: dict[int, Counts] = field(default_factory=dict)
    regions: dict[str, list[Total]] = field(default_factory=dict)
    disagreeing: list[list[CaseResult]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, rule: Rule, n: int, seed: int, plans: Sequence[Plan]) -> "Comparison":
        """The comparison of these plans before any case."""
        comparison = cls(rule, seed)
        comparison.expect(n, plans)
        return comparison

    def expect(self, n: int, plans: Sequence[Plan]) -> Counts:
        """The counts for cases of this N, made where there are none yet."""
        if n not in self.sizes:
            self.sizes[n] = Counts.of(plans)
        if not self.disagreeing:
            self.disagreeing = [[] for _ in plans]
        return self.sizes[n]

    def add(self, result: CaseResult) -> None:
        """Count one case in; its N is one that is expected."""
        counts, fixed_n = self.sizes[result.baseline.fixed_n], result.baseline.n
        counts.cases += 1
        if not result.valid:
            counts.invalid += 1
            self._add_invalid(result, counts)
            return
        region = self._region(result.case.region or "")
        cell, band = _cell(result.effect), bisect_right(BANDS, abs(result.effect))
        counts.examples.setdefault(cell, result)
        for i, (method, verdict) in enumerate(zip(counts.methods, result.verdicts, strict=True)):
            differs = not result.agrees(i)
            for total in (method.total, method.bands[band], method.cells[cell], region[i]):
                total.add(fixed_n, verdict.n, differs=differs)
            method.early += verdict.early
            if differs:
                self._differs(result, i, method)

    def _add_invalid(self, result: CaseResult, counts: Counts) -> None:
        """Count a case whose baseline is INVALID where a method decided it; it has no effect, so no band and cell."""
        for i, method in enumerate(counts.methods):
            if not result.agrees(i):
                for total in (method.total, self._region(result.case.region or "")[i]):
                    total.add_over_invalid()
                self._differs(result, i, method)

    def _differs(self, result: CaseResult, i: int, method: MethodResult) -> None:
        method.false_accepts += result.verdicts[i].decision is Decision.ACCEPTED
        if len(self.disagreeing[i]) < KEPT:
            self.disagreeing[i].append(result.without_draws())

    def merge(self, other: "Comparison") -> None:
        """Count in what was counted over the cases that follow."""
        for n, counts in other.sizes.items():
            together = self.expect(n, [method.plan for method in counts.methods])
            together.merge(counts)
            if n not in islice(self.sizes, EXAMPLE_SIZES):
                together.examples.clear()
        for region, totals in other.regions.items():
            # Only here: the regions of a part are few, and which ones are the first is known of the whole alone.
            known = region in self.regions or len(self.regions) < REGIONS
            for mine, total in zip(self._region(region if known else OTHER_REGIONS), totals, strict=True):
                mine.merge(total)
        # The other one has no lists where all of its cases were left out.
        for kept, more in zip(self.disagreeing, other.disagreeing, strict=False):
            kept.extend(more[: KEPT - len(kept)])
        self.left_out.update(other.left_out)

    @property
    def n(self) -> int:
        """The N that most cases have."""
        return max(self.sizes, key=lambda n: (self.sizes[n].cases, n))

    def only(self, n: int) -> "Comparison":
        """The cases of one N alone."""
        disagreeing = [[result for result in kept if result.baseline.fixed_n == n] for kept in self.disagreeing]
        return Comparison(self.rule, self.seed, {n: self.sizes[n]}, disagreeing=disagreeing)

    @property
    def whole(self) -> Counts:
        """All cases together; with several N its plans are those of the N that most cases have."""
        most = self.sizes[self.n]
        if len(self.sizes) == 1:
            return most
        together = Counts.of(method.plan for method in most.methods)
        for counts in self.sizes.values():
            together.merge(counts)
        return together

    @property
    def methods(self) -> list[MethodResult]:
        """What each method did over all cases (see `whole`)."""
        return self.whole.methods

    def summary(self, i: int) -> dict[str, Any]:
        """Plain JSON values for method i; rates are over cases that are not INVALID on both paths (`judged`), means of
        draws over those with a valid baseline, and intervals are exact (95 %).

        With several N there is no one plan: `n` and `plan_id` are None, `worst_disagreement` is the largest and
        `guarantee` the weakest of the plans.
        """
        whole, plans = self.whole, [counts.methods[i].plan for counts in self.sizes.values()]
        method, several = whole.methods[i], len(plans) > 1
        total = method.total
        valid = total.cases - total.over_invalid
        lower, upper = clopper_pearson(total.disagreements, total.cases)
        return {
            "method": method.plan.method,
            "rule": self.rule.name,
            "parameters": dict(self.rule.parameters),
            "n": None if several else self.n,
            "seed": self.seed,
            "max_disagreement": method.plan.max_disagreement,
            "guarantee": max((plan.guarantee for plan in plans), key=_WEAKER.index),
            "worst_disagreement": max(plan.worst_disagreement for plan in plans),
            "plan_id": None if several else method.plan.id,
            "cases": whole.cases,
            "invalid": whole.invalid,
            "judged": total.cases,
            "decided_over_invalid": total.over_invalid,
            "disagreements": total.disagreements,
            "false_accepts": method.false_accepts,
            "false_rejects": total.disagreements - method.false_accepts,
            "disagreement_rate": number(total.rate),
            "disagreement_lower": lower,
            "disagreement_upper": upper,
            "avg_fixed_n": number(total.fixed_draws / valid if valid else nan),
            "avg_adaptive_n": number(total.adaptive_draws / valid if valid else nan),
            "sample_reduction": number(total.reduction),
            "early_stops": method.early,
            "bands": [_band(edges, part) for edges, part in zip(band_edges(), method.bands, strict=True)],
        }

    def slices(self, i: int) -> dict[str, Any]:
        """Plain JSON values for method i by region and by N, and the cases that were left out by reason."""
        return {
            "by_region": [{"region": name or None, **_plain(total)} for name, total in self.by_region(i).items()],
            "by_n": [{"n": n, **_plain(total)} for n, total in self.by_n(i).items()],
            "left_out": dict(sorted(self.left_out.items())),
        }

    def by_region(self, i: int) -> Mapping[str, Total]:
        """Method i's totals by region, in the order of their names; "" is no region."""
        return {region: self.regions[region][i] for region in sorted(self.regions)}

    def by_n(self, i: int) -> Mapping[int, Total]:
        """Method i's totals by N."""
        return {n: self.sizes[n].methods[i].total for n in sorted(self.sizes)}

    def _region(self, region: str) -> list[Total]:
        if region not in self.regions:
            self.regions[region] = [Total() for _ in self.disagreeing]
        return self.regions[region]


def compare(
    cases: Iterable[Case], rule: Rule, n: int, plans: Sequence[Plan], seed: int, work: Work | None = None
) -> Comparison:
    """Decide each case by the baseline and by every plan on the same n draws, and count.

    The result is a function of cases, rule, plans and seed alone (`work`: see `verifier.many.results`).
    """
    comparison = Comparison.of(rule, n, seed, plans)
    for result in results(cases, rule, n, plans, seed, work):
        comparison.add(result)
    return comparison


def band_edges() -> list[tuple[float, float | None]]:
    """(from, below) of each effect band; None for no end."""
    return list(zip((0.0, *BANDS), (*BANDS, None), strict=True))


def number(value: float) -> float | None:
    """The value as JSON has it: None for NaN."""
    return None if isnan(value) else value


def _cell(effect: float) -> int:
    return int(max(-CELLS_TO, min(effect, CELLS_TO - CELL)) // CELL)


def _band(edges: tuple[float, float | None], total: Total) -> dict[str, Any]:
    return {"effect_from": edges[0], "effect_below": edges[1], **_plain(total)}


def _plain(total: Total) -> dict[str, Any]:
    return {
        "cases": total.cases,
        "disagreements": total.disagreements,
        "disagreement_rate": number(total.rate),
        "sample_reduction": number(total.reduction),
    }
