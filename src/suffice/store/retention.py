"""Retention: old decisions of rollouts that are over leave the ledger.

Roll-ups, the journal and everything else stay; a ledger that was pruned is still counted rightly.
"""

from dataclasses import dataclass, field
from enum import Enum

from sqlalchemy import Connection, delete, func, select

from suffice.store.database import Store
from suffice.store.schema import decisions, rollouts, triage_items

PORTION = 5_000
"""Rows that are looked at in one transaction; whoever writes decisions waits no longer than that takes."""


class Kept(Enum):
    """Why old rows stay."""

    WATCHED = "the rollout is not over"
    TRIAGE = "its triage item is open"
    NEWEST = "the newest row of the ledger: SQLite would give its number again, and roll-ups end with numbers"


@dataclass(slots=True)
class Pruned:
    """How many old rows were removed, by rollout ("" for none), and how many were kept, by rollout and why."""

    removed: dict[str, int] = field(default_factory=dict)
    kept: dict[tuple[str, Kept], int] = field(default_factory=dict)


def prune(store: Store, before: float, *, dry_run: bool = False, portion: int = PORTION) -> Pruned:
    """Remove decisions of before that moment (seconds since the epoch) that no rollout and no open triage item needs.

    In small transactions: what a kill leaves undone is done by the next call. A `dry_run` removes nothing and says what
    would be. Raises StoreError.
    """
    done, last = Pruned(), 0
    while True:
        with store.read() if dry_run else store.write() as connection:
            read = _prune_portion(connection, done, before, last, portion, dry_run=dry_run)
        if read is None:
            return done
        last = read


def _prune_portion(
    connection: Connection, done: Pruned, before: float, last: int, portion: int, *, dry_run: bool
) -> int | None:
    """Prune the next rows; the number to go on behind, None when there are no more."""
    c = decisions.c
    query = select(c.id, c.rollout, c.at).where(c.id > last).order_by(c.id).limit(portion)
    rows = connection.execute(query).all()
    if not rows:
        return None
    # Asked again in every transaction: an item may be opened, and a rollout begin, between two.
    needed, newest = _needed(connection), connection.execute(select(func.max(c.id))).scalar_one()
    gone = list[int]()
    for number, rollout, at in rows:
        if at >= before:
            continue
        why = Kept.NEWEST if number == newest else needed.get(rollout)
        if why is None:
            gone.append(number)
            done.removed[rollout] = done.removed.get(rollout, 0) + 1
        else:
            done.kept[rollout, why] = done.kept.get((rollout, why), 0) + 1
    if gone and not dry_run:
        # The lock is held: nothing can have come between these numbers.
        within = (c.id >= gone[0]) & (c.id <= gone[-1]) & (c.at < before) & (c.id != newest)
        connection.execute(delete(decisions).where(within & c.rollout.not_in(sorted(needed))))
    return int(rows[-1].id)


def _needed(connection: Connection) -> dict[str, Kept]:
    """Rollouts whose rows must stay.

    One that was rolled back is over when its triage item is closed: until the item is there, its bundle may not be.
    """
    found = connection.execute(select(rollouts.c.id, rollouts.c.service, rollouts.c.phase)).all()
    items = connection.execute(select(triage_items.c.id, triage_items.c.closed_at)).all()
    closed = {item for item, at in items if at is not None}
    newest = {service: max(it.id for it in found if it.service == service) for service in {it.service for it in found}}
    over = {
        rollout
        for rollout, service, phase in found
        if (phase == "RolledBack" and rollout in closed) or (phase == "Completed" and rollout != newest[service])
    }
    needed = {rollout: Kept.WATCHED for rollout, _, _ in found if rollout not in over}
    return {**needed, **{item: Kept.TRIAGE for item, at in items if at is None}}
