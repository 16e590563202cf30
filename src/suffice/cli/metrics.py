"""`suffice metrics`: the counters, for people."""

from pathlib import Path
from typing import Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.errors import ConfigError

ReportsDir = Annotated[Path, typer.Option("--reports-dir", help="The folder of the metrics file.")]
MetricsFile = Annotated[Path, typer.Option("--metrics-file", help="The metrics file, relative to --reports-dir.")]


def metrics(
    reports_dir: ReportsDir = Path("TemporaryQueue"),
    metrics_file: MetricsFile = Path("metrics.json"),
    config: options.ConfigFile = None,
) -> Answer:
    """Show what has been counted: decisions by arm, draws, what was saved, audits, rollbacks, escalations, fallbacks.

    Exits 3 when there is no metrics file or no decision has been counted, 2 when the file is damaged.
    """
    from suffice.runbook.metrics import show_metrics
    from suffice.telemetry.metrics_file import read

    return show_metrics(read(reports_dir / metrics_file), _configured_n(config))


def _configured_n(config: Path | None) -> int | None:
    """N, where a configuration can be read: the counters can be shown without."""
    try:
        return options.read_config(config, required=config is not None).verifier.n_samples
    except ConfigError:
        if config is not None:
            raise
        return None
