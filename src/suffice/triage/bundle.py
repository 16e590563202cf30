"""What is frozen when a rollout was rolled back."""

import json
import platform
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Any

from suffice.gates.outcome import GateResult
from suffice.serving.counted import counters_of
from suffice.store.journal import JournalEvent
from suffice.store.ledger import DecisionRow
from suffice.telemetry.metrics_file import flush

PACKAGES = ("numpy", "scipy", "openfeature-sdk", "openfeature-provider-flagd", "sqlalchemy", "suffice")

_TEMPLATE = Path(__file__).with_name("templates") / "TRIAGE.md"

ROWS = 10_000
"""Ledger rows of the failing stage that a bundle holds, the newest; disagreements are all in it."""


def environment_files() -> dict[str, str]:
    """The versions that were at work."""
    versions = {package: version(package) for package in PACKAGES}
    return {
        "environment.json": plain_json({"python": platform.python_version(), "system": platform.system(), **versions})
    }


def plan_file(plan_id: str) -> str:
    """Where a bundle keeps a plan that is not the rollout's own."""
    return f"plans/{plan_id}.json"


def subject_files(identity: Mapping[str, Any]) -> dict[str, str]:
    """The plan and our sections of the configuration, as the rollout was started with them."""
    return {"plan.json": plain_json(identity["table"]), "config.json": plain_json(identity["config"])}


def ledger_files(
    rows: Sequence[DecisionRow],
    differing: Sequence[DecisionRow],
    cases: Sequence[tuple[DecisionRow, Mapping[str, Any]]],
    events: Iterable[JournalEvent],
    fault: str | None = None,
) -> dict[str, str]:
    """The failing window: its decisions, the disagreeing ones that can be decided again, its events and counters.

    `fault` names what a rehearsal put into the adaptive path, to be put in again.
    """
    return {
        "ledger.jsonl": _lines(
            _plain_row(row) for row in [*differing, *(row for row in rows if row.agrees is not False)]
        ),
        "disagreements.jsonl": _lines(plain_case(row, estimates, fault) for row, estimates in cases),
        "events.jsonl": _lines(asdict(event) for event in events),
        "metrics.json": _metrics(rows),
    }


def plain_case(row: DecisionRow, estimates: Mapping[str, Any], fault: str | None = None) -> dict[str, Any]:
    """A disagreeing decision with all that is needed to decide it again."""
    names = ("value", "u_plus", "u_minus")
    return {
        "key": row.key,
        "target": row.target,
        **{part: dict(zip(names, values, strict=True)) for part, values in estimates.items()},
        "seed": row.seed,
        "baseline": row.baseline_decision,
        "adaptive": row.adaptive_decision,
        "n": row.adaptive_n,
        "plan_id": row.plan_id,
        "fault": fault,
    }


def triage_text(
    rollout: str,
    reason: str,
    stage: str,
    failed: Sequence[GateResult],
    differing: int,
    first: str | None,
    bundle: Path,
) -> str:
    """The triage item, in Markdown: why, which gates, and the commands to begin with."""
    # A bundle lies in the folder `triage` of its queue.
    queue = bundle.parent.parent
    there = "" if queue == Path("TemporaryQueue") else f" --queue {shlex.quote(str(queue))}"
    reproduce = f"suffice triage reproduce {shlex.quote(rollout)}{there}"
    gates = [f"- {result.gate}: {result.sentence}" for result in failed] or ["- none: a person asked for it"]
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        rollout=rollout,
        stage=stage,
        reason=reason,
        gates="\n".join(gates),
        differing=differing,
        bundle=shlex.quote(str(bundle)),
        begin=f"{reproduce} --key {shlex.quote(first)}" if first else "# no disagreeing decision can be rebuilt",
        quoted=shlex.quote(rollout),
        there=there,
    )


def _metrics(rows: Sequence[DecisionRow]) -> str:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "metrics.json"
        flush(counters_of(rows), path)
        return path.read_text(encoding="utf-8")


def _plain_row(row: DecisionRow) -> dict[str, Any]:
    return {**asdict(row), "estimate": row.estimate if row.estimate == row.estimate else None}


def _lines(values: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def plain_json(value: Any) -> str:
    """The text of a JSON file."""
    return json.dumps(value, indent=2) + "\n"
