"""What `suffice compare` shows: JSON objects and tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from suffice.cli.console import out, percent, print_table
from suffice.comparison.chunks import Progress
from suffice.comparison.compare import CaseResult, Total, band_edges
from suffice.comparison.sliced import SlicedComparison

SHOWN = 20
SLICES_SHOWN = 20


def json_object(progress: Progress, i: int, source: str) -> dict[str, Any]:
    """Method i of a comparison, as `--json` prints it."""
    found = progress.found
    shown = [_disagreement(result, i, found.seed) for result in found.disagreeing[i][:SHOWN]]
    return {
        "source": source,
        **found.summary(i),
        "failed_cases": progress.failed,
        "checksum": progress.checksum,
        "disagreeing_cases": shown,
    }


def print_comparison(progress: Progress, source: str, report: Path | None) -> None:
    """The comparison as tables."""
    found = progress.found
    summaries = [found.summary(i) for i in range(len(found.regions))]
    columns = (
        "method",
        "draws saved",
        "mean draws",
        "decisions that differ",
        "95 % interval",
        "worst case",
        "guarantee",
    )
    first = summaries[0]
    n = f"N = {first['n']}" if first["n"] is not None else f"{len(found.sizes)} different N"
    title = f"{first['cases']:,} cases from {source}, rule {found.rule.name}, {n}"
    print_table(title, columns, (_row(it) for it in summaries))
    print_table("By distance from the decision boundary, in standard errors", *_by_band(found))
    if len(found.sizes) > 1:
        print_table("By N", *_by_slice(found, "N", [found.by_n(i) for i in range(len(summaries))]))
    if any(name for name in found.by_region(0)):
        print_table("By region", *_by_slice(found, "region", [found.by_region(i) for i in range(len(summaries))]))
    _print_disagreeing(found)
    _print_notes(progress, first["invalid"], report)


def _print_notes(progress: Progress, invalid: int, report: Path | None) -> None:
    if invalid:
        out().print(f"{invalid:,} cases have an invalid baseline (a draw was NaN or infinite); counted apart")
    for reason, count in sorted(progress.found.left_out.items()):
        out().print(f"{count:,} cases were not decided: {reason}", soft_wrap=True)
    out().print(f"Checksum of all decisions: {progress.checksum}", soft_wrap=True)
    if report is not None:
        out().print(f"Report: {report}", soft_wrap=True)


def _disagreement(result: CaseResult, i: int, seed: int) -> dict[str, Any]:
    verdict = result.verdicts[i]
    return {
        "key": result.case.key,
        "target": result.case.target,
        "effect": result.effect,
        "baseline": result.baseline.decision.value,
        "adaptive": verdict.decision.value,
        "n": verdict.n,
        "seed": seed,
    }


def _row(it: dict[str, Any]) -> tuple[str, ...]:
    return (
        it["method"],
        percent(it["sample_reduction"], 1),
        "–" if it["avg_adaptive_n"] is None else f"{it['avg_adaptive_n']:.1f}",
        f"{it['disagreements']:,} = {percent(it['disagreement_rate'])}",
        f"{percent(it['disagreement_lower'])} … {percent(it['disagreement_upper'])}",
        percent(it["worst_disagreement"]),
        it["guarantee"],
    )


def _by_band(found: SlicedComparison) -> tuple[list[str], list[list[str]]]:
    methods = found.whole.methods
    labels = [f"{low:g} … {high:g}" if high is not None else f"{low:g} …" for low, high in band_edges()]
    return _by_slice(found, "effect", [dict(zip(labels, method.bands, strict=True)) for method in methods])


def _by_slice(
    found: SlicedComparison, name: str, slices: Sequence[Mapping[Any, Total]]
) -> tuple[list[str], list[list[str]]]:
    """A row for each slice, with what each method saved there and the share that differs."""
    columns = [name, "cases"]
    for method in found.whole.methods:
        columns += [f"{method.plan.method}: saved", "differ"]
    # The largest slices, where there are more than anybody reads; JSON has them all.
    largest = sorted(slices[0], key=lambda label: -slices[0][label].cases)[:SLICES_SHOWN]
    shown = [label for label in slices[0] if label in largest]
    return columns, [_slice_row(label, [totals[label] for totals in slices]) for label in shown]


def _slice_row(label: object, parts: list[Total]) -> list[str]:
    row = [str(label) or "–", f"{parts[0].cases:,}"]
    for part in parts:
        known = part.cases > 0
        row += [percent(part.reduction if known else None, 1), percent(part.rate if known else None)]
    return row


def _print_disagreeing(found: SlicedComparison) -> None:
    method, differing = found.whole.methods[0], found.disagreeing[0]
    if not differing:
        return
    rows = (
        (r.case.key, f"{r.effect:.2f}", r.baseline.decision.value, r.verdicts[0].decision.value, str(r.verdicts[0].n))
        for r in differing[:SHOWN]
    )
    shown = min(SHOWN, len(differing))
    title = f"{method.plan.method}: {shown} of {method.total.disagreements:,} cases that differ (seed {found.seed})"
    print_table(title, ("case", "effect", "fixed", "adaptive", "after n"), rows)
