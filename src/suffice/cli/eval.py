"""`suffice eval`: the evaluation harness."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suffice.cli import options
from suffice.cli.metrics import MetricsFile, ReportsDir

if TYPE_CHECKING:
    from suffice.runbook.harness.case import Context, EvalResult

HOLDS, FAILS = 0, 2
EXPECTED = "scenario_metrics.json"
"""Counts of scenarios, whose escalations are expected: no news for the gate."""


def evaluate(
    only: Annotated[str | None, typer.Option(help="Cases to run, like agreement_even,agreement_pdg.")] = None,
    list_cases: Annotated[bool, typer.Option("--list", help="List the cases and run none.")] = False,
    summary: Annotated[Path, typer.Option(help="Where the summary is written.")] = Path("eval_summary.json"),
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here as well.")] = None,
    reports_dir: ReportsDir = Path("TemporaryQueue"),
    metrics_file: MetricsFile = Path("metrics.json"),
    seed: options.Seed = None,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> int:
    """Run the evaluation cases and say of each whether it passes; a failing case hides no other.

    Adds the counters of its reference workload to the metrics file. Exits 2 when a case fails.
    """
    import sys

    from suffice.cli.console import print_json, track
    from suffice.files import check_writable, write_atomically
    from suffice.runbook.harness.case import chosen, run_cases
    from suffice.runbook.harness.catalogue import CASES
    from suffice.runbook.harness.junit import junit_xml

    cases = chosen(CASES, None if only is None else [name.strip() for name in only.split(",")])
    if list_cases:
        _list([(case.name, _first_line(case.check.__doc__)) for case in cases], json=json)
        return HOLDS
    for path in (summary, junit):
        if path is not None:
            check_writable(path)
    context = _context(config, seed)
    start = _now(context)
    results: list[EvalResult] = []
    for result in track(run_cases(cases, context), len(cases), "evaluating"):
        results.append(result)
        if not json:
            sys.stdout.write(f"- {result.name}: {'PASS' if result.passed else 'FAIL'}\n  {result.what}\n")
            sys.stdout.flush()
    written = _summary(context, results, start)
    write_atomically(summary, _text(written))
    if junit is not None:
        write_atomically(junit, junit_xml(results))
    _flush(context, reports_dir, metrics_file)
    if json:
        print_json(written)
    else:
        failed = sum(not result.passed for result in results)
        sys.stdout.write(f"{len(results) - failed} of {len(results)} cases pass\n")
    return HOLDS if written["passed"] else FAILS


def _context(path: Path | None, seed: int | None) -> "Context":
    from suffice.runbook.harness.case import Context
    from suffice.stopping.cache import default_cache
    from suffice.stopping.configured import configured_plan

    config = options.read_config(path, required=False)
    file = path or Path("config.json")
    text = file.read_bytes().decode() if file.exists() else config.model_dump_json(indent=2)
    return Context(
        config,
        text,
        lambda: configured_plan(config.verifier, default_cache(), file.parent),
        config.determinism.seed if seed is None else seed,
        config.determinism.fixed_timestamp,
    )


def _now(context: "Context") -> str:
    from datetime import UTC, datetime

    determinism = context.config.determinism
    moment = determinism.fixed_timestamp if determinism.deterministic_mode else datetime.now(UTC)
    return moment.isoformat().replace("+00:00", "Z")


def _summary(context: "Context", results: "list[EvalResult]", start: str) -> dict[str, Any]:
    verifier = context.config.verifier
    return {
        "passed": all(result.passed for result in results),
        "rule": verifier.rule,
        "method": verifier.adaptive_sampling.method,
        "seed": context.seed,
        "deterministic_mode": context.config.determinism.deterministic_mode,
        "start_ts": start,
        "end_ts": _now(context),
        "cases": [{"name": result.name, "passed": result.passed, "what": result.what} for result in results],
    }


def _flush(context: "Context", folder: Path, metrics_file: Path) -> None:
    from suffice.telemetry.metrics_file import flush

    for counters, name in ((context.counted, metrics_file), (context.expected, Path(EXPECTED))):
        if counters.snapshot().decisions:
            flush(counters, folder / name)


def _list(cases: list[tuple[str, str]], *, json: bool) -> None:
    import sys

    from suffice.cli.console import print_json

    if json:
        print_json([{"name": name, "checks": what} for name, what in cases])
    else:
        sys.stdout.writelines(f"{name}: {what}\n" for name, what in cases)


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]


def _text(value: dict[str, Any]) -> str:
    import json

    return json.dumps(value, indent=2, allow_nan=False) + "\n"
