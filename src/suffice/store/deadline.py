"""One deadline for all that a thread waits for in one transaction: what a connection took is not given again.

The waits themselves look here how much is left: those for a server (`silence`), and SQLite's for a lock.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import local

now = time.monotonic
_thread = local()


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """What this thread waits for in here ends so many seconds from now, all together; None sets no end."""
    before = _until()
    _thread.until = float("inf") if seconds is None else now() + seconds
    try:
        yield
    finally:
        _thread.until = before


def left() -> float:
    """Seconds until the deadline of this thread, infinite where it has none, 0 when it is over."""
    return max(_until() - now(), 0.0)


def _until() -> float:
    return float(getattr(_thread, "until", float("inf")))
