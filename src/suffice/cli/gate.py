"""`suffice gate`: the escalation gate."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.cli.metrics import MetricsFile, ReportsDir
from suffice.errors import ExitCode, MissingDataError
from suffice.terminal import print_lines

_EXITS = {"Failed": ExitCode.FAILS, "Error": ExitCode.CANNOT_TELL}
"""Anything else holds: the gate of the rollout itself waits for more where that is needed."""


def gate(
    max_escalations: Annotated[int | None, typer.Option(help="The most escalations that are allowed.")] = None,
    use_config: options.UseConfig = False,
    reports_dir: ReportsDir = Path("TemporaryQueue"),
    metrics_file: MetricsFile = Path("metrics.json"),
    service: options.Service = "verifier",
    config: options.ConfigFile = None,
) -> Answer:
    """Compare the rollback-storm escalations that were counted with what is allowed.

    With --use-config, while a rollout is under way, it compares the escalations of adaptive decisions with those of the
    baseline about the same targets, as the rollout's own gate does: what escalates either way is no harm of it.
    SUFFICE_ESCALATION_GATE_ENABLED and SUFFICE_ESCALATION_GATE_MAX_ESCALATIONS stand above the configuration,
    --max-escalations above both. Exits 0 at or below the limit or when the gate is off, 2 above, 3 when no metrics can
    be read or they do not tell.

    Example: suffice gate --use-config
    """
    from suffice.runbook.escalation_gate import configured, judge_escalations

    read = options.asked_config(config, use_config=use_config)
    section = configured(read.error_resolution.rollback_storm_policy.ci_gate, os.environ, max_escalations)
    if use_config and max_escalations is None and section.enabled:
        compared = _compared(config or options.CONFIG, reports_dir, service)
        if compared is not None:
            return compared
    return judge_escalations(reports_dir / metrics_file, section)


def _compared(config: Path, queue: Path, service: str) -> Answer | None:
    """The escalations of both arms in the stage that is under way; None where there is none."""
    from suffice.gates.escalation import GATE
    from suffice.rollout.operator import Operator
    from suffice.rollout.saved_state import plain_result
    from suffice.rollout.world import Place
    from suffice.store.address import STORE_URL

    try:
        opened = Operator(Place(config, queue, service, os.environ.get(STORE_URL)), create=False)
    except MissingDataError:
        return None
    with opened as operator:
        result = operator.judged(GATE)
        if result is None:
            return None
        stored, stage = operator.current, operator.state.current.name
    since = f"{datetime.fromtimestamp(stored.created_at, UTC):%Y-%m-%d %H:%M}Z"
    counted = f"escalations of {stored.id} in stage {stage} (started {since}), adaptive beside baseline"
    sentence = f"{counted}: {result.outcome.value}: {result.sentence}"
    plain = {"rollout": stored.id, "stage": stage, **plain_result(result)}
    return Answer(plain, lambda: print_lines(sentence), _EXITS.get(result.outcome.value, ExitCode.HOLDS))
