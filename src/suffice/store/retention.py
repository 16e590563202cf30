"""Retention: old decisions of rollouts that are over leave the ledger.

Roll-ups, the journal and everything else stay; a ledger that was pruned is still counted rightly.
"""

from dataclasses import dataclass, field
from enum import Enum

from sqlalchemy import Connection, delete, func, select

from suffice.store.database import Store
from suffice.store.schema import decisions, rollouts, triage_items

PORTION = 5_000
"""Rows in one transaction: a process that writes decisions waits no longer than they take."""

_PASSED = ("Completed", "Released")
"""Phases of a rollout whose last stage has passed; it is watched on until another one follows."""


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
    """Remove decisions made before a moment (seconds since the epoch) that no rollout and no open triage item needs.

    It works in small transactions: the next call does what a kill left undone. A `dry_run` removes nothing and says
    what would go. Raises StoreError.
    """
    pruned, last = Pruned(), 0
    while True:
        with store.read() if dry_run else store.write() as connection:
            end = _prune_portion(connection, pruned, before, last, portion, dry_run=dry_run)
        if end is None:
            return pruned
        last = end


def _prune_portion(
    connection: Connection, pruned: Pruned, before: float, last: int, portion: int, *, dry_run: bool
) -> int | None:
    """Prune the next rows, and return the number of the last; None when there are no more."""
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
            pruned.removed[rollout] = pruned.removed.get(rollout, 0) + 1
        else:
            pruned.kept[rollout, why] = pruned.kept.get((rollout, why), 0) + 1
    if gone and not dry_run:
        # The lock is held: nothing can have come between these numbers.
        within = (c.id >= gone[0]) & (c.id <= gone[-1]) & (c.at < before) & (c.id != newest)
        connection.execute(delete(decisions).where(within & c.rollout.not_in(sorted(needed))))
    return int(rows[-1].id)


def _needed(connection: Connection) -> dict[str, Kept]:
    """Rollouts whose rows must stay.

    A rollout that was rolled back is over when its triage item is closed. Until there is an item, there may be no
    bundle.
    """
    known = connection.execute(select(rollouts.c.id, rollouts.c.service, rollouts.c.phase)).all()
    items = connection.execute(select(triage_items.c.id, triage_items.c.closed_at)).all()
    closed = {item for item, at in items if at is not None}
    newest = {service: max(rollout for rollout, of, _ in known if of == service) for _, service, _ in known}
    over = {
        rollout
        for rollout, service, phase in known
        if (phase == "RolledBack" and rollout in closed) or (phase in _PASSED and rollout != newest[service])
    }
    needed = {rollout: Kept.WATCHED for rollout, _, _ in known if rollout not in over}
    return {**needed, **{item: Kept.TRIAGE for item, at in items if at is None}}
