"""The spool: ledger rows on file from the decision until the ledger has them, so that a kill loses none.

Theory of operation
-------------------
What always holds:

1. `verify` returns a decision only after its row was written here, or could not be and waits in memory. Each row is one
   unbuffered write: what the kernel has survives the process, though not a power failure.
2. A row leaves the file only after the ledger has committed it. To deliver, a new file takes the place of the one that
   is written (a swap of two names under a lock in the process), and the old one goes once its rows are in the ledger.
3. One process at a time reads or empties a file: its owner, or after its death whoever holds the lock beside it. The
   operating system frees the lock of a dead process, so no time-out guesses who lives.
4. In the ledger (rollout, key) is unique. A row may therefore be written twice, and counts once.

What can happen between any two lines:

- Killed within a write: the line has no closing brace, so it is no JSON and is dropped. Nobody got that decision. The
  next line begins with a line break, so that a write that failed spoils no other.
- Killed between the ledger's commit and removing the file: the rows are taken up once more, and invariant 4 drops them.
- Killed while taking up: nothing was removed before the ledger had it, so the next one begins again.
- Killed between making the lock and making the file: the lock is swept. Whoever makes a spool waits for such a sweep.
- A lock is removed while another process waits for it: `filelock` sees that its file has gone, and tries again.
- The disk is full or the folder away: rows wait in memory, in their order. The first failure is logged, and the next
  row tries again. Beyond `MOST_WAITING` a row is dropped and counted; before that, whoever decides decides fixed.
- A row that no ledger takes, or a line that is no row (of a newer version, or what a power failure left): it is put
  aside and counted once all others of its file are in the ledger, and then the file goes. So no retry puts it aside
  again; a kill in between does. Only a line that a kill cut off is dropped: it begins as a row and has no end.
"""

import json
import logging
import os
import secrets
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from itertools import islice
from numbers import Integral, Real
from pathlib import Path
from threading import Lock
from time import time

from filelock import FileLock, Timeout

from suffice import strict_json
from suffice.errors import DataError, OutputError, StoreError
from suffice.files import private_opener
from suffice.locks import process_lock
from suffice.serving.refused import Refused, deliver, put_aside
from suffice.store.decision_row import DecisionRow, plain_row, row_of_plain
from suffice.store.irregular import Irregular, Irregularities, note_irregular
from suffice.store.ledger import Ledger

FOLDER = "spool"
"""The folder's name, beside the store."""

MOST_WAITING = 10_000
"""Rows that may wait in memory; at so many that cannot be written, decisions are fixed."""

_BATCH = 1_000
_SWEEP_SECONDS = 5.0


def _number(value: object) -> object:
    """What JSON has for a number that is not Python's own, as NumPy's are; the text of anything else."""
    return int(value) if isinstance(value, Integral) else float(value) if isinstance(value, Real) else str(value)


_NEWER = ("drawn", "draw_seconds", "cost", "failure", "features", "baseline_statistic", "halves")
_NEW = ("epoch", "process", "why_fixed", *_NEWER)
"""Columns that the last version does not know, and those that versions without words do not."""

_encode = json.JSONEncoder(check_circular=False, separators=(",", ":"), default=_number).encode
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Open:
    """A spool's file with how many rows it holds, and the lock that says that its owner lives."""

    path: Path
    file: FileIO
    lock: FileLock
    rows: int = 0


