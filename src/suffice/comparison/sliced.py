"""A comparison over cases of any N: in total, and by region and N."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np

from suffice.comparison.compare import KEPT, CaseResult, Comparison, Total, number
from suffice.decision.rule import Rule
from suffice.sampling.recorded import Recorded
from suffice.stopping.plan import Plan

REGIONS = 1000
OTHER_REGIONS = "(other regions)"
"""Where the cases of further regions are counted: a column that names each case must not fill the memory."""

EXAMPLE_SIZES = 8
"""Different N whose example cases are kept for a report, with their draws."""

_WEAKER = ("exact", "asymptotic", "none")
_NO_DRAWS = Recorded(np.empty(0))


@dataclass(slots=True)
class SlicedComparison:
    """Several methods for one rule over cases whose N may differ: a comparison for each N, and totals by region.

    `regions` and `disagreeing` have an entry for each method; of the disagreeing cases the first `KEPT` are held, in
    the order of the cases, and recorded ones without their draws. `left_out` counts the cases that were not decided,
    by reason; they are in no other count.
    """

    rule: Rule
    seed: int
    sizes: dict[int, Comparison] = field(default_factory=dict)
    regions: list[dict[str, Total]] = field(default_factory=list)
    disagreeing: list[list[CaseResult]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def expect(self, n: int, plans: Sequence[Plan]) -> Comparison:
        """The comparison for cases of this N, made where there is none yet."""
        if n not in self.sizes:
            self.sizes[n] = Comparison.of(self.rule, n, self.seed, plans)
        if not self.regions:
            self.regions, self.disagreeing = [{} for _ in plans], [[] for _ in plans]
        return self.sizes[n]

    def add(self, result: CaseResult) -> None:
        """Count one case in; its N is one that is expected."""
        self.sizes[result.baseline.fixed_n].add(result)
        if not result.valid:
            return
        for i in range(len(result.verdicts)):
            self._region(i, result.case.region or "").add(result, i)
            if not result.agrees(i) and len(self.disagreeing[i]) < KEPT:
                self.disagreeing[i].append(without_draws(result))

    def merge(self, other: "SlicedComparison") -> None:
        """Count in what was found over the cases that follow."""
        for n, part in other.sizes.items():
            mine = self.expect(n, [method.plan for method in part.methods])
            mine.merge(part)
            if n not in islice(self.sizes, EXAMPLE_SIZES):
                mine.examples.clear()
        for i, regions in enumerate(other.regions):
            for region, total in regions.items():
                self._region(i, region).merge(total)
            self.disagreeing[i].extend(other.disagreeing[i][: KEPT - len(self.disagreeing[i])])
        self.left_out.update(other.left_out)

    def lighten(self, *, examples: bool) -> None:
        """Let go of what the comparisons of each N hold beside their counts, but for examples where they are wanted."""
        for part in self.sizes.values():
            for method in part.methods:
                method.disagreeing.clear()
            if not examples:
                part.examples.clear()

    @property
    def largest(self) -> Comparison:
        """The comparison for the N that most cases have."""
        n = max(self.sizes, key=lambda n: (self.sizes[n].cases, n))
        found = self.sizes[n]
        for method, differing in zip(found.methods, self.disagreeing, strict=True):
            method.disagreeing = [result for result in differing if result.baseline.fixed_n == n]
        return found

    @property
    def whole(self) -> Comparison:
        """All cases together; with several N its plans are those of the N that most cases have."""
        largest = self.largest
        if len(self.sizes) == 1:
            return largest
        together = Comparison.of(self.rule, largest.n, self.seed, [method.plan for method in largest.methods])
        for part in self.sizes.values():
            together.merge(part)
        for method, differing in zip(together.methods, self.disagreeing, strict=True):
            method.disagreeing = differing
        return together

    def summary(self, i: int) -> dict[str, Any]:
        """What `Comparison.summary` has, over all cases, with `by_region`, `by_n` and `left_out`.

        With several N there is no one plan: `n` and `plan_id` are None, `worst_disagreement` is the largest and
        `guarantee` the weakest of the plans.
        """
        found = self.whole.summary(i)
        plans = [part.methods[i].plan for part in self.sizes.values()]
        if len(plans) > 1:
            found["n"] = found["plan_id"] = None
            found["worst_disagreement"] = max(plan.worst_disagreement for plan in plans)
            found["guarantee"] = max((plan.guarantee for plan in plans), key=_WEAKER.index)
        found["by_region"] = [_slice("region", name or None, total) for name, total in self.by_region(i).items()]
        found["by_n"] = [_slice("n", n, total) for n, total in self.by_n(i).items()]
        found["left_out"] = dict(sorted(self.left_out.items()))
        return found

    def by_region(self, i: int) -> Mapping[str, Total]:
        """Method i's totals by region, in the order of their names; "" is no region."""
        return dict(sorted(self.regions[i].items())) if self.regions else {}

    def by_n(self, i: int) -> Mapping[int, Total]:
        """Method i's totals by N."""
        return {n: self.sizes[n].methods[i].total for n in sorted(self.sizes)}

    def _region(self, i: int, region: str) -> Total:
        known = self.regions[i]
        if region not in known and len(known) >= REGIONS:
            region = OTHER_REGIONS
        return known.setdefault(region, Total())


def without_draws(result: CaseResult) -> CaseResult:
    """The result, without the draws of a recorded case."""
    if not isinstance(result.case.sampler, Recorded):
        return result
    return replace(result, case=replace(result.case, sampler=_NO_DRAWS))


def _slice(name: str, value: object, total: Total) -> dict[str, Any]:
    return {
        name: value,
        "cases": total.cases,
        "disagreements": total.disagreements,
        "disagreement_rate": number(total.rate),
        "sample_reduction": number(total.reduction),
    }
