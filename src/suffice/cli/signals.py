"""SIGTERM and Ctrl-C for a command that runs for long: it is told to end, and ends soon, whatever it waits for."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Thread

from suffice.errors import ExitCode
from suffice.terminal import print_error

GRACE_SECONDS = 4.0
"""How long what is at work may take to end as it should, after it was told to."""


@contextmanager
def told_to_end() -> Iterator[Event]:
    """An event that SIGTERM and Ctrl-C set. Who has not left this block `GRACE_SECONDS` later is ended as by a kill.

    For what a kill at any instant does no harm to. Python runs a handler when the main thread comes back to it, which
    may be half a minute later: out of a database's wait for a lock, say. So another thread is told, by the system.
    """
    stop, left = Event(), Event()
    signals, told = socket.socketpair()
    told.setblocking(False)

    def end() -> None:
        with signals:
            if signals.recv(1) and not left.is_set():
                stop.set()
                if not left.wait(GRACE_SECONDS):
                    print_error(f"what was at work did not end within {GRACE_SECONDS:g} s; it was left as by a kill")
                    os._exit(ExitCode.CANNOT_TELL)

    before = {name: signal.signal(name, lambda *_: None) for name in (signal.SIGTERM, signal.SIGINT)}
    woken = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    Thread(target=end, name="suffice-signals", daemon=True).start()
    try:
        yield stop
    finally:
        left.set()
        signal.set_wakeup_fd(woken)
        for name, handler in before.items():
            signal.signal(name, handler)
        with suppress(OSError):
            told.close()  # It ends the thread, too.
