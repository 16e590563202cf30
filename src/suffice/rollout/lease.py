"""One runner at a time: a lease with a heartbeat in the store.

Theory of operation
-------------------
The lease saves two runners from doing the same work. It is not what keeps them from harm: that is the compare-and-swap
of the rollout's state. A process that was stopped cannot know that it was, so no lease alone could promise it.

What always holds:

1. The row changes by compare-and-swap only. Its `token` grows with every holder, its `beat` with every sign of life.
2. Whoever waits takes a held lease only after it has *seen* the same row for `seconds`, on its own monotonic clock. The
   swap demands that very row, beat included. So no wall clock that jumps, and no difference between two machines'
   clocks, takes the lease from a holder that lives.
3. A holder that was replaced cannot beat: its token is an old one. It learns so at its next sign of life (`lost`).

What can happen between any two lines:

- The holder beats while another takes the lease: the swap fails, for the beat is another. The waiter goes on waiting.
- Two wait for the same silence: one swap succeeds, and the other one fails.
- The holder is killed: its beats end, and after `seconds` the next one has the lease.
- The holder is stopped and woken after it was replaced: until its next beat two runners are at work. Each event of
  theirs is stored by compare-and-swap, so both never act on one state. Publishing asks the state again.
- The store does not answer for a moment: a beat is left out, and the next one tries again. With three beats in
  `seconds`, one left out costs nothing.
- A beat was stored, but its commit was not confirmed: it is given again, because a beat demands its token only.
- The release fails: the lease runs out as after a kill.

Compare: C. Gray and D. Cheriton, "Leases" (1989); the token is a fencing token.
"""

import os
import platform
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Self

from suffice.errors import RolloutError, StoreError
from suffice.store.database import Store
from suffice.store.leases import LeaseRow, beat_lease, free_lease, read_lease, take_lease

LEASE_SECONDS = 15.0
"""How long a holder may give no sign of life before another takes over."""

_BEATS = 3
"""Signs of life in that time."""

_POLL_SECONDS = 0.1


class Lease:
    """The right to run a service's rollout. The module says why it may be wrong, and why that does no harm.

    `seconds` without a sign of life let another take over. `holder` names this one (default: host, process and a random
    part). `lost` says whether another has taken over. `clock` gives seconds since the epoch for people to read;
    `monotonic` decides.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        seconds: float = LEASE_SECONDS,
        holder: str | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._store, self._name, self._seconds = store, name, seconds
        self.holder = holder or f"{platform.node()}/{os.getpid()}/{secrets.token_hex(3)}"
        self._clock, self._monotonic, self._sleep = clock, monotonic, sleep
        self._held: LeaseRow | None = None
        self._stop = Event()
        self._beating: Thread | None = None

    @property
    def lost(self) -> bool:
        """Whether this holder has it no more."""
        return self._held is None

    def acquire(
        self,
        *,
        patience: float | None = None,
        given_up: Callable[[], bool] = lambda: False,
        waiting: Callable[[str], object] = lambda _: None,
    ) -> None:
        """Wait for the lease and take it; `waiting` is told once who has it.

        Raises RolloutError, naming the holder, after `patience` seconds or once it is `given_up`; StoreError.
        """
        began, seen_at, seen, told = self._monotonic(), self._monotonic(), self._read(), False
        while not self._try(seen, self._monotonic() - seen_at):
            if seen is not None and not told:
                told = True
                waiting(f"{seen.holder} runs this rollout; waiting until it ends, or is silent for {self._seconds:g} s")
            if given_up() or (patience is not None and self._monotonic() - began >= patience):
                holder = seen.holder if seen else "somebody"
                raise RolloutError(f"{holder} runs this rollout; allowed: one runner at a time")
            self._sleep(min(_POLL_SECONDS, self._seconds / 10))
            now = self._read()
            if now != seen:
                seen, seen_at = now, self._monotonic()

    def beat(self) -> bool:
        """Give a sign of life; returns whether the lease is still held."""
        held = self._held
        if held is None:
            return False
        with self._store.write() as connection:
            self._held = beat_lease(connection, held, self._clock())
        return self._held is not None

    def release(self) -> None:
        """Stop the heartbeat and give the lease back. Allowed twice."""
        self._stop.set()
        if self._beating is not None:
            self._beating.join()
        held, self._held = self._held, None
        if held is not None:
            with suppress(StoreError), self._store.write() as connection:
                free_lease(connection, held, self._clock())

    def start_beating(self) -> None:
        """Give signs of life from a thread of its own, until the release."""
        self._beating = Thread(target=self._beat_on, name="suffice-lease", daemon=True)
        self._beating.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _beat_on(self) -> None:
        while not self._stop.wait(self._seconds / _BEATS):
            # A store that is busy for a moment is no reason to give up; the next beat tries again.
            with suppress(StoreError):
                if not self.beat():
                    return

    def _read(self) -> LeaseRow | None:
        with self._store.read() as connection:
            return read_lease(connection, self._name)

    def _try(self, seen: LeaseRow | None, silent: float) -> bool:
        if seen is not None and seen.holder and silent < self._seconds:
            return False
        with self._store.write() as connection:
            self._held = take_lease(connection, seen, self._name, self.holder, self._clock())
        return self._held is not None
