"""The two hash-chained logs: what happened to records (provenance), and what people and the machine did to rollouts."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from suffice.store import chain
from suffice.store.chain import Verification
from suffice.store.schema import audit_events, provenance


@dataclass(frozen=True, slots=True)
class ProvenanceEvent:
    """One step in the life of a record. `at` is in seconds since the epoch; `payload` holds plain JSON values."""

    at: float
    target: str
    event: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    correction_key: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One action on a rollout: who did what, when (seconds since the epoch), why, and the numbers that were seen."""

    at: float
    rollout: str
    who: str
    action: str
    why: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


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


def append_audit(connection: Connection, events: Iterable[AuditEvent]) -> int:
    """Append in order, in the caller's write transaction; returns how many."""
    rows = (
        {
            "rollout": e.rollout,
            "at": float(e.at),
            "who": e.who,
            "action": e.action,
            "why": e.why,
            "numbers": chain.canonical(e.numbers),
        }
        for e in events
    )
    return chain.append(connection, audit_events, rows)


def verify_provenance(connection: Connection) -> Verification:
    return chain.verify(connection, provenance)


def verify_audit(connection: Connection) -> Verification:
    return chain.verify(connection, audit_events)


def provenance_of(connection: Connection, target: str) -> list[ProvenanceEvent]:
    """Everything that happened to a record, in order."""
    c = provenance.c
    query = select(c.at, c.target, c.event, c.payload, c.correction_key).where(c.target == target).order_by(c.seq)
    return [
        ProvenanceEvent(at, target, event, json.loads(payload), correction_key)
        for at, target, event, payload, correction_key in connection.execute(query)
    ]


def audit_of(connection: Connection, rollout: str) -> list[AuditEvent]:
    """Everything that was done to a rollout, in order."""
    c = audit_events.c
    query = select(c.at, c.rollout, c.who, c.action, c.why, c.numbers).where(c.rollout == rollout).order_by(c.seq)
    return [_audit_event(row) for row in connection.execute(query)]


def audit_knows(connection: Connection, rollout: str) -> bool:
    """Whether anything was ever done to such a rollout; the trail outlives it."""
    query = select(audit_events.c.seq).where(audit_events.c.rollout == rollout).limit(1)
    return connection.execute(query).one_or_none() is not None


def last_audit(connection: Connection, rollout: str, action: str) -> AuditEvent | None:
    """The newest event of an action, None when there is none; for rollouts whose trail has become long."""
    c = audit_events.c
    query = select(c.at, c.rollout, c.who, c.action, c.why, c.numbers)
    query = query.where((c.rollout == rollout) & (c.action == action)).order_by(c.seq.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else _audit_event(row)


def _audit_event(row: Any) -> AuditEvent:
    return AuditEvent(**{**row._mapping, "numbers": json.loads(row.numbers)})
