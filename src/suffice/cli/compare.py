"""`suffice compare`: every case both ways on the same draws."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suffice.cli import options
from suffice.errors import PlanError

if TYPE_CHECKING:
    from suffice.evaluation.compare import CaseResult, Comparison, MethodResult

HOLDS, FAILS, CANNOT_TELL = 0, 2, 3
SHOWN = 20


def compare(
    source: Annotated[str | None, typer.Option(help="pdg, codata or even [default: even].")] = None,
    records: Annotated[
        Path | None, typer.Option(help="Your records: CSV with key, value, u or u_plus, u_minus.")
    ] = None,
    measurements: Annotated[Path | None, typer.Option(help="Your measurements of them, in the same form.")] = None,
    method: Annotated[
        str | None, typer.Option(help="One or more methods, like optimal,margin; the first is judged.")
    ] = None,
    rule: options.RuleName = None,
    at_least: options.AtLeast = None,
    alpha: options.Alpha = None,
    min_effect: options.MinEffect = None,
    n: options.Draws = None,
    max_disagreement: options.MaxDisagreement = None,
    look_every: options.LookEvery = None,
    n_min: options.FirstLook = None,
    seed: options.Seed = None,
    csv: Annotated[Path | None, typer.Option(help="Write a row for each case and method.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write a self-contained HTML report.")] = None,
    use_config: Annotated[
        bool, typer.Option("--use-config", help="Require the configuration and apply its regression gate in full.")
    ] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Take the seed from the configuration.")
    ] = False,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> int:
    """Decide every case by the fixed rule and adaptively on the same draws; show what was saved and what differs.

    Exits 2 when the first method disagrees in a larger share than regression_gate.max_disagreement_rate, 3 when there
    is no case to judge (with --use-config: fewer than regression_gate.min_cases).
    """
    from suffice.cli.console import print_json, track
    from suffice.cli.sources import cases_of
    from suffice.evaluation.compare import Comparison, results
    from suffice.files import check_writable

    read = options.read_config(config, required=use_config)
    setting = options.setting_of(
        options.Choice(rule, at_least, alpha, min_effect, n, max_disagreement, look_every, n_min), read
    )
    for path in (csv, report):
        if path is not None:
            check_writable(path)
    plans = [setting.plan(name) for name in _methods(method or read.verifier.adaptive_sampling.method)]
    name, cases = cases_of(source, records, measurements, setting.rule, setting.n)
    used_seed = read.determinism.seed if seed is None or deterministic else seed
    comparison = Comparison.of(setting.rule, setting.n, used_seed, plans)
    rows: list[CaseResult] = []
    for result in track(results(cases, setting.rule, setting.n, plans, used_seed), len(cases), f"comparing {name}"):
        comparison.add(result)
        if csv is not None:
            rows.append(result)
    if csv is not None:
        _write_csv(csv, rows, comparison)
    if report is not None:
        from suffice.evaluation.report import write_report

        write_report(comparison, report, source=name)
    if json:
        objects = [_object(comparison, i, name) for i in range(len(plans))]
        print_json(objects if len(objects) > 1 else objects[0])
    else:
        _print(comparison, name, report)
    gate = read.verifier.adaptive_sampling.regression_gate
    return _judge(comparison, gate.max_disagreement_rate, gate.min_cases if use_config else 1)


def _methods(given: str) -> list[str]:
    names = [name.strip() for name in given.split(",")]
    if len(set(names)) < len(names):
        raise PlanError(f"--method is {given!r}; each method may stand once")
    return names


def _judge(comparison: "Comparison", limit: float, min_cases: int) -> int:
    import sys

    total = comparison.methods[0].total
    method = comparison.methods[0].plan.method
    if total.cases and total.rate > limit:
        sys.stderr.write(
            f"suffice: {method} disagrees in {100 * total.rate:.3g} % of cases; allowed: {100 * limit:g} %\n"
        )
        return FAILS
    if total.cases < min_cases:
        sys.stderr.write(f"suffice: {total.cases} cases with a valid baseline; needed to judge: {min_cases}\n")
        return CANNOT_TELL
    return HOLDS


def _object(comparison: "Comparison", i: int, source: str) -> dict[str, Any]:
    disagreeing = comparison.methods[i].disagreeing
    shown = [_disagreement(result, i, comparison.seed) for result in disagreeing[:SHOWN]]
    return {"source": source, **comparison.summary(i), "disagreeing_cases": shown}


def _disagreement(result: "CaseResult", i: int, seed: int) -> dict[str, Any]:
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


def _write_csv(path: Path, rows: "list[CaseResult]", comparison: "Comparison") -> None:
    import csv
    import io

    from suffice.files import write_atomically

    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ("key", "target", "region", "effect", "method", "baseline", "decision", "n", "fixed_n", "estimate", "agrees")
    )
    for result in rows:
        for i, method in enumerate(comparison.methods):
            verdict = result.verdicts[i]
            writer.writerow(
                (
                    result.case.key,
                    result.case.target,
                    result.case.region or "",
                    result.effect,
                    method.plan.method,
                    result.baseline.decision.value,
                    verdict.decision.value,
                    verdict.n,
                    verdict.fixed_n,
                    verdict.estimate,
                    str(result.agrees(i)).lower(),
                )
            )
    write_atomically(path, text.getvalue())


def _print(comparison: "Comparison", source: str, report: Path | None) -> None:
    from suffice.cli.console import out, print_table

    columns = (
        "method",
        "draws saved",
        "mean draws",
        "decisions that differ",
        "95 % interval",
        "worst case",
        "guarantee",
    )
    title = f"{comparison.cases:,} cases from {source}, rule {comparison.rule.name}, N = {comparison.n}"
    print_table(title, columns, (_row(comparison, i) for i in range(len(comparison.methods))))
    print_table("By distance from the decision boundary, in standard errors", *_by_band(comparison))
    _print_disagreeing(comparison.methods[0], comparison.seed)
    if comparison.invalid:
        out().print(
            f"{comparison.invalid:,} cases have an invalid baseline (a draw was NaN or infinite); counted apart"
        )
    if report is not None:
        out().print(f"Report: {report}", soft_wrap=True)


def _row(comparison: "Comparison", i: int) -> tuple[str, ...]:
    from suffice.cli.console import percent

    it = comparison.summary(i)
    return (
        it["method"],
        percent(it["sample_reduction"], 1),
        "–" if it["avg_adaptive_n"] is None else f"{it['avg_adaptive_n']:.1f}",
        f"{it['disagreements']:,} = {percent(it['disagreement_rate'])}",
        f"{percent(it['disagreement_lower'])} … {percent(it['disagreement_upper'])}",
        percent(it["worst_disagreement"]),
        it["guarantee"],
    )


def _by_band(comparison: "Comparison") -> tuple[list[str], list[list[str]]]:
    from suffice.cli.console import percent
    from suffice.evaluation.compare import band_edges

    columns = ["effect", "cases"]
    for method in comparison.methods:
        columns += [f"{method.plan.method}: saved", "differ"]
    rows = []
    for band, (low, high) in enumerate(band_edges()):
        parts = [method.bands[band] for method in comparison.methods]
        row = [f"{low:g} … {high:g}" if high is not None else f"{low:g} …", f"{parts[0].cases:,}"]
        for part in parts:
            known = part.cases > 0
            row += [percent(part.reduction if known else None, 1), percent(part.rate if known else None)]
        rows.append(row)
    return columns, rows


def _print_disagreeing(method: "MethodResult", seed: int) -> None:
    from suffice.cli.console import print_table

    if not method.disagreeing:
        return
    i = 0
    rows = (
        (r.case.key, f"{r.effect:.2f}", r.baseline.decision.value, r.verdicts[i].decision.value, str(r.verdicts[i].n))
        for r in method.disagreeing[:SHOWN]
    )
    shown = min(SHOWN, len(method.disagreeing))
    title = f"{method.plan.method}: {shown} of {len(method.disagreeing):,} cases that differ (seed {seed})"
    print_table(title, ("case", "effect", "fixed", "adaptive", "after n"), rows)
