"""`suffice gate`: the escalation gate."""

from pathlib import Path
from typing import Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.cli.metrics import MetricsFile, ReportsDir


def gate(
    max_escalations: Annotated[int | None, typer.Option(help="The most escalations that are allowed.")] = None,
    use_config: options.UseConfig = False,
    reports_dir: ReportsDir = Path("TemporaryQueue"),
    metrics_file: MetricsFile = Path("metrics.json"),
    config: options.ConfigFile = None,
) -> Answer:
    """Compare the rollback-storm escalations that were counted with what is allowed.

    SUFFICE_ESCALATION_GATE_ENABLED and SUFFICE_ESCALATION_GATE_MAX_ESCALATIONS stand above the configuration,
    --max-escalations above both. Exits 0 at or below the limit or when the gate is off, 2 above, 3 when no metrics can
    be read or they do not tell.
    """
    import os

    from suffice.runbook.escalation_gate import configured, judge_escalations

    read = options.asked_config(config, use_config=use_config)
    section = configured(read.error_resolution.rollback_storm_policy.ci_gate, os.environ, max_escalations)
    return judge_escalations(reports_dir / metrics_file, section)
