"""Rows of a service in another language, from a file to the ledger: the good ones written, the others put beside it.

Each portion is one transaction, and (rollout, key) is unique there. So whoever is killed begins again with the same
file, and counts nothing twice; but what the metrics file was to count of the portion at work is lost.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path

from suffice import strict_json
from suffice.errors import DataError, StoreError
from suffice.files import read_whole, write_atomically
from suffice.rollout.subject import stored_config
from suffice.serving.counted import counters_of
from suffice.serving.foreign_rows import ForeignRows, Terms
from suffice.serving.refused import Refused, count_refused, put_aside
from suffice.serving.spool import FOLDER
from suffice.stopping.plan import Plan
from suffice.store.database import Store
from suffice.store.decision_row import DecisionRow
from suffice.store.irregular import note_mended
from suffice.store.ledger import Ledger
from suffice.store.rollouts import load_rollout
from suffice.store.signs import note_sign
from suffice.store.words import read_word
from suffice.telemetry.metrics_file import flush

PORTION = 1_000
"""Rows that are written together."""

STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that was refused: its number from 1, why, and the line itself."""

    number: int
    why: str
    line: bytes


@dataclass(slots=True)
class Ingested:
    """How many lines there were, how many of their rows were new to the ledger, and the lines that were refused."""

    lines: int = 0
    new: int = 0
    refused: list[BadLine] = field(default_factory=list)


def ingest(store: Store, service: str, queue: Path, path: Path, clock: Callable[[], float] = time.time) -> Ingested:
    """Write the rows of a file (`-`: of standard input) to the ledger and count them in the folder `queue`.

    Refused lines go to FILE.refused, which is made anew; those of standard input are put aside with the spools. Those
    that name rollout and stage are refused rows of these, once for as long as they are in that file and until a row of
    their key is taken; others are told to the caller alone. Raises DataError for a file
    that cannot be read, StoreError, OutputError; the same call then goes on.
    """
    rows, done = _rows_of(store, service, clock), Ingested()
    try:
        if path == STDIN:
            _ingest(store, service, queue, sys.stdin.buffer, rows, done, clock)
        else:
            with path.open("rb") as lines:
                _ingest(store, service, queue, lines, rows, done, clock)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if path == STDIN:
        put_aside(Ledger(store), queue / FOLDER, list(map(_refused, done.refused)), tell=False)
    else:
        _put_beside(store, path, done.refused)
    return done


def _rows_of(store: Store, service: str, clock: Callable[[], float]) -> ForeignRows:
    @lru_cache(maxsize=100)
    def terms_of(rollout: str) -> Terms | None:
        with store.read() as connection:
            stored = load_rollout(connection, rollout)
        if stored is None or stored.service != service:
            return None
        config = stored_config(stored.config, f"rollout {rollout}")
        if "table" not in stored.config:
            raise StoreError(f"rollout {rollout}: its plan is not in the store")
        return Terms(Plan.from_dict(stored.config["table"]), {stage.name: stage for stage in config.rollout.stages})

    with store.read() as connection:
        told = read_word(connection, service, clock())
    return ForeignRows(terms_of, told.word, told.standing.at)


def _ingest(
    store: Store,
    service: str,
    queue: Path,
    lines: Iterable[bytes],
    rows: ForeignRows,
    done: Ingested,
    clock: Callable[[], float],
) -> None:
    numbered = enumerate(lines, start=1)
    while portion := list(islice(numbered, PORTION)):
        good = list[DecisionRow]()
        for number, line in portion:
            text = line.strip()
            if not text:
                continue
            done.lines += 1
            try:
                good.append(rows.row(text))
            except DataError as error:
                done.refused.append(BadLine(number, str(error), text))
        done.new += _write(store, service, queue, good, clock())


def _write(store: Store, service: str, queue: Path, rows: list[DecisionRow], now: float) -> int:
    """Write a portion, with a sign of life; count in the metrics file what of it is new."""
    ledger, new = Ledger(store), list[DecisionRow]()
    by_rollout = defaultdict[str, dict[str, DecisionRow]](dict)
    for row in rows:
        by_rollout[row.rollout].setdefault(row.key, row)
    with store.write() as connection:
        for rollout, by_key in by_rollout.items():
            known = ledger.known(rollout, by_key, connection)
            new += [row for key, row in by_key.items() if key not in known]
            note_mended(connection, rollout, by_key)
        ledger.append(rows, connection)
        note_sign(connection, service, now)
    if new:
        flush(counters_of(new), queue / "metrics.json")
    return len(new)


def _refused(bad: BadLine) -> Refused:
    try:
        what = strict_json.loads(bad.line)
    except ValueError:
        what = bad.line.decode("ascii", "backslashreplace")
    at = what.get("at") if isinstance(what, dict) else None
    return Refused(what, f"line {bad.number}: {bad.why}", at if isinstance(at, float) else time.time())


def _put_beside(store: Store, path: Path, refused: list[BadLine]) -> None:
    beside = path.with_name(f"{path.name}.refused")
    try:
        before = set(read_whole(beside).splitlines())
    except FileNotFoundError:
        before = set()
    except OSError as error:
        raise DataError(f"{beside}: cannot be read: {error.strerror or error}") from error
    fresh = [_refused(bad) for bad in refused if bad.line not in before]
    if fresh:
        # First: a kill before the file is there counts them once more, and loses none.
        with store.write() as connection:
            count_refused(connection, fresh, nameless=False)
    if refused:
        write_atomically(beside, b"".join(bad.line + b"\n" for bad in refused))
    elif before:
        beside.unlink(missing_ok=True)
