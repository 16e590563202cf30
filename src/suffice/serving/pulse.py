"""The pulse of a process that decides: it does something every few seconds, with or without traffic."""

import logging
from collections.abc import Callable
from threading import Event, Thread

PULSE_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Pulse:
    """Calls `beat` at once and then every `seconds`, on a thread of its own, until it is stopped.

    A beat that fails is tried again; the first failure in a row is logged. The thread keeps no process alive.
    """

    def __init__(self, beat: Callable[[], object], seconds: float = PULSE_SECONDS) -> None:
        self._beat, self._seconds = beat, seconds
        self._stop, self._failing = Event(), False
        self._thread = Thread(target=self._run, name="suffice-pulse", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Wait until the beat at work has ended. No beat follows. Allowed twice."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._beat()
                self._failing = False
            except Exception as error:
                if not self._failing:
                    _log.warning("no sign of life can be given: %s", error)
                self._failing = True
            if self._stop.wait(self._seconds):
                return
