"""OpenFeature's flagd provider for files, with what it lacks: no lost update at the start, an end one can wait for.

Fits openfeature-provider-flagd 0.6: it polls every `deadline_ms` (and ignores `offline_poll_interval_ms`), keeps its
last state when the file breaks or goes, and then logs a traceback in every poll.
"""

import logging
import threading
from pathlib import Path
from typing import cast

from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.contrib.provider.flagd.config import ResolverType
from openfeature.contrib.provider.flagd.resolvers import InProcessResolver
from openfeature.contrib.provider.flagd.resolvers.process.connector.file_watcher import FileWatcher
from openfeature.evaluation_context import EvaluationContext

_QUIET_SECONDS = 60.0
_RELEASE_SECONDS = 5.0


class WatchedFile(FlagdProvider):
    """A flagd provider on one file."""

    def __init__(self, path: Path, poll_ms: int) -> None:
        _make_quiet()
        self._released = threading.Event()
        super().__init__(
            resolver_type=ResolverType.FILE, offline_flag_source_path=str(path.absolute()), deadline_ms=poll_ms
        )

    @property
    def running(self) -> bool:
        """Whether the file is being watched: not after a shutdown, nor in a process forked after the start."""
        watcher = self._watcher
        return watcher.active and watcher.thread.is_alive()

    def initialize(self, evaluation_context: EvaluationContext) -> None:
        """Load the file and start watching it."""
        super().initialize(evaluation_context)
        # It reads the file first and its time afterwards: a publication in between would stay unseen for ever.
        # Forgetting the time makes the first poll read once more.
        self._watcher.last_modified = 0.0

    def shutdown(self) -> None:
        """Stop watching, and wait until the watcher's thread has ended."""
        super().shutdown()
        self._watcher.thread.join()

    def detach(self) -> None:
        """The last call that OpenFeature's registry makes."""
        super().detach()
        self._released.set()

    def wait_until_released(self) -> None:
        """Wait until OpenFeature has shut this provider down, which it does on a thread of its own."""
        self._released.wait(_RELEASE_SECONDS)

    @property
    def _watcher(self) -> FileWatcher:
        return cast(FileWatcher, cast(InProcessResolver, self.resolver).connector)


class _OncePerMinute(logging.Filter):
    """Lets the same message through once a minute: a missing file is worth a line, not ten tracebacks a second."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if abs(record.created - self._last.get(message, float("-inf"))) < _QUIET_SECONDS:
            return False
        self._last[message] = record.created
        return True


_FILTER = _OncePerMinute()
_HANDLER = logging.NullHandler()


def _make_quiet() -> None:
    # Without a handler Python prints warnings on stderr; what is wrong reaches our callers in the answer's reason.
    logging.getLogger("openfeature").addHandler(_HANDLER)
    logging.getLogger("openfeature.contrib").addFilter(_FILTER)
