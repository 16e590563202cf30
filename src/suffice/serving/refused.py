"""Rows that the ledger does not take: put aside in a file, counted, told; what is behind them goes on."""

import json
import logging
import os
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from time import time
from typing import Any

from sqlalchemy import Connection

from suffice.errors import OutputError, StoreError, StoreRefusal
from suffice.files import private_opener
from suffice.store.decision_row import LONGEST, DecisionRow, plain_row
from suffice.store.irregular import by_place, note_refused
from suffice.store.ledger import Ledger

FOLDER = "refused"
"""The folder's name, in that of the spools."""

FILE = "rows.jsonl"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """A row, or the line that should have been one, as far as it was understood; why; and when it was decided (seconds
    since the epoch)."""

    what: Any
    why: str
    at: float


def deliver(ledger: Ledger, rows: Sequence[DecisionRow], refused: list[Refused]) -> int:
    """Write rows to the ledger and return how many were new; those that no ledger takes are added to `refused`.

    Whatever a row raises by itself is that row's, so that it blocks no other. Raises StoreError when the store is out
    of reach, MemoryError and OSError; what was not written by then may be delivered again.
    """
    if not rows:
        return 0
    try:
        return ledger.append(rows)
    except (StoreError, MemoryError, OSError) as error:
        if not isinstance(error, StoreRefusal):
            raise
        why = str(error)
    except Exception as error:
        # One row may break anything on its way: halves of the batch tell whose fault it is.
        why = f"a row cannot be stored: {type(error).__name__}: {error}"
    if len(rows) == 1:
        [row] = rows
        refused.append(Refused(_plain(row), why, row.at))
        return 0
    middle = len(rows) // 2
    return deliver(ledger, rows[:middle], refused) + deliver(ledger, rows[middle:], refused)


def put_aside(ledger: Ledger, spools: Path, refused: Sequence[Refused], *, tell: bool = True) -> None:
    """Put what is refused aside in `spools`, count it, and `tell` the log. Raises OutputError, StoreError.

    Without `tell` whoever gave it is told: what names no stage is not counted then.

    It is in the file before its count is committed: a kill in between leaves it there twice, never nowhere.
    """
    if not refused:
        return
    folder, lines = spools / FOLDER, "".join(map(_line, refused)).encode("ascii")
    with ledger.store.write() as connection:
        count_refused(connection, refused, nameless=tell)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # One write at the end of the file: several processes put aside here.
            with open(folder / FILE, "a+b", buffering=0, opener=private_opener) as file:
                if _is_torn(file):
                    lines = b"\n" + lines
                if file.write(lines) != len(lines):
                    raise OSError("the disk took a part of it")
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{folder}: a refused row cannot be put aside: {error.strerror or error}") from error
    for one in refused if tell else ():
        _log.warning("%s: a row was put aside: %s", folder / FILE, one.why)


def count_refused(connection: Connection, refused: Sequence[Refused], *, nameless: bool = True) -> None:
    """Count them, in the caller's write transaction; what names no stage counts for every one, or not at all."""
    placed = [(_place(one.what), one) for one in refused]
    counted = by_place(
        ((place, _key(one.what)), _seconds(one.at)) for place, one in placed if nameless or place != _NOWHERE
    )
    note_refused(connection, counted)


def _is_torn(file: FileIO) -> bool:
    """Whether a full disk left a part of a line at the end."""
    if os.fstat(file.fileno()).st_size == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def _plain(row: DecisionRow) -> Any:
    try:
        return plain_row(row)
    except Exception:
        # It is put aside because something is wrong with it; whatever that is, its text is kept.
        return repr(row)


def _line(one: Refused) -> str:
    moment = datetime.fromtimestamp(_seconds(one.at), UTC).isoformat(timespec="seconds")
    known = {"why": one.why, "at": moment}
    try:
        return json.dumps({**known, "row": one.what}, default=str) + "\n"
    except (TypeError, ValueError, RecursionError):
        # Nested too deeply, say: its beginning tells what it was.
        return json.dumps({**known, "row": reprlib.repr(one.what)}) + "\n"


def _key(what: Any) -> str | None:
    key = what.get("key") if isinstance(what, dict) else None
    return key if isinstance(key, str) else None


_NOWHERE = ("", "")


def _place(what: Any) -> tuple[str, str]:
    """Its rollout and stage; "" for both where it does not name them by texts that can be stored."""
    if not isinstance(what, dict):
        return _NOWHERE
    rollout, stage = what.get("rollout"), what.get("stage")
    if not (isinstance(rollout, str) and isinstance(stage, str)):
        return _NOWHERE
    storable = (rollout + stage).isprintable() and 4 * max(len(rollout), len(stage)) <= LONGEST
    return (rollout, stage) if storable and rollout else _NOWHERE


def _seconds(at: Any) -> float:
    """The moment; now, where it is none."""
    try:
        datetime.fromtimestamp(at, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return time()
    return float(at)
