"""Rows that the ledger does not take: put aside in a file, counted, told; what is behind them goes on."""

import json
import logging
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from suffice.errors import OutputError, StoreRefusal
from suffice.files import private_opener
from suffice.store.decision_row import DecisionRow, plain_row
from suffice.store.irregular import Irregular, note_irregular
from suffice.store.ledger import Ledger

FOLDER = "refused"
"""The folder's name, in that of the spools."""

FILE = "rows.jsonl"

_log = logging.getLogger(__name__)


def deliver(ledger: Ledger, rows: Sequence[DecisionRow], spools: Path | None) -> int:
    """Write rows to the ledger and return how many were new; those that no ledger takes are put aside in `spools`.

    Raises StoreError when the store is out of reach, OutputError when nothing can be put aside; what was not written
    or put aside by then may be delivered again.
    """
    try:
        return ledger.append(rows)
    except StoreRefusal as refusal:
        if spools is None:
            raise
        if len(rows) == 1:
            [row] = rows
            put_aside(ledger, spools, plain_row(row), str(refusal), row.at)
            return 0
    middle = len(rows) // 2
    return deliver(ledger, rows[:middle], spools) + deliver(ledger, rows[middle:], spools)


def put_aside(ledger: Ledger, spools: Path, what: Any, why: str, at: float) -> None:
    """Put a row, or the line that should have been one, aside, count it, and tell it. Raises OutputError, StoreError.

    It is in the file before its count is committed: a kill in between leaves it there twice, never nowhere.
    """
    folder, place = spools / FOLDER, ("", "")
    if isinstance(what, dict) and all(isinstance(what.get(name), str) for name in ("rollout", "stage")):
        place = what["rollout"], what["stage"]
    moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    line = json.dumps({"why": why, "at": moment, "row": what}, default=str) + "\n"
    with ledger.store.write() as connection:
        note_irregular(connection, Irregular.REFUSED, *place, 1, at)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # One write at the end of the file: several processes put aside here.
            with open(folder / FILE, "ab", buffering=0, opener=private_opener) as file:
                file.write(line.encode("ascii"))
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(f"{folder}: a refused row cannot be put aside: {error.strerror or error}") from error
    _log.warning("%s: a row was put aside: %s", folder / FILE, why)
