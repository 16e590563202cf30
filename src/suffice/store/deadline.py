"""One deadline for all that a thread waits for in one transaction: what a connection took is not given again.

The waits themselves look here how much is left: those for a server (`silence`), and SQLite's for a lock.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local

now = time.monotonic


class _Thread(local):
    given = until = float("inf")


_thread = _Thread()


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """What this thread waits for in here ends so many seconds from now, all together; None sets no end."""
    before = _thread.given, _thread.until
    _thread.given = float("inf") if seconds is None else seconds
    _thread.until = now() + _thread.given
    try:
        yield
    finally:
        _thread.given, _thread.until = before


def given() -> float:
    """For how many seconds in all this thread may wait, infinite where it has no deadline."""
    return _thread.given


def left() -> float:
    """How many of them are left, 0 when the deadline is over."""
    return max(_thread.until - now(), 0.0)
