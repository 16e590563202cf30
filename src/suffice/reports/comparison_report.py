"""The self-contained HTML report of a comparison: words and numbers, tables, and the plots inline."""

import json
from enum import Enum
from pathlib import Path
from typing import Any

from suffice.comparison.compare import Comparison, MethodResult, band_edges
from suffice.comparison.intervals import clopper_pearson
from suffice.files import write_atomically
from suffice.reports.comparison_plots import disagreement_figure, draws_figure, paths_figure
from suffice.reports.page import Table, allowed, inline, page, percent
from suffice.verifier.many import CaseResult

SHOWN = 50


class Standing(Enum):
    """What the counted cases say about the agreed bound, as the words a person reads."""

    HOLDS = "holds"
    SO_FAR = "holds so far"
    FAILS = "fails"
    UNKNOWN = "cannot tell"


def write_report(comparison: Comparison, path: Path, *, source: str) -> None:
    """Write the report as one HTML file that refers to nothing outside of it, whole or not at all.

    It shows the cases of one N, the one that most cases have. Equal comparisons give equal bytes. `source` is the name
    of where the cases came from. Raises OutputError when the file cannot be written.
    """
    n = comparison.n
    if len(comparison.sizes) > 1:
        source = f"{source} (only the {comparison.sizes[n].cases:,} cases of N = {n})"
    write_atomically(path, report_html(comparison.only(n), source))


def report_html(comparison: Comparison, source: str) -> str:
    """The report as text, for cases of one N."""
    summaries = [comparison.summary(i) for i in range(len(comparison.methods))]
    first = comparison.methods[0]
    return page(
        "compare.html.j2",
        source=source,
        comparison=comparison,
        first=summaries[0],
        allowed=allowed(first.plan.max_disagreement),
        headline=headline(summaries[0]),
        counts=comparison.rule.counts,
        parameters=", ".join(f"{name} = {value:g}" for name, value in comparison.rule.parameters.items()),
        methods=_methods(comparison, summaries),
        bands=_bands(comparison),
        disagreeing=_disagreeing(comparison),
        numbers=json.dumps(summaries, indent=2, allow_nan=False),
        draws=inline(draws_figure(comparison), "draws"),
        disagreement=inline(disagreement_figure(comparison), "disagreement"),
        paths=inline(paths_figure(comparison), "paths"),
    )


def headline(summary: dict[str, Any]) -> str:
    """One sentence: what was saved, and how many decisions differ."""
    judged = summary["judged"]
    if judged == 0:
        return "No case has a valid baseline: nothing can be judged"
    verb = "differs" if summary["disagreements"] == 1 else "differ"
    return (
        f"{percent(summary['sample_reduction'], 1)} of the draws saved; {summary['disagreements']:,} of {judged:,} "
        f"decisions {verb} (at most {percent(summary['disagreement_upper'])} with 95\N{NO-BREAK SPACE}% confidence)"
    )


def standing(method: MethodResult) -> Standing:
    """Fails when a larger share differs than was allowed; holds when the exact 95 % interval is at or below that, too.

    A bound that is split by direction is judged in each direction.
    """
    total, agreed = method.total, method.plan.budget
    if not total.cases:
        return Standing.UNKNOWN
    judged = [(total.disagreements, agreed.largest)]
    if agreed.accept != agreed.reject:
        rejects = total.disagreements - method.false_accepts
        judged = [(method.false_accepts, agreed.accept), (rejects, agreed.reject)]
    if any(count > allowed * total.cases for count, allowed in judged):
        return Standing.FAILS
    proven = all(clopper_pearson(count, total.cases)[1] <= allowed for count, allowed in judged)
    return Standing.HOLDS if proven else Standing.SO_FAR


def _methods(comparison: Comparison, summaries: list[dict[str, Any]]) -> Table:
    columns = ("method", "draws saved", "average draws", "decisions that differ", "95 % interval, exact",
               "worst case of the plan", "allowed (ε)", "guarantee", "verdict")  # fmt: skip
    rows = []
    for method, summary in zip(comparison.methods, summaries, strict=True):
        rows.append((
            summary["method"],
            percent(summary["sample_reduction"], 1),
            _mean(summary["avg_adaptive_n"]),
            f"{summary['disagreements']:,} = {percent(summary['disagreement_rate'])}" if method.total.cases else "–",
            f"{percent(summary['disagreement_lower'])} … {percent(summary['disagreement_upper'])}",
            percent(summary["worst_disagreement"]),
            allowed(method.plan.max_disagreement),
            summary["guarantee"],
            standing(method).value,
        ))  # fmt: skip
    return Table(columns, tuple(rows))


def _bands(comparison: Comparison) -> Table:
    columns = ["effect, either side", "cases"]
    for method in comparison.methods:
        columns += [f"{method.plan.method}: saved", f"{method.plan.method}: differ"]
    rows = []
    for band, (low, high) in enumerate(band_edges()):
        parts = [method.bands[band] for method in comparison.methods]
        row = [f"{low:g} … {high:g}" if high is not None else f"{low:g} and more", f"{parts[0].cases:,}"]
        for part in parts:
            known = part.cases > 0
            row += [percent(part.reduction if known else None, 1), percent(part.rate if known else None)]
        rows.append(tuple(row))
    return Table(tuple(columns), tuple(rows))


def _disagreeing(comparison: Comparison) -> Table:
    columns = ("case", "target", "effect", "fixed", "adaptive", "stopped at n", "seed")
    shown = comparison.disagreeing[0][:SHOWN]
    return Table(columns, tuple(_disagreement(result, comparison.seed) for result in shown))


def _disagreement(result: CaseResult, seed: int) -> tuple[str, ...]:
    verdict = result.verdicts[0]
    effect = f"{result.effect:+.2f}".replace("-", "−") if result.valid else "–"
    return (result.case.key, result.case.target, effect, result.baseline.decision.value, verdict.decision.value,
            str(verdict.n), str(seed))  # fmt: skip


def _mean(draws: float | None) -> str:
    return "–" if draws is None else f"{draws:.1f}"
