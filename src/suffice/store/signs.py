"""Signs of life: when a process of a service last said that it lives."""

from sqlalchemy import Connection, select

from suffice.store.database import insert_or_update
from suffice.store.schema import store_meta


def note_sign(connection: Connection, service: str, at: float) -> None:
    """Note that a process of the service lives at this moment (seconds since the epoch).

    The sign that was given last counts, not the latest moment: a clock that goes back must leave no sign from the
    future.
    """
    insert_or_update(connection, store_meta, [{"key": _key(service), "value": repr(float(at))}])


def last_sign(connection: Connection, service: str) -> float | None:
    """The moment of the last sign, None when there never was one."""
    query = select(store_meta.c.value).where(store_meta.c.key == _key(service))
    at = connection.execute(query).scalar_one_or_none()
    return None if at is None else float(at)


def _key(service: str) -> str:
    return f"sign/{service}"
