"""The bell: on PostgreSQL a word that changes is told to whoever listens, so that nobody has to wait for the next poll.

It only shortens the wait. What is told is not believed: whoever hears it reads the word.
"""

import time
from contextlib import suppress
from threading import Event
from typing import Any

from sqlalchemy import Connection, text

from suffice.store.database import Store

_CHANNEL = "suffice_word"
_PATIENCE = 0.25
"""How long a listener may take to notice that it is to stop."""


def ring(connection: Connection) -> None:
    """Tell it when the caller's transaction is committed."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_notify('{_CHANNEL}', '')"))


class Bell:
    """Waits for the bell of a store, on a connection of its own. For one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._connection: Any = None

    def wait(self, seconds: float, stop: Event) -> None:
        """Wait until the bell rings or `stop` is set, at most so long. Without a bell it is a wait and nothing more."""
        until = time.monotonic() + seconds
        try:
            if self._connection is None and self._listens():
                return  # What was told before is not told again: the caller looks once more.
            while self._connection is not None and (left := until - time.monotonic()) > 0 and not stop.is_set():
                for _ in self._connection.notifies(timeout=min(left, _PATIENCE), stop_after=1):
                    return
        except Exception:
            # Whatever is wrong with this connection: the poll goes on, and the next wait opens another one.
            self.close()
        stop.wait(max(until - time.monotonic(), 0.0))

    def close(self) -> None:
        """Let go of the connection; the next wait opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def _listens(self) -> bool:
        self._connection = self._store.listening(_CHANNEL)
        return self._connection is not None
