"""Notifications that wait to be sent."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, cast, exists, func, literal, select, update

from suffice.store.actions import Action
from suffice.store.chain import canonical, understood
from suffice.store.database import insert_new
from suffice.store.journal import JournalEvent
from suffice.store.schema import journal, outbox, rollouts


@dataclass(frozen=True, slots=True)
class Message:
    """A notification. `idempotency_key` is the same in every attempt; `next_at` is in seconds since the epoch."""

    id: int
    rollout: str
    kind: str
    payload: Mapping[str, Any]
    idempotency_key: str
    attempts: int
    next_at: float


def _overtaken(rollout: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a later rollout of the same service has begun. Ids are `SERVICE-` and a number of equal length."""
    later = (rollouts.c.id > rollout) & (func.length(rollouts.c.id) == func.length(rollout))
    # Not LIKE, to which a service's "_" is any letter.
    same = func.substr(rollout, 1, func.length(rollouts.c.service) + 1) == rollouts.c.service + "-"
    return exists().where(later & same)


def enqueue_events(
    connection: Connection,
    actions: Iterable[Action],
    now: float,
    more: Callable[[int, JournalEvent], Mapping[str, Any]] = lambda _, __: {},
) -> int:
    """Put the journal events of these actions that are not there yet into the outbox, and return how many were new.

    One transaction writes an event and what it tells, so nothing is lost however late this is called. Events of a
    rollout that a later one has followed are not put there: who learns of them now is misled. `more` gives further
    fields of what is told, for the event's number in the journal and the event.
    """
    c, key = journal.c, literal("audit/") + cast(journal.c.seq, Text)
    known = select(outbox.c.id).where(outbox.c.idempotency_key == key).exists()
    query = select(c.seq, c.rollout, c.at, c.who, c.action, c.why, c.numbers)
    asked = c.action.in_([action.value for action in actions])
    new_events = connection.execute(query.where(asked & ~known & ~_overtaken(c.rollout)).order_by(c.seq)).all()
    rows = [
        {
            "rollout": event.rollout,
            "kind": event.action,
            "payload": canonical(
                {
                    "rollout": event.rollout,
                    "action": event.action,
                    "who": event.who,
                    "why": event.why,
                    "at": event.at,
                    "numbers": understood(event.numbers, f"an event of {event.rollout}"),
                    **more(event.seq, _event(event)),
                }
            ),
            "idempotency_key": f"audit/{event.seq}",
            "attempts": 0,
            "next_at": now,
            "done_at": None,
        }
        for event in new_events
    ]
    return insert_new(connection, outbox, ["idempotency_key"], rows)


def _event(row: Any) -> JournalEvent:
    return JournalEvent(
        row.at, row.rollout, row.who, Action(row.action), row.why, understood(row.numbers, f"an event of {row.rollout}")
    )


def drop_overtaken(connection: Connection, kept: str, now: float) -> int:
    """Take waiting notifications of rollouts that a later one has followed for done, but for those of the kind `kept`;
    returns how many."""
    c = outbox.c
    old = c.done_at.is_(None) & (c.kind != kept) & _overtaken(c.rollout)
    return connection.execute(update(outbox).where(old).values(done_at=now)).rowcount


def due(connection: Connection, now: float, horizon: float) -> list[Message]:
    """What may be sent now, oldest first.

    A message that waits longer than `horizon` seconds was put off before the clock went back, so it is due too.
    """
    c = outbox.c
    ready = c.done_at.is_(None) & ((c.next_at <= now) | (c.next_at > now + horizon))
    columns = (c.id, c.rollout, c.kind, c.payload, c.idempotency_key, c.attempts, c.next_at)
    # All at once: a row that cannot be understood must leave no open statement behind, which would hold a moment.
    rows = connection.execute(select(*columns).where(ready).order_by(c.id)).all()
    return [
        Message(**{**row._mapping, "payload": understood(row.payload, f"a notification of {row.rollout}")})
        for row in rows
    ]


def waiting(connection: Connection) -> int:
    """How many notifications are not sent yet."""
    query = select(func.count()).select_from(outbox).where(outbox.c.done_at.is_(None))
    return int(connection.execute(query).scalar_one())


def drop_oldest(connection: Connection, most: int, now: float) -> int:
    """Take the oldest of more than so many waiting notifications for done; returns how many."""
    c = outbox.c
    newest = select(c.id).where(c.done_at.is_(None)).order_by(c.id.desc()).limit(1).offset(most)
    last = connection.execute(newest).scalar_one_or_none()
    if last is None:
        return 0
    return connection.execute(update(outbox).where(c.done_at.is_(None) & (c.id <= last)).values(done_at=now)).rowcount


def sent(connection: Connection, message: int, now: float) -> None:
    """Note that a message was delivered."""
    attempts = outbox.c.attempts + 1
    connection.execute(update(outbox).where(outbox.c.id == message).values(done_at=now, attempts=attempts))


def put_off(connection: Connection, message: int, until: float) -> None:
    """Note that a message was not delivered, and when to try again."""
    attempts = outbox.c.attempts + 1
    connection.execute(update(outbox).where(outbox.c.id == message).values(attempts=attempts, next_at=until))
