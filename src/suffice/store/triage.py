"""What remains of a rollback: its receipt, and the item that a person works through."""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, select, update

from suffice.store.database import insert_new
from suffice.store.schema import receipts, triage_items


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """That all of `asked` probes were answered fixed, after `attempts` and `seconds`; observed `at` (since the epoch,
    by the store's clock).

    Of the processes of the fleet: how many there were, how many had acknowledged the rollback's epoch, how many had no
    lease any more, had signed off, or cannot acknowledge. None of it is known of receipts of versions before.
    """

    rollout: str
    at: float
    asked: int
    fixed: int
    attempts: int
    seconds: float
    processes: int | None = None
    acknowledged: int | None = None
    fenced: int | None = None
    gone: int | None = None
    not_covered: int | None = None


@dataclass(frozen=True, slots=True)
class TriageItem:
    """A rollback to look into; `id` is the rollout's. Moments are in seconds since the epoch."""

    id: str
    service: str
    stage: str
    reason: str
    bundle: str
    opened_at: float
    closed_at: float | None = None
    closed_by: str | None = None
    note: str | None = None

    @property
    def open(self) -> bool:
        return self.closed_at is None


def add_receipt(connection: Connection, receipt: StoredReceipt) -> bool:
    """Keep a rollout's first receipt; returns whether this was it."""
    return insert_new(connection, receipts, ["rollout"], [asdict(receipt)]) == 1


def withdraw_receipt(connection: Connection, rollout: str) -> None:
    """A rollout's receipt did not hold; the journal keeps what it said."""
    connection.execute(delete(receipts).where(receipts.c.rollout == rollout))


def receipt_of(connection: Connection, rollout: str) -> StoredReceipt | None:
    row = connection.execute(select(receipts).where(receipts.c.rollout == rollout)).one_or_none()
    return None if row is None else StoredReceipt(**row._mapping)


def open_item(connection: Connection, item: TriageItem) -> bool:
    """Open a rollout's item; returns whether it is new."""
    return insert_new(connection, triage_items, ["id"], [asdict(item)]) == 1


def item_of(connection: Connection, item: str) -> TriageItem | None:
    row = connection.execute(select(triage_items).where(triage_items.c.id == item)).one_or_none()
    return None if row is None else TriageItem(**row._mapping)


def items(connection: Connection, *, closed: bool = False) -> list[TriageItem]:
    """The open items, or all of them, by id."""
    query = select(triage_items).order_by(triage_items.c.id)
    rows = connection.execute(query if closed else query.where(triage_items.c.closed_at.is_(None)))
    return [TriageItem(**row._mapping) for row in rows]


def close_item(connection: Connection, item: str, at: float, who: str, note: str) -> bool:
    """Close an open item; returns whether there was one."""
    still_open = (triage_items.c.id == item) & triage_items.c.closed_at.is_(None)
    values = {"closed_at": at, "closed_by": who, "note": note}
    return connection.execute(update(triage_items).where(still_open).values(values)).rowcount == 1
