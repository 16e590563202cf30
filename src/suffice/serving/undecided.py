"""Cases that were not decided because their sampler raised: counted until the store knows of them."""

from collections import Counter
from threading import Lock

from suffice.store.database import Store
from suffice.store.irregular import Irregular, Irregularities, note_irregular, note_undecided
from suffice.telemetry.counters import added_by_type, type_name


class Undecided:
    """By rollout and stage, and by the error's type: how many cases of one process have no decision; and how many of
    them were `unfinished` audits, which had their adaptive decision before the sampler raised.

    A rollout is told of them by `deliver`; those of no rollout are in the counters only. What is counted and not
    delivered goes with the process, as counters do. Safe to share between threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._counts: dict[tuple[str, str], dict[str, int]] = {}
        self._unfinished = Counter[tuple[str, str]]()
        self._newest = 0.0

    def add(self, rollout: str, stage: str, error: Exception, at: float, *, unfinished: bool = False) -> None:
        """Count one more, at this moment (seconds since the epoch)."""
        if rollout:
            self._add((rollout, stage), {type_name(error): 1}, at, int(unfinished))

    def deliver(self, store: Store) -> None:
        """Write them to the store. Raises StoreError; they then wait on, and may have been written: they are at least
        as many as happened."""
        with self._lock:
            taken, self._counts, newest = self._counts, {}, self._newest
            unfinished, self._unfinished = self._unfinished, Counter()
        if not taken:
            return
        try:
            with store.write() as connection:
                for (rollout, stage), by_type in taken.items():
                    note_undecided(connection, rollout, stage, by_type, newest)
                counted = {place: Irregularities(count, newest) for place, count in unfinished.items()}
                note_irregular(connection, Irregular.UNFINISHED, counted)
        except BaseException:
            for place, by_type in taken.items():
                self._add(place, by_type, newest, unfinished[place])
            raise

    def _add(self, place: tuple[str, str], by_type: dict[str, int], at: float, unfinished: int) -> None:
        with self._lock:
            self._counts[place] = added_by_type(self._counts.get(place, {}), by_type)
            if unfinished:
                self._unfinished[place] += unfinished
            self._newest = max(self._newest, at)
