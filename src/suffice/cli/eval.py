"""`suffice eval`: the evaluation harness."""

from pathlib import Path
from typing import Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.cli.metrics import MetricsFile, ReportsDir


def evaluate(
    only: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Cases to run, like agreement_even,agreement_pdg.")
    ] = None,
    list_cases: Annotated[bool, typer.Option("--list", help="List the cases and run none.")] = False,
    summary: Annotated[Path, typer.Option(help="Where the summary is written.")] = Path("eval_summary.json"),
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here as well.")] = None,
    reports_dir: ReportsDir = Path("TemporaryQueue"),
    metrics_file: MetricsFile = Path("metrics.json"),
    seed: options.Seed = None,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> Answer:
    """Run the evaluation cases and say of each whether it passes; a failing case hides no other.

    Writes the counters of its reference workload to the metrics file where production has counted nothing. Exits 2
    when a case fails.

    Example: suffice eval --only agreement_even --junit eval.xml
    """
    from suffice.runbook import evaluation
    from suffice.runbook.configured import read

    names = None if only is None else [name.strip() for name in only.split(",")]
    if list_cases:
        return evaluation.list_cases(names)
    outputs = evaluation.Outputs(summary, reports_dir / metrics_file, junit)
    seen = (lambda _: None) if json else evaluation.show_result
    return evaluation.evaluate(read(config), outputs, names=names, seed=seed, seen=seen)
