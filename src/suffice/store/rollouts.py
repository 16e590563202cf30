"""Rollouts: desired state, changed by compare-and-swap."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select, update

from suffice import strict_json
from suffice.errors import StoreConflict, StoreError
from suffice.store.chain import canonical
from suffice.store.database import insert_new
from suffice.store.schema import rollouts, store_meta

_PUBLISHED = "flag/mtime_ns"


@dataclass(frozen=True, slots=True)
class StoredRollout:
    """A rollout as it is stored. `version` grows by one with every save; `state` and `config` are plain JSON values."""

    id: str
    service: str
    phase: str
    state: Mapping[str, Any]
    config: Mapping[str, Any]
    created_at: float
    updated_at: float
    version: int = 1


def create_rollout(connection: Connection, rollout: StoredRollout) -> None:
    """Add a rollout, in the caller's write transaction. Raises StoreConflict when its id is taken."""
    if load_rollout(connection, rollout.id) is not None:
        raise StoreConflict(f"rollout {rollout.id} exists already")
    connection.execute(insert(rollouts), _columns(rollout))


def save_rollout(connection: Connection, rollout: StoredRollout) -> StoredRollout:
    """Replace the version that `rollout` was loaded as, and return it with its new version.

    Raises StoreConflict, and changes nothing, when somebody else saved it since it was loaded, or it does not exist.
    """
    saved = replace(rollout, version=rollout.version + 1)
    unchanged = (rollouts.c.id == rollout.id) & (rollouts.c.version == rollout.version)
    if connection.execute(update(rollouts).where(unchanged).values(_columns(saved))).rowcount != 1:
        raise StoreConflict(f"rollout {rollout.id} is no longer at version {rollout.version}; load it again")
    return saved


def load_rollout(connection: Connection, rollout_id: str) -> StoredRollout | None:
    row = connection.execute(select(rollouts).where(rollouts.c.id == rollout_id)).one_or_none()
    return None if row is None else _rollout(row._mapping)


def newest_rollout(connection: Connection, service: str) -> StoredRollout | None:
    """The rollout of a service that was made last, None when there is none.

    By id, whose numbers rise: the clock may have gone back between two rollouts.
    """
    query = select(rollouts).where(rollouts.c.service == service).order_by(rollouts.c.id.desc()).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else _rollout(row._mapping)


def rollouts_of(connection: Connection, service: str) -> list[StoredRollout]:
    """The rollouts of a service, newest first."""
    order = (rollouts.c.created_at.desc(), rollouts.c.id.desc())
    rows = connection.execute(select(rollouts).where(rollouts.c.service == service).order_by(*order))
    return [_rollout(row._mapping) for row in rows]


def last_publication(connection: Connection) -> int:
    """The modification time (ns) of the flag file that was published last, 0 when there was none."""
    mtime_ns = connection.execute(select(store_meta.c.value).where(store_meta.c.key == _PUBLISHED)).scalar_one_or_none()
    return int(mtime_ns or 0)


def note_publication(connection: Connection, mtime_ns: int) -> None:
    """Keep that time, which outlives the file: watchers ignore a file that is not newer than what they saw."""
    insert_new(connection, store_meta, ["key"], [{"key": _PUBLISHED, "value": "0"}])
    connection.execute(update(store_meta).where(store_meta.c.key == _PUBLISHED).values(value=str(mtime_ns)))


def _columns(rollout: StoredRollout) -> dict[str, Any]:
    return {
        "id": rollout.id,
        "service": rollout.service,
        "version": rollout.version,
        "phase": rollout.phase,
        "state": canonical(rollout.state),
        "config": canonical(rollout.config),
        "created_at": rollout.created_at,
        "updated_at": rollout.updated_at,
    }


def _rollout(row: Any) -> StoredRollout:
    """The rollout of a row. Raises StoreError for one that cannot be understood."""
    try:
        return StoredRollout(**{**row, **{name: dict(strict_json.loads(row[name])) for name in ("state", "config")}})
    except (TypeError, ValueError) as error:
        raise StoreError(f"rollout {row['id']} in the store cannot be understood: {error}") from error