class Spool:
    """The rows of one verifier that the ledger does not have yet.

    A row that `add` has written survives a SIGKILL of the process; a power failure may take it. A row that cannot be
    written (no folder, no permission, a full disk) waits in memory, and is written as soon as that is possible. The
    first failure is logged. Safe to share between threads, not between processes: `add` never waits for a delivery.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: _Open | None = None
        self._sealed: list[_Open] = []
        self._waiting: deque[bytes] = deque()
        self._failing = False
        self._rows, self._dropped, self._dropped_at = 0, 0, 0.0
        self._lock, self._delivering = Lock(), Lock()

    @property
    def waiting(self) -> int:
        """Rows that are in memory only, because they could not be written."""
        return len(self._waiting)

    @property
    def rows(self) -> int:
        """Rows that the ledger does not have yet."""
        return self._rows

    @property
    def dropped(self) -> int:
        """Rows that are lost (they could not be written, and too many waited in memory), and not counted in the store
        yet."""
        return self._dropped

    @property
    def is_full(self) -> bool:
        """Whether the next row that cannot be written would be dropped."""
        return len(self._waiting) >= MOST_WAITING

    @property
    def path(self) -> Path | None:
        """The file, None before the first row."""
        return self._open.path if self._open else None

    def prepare(self) -> None:
        """Make the file, so that the first row need not. Raises nothing."""
        with suppress(OSError), self._lock:
            self._opened()

    def add(self, row: DecisionRow) -> None:
        """Write the row, and those before it that wait. Raises nothing."""
        line = _line(row)
        with self._lock:
            if self.is_full:
                # Those that wait are tried first: the disk may have room again.
                self._write()
            if self.is_full:
                self._dropped, self._dropped_at = self._dropped + 1, row.at
                return
            self._waiting.append(line)
            self._rows += 1
            self._write()

    def deliver(self, ledger: Ledger) -> int:
        """Write all rows to the ledger, and return how many were new to it. Rows may be added meanwhile.

        Raises StoreError, DataError or OutputError; what is not written then waits on.
        """
        new = 0
        with self._delivering:
            self._seal()
            while self._sealed:
                sealed = self._sealed[0]
                new += _moved(sealed.path, ledger)
                self._sealed.pop(0)
                sealed.file.close()
                _let_go(sealed.path, sealed.lock)
                self._rows -= sealed.rows
            waited = list(self._waiting)
            if self._dropped:
                self._tell_dropped(ledger)
            if waited:
                refused: list[Refused] = []
                new += deliver(ledger, list(_read_all(waited, time(), refused)), refused)
                put_aside(ledger, self._folder, refused)
                self._forget(waited)
        return new

    def close(self) -> None:
        """Let go of the files. An empty one is removed; rows wait for whoever takes them up. Allowed twice."""
        with self._delivering, self._lock:
            self._write()
            closing, self._open = [*self._sealed, *([self._open] if self._open else [])], None
            self._sealed = []
            for one in closing:
                empty = os.fstat(one.file.fileno()).st_size == 0
                one.file.close()
                if empty:
                    _remove(one.path)
                _let_go(one.path, one.lock)

    def _tell_dropped(self, ledger: Ledger) -> None:
        dropped, at = self._dropped, self._dropped_at
        with ledger.store.write() as connection:
            note_irregular(connection, Irregular.DROPPED, {("", ""): Irregularities(dropped, at)})
        with self._lock:
            self._dropped -= dropped

    def _seal(self) -> None:
        """Put a new file in the place of the one that is written, unless nothing was."""
        with self._lock:
            if self._open is None or self._open.rows == 0:
                return
        try:
            fresh = self._created()
        except OSError:
            fresh = None  # The next row tries again.
        with self._lock:
            if self._open is not None:
                self._sealed.append(self._open)
            self._open = fresh

    def _forget(self, delivered: list[bytes]) -> None:
        """Forget lines that the ledger has, but for those that were written meanwhile: they are first in line."""
        known = {id(line) for line in delivered}
        with self._lock:
            while self._waiting and id(self._waiting[0]) in known:
                self._waiting.popleft()
                self._rows -= 1

    def _write(self) -> None:
        try:
            while self._waiting:
                opened = self._opened()
                _write_whole(opened.file, self._waiting[0])
                self._waiting.popleft()
                opened.rows += 1
            self._failing = False
        except OSError as error:
            if not self._failing:
                _log.warning("%s: ledger rows are kept in memory only: %s", self._folder, _reason(error))
            self._failing = True

    def _opened(self) -> _Open:
        if self._open is None:
            self._open = self._created()
        return self._open

    def _created(self) -> _Open:
        self._folder.mkdir(parents=True, exist_ok=True)
        return _create(self._folder / f"{os.getpid()}-{secrets.token_hex(6)}.jsonl")


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def take_up(folder: Path, ledger: Ledger) -> int:
    """Write what dead verifiers left in the folder to the ledger, and return how many rows were new to it.

    It leaves the spools of living verifiers alone. It drops a line that a kill cut off: its decision was not returned
    to anybody. Any other line that is no row is put aside and counted (`refused`), and blocks nothing behind it.
    Several processes may call it at once, and again after a kill. Raises StoreError when the ledger cannot be written.
    Raises DataError or OutputError when a spool cannot be read or removed; nothing of it is lost then, and
    the others have been taken up.
    """
    new, wrong = 0, list[DataError | OutputError]()
    for path in sorted(folder.glob("*.jsonl")):
        try:
            with _dead(path) as dead:
                new += _moved(path, ledger) if dead else 0
        except (DataError, OutputError) as error:
            wrong.append(error)
    for lock in folder.glob("*.lock"):
        _sweep(lock.with_suffix(".jsonl"))
    if wrong:
        raise wrong[0]
    return new


def _sweep(path: Path) -> None:
    """Remove the lock of a spool that is not there: its owner was killed before it made the file, or after."""
    if not path.exists():
        with suppress(OutputError), _dead(path):
            pass


def _moved(path: Path, ledger: Ledger) -> int:
    new, refused = 0, list[Refused]()
    rows = _rows(path, refused)
    while batch := list(islice(rows, _BATCH)):
        new += deliver(ledger, batch, refused)
    # At the end, with the file gone right after: what fails before is tried again, and would be put aside again.
    if refused != _put_aside.get(path, []):
        put_aside(ledger, path.parent, refused)
        _put_aside[path] = refused
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: its rows are in the ledger, but it cannot be removed: {error.strerror}") from error
    _put_aside.pop(path, None)
    return new


_put_aside: dict[Path, list[Refused]] = {}
"""What this process put aside of spools that it cannot remove."""


def _rows(path: Path, refused: list[Refused]) -> Iterator[DecisionRow]:
    """The rows of a spool; what is none is added to `refused`."""
    try:
        with path.open("rb") as file:
            yield from _read_all(file, os.fstat(file.fileno()).st_mtime, refused)
    except FileNotFoundError:
        return  # Somebody else has taken it up.
    except OSError as error:
        raise DataError(f"{path}: the spool cannot be read: {error.strerror or error}") from error


def _read_all(lines: Iterable[bytes], at: float, refused: list[Refused]) -> Iterator[DecisionRow]:
    for line in lines:
        row = _read(line.strip(b"\n"), at)
        if isinstance(row, Refused):
            refused.append(row)
        elif row is not None:
            yield row


def _read(line: bytes, at: float) -> DecisionRow | Refused | None:
    """The row of a line; None for an empty one, and for one that a kill cut off."""
    try:
        plain = strict_json.loads(line)
    except ValueError as error:
        if not line or (line.startswith(b"{") and not line.endswith(b"}")):
            return None
        return Refused(line.decode("ascii", "backslashreplace"), f"no row of Suffice: {error}", at)
    try:
        return row_of_plain(plain)
    except (StoreError, TypeError) as error:
        return Refused(plain, f"a row of another version of Suffice: {error}", at)


def _line(row: DecisionRow) -> bytes:
    plain = plain_row(row)
    # What older versions do not know is left out where it says nothing, so that they can read the rest.
    for name in _NEW if row.epoch is None else _NEWER:
        if plain[name] is None:
            del plain[name]
    # The line break comes first: it ends what a write that failed may have left.
    return b"\n" + _encode(plain).encode("ascii")


def _write_whole(file: FileIO, line: bytes) -> None:
    written = file.write(line)
    if written != len(line):
        raise OSError(f"only {written} of {len(line)} bytes were written")


def _create(path: Path) -> _Open:
    # The lock comes first: a file whose lock is free has no owner. A sweep may have it for a moment.
    lock = _own(path, _SWEEP_SECONDS)
    try:
        return _Open(path, FileIO(path, "ab", opener=private_opener), lock)
    except OSError:
        _let_go(path, lock)
        raise


@contextmanager
def _dead(path: Path) -> Iterator[bool]:
    """Whether the spool's owner is gone; if so, it is ours within the block."""
    try:
        lock = _own(path)
    except Timeout:
        yield False
        return
    except OSError as error:
        raise OutputError(f"{path}: cannot be locked: {error.strerror or error}") from error
    try:
        yield True
    finally:
        _let_go(path, lock)


def _own(path: Path, patience: float = 0.0) -> FileLock:
    # Whichever thread closes the verifier lets go of the lock.
    lock = process_lock(_lock_path(path), thread_local=False)
    lock.acquire(timeout=patience)
    return lock


def _let_go(path: Path, lock: FileLock) -> None:
    needless, posix = not path.exists(), os.name == "posix"
    if needless and posix:
        # While it is held: released first, it might be another's by now. (Windows removes no file that is open.)
        _remove(_lock_path(path))
    lock.release()
    if needless and not posix:
        _remove(_lock_path(path))


def _lock_path(path: Path) -> Path:
    return path.with_suffix(".lock")


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
