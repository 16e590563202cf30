"""PostgreSQL that falls silent: a deadline that the client keeps itself.

A server that is stopped, or on a machine that is suspended, keeps its connections, and its kernel answers for it. No
limit that it keeps itself ends a wait then, and none of TCP. So whoever waits here counts the time.
"""

import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import psycopg

PROBE_SECONDS = 2
"""How long a server that has fallen silent may take to accept another connection."""


class Silent(psycopg.OperationalError):
    """The server did not answer in time. Its connection is closed."""


class ImpatientConnection(psycopg.Connection[Any]):
    """A connection whose waits end: after `seconds` without a sign of the server, unless it is `alive` elsewhere."""

    seconds = float("inf")
    alive: Callable[[], bool] = staticmethod(lambda: False)

    def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **options: Any) -> Any:
        try:
            return super().wait(self._counted(gen), *arguments, **options)
        except Silent:
            # What becomes of the statement nobody knows; nothing more is to be asked here.
            self.pgconn.finish()
            raise

    def _counted(self, gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        since = time.monotonic()
        try:
            waits_for = next(gen)
            while True:
                ready = yield waits_for
                now = time.monotonic()
                if ready:
                    since = now
                elif now - since >= self.seconds:
                    if not self.alive():
                        raise Silent(f"the server has not answered for {now - since:.0f} s")
                    since = time.monotonic()
                waits_for = gen.send(ready)
        except StopIteration as end:
            return end.value


def connect(_: Any, __: Any, words: list[Any], options: dict[str, Any], *, seconds: float, probe: bool) -> Any:
    """Connect for SQLAlchemy. With `probe`, a server that takes another connection is at work, and is waited for on."""
    connection = ImpatientConnection.connect(*words, **options)
    connection.seconds = seconds
    if probe:
        connection.alive = partial(_accepts, words, options)
    return connection


def _accepts(words: list[Any], options: dict[str, Any]) -> bool:
    try:
        psycopg.connect(*words, **{**options, "connect_timeout": PROBE_SECONDS}).close()
    except psycopg.errors.ConnectionTimeout:
        return False
    except psycopg.OperationalError:
        return True  # It refuses, so it is there: the connection itself tells what became of it.
    return True


def timed_out(error: BaseException | None) -> bool:
    """Whether a driver's error says that an answer, a lock or a connection did not come in time."""
    # SQLSTATE: a statement's time-out, and that of a lock.
    late = getattr(error, "sqlstate", None) in ("57014", "55P03")
    return late or isinstance(error, Silent | psycopg.errors.ConnectionTimeout)
