"""The steps of a resolution as events of the provenance chain, and what the chain knows of a key."""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, select

from suffice.resolution.judge import Outcome, Resolution
from suffice.sources.correction import Correction
from suffice.store.chain import canonical, understood
from suffice.store.events import ProvenanceEvent
from suffice.store.records import Record
from suffice.store.schema import provenance, resolutions


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


def content_of(correction: Correction) -> str:
    """A hash of the measurement: its target, value, uncertainties, context and time.

    The record is not part of it: it may have changed since, and the measurement is the same one.
    """
    measured = correction.measurement
    content = [correction.target, measured.value, measured.u_plus, measured.u_minus]
    plain = canonical([*content, correction.measurement_context, correction.time])
    return blake2b(plain.encode(), digest_size=16).hexdigest()


def resolved_content(connection: Connection, keys: Sequence[str]) -> dict[str, str | None]:
    """Those of the keys that were resolved, each with its `content_of`; None where an earlier version kept none.

    Raises StoreError for an event that cannot be understood.
    """
    kept = (provenance.c.correction_key == resolutions.c.correction_key) & (provenance.c.event == resolutions.c.outcome)
    query = (
        select(resolutions.c.correction_key, provenance.c.payload)
        .join_from(resolutions, provenance, kept, isouter=True)
        .where(resolutions.c.correction_key.in_(keys))
    )
    closing = connection.execute(query).all()
    return {key: understood(payload or "{}", f"the provenance of {key}").get("content") for key, payload in closing}


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
    return {
        "reason": resolution.reason,
        "restored_version" if restored else "version": resolution.after.version,
        "content": content_of(resolution.correction),
    }
