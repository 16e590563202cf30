"""Which store this is: after a restore or a failover it is another one, and words of the old one are none.

On PostgreSQL the incarnation is the cluster's system identifier, the timeline of the WAL file that is written now, and
the database's oid. A promoted replica and a restore of the whole cluster change the timeline. A logical restore changes
none of them, but gives each row another `xmin` than the transaction id that is stored in the word (see `words`). In
SQLite it is a random number in the store beside the file's inode: a backup that is moved into place is another file.

A copy of disks changes nothing of this. What recognises it is the highest epoch that was seen (see `note`).
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, TextClause, exc, select, text

from suffice.errors import StoreError
from suffice.store.database import insert_new
from suffice.store.schema import store_meta

_KEY = "incarnation"

SERVER_SQL = """
SELECT
    extract(epoch FROM clock_timestamp())::double precision AS at,
    NOT pg_is_in_recovery() AS is_primary,
    (SELECT system_identifier FROM pg_control_system())::text AS cluster,
    CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END AS timeline,
    CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint END AS position,
    (SELECT oid FROM pg_database WHERE datname = current_database())::text AS database,
    extract(epoch FROM pg_postmaster_start_time())::double precision AS up_since,
    (SELECT max(version_num) FROM alembic_version) AS revision
"""
"""What a read asks of the server beside the word, in the same statement."""

_NO_RIGHT = "42501"
_ASK_SERVER = text(SERVER_SQL)
_REVISION = text("SELECT max(version_num) FROM alembic_version")
_NUMBER = select(store_meta.c.value).where(store_meta.c.key == _KEY)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a store says of itself at one moment, by its own clock (`at`, seconds since the epoch).

    `position` rises with everything that is written (the WAL position in bytes; None on SQLite). `up_since` is when the
    server came up, None on SQLite. A replica is no primary and has no incarnation. `revision` is that of its schema.
    """

    at: float
    primary: bool
    incarnation: str | None
    position: int | None = None
    up_since: float | None = None
    revision: str | None = None


def standing(connection: Connection, now: float) -> Standing:
    """What the store says of itself; `now` stands in for the clock that SQLite has not."""
    if connection.dialect.name != "postgresql":
        revision = connection.execute(_REVISION).scalar_one()
        return Standing(now, primary=True, incarnation=_of_file(connection), revision=revision)
    return of_server(ask_server(connection, _ASK_SERVER))


def ask_server(connection: Connection, query: TextClause, values: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """The row of a query with `SERVER_SQL` in it. Raises StoreError when its functions are hidden from our role."""
    try:
        return dict(connection.execute(query, values).one()._mapping)
    except exc.ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _NO_RIGHT:
            raise
        why = " ".join(str(error.orig).split())
        raise StoreError(f"this store cannot say which one it is, so that nobody is adaptive: {why}") from error


def of_server(told: Mapping[str, Any]) -> Standing:
    """The standing that a row of `SERVER_SQL` tells."""
    known = told["is_primary"] and told["cluster"] and told["timeline"]
    incarnation = f"{told['cluster']}/{told['timeline']}/{told['database']}" if known else None
    return Standing(told["at"], told["is_primary"], incarnation, told["position"], told["up_since"], told["revision"])


def make_incarnation(connection: Connection) -> None:
    """Give a SQLite store its number, in a write transaction; one that it has stays."""
    if connection.dialect.name != "postgresql":
        insert_new(connection, store_meta, ["key"], [{"key": _KEY, "value": secrets.token_hex(8)}])


def _of_file(connection: Connection) -> str | None:
    number = connection.execute(_NUMBER).scalar_one_or_none()
    if number is None:
        return None
    try:
        inode = os.stat(connection.engine.url.database or "").st_ino  # noqa: PTH116
    except OSError:
        return None
    return f"{number}/{inode}"
