"""PostgreSQL that falls silent: a deadline that the client keeps itself.

A server that is stopped, or on a machine that is suspended, keeps its connections, and its kernel answers for it. No
limit that it keeps itself ends a wait then, and none of TCP. So whoever waits here counts the time.
"""

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import psycopg

from suffice.store import deadline

PROBE_SECONDS = 2
"""How long a server that has fallen silent may take to accept another connection."""

_LOOK_SECONDS = 0.1
"""How often psycopg looks up from a wait. Whoever gives up at the last look before a deadline keeps it."""


class Silent(psycopg.OperationalError):
    """The server did not answer in time. Its connection is closed."""


class ImpatientConnection(psycopg.Connection[Any]):
    """A connection whose waits end: with the thread's deadline, that for the connection itself too; and after `seconds`
    without a sign of the server, unless it is `alive` elsewhere."""

    seconds = float("inf")
    alive: Callable[[], bool] = staticmethod(lambda: False)

    @classmethod
    def _connect_gen(cls, *arguments: Any, **options: Any) -> Generator[Any, Any, Any]:
        # libpq's own limit is never below 2 s, and begins anew for each host of a URL.
        return (yield from _counted(super()._connect_gen(*arguments, **options), cls.seconds, cls.alive))

    def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **options: Any) -> Any:
        try:
            return super().wait(_counted(gen, self.seconds, self.alive), *arguments, **options)
        except Silent:
            # What becomes of the statement nobody knows; nothing more is to be asked here.
            self.pgconn.finish()
            raise


def _counted(gen: Generator[Any, Any, Any], seconds: float, alive: Callable[[], bool]) -> Generator[Any, Any, Any]:
    since = deadline.now()
    try:
        waits_for = next(gen)
        while True:
            ready = yield waits_for
            now = deadline.now()
            if ready:
                since = now
            elif deadline.left() < _LOOK_SECONDS:
                raise Silent(f"the server has not answered within {deadline.given():g} s in all")
            elif now - since >= seconds:
                if not alive():
                    raise Silent(f"the server has not answered for {now - since:.0f} s")
                since = deadline.now()
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
