"""`suffice gate`: the escalation gate."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.cli import options
from suffice.cli.metrics import MetricsFile, ReportsDir
from suffice.errors import DataError, MissingDataError

if TYPE_CHECKING:
    from suffice.telemetry.metrics_file import Metrics

HOLDS, FAILS = 0, 2


def gate(
    max_escalations: Annotated[int | None, typer.Option(help="The most escalations that are allowed.")] = None,
    use_config: Annotated[
        bool, typer.Option("--use-config", help="Take limit and switch from error_resolution in the configuration.")
    ] = False,
    reports_dir: ReportsDir = Path("TemporaryQueue"),
    metrics_file: MetricsFile = Path("metrics.json"),
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> int:
    """Compare the rollback-storm escalations that were counted with what is allowed.

    SUFFICE_ESCALATION_GATE_ENABLED and SUFFICE_ESCALATION_GATE_MAX_ESCALATIONS stand above the configuration,
    --max-escalations above both. Exits 0 at or below the limit or when the gate is off, 2 above, 3 when no metrics can
    be read or they do not tell.
    """
    import os

    from suffice.cli.console import out, print_json
    from suffice.runbook.escalation_gate import configured, judge

    read = options.read_config(config, required=True) if use_config or config else options.shipped_config()
    section = configured(read.error_resolution.rollback_storm_policy.ci_gate, os.environ, max_escalations)
    path = reports_dir / metrics_file
    answer = {"gate": "rollback_storm_escalations", "metrics_file": path.as_posix(), "enabled": section.enabled}
    if not section.enabled:
        if json:
            print_json({**answer, "value": None, "limit": section.max_escalations, "holds": None})
        else:
            out().print("rollback-storm escalations: the gate is off", highlight=False)
        return HOLDS
    found = judge(_metrics(path), section.max_escalations)
    if json:
        print_json({**answer, "value": found.value, "limit": found.limit, "holds": found.holds})
    else:
        word = "holds" if found.holds else "ABOVE THE LIMIT"
        line = f"rollback-storm escalations: {found.value}, allowed: {found.limit}: {word}"
        out().print(line, highlight=False)
    return HOLDS if found.holds else FAILS


def _metrics(path: Path) -> "Metrics":
    """A file that cannot be read tells nothing: exit 3, as for one that is not there."""
    from suffice.telemetry.metrics_file import read

    try:
        return read(path)
    except DataError as error:
        raise MissingDataError(str(error)) from error
