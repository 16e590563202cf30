"""The metrics file: counters of several processes, added up."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from suffice.errors import DataError, MissingDataError, OutputError
from suffice.files import PRIVATE, remove_leftovers, write_atomically
from suffice.telemetry.counters import Counter, Counters, Counts

FORMAT = 1
_KEYS = ("format", "decisions", "counters")
_LOCK_SECONDS = 60.0
_POLL_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a metrics file holds."""

    path: Path
    counts: Counts

    def value(self, counter: Counter) -> int:
        """The count. Zero, written or missing, is an answer only where decisions were made.

        Raises MissingDataError otherwise.
        """
        value = self.counts.counters.get(counter, 0)
        if value == 0 and self.counts.decisions == 0:
            raise MissingDataError(f"{self.path}: {counter} cannot be told: no decisions have been counted yet")
        return value


def read(path: Path) -> Metrics:
    """The metrics of a file.

    Raises MissingDataError when there is no such file, DataError when it is damaged or of another format.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise MissingDataError(f"{path}: there is no metrics file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the metrics file cannot be read: {error}") from error
    return Metrics(path, _parsed(text, path))


def flush(counters: Counters, path: Path, *, patience: float = _LOCK_SECONDS) -> None:
    """Add the increments to the file, and take them out of memory.

    Guarantees three things. Processes and threads that flush into one file lose and double nothing. The file is whole
    at any instant. Increments leave memory exactly when they are in the file: after a failure or an interrupt a later
    flush adds what this one did not. Raises OutputError when the file cannot be locked within `patience` seconds, or
    not written. Raises DataError
    when it holds something else than metrics of this format, and leaves it as it is.
    """
    with _locked(path, patience):
        remove_leftovers(path)
        added = counters.snapshot()
        text = to_text(_stored(path) + added)
        try:
            write_atomically(path, text, mode=PRIVATE)
        finally:
            if _holds(path, text):
                counters.subtract(added)


def _stored(path: Path) -> Counts:
    try:
        return read(path).counts
    except MissingDataError:
        return Counts()


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def to_text(counts: Counts) -> str:
    """What a metrics file of these counts holds."""
    values = {name.value: counts.counters.get(name, 0) for name in Counter}
    return json.dumps({"format": FORMAT, "decisions": counts.decisions, "counters": values}, indent=2) + "\n"


@contextmanager
def _locked(path: Path, patience: float) -> Iterator[None]:
    # A lock file of its own: the metrics file is replaced, and a lock on what is replaced guards nothing.
    lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=patience)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(poll_interval=_POLL_SECONDS)
    except Timeout as error:
        raise OutputError(f"{path}: locked by another process for more than {patience:.0f} s") from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be locked: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def _parsed(text: str, path: Path) -> Counts:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or isinstance(content["format"], bool):
        format_found = content.get("format", "none") if isinstance(content, dict) else "none"
        raise DataError(f"{path}: not metrics of Suffice in format {FORMAT}; format found: {format_found}")
    _refuse_unknown(content, _KEYS, str(path))
    values = content.get("counters")
    if not isinstance(values, dict):
        raise DataError(f"{path}: counters is {values!r}; allowed: an object of counts")
    _refuse_unknown(values, tuple(Counter), f"{path}: counters")
    counters = {name: _count(values[name], f"{path}: counters.{name}") for name in Counter if name in values}
    return Counts(_count(content.get("decisions"), f"{path}: decisions"), counters)


def _refuse_unknown(content: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in content:
        if name not in known:
            raise DataError(f"{where}: {name!r} is not known; allowed: {', '.join(known)}")


def _count(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DataError(f"{where} is {value!r}; allowed: a whole number, 0 or more")
    return value
