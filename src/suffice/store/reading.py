"""A SQLite store that this account may only read: it is opened so that nothing in its folder is made or changed.

While somebody writes, what was written last is in the file `-wal`: it is read through SQLite's own locks (`mode=ro`).
SQLite would make that file where there is none, in the name of whoever looks, and so keep the service out. A store
without it is therefore read as a file that does not change (`immutable=1`), and what was read counts only if it did
not. Each transaction decides anew which of the two it is.
"""

import os
import sqlite3
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine, NullPool, create_engine, event

from suffice.errors import StoreError
from suffice.store.address import Address


def may_only_read(path: Path) -> bool:
    """Whether there is a store that can be read and not written with the rights of this process."""
    path = Path(os.path.realpath(path))
    if not path.is_file():
        return False
    beside = [Path(f"{path}{ending}") for ending in ("-wal", "-shm")]
    in_folder = os.access(path.parent, os.W_OK) or all(os.access(file, os.W_OK) for file in beside)
    return not (in_folder and os.access(path, os.W_OK))


def engine(address: Address) -> Engine:
    """Opens the store for each transaction anew, to be read."""
    path = Path(os.path.realpath(address.path))
    made = create_engine(address.url, creator=partial(_connect, path), poolclass=NullPool)
    event.listen(made, "begin", partial(_begin, address.name))
    event.listen(made, "commit", partial(_check, address.name, path))
    return made


class _Reader(sqlite3.Connection):
    """`unchanging` is what must stay as it is while this connection is used; None where SQLite sees to it."""

    unchanging: tuple[int, int, int] | None = None


def _connect(path: Path) -> sqlite3.Connection:
    state = _state(path)
    how = "mode=ro" if state is None else "mode=ro&immutable=1"
    # SQLAlchemy, not this module, keeps a connection to one thread at a time.
    connection = sqlite3.connect(
        f"{path.as_uri()}?{how}", uri=True, isolation_level=None, check_same_thread=False, factory=_Reader
    )
    connection.unchanging = state
    return connection


def _begin(name: str, connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("suffice_write", False) or options.get("suffice_touch", False):
        raise StoreError(f"{name}: this account may only read it, and its folder")
    connection.exec_driver_sql("BEGIN")


def _check(name: str, path: Path, connection: Connection) -> None:
    before = connection.connection.driver_connection.unchanging  # type: ignore[union-attr]
    if before is not None and before != _state(path):
        raise StoreError(f"{name}: was changed while it was read; say it again")


def _state(path: Path) -> tuple[int, int, int] | None:
    """What shows whether a store without a log is as it was; None for one with a log."""
    if Path(f"{path}-wal").exists():
        return None
    there = path.stat()
    return there.st_ino, there.st_size, there.st_mtime_ns
