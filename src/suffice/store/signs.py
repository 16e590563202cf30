"""Signs of life: when the processes of a service that decide last said that they live."""

from sqlalchemy import Connection, select

from suffice.store.database import insert_or_update
from suffice.store.schema import store_meta


def note_sign(connection: Connection, service: str, at: float) -> None:
    """A process of the service lives, at this moment (seconds since the epoch).

    The last word counts, not the latest moment: a clock that goes back must not leave a sign from the future.
    """
    insert_or_update(connection, store_meta, [{"key": _key(service), "value": repr(float(at))}])


def last_sign(connection: Connection, service: str) -> float | None:
    """The moment of the last sign, None when there never was one."""
    query = select(store_meta.c.value).where(store_meta.c.key == _key(service))
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else float(found)


def _key(service: str) -> str:
    return f"sign/{service}"
