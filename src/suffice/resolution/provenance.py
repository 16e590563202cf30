"""The steps of a resolution as events of the provenance chain."""

from collections.abc import Iterator
from typing import Any

from suffice.resolution.judge import Outcome, Resolution
from suffice.store.events import ProvenanceEvent
from suffice.store.records import Record


def events(resolution: Resolution, at: float) -> list[ProvenanceEvent]:
    """Everything that happened to the record, in its order. `at`: seconds since the epoch."""
    correction = resolution.correction
    return [
        ProvenanceEvent(at, correction.target, event, payload, correction.key) for event, payload in _steps(resolution)
    ]


def values(record: Record) -> dict[str, Any]:
    """A record's content as plain JSON values."""
    return {
        "value": record.value,
        "u_plus": record.u_plus,
        "u_minus": record.u_minus,
        "context": record.context,
        "time": record.time,
        "version": record.version,
    }


def _steps(resolution: Resolution) -> Iterator[tuple[str, dict[str, Any]]]:
    before, verdict = resolution.before, resolution.verdict
    if resolution.first_seen:
        yield "first_seen", values(before)
    if resolution.kind and resolution.strategy and resolution.proposed and verdict:
        recorded, measured = resolution.correction.record, resolution.correction.measurement
        yield "snapshot", values(before)
        yield (
            "classified",
            {
                "kind": resolution.kind.name.lower(),
                "record": [recorded.value, recorded.u_plus, recorded.u_minus],
                "measurement": [measured.value, measured.u_plus, measured.u_minus],
            },
        )
        yield "proposed", {"strategy": resolution.strategy.name.lower(), **values(resolution.proposed)}
        yield (
            "validated",
            {
                "decision": verdict.decision.value,
                "n": verdict.n,
                "fixed_n": verdict.fixed_n,
                "arm": resolution.arm,
            },
        )
    yield resolution.outcome.name.lower(), _closing(resolution)
    if resolution.escalated:
        yield "escalated", {"consecutive_rollbacks": resolution.after.consecutive_rollbacks}


def _closing(resolution: Resolution) -> dict[str, Any]:
    restored = resolution.outcome in (Outcome.ROLLED_BACK, Outcome.INVALID)
    return {"reason": resolution.reason, "restored_version" if restored else "version": resolution.after.version}
