"""The journal: the hash-chained log of what people and the machine did to rollouts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, func, select

from suffice.store import chain
from suffice.store.actions import Action
from suffice.store.chain import Verification, understood
from suffice.store.schema import journal


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """One action on a rollout: who did what, when (seconds since the epoch), why, and the numbers that were seen."""

    at: float
    rollout: str
    who: str
    action: Action
    why: str
    numbers: Mapping[str, Any] = field(default_factory=dict)


_COLUMNS = [journal.c[name] for name in ("at", "rollout", "who", "action", "why", "numbers")]


def append_journal(connection: Connection, events: Iterable[JournalEvent]) -> int:
    """Append in order, in the caller's write transaction; returns how many."""
    rows = (
        {
            "rollout": e.rollout,
            "at": float(e.at),
            "who": e.who,
            "action": e.action.value,
            "why": e.why,
            "numbers": chain.canonical(e.numbers),
        }
        for e in events
    )
    return chain.append(connection, journal, rows)


def verify_journal(connection: Connection) -> Verification:
    """Whether the journal is whole: nothing in it was changed, removed or inserted."""
    return chain.verify(connection, journal)


def journal_head(connection: Connection) -> str:
    """The number and hash of the journal's last event, `0:000…` before the first: what to note elsewhere, so that a
    chain that was rewritten as a whole is found too."""
    return chain.head(connection, journal)


def journal_of(connection: Connection, rollout: str) -> list[JournalEvent]:
    """Everything that was done to a rollout, in order."""
    query = select(*_COLUMNS).where(journal.c.rollout == rollout).order_by(journal.c.seq)
    return [_event(row) for row in connection.execute(query).all()]


def count_before(connection: Connection, rollout: str, action: Action, seq: int) -> int:
    """How often an action was done to a rollout, up to the event of this number."""
    c = journal.c
    query = select(func.count()).where((c.rollout == rollout) & (c.action == action.value) & (c.seq <= seq))
    return int(connection.execute(query).scalar_one())


def journal_knows(connection: Connection, rollout: str) -> bool:
    """Whether anything was ever done to such a rollout; the journal outlives it."""
    query = select(journal.c.seq).where(journal.c.rollout == rollout).limit(1)
    return connection.execute(query).one_or_none() is not None


def last_event(connection: Connection, rollout: str, action: Action) -> JournalEvent | None:
    """The newest event of an action, None when there is none; for rollouts whose journal has become long."""
    return next(iter(last_events(connection, rollout, action, 1)), None)


def last_events(
    connection: Connection, rollout: str, action: Action, count: int, until: float | None = None
) -> list[JournalEvent]:
    """The newest events of an action, at most so many, the newest first; none that are later than `until`."""
    c = journal.c
    query = select(*_COLUMNS).where((c.rollout == rollout) & (c.action == action.value))
    if until is not None:
        query = query.where(c.at <= until)
    return [_event(row) for row in connection.execute(query.order_by(c.seq.desc()).limit(count)).all()]


def _event(row: Any) -> JournalEvent:
    return JournalEvent(
        **{
            **row._mapping,
            "action": Action(row.action),
            "numbers": understood(row.numbers, f"an event of {row.rollout}"),
        }
    )
