"""The processes of a service: who decides, which word each has acknowledged, and whether it is gone.

A process is a nonce, not a number of the operating system. Its row is committed before the first read that it may act
on, so that a receipt knows of everybody who may be adaptive. Gone is who signed off; whether a lease has run out is the
business of whoever waits, on a clock of its own.
"""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Column, Connection, Select, bindparam, delete, select, update

from suffice.store.database import insert_or_update
from suffice.store.schema import processes

PRUNED_SECONDS = 3600.0
"""How long a process may be silent before its row is removed."""

LENT = "lease:"
"""How the nonce of a row begins that stands for what is lent to services in other languages."""

DAMAGED = -1
"""The epoch of a row that cannot be understood: below every other."""

_YEAR_10000 = 253_402_300_800.0

_REGISTERED = select(processes.c.nonce).where((processes.c.nonce == bindparam("nonce")) & processes.c.left_at.is_(None))


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process of a service. Moments are in seconds since the epoch.

    `epoch` is the highest that it has read, `DAMAGED` where the row cannot be understood. `seen_at` is the store's time
    of its last read, and `beat_at` the host's time of the same read (of the row's writing, before the first read).
    `started` and `left_at` are by the host's clock. `enabled` is False also while the host's environment or
    files force the baseline.
    """

    nonce: str
    service: str
    host: str
    pid: int
    version: str
    started: float
    plan_id: str
    enabled: bool
    epoch: int = 0
    seen_at: float | None = None
    beat_at: float = 0.0
    rows_waiting: int = 0
    left_at: float | None = None


def write_process(connection: Connection, row: ProcessRow) -> None:
    """Register a process, or bring its row up to date."""
    insert_or_update(connection, processes, [asdict(row)])


def is_registered(connection: Connection, nonce: str) -> bool:
    """Whether the row of a process is there and it has not signed off."""
    return connection.execute(_REGISTERED, {"nonce": nonce}).one_or_none() is not None


def sign_off(connection: Connection, nonce: str, now: float, rows_waiting: int = 0) -> None:
    """A process decides nothing more; so many of its rows wait for whoever takes them up."""
    left = update(processes).where(processes.c.nonce == nonce).values(left_at=now, rows_waiting=rows_waiting)
    connection.execute(left)


def fleet(connection: Connection, service: str) -> list[ProcessRow]:
    """The processes of a service, those that signed off too, by host and start.

    A row with a value that no version writes is one of a process that is there and has acknowledged nothing: its epoch
    is `DAMAGED`, and what else of it is wrong is told as 0, as its own text, or as not known. One whose service is
    wrong may be of any.
    """
    order = (processes.c.host, processes.c.started, processes.c.nonce)
    rows = _rows(connection, select(processes).order_by(*order))
    return [_process(row) for row in rows if row["service"] == service or not isinstance(row["service"], str)]


class Pruner:
    """Removes the rows of processes that have been silent for an hour, as whoever watches them has seen on its own boot
    clock: no clock of another host, and none that can be set, decides that somebody is gone. Never `own`. For one
    thread."""

    def __init__(self, own: str = "") -> None:
        self._own = own
        self._unchanged: dict[tuple[str, float], float] = {}

    def prune(self, connection: Connection, boot: float) -> int:
        """Look at the rows at a moment of the boot clock (seconds); returns how many were removed."""
        c = processes.c
        others = select(c.nonce, c.beat_at).where(c.nonce != self._own)
        seen = [(nonce, beat_at) for nonce, beat_at in connection.execute(others)]
        self._unchanged = {row: self._unchanged.get(row, boot) for row in seen}
        silent = [row for row, since in self._unchanged.items() if boot - since >= PRUNED_SECONDS]
        return sum(
            connection.execute(delete(processes).where((c.nonce == nonce) & (c.beat_at == beat_at))).rowcount
            for nonce, beat_at in silent
        )


def _rows(connection: Connection, query: Select[Any]) -> list[dict[str, Any]]:
    """The rows of a query. Text that is no UTF-8 is its bytes: SQLite's driver would give up all of them for one."""
    if connection.dialect.name != "sqlite":
        return [dict(row._mapping) for row in connection.execute(query)]
    driver: Any = connection.connection.driver_connection
    usual, driver.text_factory = driver.text_factory, _text_or_bytes
    try:
        return [dict(row._mapping) for row in connection.execute(query)]
    finally:
        driver.text_factory = usual


def _text_or_bytes(stored: bytes) -> str | bytes:
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def _process(row: dict[str, Any]) -> ProcessRow:
    values = row.copy()
    wrong = [column for column in processes.columns if not _is_sound(column, row[column.name])]
    for column in wrong:
        as_text = column.type.python_type is str
        values[column.name] = str(row[column.name]) if as_text else None if column.nullable else 0
    if wrong:
        values |= {"epoch": DAMAGED, "left_at": None}
    return ProcessRow(**values)


def _is_sound(column: Column[Any], value: object) -> bool:
    """Whether a value is of its column's type, and a moment one that a calendar has. SQLite keeps whatever it is given,
    and PostgreSQL has infinite moments."""
    if value is None:
        return bool(column.nullable)
    return isinstance(value, column.type.python_type) and (not isinstance(value, float) or 0 <= value < _YEAR_10000)
