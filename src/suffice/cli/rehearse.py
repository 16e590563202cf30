"""`suffice rehearse`: the rollout from staging to everywhere on recorded corrections, with a fault on demand."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.cli import options

if TYPE_CHECKING:
    from suffice.config import Config

_CODES = {"completed": 0, "rolled_back": 2, "paused": 3, "interrupted": 130}


def rehearse(
    source: Annotated[str | None, typer.Option(help="pdg or codata [default: pdg].")] = None,
    records: Annotated[Path | None, typer.Option(help="Your records, as in suffice compare.")] = None,
    measurements: Annotated[Path | None, typer.Option(help="Your measurements of them.")] = None,
    fault: Annotated[
        str | None,
        typer.Option(help="STAGE:KIND; kinds: margin, biased-sampler, nan, no-metrics, storm."),
    ] = None,
    rule: options.RuleName = None,
    method: Annotated[str | None, typer.Option(help="The plan's method [default: the configuration's].")] = None,
    seed: options.Seed = None,
    directory: Annotated[Path, typer.Option("--dir", help="Where the rehearsal keeps its files.")] = Path(
        "TemporaryQueue/rehearsal"
    ),
    go_on: Annotated[bool, typer.Option("--continue", help="Go on with the rehearsal in the folder.")] = False,
    checks: Annotated[
        bool, typer.Option("--checks/--no-checks", help="Run the runbook's checks once in each stage, as a gate.")
    ] = True,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> int:
    """Replay corrections as traffic through the stages of the configuration, with a compressed clock.

    Exits 0 when the rollout completes, 2 when it was rolled back, 3 when it paused, 130 when it was interrupted.
    """
    import json as json_module

    from suffice.extras import require

    require("suffice rehearse", "matplotlib", "jinja2")
    from suffice.cli.console import print_json
    from suffice.cli.rehearsal_view import print_summary, watching
    from suffice.cli.sources import corrections_of
    from suffice.files import write_atomically
    from suffice.rehearsal.faults import fault_of
    from suffice.rehearsal.rehearse import rehearse as run
    from suffice.rehearsal.report import write_report
    from suffice.rehearsal.setup import Setup
    from suffice.rehearsal.summary import summary_of
    from suffice.stopping.cache import default_cache
    from suffice.stopping.configured import configured_plan

    read = _chosen(options.read_config(config, required=False), rule, method, seed)
    chosen = fault_of(fault, tuple(stage.name for stage in read.rollout.stages)) if fault else None
    plan = configured_plan(read.verifier, default_cache(), (config or Path("config.json")).parent)
    named = None if records or measurements else source or "pdg"
    name, corrections = corrections_of(named or source, records, measurements)
    setup = Setup(read, plan, corrections, name, directory, chosen, checks=checks)
    with watching(setup, quiet=json) as seen:
        ending = run(setup, go_on=go_on, seen=seen)
    summary = summary_of(setup, ending)
    write_atomically(setup.file("summary.json"), json_module.dumps(summary, indent=2) + "\n")
    write_report(setup, ending, summary, setup.file("report.html"))
    if json:
        print_json(summary)
    else:
        print_summary(summary, setup)
    return _CODES[ending.status]


def _chosen(read: "Config", rule: str | None, method: str | None, seed: int | None) -> "Config":
    """The configuration with what the command line says instead; another rule or method leaves a pinned plan behind."""
    import json

    from suffice.config import parse

    content = read.model_dump(mode="json")
    verifier = content["verifier"]
    if seed is not None:
        content["determinism"]["seed"] = seed
    if rule or method:
        verifier["rule"] = rule or verifier["rule"]
        verifier["adaptive_sampling"].update(method=method or verifier["adaptive_sampling"]["method"], plan_file=None)
    return parse(json.dumps(content), "the options")
