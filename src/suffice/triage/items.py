"""Items that people work through, one for each rollout that was rolled back."""

from suffice.errors import MissingDataError, RolloutError
from suffice.store.actions import Action
from suffice.store.database import Store
from suffice.store.journal import JournalEvent, append_journal
from suffice.store.triage import TriageItem, close_item, item_of, items

_NAMED = 5


def read_item(store: Store, item: str) -> TriageItem:
    """The item of this id. Raises MissingDataError when there is none."""
    with store.read() as connection:
        stored = item_of(connection, item)
        known = [other.id for other in items(connection, closed=True)]
    if stored is None:
        there = ", ".join([*known[:_NAMED], *(["…"] if len(known) > _NAMED else [])]) or "none yet"
        raise MissingDataError(f"{store.name}: there is no triage item {item}; there is: {there}")
    return stored


def close(store: Store, item: str, now: float, who: str, note: str) -> None:
    """Close an open item and note it in the rollout's journal, both or neither; `now` is in seconds since the epoch.

    Raises MissingDataError when there is no such item, RolloutError when it is closed already.
    """
    stored = read_item(store, item)
    with store.write() as connection:
        closed = close_item(connection, item, now, who, note)
        if closed:
            append_journal(connection, [JournalEvent(now, item, who, Action.CLOSE, note)])
    if not closed:
        raise RolloutError(f"item {item} is closed already, by {stored.closed_by}: {stored.note}")
