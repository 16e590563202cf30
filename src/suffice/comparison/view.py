"""What a comparison answers: JSON objects, tables and notes, and whether it holds."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from suffice.answer import Answer
from suffice.comparison.chunks import Progress
from suffice.comparison.compare import Comparison, Total, band_edges, number
from suffice.config import RegressionGateConfig
from suffice.errors import ExecutionError, ExitCode
from suffice.terminal import counted, percent, print_lines, print_table
from suffice.verifier.many import CaseResult

SHOWN = 20
SLICES_SHOWN = 20
NAMED = 5


def answer(
    progress: Progress, source: str, gate: RegressionGateConfig, *, from_file: bool, report: Path | None = None
) -> Answer:
    """The answer of a comparison over cases from `source`, a JSON object or a list of one for each method.

    It holds when the first method disagrees in no larger share of the cases than the gate allows, but for those that
    are INVALID on both paths, and when the gate is switched off. With none of them nothing can be told, nor, where the
    gate stands in a file (`from_file`), with fewer than its `min_cases`. Cases whose chunk failed are a failure.
    `report` is a file that was written. Raises ExecutionError when no chunk could be decided.
    """
    lost = _lost(progress) if progress.failed else ""
    if not progress.comparison.sizes:
        raise ExecutionError(lost)
    objects = [json_object(progress, i, source) for i in range(len(progress.comparison.methods))]
    exit_code, problem = (ExitCode.FAILS, lost) if lost else _judged(progress, gate, gate.min_cases if from_file else 1)
    plain = objects if len(objects) > 1 else objects[0]
    return Answer(
        plain, lambda: _print(progress, source, _notes(progress, report, judged=gate.enabled)), exit_code, problem
    )


def _lost(progress: Progress) -> str:
    named = ", ".join(progress.failed_keys[:NAMED])
    more = f" and {progress.failed - NAMED:,} more" if progress.failed > NAMED else ""
    why = f"their chunk failed twice ({progress.failed_why})"
    return f"{progress.failed:,} cases were not decided, {why}: {named}{more}"


def _judged(progress: Progress, gate: RegressionGateConfig, min_cases: int) -> tuple[ExitCode, str]:
    first = progress.comparison.methods[0]
    total, method = first.total, first.plan.method
    if not gate.enabled:
        return ExitCode.HOLDS, ""
    if total.cases and total.rate > gate.max_disagreement_rate:
        allowed = f"{100 * gate.max_disagreement_rate:g} %"
        problem = f"{method} disagrees in {100 * total.rate:.3g} % of cases; allowed: {allowed}"
        return ExitCode.FAILS, problem
    if total.cases < min_cases:
        problem = f"{total.cases} cases with a valid baseline; needed to judge: {min_cases}"
        return ExitCode.CANNOT_TELL, problem
    return ExitCode.HOLDS, ""


def json_object(progress: Progress, i: int, source: str) -> dict[str, Any]:
    """Method i of a comparison, as `--json` prints it."""
    comparison = progress.comparison
    shown = [_disagreement(result, i, comparison.seed) for result in comparison.disagreeing[i][:SHOWN]]
    return {
        "source": source,
        **comparison.summary(i),
        **comparison.slices(i),
        "failed_cases": progress.failed,
        "checksum": progress.checksum,
        "disagreeing_cases": shown,
    }


def _print(progress: Progress, source: str, notes: Iterable[str]) -> None:
    comparison = progress.comparison
    summaries = [comparison.summary(i) for i in range(len(comparison.methods))]
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
    n = f"N = {first['n']}" if first["n"] is not None else f"{len(comparison.sizes)} different N"
    title = f"{first['cases']:,} cases from {source}, rule {comparison.rule.name}, {n}"
    print_table(title, columns, (_row(summary) for summary in summaries))
    print_table("By distance from the decision boundary, in standard errors", *_by_band(comparison))
    if len(comparison.sizes) > 1:
        print_table("By N", *_by_slice(comparison, "N", [comparison.by_n(i) for i in range(len(summaries))]))
    if any(name for name in comparison.by_region(0)):
        print_table(
            "By region", *_by_slice(comparison, "region", [comparison.by_region(i) for i in range(len(summaries))])
        )
    _print_disagreeing(comparison)
    print_lines(*notes)


def _notes(progress: Progress, report: Path | None, *, judged: bool) -> Iterator[str]:
    invalid = progress.comparison.whole.invalid
    if invalid:
        decided = progress.comparison.methods[0].total.over_invalid
        yield (
            f"{invalid:,} cases have an invalid baseline (a draw was NaN or infinite): {decided:,} of them were "
            f"decided all the same and differ, {invalid - decided:,} are counted apart"
        )
    for reason, count in sorted(progress.comparison.left_out.items()):
        yield f"{count:,} cases were not decided: {reason}"
    yield f"Checksum of all decisions: {progress.checksum}"
    if not judged:
        yield "Not judged: regression_gate.enabled is false"
    if report is not None:
        yield f"Report: {report}"


def _disagreement(result: CaseResult, i: int, seed: int) -> dict[str, Any]:
    verdict = result.verdicts[i]
    return {
        "key": result.case.key,
        "target": result.case.target,
        "effect": number(result.effect),
        "baseline": result.baseline.decision.value,
        "adaptive": verdict.decision.value,
        "n": verdict.n,
        "seed": seed,
    }


def _row(summary: dict[str, Any]) -> tuple[str, ...]:
    return (
        summary["method"],
        percent(summary["sample_reduction"], 1),
        "–" if summary["avg_adaptive_n"] is None else f"{summary['avg_adaptive_n']:.1f}",
        counted(summary["disagreements"], summary["disagreement_rate"]),
        f"{percent(summary['disagreement_lower'])} … {percent(summary['disagreement_upper'])}",
        percent(summary["worst_disagreement"]),
        summary["guarantee"],
    )


def _by_band(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    methods = comparison.methods
    labels = [f"{low:g} … {high:g}" if high is not None else f"{low:g} …" for low, high in band_edges()]
    return _by_slice(comparison, "effect", [dict(zip(labels, method.bands, strict=True)) for method in methods])


def _by_slice(
    comparison: Comparison, name: str, slices: Sequence[Mapping[Any, Total]]
) -> tuple[list[str], list[list[str]]]:
    """A row for each slice, with what each method saved there and the share that differs."""
    columns = [name, "cases"]
    for method in comparison.methods:
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


def _print_disagreeing(comparison: Comparison) -> None:
    method, differing = comparison.methods[0], comparison.disagreeing[0]
    if not differing:
        return
    rows = [
        (
            r.case.key,
            f"{r.effect:.2f}" if r.valid else "–",
            r.baseline.decision.value,
            r.verdicts[0].decision.value,
            str(r.verdicts[0].n),
        )
        for r in differing[:SHOWN]
    ]
    all_of_them = f"{method.total.disagreements:,} cases that differ (seed {comparison.seed})"
    title = f"{method.plan.method}: {len(rows)} of {all_of_them}"
    print_table(title, ("case", "effect", "fixed", "adaptive", "after n"), rows)
