"""The fence: whether a decision may be adaptive at this instant.

Theory of operation
-------------------
A process never *has* the permission to be adaptive; it holds a lease. What it knows is one read of the rollout's word,
and that read is good for `LEASE_SECONDS` from the moment it *began*, on a clock that counts the time a machine sleeps.
So whoever rolls back need not reach a process: after a lease nobody acts on what was read before.

What always holds:

1. `may_be_adaptive` is a function of its arguments, asked anew for each decision, before its first draw and again
   before its verdict is returned. Nothing known, nothing read, nothing understood: fixed.
2. A read that took longer than a lease permits nothing: it counts from its begin, not from its answer.
3. What is left of a word was measured by the store's own clock in the statement that read it. Afterwards it is counted
   on the process's clock from the read's begin, so that no two clocks are ever compared.
4. A word counts only when a primary gave it, in the incarnation of the store that it was written in, to a process whose
   own row was committed before: a receipt then knows of everybody who may be adaptive.

Between the last question and the moment somebody acts on a decision a process may be stopped for hours. No question can
close that gap; the epoch can. It goes with each decision, and whoever acts on one may compare it (`Served.epoch`).
"""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from suffice.store.decision_row import WhyFixed
from suffice.store.words import Word

LEASE_SECONDS = 5.0
"""How long a word that was read may be acted on, from the begin of the read. A constant of the product, no setting:
receipts wait for it."""

IN_FORCE = frozenset({"Progressing", "Paused", "AwaitingApproval", "Completed", "Released"})
"""The phases in which a word may permit; in all others everybody is fixed, whatever its exposure says."""


@dataclass(frozen=True, slots=True)
class Read:
    """What one read of the word brought.

    `began` is on the process's boot clock, before the store was asked. `remaining` is for how many seconds the word
    still stood when the store answered, `store_time` the store's own time then (seconds since the epoch).
    `incarnation` is the store's, None where it cannot say. `registered` says that the same read saw the process's own
    row. `obstacle` is the sentence of why the word does not count, "" when nothing is known against it.
    """

    word: Word | None
    began: float
    remaining: float
    store_time: float
    incarnation: str | None
    primary: bool
    registered: bool
    obstacle: str = ""

    def age(self, now: float) -> float:
        """Seconds since the read began."""
        return now - self.began

    def has_aged_out(self, now: float) -> bool:
        """Whether its lease is over. A clock that went back proves nothing, so it ends a lease too."""
        return not 0.0 <= self.age(now) < LEASE_SECONDS

    @property
    def known(self) -> Word | None:
        """The word, where it is one for this process in this store."""
        if self.word is None or self.obstacle or not (self.primary and self.registered and self.incarnation):
            return None
        return self.word if self.word.incarnation == self.incarnation else None

    def stands(self, now: float) -> bool:
        """Whether there is a word that may be acted on at `now`: known, read within the lease, and not lapsed."""
        return self.known is not None and not self.has_aged_out(now) and self.age(now) < self.remaining


def may_be_adaptive(
    read: Read | None,
    now: float,
    *,
    plan_id: str,
    enabled: bool = True,
    forced: bool = False,
    exposed: Callable[[Word], bool],
) -> WhyFixed | None:
    """Why a decision must be fixed at `now` (the process's boot clock); None when it may be adaptive.

    `exposed` says whether the word's exposure puts the case on the adaptive arm; it is asked last, and only of a word
    that stands. `forced`: this host forces the baseline, whatever the word says.
    """
    if forced:
        return WhyFixed.FORCED
    if not enabled:
        return WhyFixed.DISABLED
    if read is None or read.known is None:
        return WhyFixed.NO_WORD
    word = read.known
    if not read.stands(now):
        return WhyFixed.LAPSED
    if word.plan_id != plan_id:
        return WhyFixed.FOREIGN_PLAN
    if word.phase not in IN_FORCE or word.shadow or word.exposure is None or not exposed(word):
        return WhyFixed.EXPOSURE
    return None


class BootClock:
    """Seconds on a clock that never goes back and counts the time that the machine was suspended.

    That is CLOCK_BOOTTIME. Where a system has none, it is the monotonic clock, moved on by as much as the wall clock
    got ahead of it: a suspension or a clock that was set forward ends leases early, and nothing makes one longer.
    """

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] | None = None
    ) -> None:
        self._monotonic, self._wall = monotonic, wall or time.time
        self._kernel = _kernel_clock() if wall is None else None
        self._offset, self._slept = self._wall() - self._monotonic(), 0.0

    @property
    def is_shared(self) -> bool:
        """Whether every process of this machine reads the same on it: on Linux it is the first number of
        /proc/uptime."""
        return self._kernel is not None

    def __call__(self) -> float:
        if self._kernel is not None:
            return self._kernel()
        passed = self._monotonic()
        self._slept = max(self._slept, self._wall() - passed - self._offset)
        return passed + self._slept


def _kernel_clock() -> Callable[[], float] | None:
    if sys.platform == "linux" and hasattr(time, "CLOCK_BOOTTIME"):
        return partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    return None
