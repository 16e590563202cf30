"""Provenance: the hash-chained log of what happened to records."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from suffice.store import chain
from suffice.store.chain import Verification, understood
from suffice.store.schema import provenance


@dataclass(frozen=True, slots=True)
class ProvenanceEvent:
    """One step in the life of a record. `at` is in seconds since the epoch; `payload` holds plain JSON values."""

    at: float
    target: str
    event: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    correction_key: str | None = None


def append_provenance(connection: Connection, events: Iterable[ProvenanceEvent]) -> int:
    """Append in order, in the caller's write transaction; returns how many."""
    rows = (
        {
            "at": float(e.at),
            "target": e.target,
            "correction_key": e.correction_key,
            "event": e.event,
            "payload": chain.canonical(e.payload),
        }
        for e in events
    )
    return chain.append(connection, provenance, rows)


def verify_provenance(connection: Connection) -> Verification:
    """Whether the log is whole: nothing in it was changed, removed or inserted."""
    return chain.verify(connection, provenance)


def provenance_of(connection: Connection, *targets: str) -> list[ProvenanceEvent]:
    """Everything that happened to some records, in order."""
    c = provenance.c
    query = select(c.at, c.target, c.event, c.payload, c.correction_key).where(c.target.in_(targets)).order_by(c.seq)
    return [
        ProvenanceEvent(at, target, event, understood(payload, f"an event of {target}"), correction_key)
        for at, target, event, payload, correction_key in connection.execute(query).all()
    ]
