"""`suffice sweep` and `suffice verify-sweep`: the adversarial sweep, and whether its outputs can be trusted."""

from pathlib import Path
from typing import Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options


def sweep(
    out_dir: Annotated[Path, typer.Option(help="The folder of sweep_results.csv and reports/.")] = Path(
        "TemporaryQueue/adversarial_sweep"
    ),
    budget: Annotated[int | None, typer.Option(help="The most runs, spread over the scenarios.")] = None,
    scenarios: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Scenarios to run, like small_noise,heavy_tail.")
    ] = None,
    repeats: Annotated[int, typer.Option(help="Runs of each cell, each with draws of its own.")] = 1,
    grid_file: Annotated[Path | None, typer.Option(help="JSON: {scenario: {parameter: [values]}}.")] = None,
    seed: options.Seed = None,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Reports carry the configuration's fixed_timestamp.")
    ] = False,
    workers: options.Workers = 1,
    cluster: options.Cluster = None,
    config: options.ConfigFile = None,
) -> Answer:
    """Run the adversarial scenarios over their grids, fixed and adaptive, and write a report for each run.

    Started again after a kill, it continues. Exits 2 when an expectation fails, or a run cannot be made.

    Example: suffice sweep --budget 40 --deterministic
    """
    from suffice.runbook.configured import read
    from suffice.runbook.sweep_run import Wanted, run_sweep

    names = None if scenarios is None else [name.strip() for name in scenarios.split(",")]
    conditions = read(config).conditions(seed, deterministic=deterministic)
    return run_sweep(out_dir, Wanted(names, repeats, budget, grid_file), conditions, workers=workers, cluster=cluster)


def verify_sweep(
    sweep_dir: Annotated[Path | None, typer.Option(help="The folder of a sweep.")] = None,
    compare_dir: Annotated[Path | None, typer.Option(help="A second sweep that must be equal.")] = None,
    detcheck: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Two folders of reports that must be equal.")
    ] = None,
) -> Answer:
    """Verify what a sweep wrote: complete, canonical, and its reports agree with its table.

    Compared sweeps, or folders of reports, must be equal but for report_file. Exits 2 with a line for each finding.

    Example: suffice verify-sweep --sweep-dir sweep_a --compare-dir sweep_b
    """
    from suffice.runbook.sweep_run import verify_sweep as verified

    return verified(sweep_dir, compare_dir, detcheck)
