"""Leases: who may run a rollout, as rows that change by compare-and-swap."""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, select, update

from suffice.store.database import insert_new
from suffice.store.schema import leases


@dataclass(frozen=True, slots=True)
class LeaseRow:
    """A lease as it is stored. `holder` is "" when nobody has it.

    `token` grows with every holder, `beat` with every sign of life; `at` (seconds since the epoch) is for people to
    read and decides nothing.
    """

    name: str
    holder: str
    token: int
    beat: int
    at: float


def read_lease(connection: Connection, name: str) -> LeaseRow | None:
    """The lease of this name, None when nobody ever had it."""
    row = connection.execute(select(leases).where(leases.c.name == name)).one_or_none()
    return None if row is None else LeaseRow(**row._mapping)


def take_lease(connection: Connection, seen: LeaseRow | None, name: str, holder: str, at: float) -> LeaseRow | None:
    """The lease with a new holder, if it is still as it was `seen`; None, and nothing changed, otherwise."""
    if seen is None:
        first = LeaseRow(name, holder, token=1, beat=0, at=at)
        return first if insert_new(connection, leases, ["name"], [asdict(first)]) == 1 else None
    return _change(connection, seen, holder, seen.token + 1, 0, at, silent=True)


def beat_lease(connection: Connection, held: LeaseRow, at: float) -> LeaseRow | None:
    """The lease with one more sign of life; None when somebody else has taken it.

    A sign whose commit was not confirmed, as when a server ends the connection, may be given again.
    """
    return _change(connection, held, held.holder, held.token, held.beat + 1, at)


def free_lease(connection: Connection, held: LeaseRow, at: float) -> None:
    """Give the lease back, unless somebody else has taken it."""
    _change(connection, held, "", held.token, held.beat, at)


def _change(
    connection: Connection, seen: LeaseRow, holder: str, token: int, beat: int, at: float, *, silent: bool = False
) -> LeaseRow | None:
    """Change a lease that still has this holder, and for one that is `silent` has given no sign of life since."""
    c = leases.c
    same = (c.name == seen.name) & (c.holder == seen.holder) & (c.token == seen.token)
    if silent:
        same &= c.beat == seen.beat
    statement = update(leases).where(same).values(holder=holder, token=token, beat=beat, at=at)
    return LeaseRow(seen.name, holder, token, beat, at) if connection.execute(statement).rowcount == 1 else None
