"""Retention: old decisions of rollouts that are over leave the ledger.

Roll-ups, audit events and everything else stay; a ledger that was pruned is still counted rightly.
"""

from dataclasses import dataclass, field
from enum import Enum

from sqlalchemy import Connection, delete, func, select

from suffice.store.database import Store
from suffice.store.schema import decisions, rollouts, triage_items

PORTION = 5_000
"""Rows that are looked at in one transaction; whoever writes decisions waits no longer than that takes."""

_ROLLED_BACK = "RolledBack"


class Kept(Enum):
    """Why old rows stay."""

    WATCHED = "the rollout is the newest of its service, or not over: its rows are still asked for"
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
    """Rollouts whose rows must stay."""
    found = connection.execute(select(rollouts.c.id, rollouts.c.service, rollouts.c.phase)).all()
    newest = {service: max(r for r, of, _ in found if of == service) for _, service, _ in found}
    over = {r for r, service, phase in found if r != newest[service] and phase in (_ROLLED_BACK, "Completed")}
    needed = {r: Kept.WATCHED for r, _, _ in found if r not in over}
    still_open = connection.execute(select(triage_items.c.id).where(triage_items.c.closed_at.is_(None))).scalars()
    return {**needed, **dict.fromkeys(still_open, Kept.TRIAGE)}
