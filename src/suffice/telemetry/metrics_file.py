"""The metrics file: counters of several processes, added up.

A file without a mark holds production's counters. One that is marked with another source (an evaluation) stands in
until production counts for the first time, and then gives way. The older kind, `{"metrics": {name: number}}`, is read
and never written.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout

from suffice import strict_json
from suffice.errors import DataError, MissingDataError, OutputError, shown
from suffice.files import PRIVATE, followed, read_whole, remove_leftovers, write_atomically
from suffice.locks import process_lock
from suffice.telemetry.counters import MOST_TYPES, OTHER, Counter, Counters, Counts, is_type_name

FORMAT = 1
PRODUCTION, OLDER, LEDGER = "production", "an older system", "the ledger"
_KEYS = ("format", "decisions", "counters", "sampler_errors", "source")
_LOCK_SECONDS = 60.0
_POLL_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a metrics file holds, and who counted it. That of an older system says nothing of fixed decisions."""

    path: Path
    counts: Counts
    source: str = PRODUCTION

    @property
    def has_decisions(self) -> bool:
        """Whether anything was decided: only then does a zero mean zero."""
        return self.counts.decisions > 0 or self.counts.counters.get(Counter.FIXED_SAMPLES, 0) > 0

    def value(self, counter: Counter) -> int:
        """The count. Zero, written or missing, is an answer only where decisions were made.

        Raises MissingDataError otherwise.
        """
        value = self.counts.counters.get(counter, 0)
        if value == 0 and not self.has_decisions:
            raise MissingDataError(f"{self.path}: {counter} cannot be told: no decisions have been counted yet")
        return value


def read(path: Path) -> Metrics:
    """The metrics of a file.

    Raises MissingDataError when there is no such file, DataError when it is damaged or of another format.
    """
    try:
        text = read_whole(path).decode()
    except FileNotFoundError as error:
        raise MissingDataError(f"{path}: there is no metrics file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the metrics file cannot be read: {error}") from error
    return _parsed(text, path)


def flush(counters: Counters, path: Path, *, patience: float = _LOCK_SECONDS) -> None:
    """Add the increments to the file, and take them out of memory.

    Guarantees three things. Processes and threads that flush into one file lose and double nothing. The file is whole
    at any instant. Increments leave memory exactly when they are in the file: after a failure or an interrupt a later
    flush adds what this one did not. Raises OutputError when the file cannot be locked within `patience` seconds, or
    not written. Raises DataError
    when it holds something else than metrics of this format, and leaves it as it is. Counts of another source than
    production give way.
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


def stand_in(counts: Counts, path: Path, source: str) -> bool:
    """Write counts of another source, unless the file has production's or is none of ours; returns whether it did.

    Raises OutputError when the file cannot be locked or written.
    """
    with _locked(path, _LOCK_SECONDS):
        try:
            may = read(path).source == source
        except MissingDataError:
            may = True
        except DataError:
            may = False
        if may:
            write_atomically(path, to_text(counts, source), mode=PRIVATE)
    return may


def _stored(path: Path) -> Counts:
    if path.exists() and not path.is_file():
        # A pipe would be waited for.
        raise OutputError(f"{path}: cannot be written: it is no plain file")
    try:
        stored = read(path)
    except MissingDataError:
        return Counts()
    if stored.source == OLDER:
        raise DataError(f"{path}: not metrics of Suffice in format {FORMAT}, but those of {OLDER}; left as they are")
    return stored.counts if stored.source == PRODUCTION else Counts()


def _holds(path: Path, text: str) -> bool:
    try:
        return read_whole(path) == text.encode()
    except OSError:
        return False


def to_text(counts: Counts, source: str = PRODUCTION) -> str:
    """What a metrics file of these counts holds."""
    values = {name.value: counts.counters.get(name, 0) for name in Counter}
    mark = {} if source == PRODUCTION else {"source": source}
    plain = {"format": FORMAT, **mark, "decisions": counts.decisions, "counters": values}
    errors = {"sampler_errors": dict(counts.sampler_errors)} if counts.sampler_errors else {}
    return json.dumps({**plain, **errors}, indent=2) + "\n"


@contextmanager
def _locked(path: Path, patience: float) -> Iterator[None]:
    # A lock file of its own: the metrics file is replaced, and a lock on what is replaced guards nothing. Whoever comes
    # by a link meets the others at the file itself.
    try:
        target = followed(path)
        lock = process_lock(target.with_name(f"{target.name}.lock"), timeout=patience)
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(poll_interval=_POLL_SECONDS)
    except Timeout as error:
        raise OutputError(f"{path}: locked by another process for more than {patience:.0f} s") from error
    except OSError as error:
        raise OutputError(f"{path}: cannot be locked: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def _parsed(text: str, path: Path) -> Metrics:
    try:
        content = strict_json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: {strict_json.wrong_with(error)}") from error
    if isinstance(content, dict) and isinstance(content.get("metrics"), dict) and "format" not in content:
        return Metrics(path, _older(content["metrics"], path), OLDER)
    if not isinstance(content, dict) or content.get("format") != FORMAT or isinstance(content["format"], bool):
        there = isinstance(content, dict) and "format" in content
        format_found = shown(content["format"]) if there else "none"
        raise DataError(f"{path}: not metrics of Suffice in format {FORMAT}; format found: {format_found}")
    _refuse_unknown(content, _KEYS, str(path))
    values, source = content.get("counters"), content.get("source", PRODUCTION)
    if not isinstance(values, dict):
        raise DataError(f"{path}: counters is {shown(values)}; allowed: an object of counts")
    if not isinstance(source, str) or not source.isprintable():
        raise DataError(f"{path}: source is {shown(source)}; allowed: who counted, like run_eval")
    _refuse_unknown(values, tuple(Counter), f"{path}: counters")
    counters = {name: _count(values[name], f"{path}: counters.{name}") for name in Counter if name in values}
    decisions = _count(content.get("decisions"), f"{path}: decisions")
    return Metrics(path, Counts(decisions, counters, _errors(content.get("sampler_errors", {}), path)), source)


def _errors(values: Any, path: Path) -> dict[str, int]:
    where = f"{path}: sampler_errors"
    if not isinstance(values, dict) or len(values.keys() - {OTHER}) > MOST_TYPES:
        raise DataError(f"{where} is {shown(values)}; allowed: an object of the counts of at most {MOST_TYPES} types")
    for name in values:
        if not is_type_name(name):
            raise DataError(f"{where}: {shown(name)} is no type of an error; allowed: a name like TimeoutError")
    return {name: _count(value, f"{where}.{name}") for name, value in values.items()}


def _older(values: dict[str, Any], path: Path) -> Counts:
    """The counters that we know among an older system's; its own are passed over, and it counts no fixed decisions."""
    counters = {name: _count(_whole(values[name]), f"{path}: metrics.{name}") for name in Counter if name in values}
    return Counts(counters.get(Counter.ADAPTIVE_USED, 0), counters)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _refuse_unknown(content: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in content:
        if name not in known:
            raise DataError(f"{where}: {shown(name)} is not known; allowed: {', '.join(known)}")


def _count(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise DataError(f"{where} is {shown(value)}; allowed: a whole number, 0 or more")
    return value
