"""`suffice metrics`: the counters, for people."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suffice.cli import options
from suffice.errors import ConfigError

if TYPE_CHECKING:
    from suffice.runbook.summary import Summary
    from suffice.telemetry.metrics_file import Metrics

ReportsDir = Annotated[Path, typer.Option("--reports-dir", help="The folder of the metrics file.")]
MetricsFile = Annotated[Path, typer.Option("--metrics-file", help="The metrics file, relative to --reports-dir.")]


def metrics(
    reports_dir: ReportsDir = Path("TemporaryQueue"),
    metrics_file: MetricsFile = Path("metrics.json"),
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> int:
    """Show what has been counted: decisions by arm, draws, what was saved, audits, rollbacks, escalations, fallbacks.

    Exits 3 when there is no metrics file or no decision has been counted, 2 when the file is damaged.
    """
    from suffice.cli.console import print_json
    from suffice.runbook.summary import summarise
    from suffice.telemetry.metrics_file import read

    found = read(reports_dir / metrics_file)
    summary = summarise(found, _configured_n(config))
    if json:
        print_json(_object(found, summary))
    else:
        _print(found, summary)
    return 0


def _configured_n(config: Path | None) -> int | None:
    """N, where a configuration can be read: the counters can be shown without."""
    try:
        return options.read_config(config, required=config is not None).verifier.n_samples
    except ConfigError:
        if config is not None:
            raise
        return None


def _object(found: "Metrics", it: "Summary") -> dict[str, Any]:
    arms = {
        name: {"decisions": arm.decisions, "draws": arm.draws, "average_n": arm.average_n}
        for name, arm in (("adaptive", it.adaptive), ("fixed", it.fixed))
    }
    return {
        "metrics_file": found.path.as_posix(),
        "decisions": found.counts.decisions,
        **arms,
        "early_stops": it.early_stops,
        "early_stop_rate": it.early_stop_rate,
        "saving": it.saving,
        "audits": it.audits,
        "disagreements": it.disagreements,
        "disagreement_rate": it.disagreement_rate,
        "disagreement_lower": it.disagreement_lower,
        "disagreement_upper": it.disagreement_upper,
        "invalid": it.invalid,
        "rollbacks": it.rollbacks,
        "escalations": it.escalations,
        "fallbacks": it.fallbacks,
        "counters": {counter.value: value for counter, value in found.counts.counters.items()},
    }


def _print(found: "Metrics", it: "Summary") -> None:
    from suffice.cli.console import percent, print_table

    between = f"{percent(it.disagreement_lower)} … {percent(it.disagreement_upper)}" if it.audits else "–"
    rows = (
        ("decisions, adaptive", f"{it.adaptive.decisions:,}"),
        ("decisions, fixed", f"{it.fixed.decisions:,}"),
        ("draws, adaptive", f"{it.adaptive.draws:,}"),
        ("draws, fixed", f"{it.fixed.draws:,}"),
        ("average n, adaptive", _average(it.adaptive.average_n)),
        ("average n, fixed", _average(it.fixed.average_n)),
        ("draws saved", percent(it.saving, 1)),
        ("stopped early", percent(it.early_stop_rate, 1)),
        ("audits", f"{it.audits:,}"),
        ("disagreements", f"{it.disagreements:,} = {percent(it.disagreement_rate)}"),
        ("95 % interval", between),
        ("invalid", f"{it.invalid:,}"),
        ("rollbacks", f"{it.rollbacks:,}"),
        ("escalations", f"{it.escalations:,}"),
        ("fallbacks", f"{it.fallbacks:,}"),
    )
    print_table(f"{found.counts.decisions:,} decisions in {found.path.as_posix()}", ("counted", "value"), rows)


def _average(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
