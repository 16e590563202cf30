"""`suffice metrics`: the counters, for people."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.errors import ConfigError, MissingDataError, StoreError

if TYPE_CHECKING:
    from suffice.runbook.from_ledger import FromLedger

ReportsDir = Annotated[Path, typer.Option("--reports-dir", help="The folder of the metrics file.")]
MetricsFile = Annotated[Path, typer.Option("--metrics-file", help="The metrics file, relative to --reports-dir.")]


def metrics(
    reports_dir: ReportsDir = Path("TemporaryQueue"),
    metrics_file: MetricsFile = Path("metrics.json"),
    from_ledger: Annotated[
        bool, typer.Option("--from-ledger", help="Count the ledger of the store instead: it is the truth.")
    ] = False,
    service: options.Service = "verifier",
    config: options.ConfigFile = None,
) -> Answer:
    """Show what has been counted: decisions by arm, draws, what was saved, audits, rollbacks, escalations, fallbacks.

    While a rollout is under way, beside it the same of its current stage, from the ledger; and where the metrics file
    and the ledger differ. Exits 3 when there is no metrics file or no decision has been counted, 2 when the file is
    damaged.

    Example: suffice metrics --reports-dir TemporaryQueue
    """
    from suffice.runbook.metrics import show_metrics
    from suffice.telemetry.metrics_file import read

    n, unit = _configured(config)
    if from_ledger:
        ledger = _ledger(reports_dir, service)
        return show_metrics(ledger.metrics, n, ledger, unit=unit)
    counted = read(reports_dir / metrics_file)
    try:
        return show_metrics(counted, n, _ledger(reports_dir, service), unit=unit)
    except MissingDataError:
        # Nothing is recorded here: there was no rollout.
        return show_metrics(counted, n)
    except StoreError as error:
        return show_metrics(counted, n, unread=str(error))


def _ledger(queue: Path, service: str) -> "FromLedger":
    if not any(queue.glob("store.*")) and not os.environ.get("SUFFICE_STORE_URL"):
        # Known without the libraries of a store, which take a while to load.
        raise MissingDataError(f"{queue}: there is no store; another folder is named by --reports-dir")
    from suffice.runbook.from_ledger import count_ledger

    return count_ledger(queue, service)


def _configured(config: Path | None) -> tuple[int | None, str]:
    """N, and the unit of cost, where a configuration can be read: the counters can be shown without."""
    try:
        read = options.read_config(config, required=config is not None)
    except ConfigError:
        if config is not None:
            raise
        return None, "cost"
    return read.verifier.n_samples, read.rollout.cost_unit
