"""`suffice rehearse`: the rollout from staging to everywhere on recorded corrections, with a fault on demand."""

from contextlib import nullcontext
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.cli.sources import CaseOptions, service_code
from suffice.errors import ExitCode

if TYPE_CHECKING:
    from suffice.config import Config


def rehearse(
    *,
    source: CaseOptions,
    where: options.StoreOptions,
    fault: Annotated[
        str | None,
        typer.Option(
            metavar="STAGE:KIND",
            help="Break the adaptive path in a stage; kinds: margin, biased-sampler, nan, no-metrics, storm.",
        ),
    ] = None,
    rule: options.RuleName = None,
    method: options.Method = None,
    seed: options.Seed = None,
    out_dir: Annotated[Path, typer.Option("--out-dir", help="Where the rehearsal keeps its files.")] = Path(
        "TemporaryQueue/rehearsal"
    ),
    directory: Annotated[Path | None, typer.Option("--dir", hidden=True)] = None,
    go_on: Annotated[bool, typer.Option("--continue", help="Go on with the rehearsal in the folder.")] = False,
    checks: Annotated[
        bool, typer.Option("--checks/--no-checks", help="Run the runbook's checks once in each stage, as a gate.")
    ] = True,
    waive: options.Waive = None,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> Answer:
    """Replay corrections, or a service's cases, through the stages of the configuration, with a compressed clock.

    The store is that of the service, for its decisions (--source ledger). Exits 0 when the rollout completes, 2 when it
    was rolled back, 3 when it paused, and 130 when it was interrupted.

    Example: suffice rehearse --fault canary:margin
    """
    from suffice.extras import require

    # pdg for the checks: evaluation cases decide what is published.
    require("a rehearsal", "matplotlib", "jinja2", *(["pdg"] if checks else []))
    from suffice.cli.rehearsal_view import print_summary, watching
    from suffice.files import write_atomically
    from suffice.rehearsal.faults import fault_of
    from suffice.rehearsal.rehearse import rehearse as run
    from suffice.rehearsal.report import write_report
    from suffice.rehearsal.setup import Setup
    from suffice.rehearsal.summary import summary_of
    from suffice.rollout.start import waived_of
    from suffice.rollout.subject import Subject
    from suffice.sources.built import Builder
    from suffice.stopping.cache import default_cache
    from suffice.stopping.make import configured_plan

    chosen = _with_options(options.read_config(config, required=False), rule, method, seed)
    chosen_fault = fault_of(fault, tuple(stage.name for stage in chosen.rollout.stages)) if fault else None
    plan = configured_plan(chosen.verifier, default_cache(), (config or options.CONFIG).parent)
    path = config or options.CONFIG
    with service_code():
        name, arrivals = source.arrivals(Subject(chosen, plan), path, where)
    folder, waived = directory or out_dir, waived_of(waive or ())[0]
    builder = Builder.of(chosen.verifier.cases, path) if name == "ledger" else None
    setup = Setup(chosen, plan, arrivals, name, folder, chosen_fault, checks=checks, waived=waived, builder=builder)
    with service_code() if json else nullcontext(), watching(setup, quiet=json) as seen:
        ending = run(setup, go_on=go_on, seen=seen)
    summary = summary_of(setup, ending)
    write_atomically(setup.file("summary.json"), dumps(summary, indent=2) + "\n")
    write_report(setup, ending, summary, setup.file("report.html"))
    return Answer(summary, lambda: print_summary(summary, setup), _CODES[ending.status])


_CODES = {
    "completed": ExitCode.HOLDS,
    "rolled_back": ExitCode.FAILS,
    "paused": ExitCode.CANNOT_TELL,
    "interrupted": ExitCode.INTERRUPTED,
}


def _with_options(config: "Config", rule: str | None, method: str | None, seed: int | None) -> "Config":
    """The configuration with what the command line says instead. Another rule or method leaves a pinned plan behind."""
    from suffice.config import parse

    content = config.model_dump(mode="json")
    verifier = content["verifier"]
    if seed is not None:
        content["determinism"]["seed"] = seed
    if rule or method:
        verifier["rule"] = rule or verifier["rule"]
        verifier["adaptive_sampling"].update(method=method or verifier["adaptive_sampling"]["method"], plan_file=None)
    return parse(dumps(content), "the options")
