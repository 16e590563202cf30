"""What a fork does to open stores: it waits for transactions, and closes connections first.

Theory of operation
-------------------
SQLite keeps in memory which locks the process holds on a file. A forked child inherits that memory, but not the locks.
A connection that the child opens later then believes it: what its parent's threads were writing stays locked for ever,
what they were reading is not locked at all, and the log may be removed beneath it (https://sqlite.org/howtocorrupt.html,
2.6). A socket to a server that both use is no better. What always holds here:

1. Between the last look before a fork and the fork, no thread is in a transaction, and no engine holds a connection.
   SQLite has then forgotten the file, so that the child begins as any process does.
2. A transaction that would begin meanwhile waits until the fork is done; one within another does not.
3. A fork waits for transactions at most `FORK_SECONDS`. Whoever forks within one, or while one lasts longer, gets a
   child that refuses each store in one line. What it decides is fixed, and its rows wait in its spool.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition, local
from weakref import WeakSet

from sqlalchemy import Engine

from suffice.errors import StoreError

FORK_SECONDS = 3.0
"""How long a fork waits for the transactions of other threads; an agent's take `AGENT_SECONDS` at most."""


class _Process:
    """What this process has open."""

    def __init__(self) -> None:
        self.engines = WeakSet[Engine]()
        self.changed = Condition()
        self.forking, self.inside = 0, 0
        self.thread = local()
        self.is_clean, self.may_open = True, True

    @property
    def depth(self) -> int:
        """The transactions that this thread is in."""
        return int(getattr(self.thread, "depth", 0))


_process = _Process()


def watch(engine: Engine) -> None:
    """Close the engine's connections before each fork."""
    _process.engines.add(engine)


@contextmanager
def in_transaction(name: str) -> Iterator[None]:
    """No other thread's fork happens in here.

    Raises StoreError in a child that was forked while its parent was in a transaction.
    """
    process, depth = _process, _process.depth
    if not process.may_open:
        raise StoreError(
            f"{name}: this process was forked in the middle of a transaction; allowed: fork outside of one"
        )
    with process.changed:
        process.changed.wait_for(lambda: not process.forking or depth)
        process.inside += 1
    process.thread.depth = depth + 1
    try:
        yield
    finally:
        process.thread.depth = depth
        with process.changed:
            process.inside -= 1
            process.changed.notify_all()


def _before() -> None:
    process = _process
    process.changed.acquire()
    process.forking += 1
    if not process.depth:
        process.changed.wait_for(lambda: not process.inside, FORK_SECONDS)
    process.is_clean = not process.inside
    if process.is_clean:
        for engine in list(process.engines):
            engine.dispose()


def _after_in_parent() -> None:
    _process.forking -= 1
    _process.changed.notify_all()
    _process.changed.release()


def _after_in_child() -> None:
    global _process
    before, _process = _process, _Process()
    _process.engines = before.engines
    _process.may_open = before.is_clean and before.may_open


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
