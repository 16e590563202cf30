"""The word of a rollout: the one row of a service that says who may be adaptive now.

It is written in the transaction that changes the rollout's state, so that what is in force is what is stored. Its epoch
rises with each change of exposure, plan, phase or stage; a renewal keeps it. Whoever reads it learns in the same
statement how long it still stands by the store's clock, whether a primary answered, and which incarnation of the store
it was: a word of another incarnation, or one whose row was brought here by something else than its own transaction, is
no word.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, select, text, update

from suffice import strict_json
from suffice.errors import StoreError
from suffice.store.bell import ring
from suffice.store.database import insert_or_update
from suffice.store.incarnation import SERVER_SQL, Standing, ask_server, make_incarnation, of_server, standing
from suffice.store.schema import HEAD, words

NO_WORD = "the store has no word of this service"
"""Why nobody is adaptive where none was written yet."""

_NAMELESS = "this store cannot say which one it is"
_TXID = "SELECT pg_current_xact_id()::xid::text"
_COLUMNS = tuple(column.name for column in words.columns)
_KINDS = {
    column.name: (column.type.python_type, type(None)) if column.nullable else (column.type.python_type,)
    for column in words.columns
}
"""What a value may be. SQLite keeps whatever it is given."""

# Each process asks these every quarter of a second: made once, they cost half.
_OF_SERVICE = select(words).where(words.c.service == bindparam("service"))
_FROM_SERVER = text(f"""
    SELECT {", ".join(f"w.{name}" for name in _COLUMNS)}, w.xmin::text = w.txid AS own, s.* FROM ({SERVER_SQL}) AS s
    LEFT JOIN words AS w ON w.service = :service
""")


@dataclass(frozen=True, slots=True)
class Word:
    """Who may be adaptive: the targets of `exposure` (weight, salt and regions; None: nobody), with this plan.

    `audit_fraction`, `audit_salt` and `shadow` say which decisions are audited and how. `length` is for how many
    seconds the word stands after each renewal; None stands for ever, as one that a person released.
    """

    service: str
    rollout: str
    plan_id: str
    phase: str
    stage: str
    exposure: Mapping[str, Any] | None
    audit_fraction: float
    audit_salt: str
    shadow: bool
    length: float | None
    epoch: int = 0
    incarnation: str = ""


@dataclass(frozen=True, slots=True)
class WordRead:
    """One read of a service's word: what the store said of itself, and the word if there is one that counts.

    `remaining` is for how many seconds the word still stands, at most its length; infinite when it was released.
    `until` is the moment at which it ends, by the store's clock; None for one that was released.
    `obstacle` is the sentence of why there is no word that counts, "" when there is one; `damaged` says that there is a
    row, which cannot be understood.
    """

    standing: Standing
    word: Word | None
    remaining: float
    obstacle: str = ""
    damaged: bool = False
    until: float | None = None

    @property
    def counts(self) -> bool:
        """Whether there is a word that somebody may act on, for `remaining` seconds."""
        return self.word is not None and not self.obstacle


def write_word(connection: Connection, word: Word, now: float, *, at_least: int = 0) -> Word:
    """Write a service's word in the caller's write transaction; returns it with epoch and incarnation.

    The epoch stays where the word only is renewed. Else it is above the stored one and above `at_least`, the highest
    that anybody is known to have seen. A row that cannot be understood is replaced. Raises StoreError on a store that
    cannot say which one it is.
    """
    make_incarnation(connection)
    told = standing(connection, now)
    if told.incarnation is None:
        raise StoreError(f"{_NAMELESS}: its functions are hidden, or it is a replica")
    stored = _stored(connection, word.service)
    same = stored is not None and replace(word, epoch=stored.epoch, incarnation=told.incarnation) == stored
    epoch = stored.epoch if stored and same and stored.epoch >= at_least else max(_epoch(stored) + 1, at_least + 1)
    written = replace(word, epoch=epoch, incarnation=told.incarnation)
    exposure = None if word.exposure is None else json.dumps(word.exposure, sort_keys=True)
    values = {name: getattr(written, name, None) for name in _COLUMNS}
    until = None if word.length is None else told.at + word.length
    values |= {"exposure": exposure, "valid_until": until, "txid": _txid(connection)}
    insert_or_update(connection, words, [values])
    if stored is None or epoch != stored.epoch:
        ring(connection)
    return written


def lower_word(connection: Connection, service: str, phase: str) -> int | None:
    """Put everybody back by a service's word alone, in the caller's write transaction; returns its new epoch.

    It needs no more of the store than the columns of the word that this version knows, so that it works on one that a
    newer version has migrated. None when there is no word.
    """
    c = words.c
    lowered = update(words).where(c.service == service).values(epoch=c.epoch + 1, exposure=None, phase=phase)
    connection.execute(lowered.values(txid=_txid(connection)))
    ring(connection)
    return connection.execute(select(c.epoch).where(c.service == service)).scalar_one_or_none()


def read_word(connection: Connection, service: str, now: float) -> WordRead:
    """Read a service's word, in one statement on PostgreSQL. Raises StoreError when the store does not answer."""
    if connection.dialect.name == "postgresql":
        return _read_from_server(connection, service)
    told = standing(connection, now)
    try:
        return _read(told, _row(connection, service), own=True)
    except (TypeError, ValueError) as error:
        return _damaged(told, service, error)


def epoch_of(connection: Connection, service: str) -> int | None:
    """The epoch of a service's word, None where there is none."""
    return connection.execute(select(words.c.epoch).where(words.c.service == service)).scalar_one_or_none()


def _read_from_server(connection: Connection, service: str) -> WordRead:
    row = ask_server(connection, _FROM_SERVER, {"service": service})
    told = of_server(row)
    try:
        return _read(told, row if row["service"] is not None else None, own=bool(row["own"]))
    except (TypeError, ValueError) as error:
        return _damaged(told, service, error)


def _damaged(told: Standing, service: str, error: Exception) -> WordRead:
    why = f"the word of service {service} cannot be understood: {error}"
    return WordRead(told, None, 0.0, _obstacle_of(told) or why, damaged=True)


def _read(told: Standing, row: Mapping[str, Any] | None, *, own: bool) -> WordRead:
    obstacle = _obstacle_of(told)
    if row is None:
        # A SQLite store is given its number with its first word: without one it lacks nothing else.
        unnamed = obstacle == _NAMELESS and told.position is None
        return WordRead(told, None, 0.0, NO_WORD if unnamed else obstacle or NO_WORD)
    word = _word(row)
    if not obstacle and word.incarnation != told.incarnation:
        obstacle = "the word was written in another incarnation of the store"
    if not obstacle and not own:
        obstacle = "the word's row was not written by its own transaction: the store was restored"
    until = row["valid_until"]
    return WordRead(told, word, _remaining(word, until, told.at), obstacle, until=until)


def _obstacle_of(told: Standing) -> str:
    if not told.primary:
        return "a replica answered, not the primary"
    if not str(told.revision).isdecimal() or int(str(told.revision)) > int(HEAD):
        return f"the store's schema {told.revision} is newer than {HEAD}, which this version knows"
    return "" if told.incarnation else _NAMELESS


def _remaining(word: Word, until: float | None, at: float) -> float:
    if word.length is None or until is None:
        return float("inf") if word.length is None and until is None else 0.0
    return min(max(until - at, 0.0), word.length)


def _stored(connection: Connection, service: str) -> Word | None:
    """The word that is stored; None where there is none, or none that can be understood."""
    try:
        row = _row(connection, service)
        return None if row is None else _word(row)
    except (TypeError, ValueError):
        return None


def _row(connection: Connection, service: str) -> Mapping[str, Any] | None:
    row = connection.execute(_OF_SERVICE, {"service": service}).one_or_none()
    return None if row is None else dict(row._mapping)


def _word(row: Mapping[str, Any]) -> Word:
    """The word of a row. Raises TypeError or ValueError for a value that no version writes there."""
    for name, kinds in _KINDS.items():
        if not isinstance(row[name], kinds):
            raise TypeError(f"{name} is {row[name]!r}")
    exposure = None if row["exposure"] is None else _exposure(row["exposure"])
    own = {name: row[name] for name in _COLUMNS if name not in ("exposure", "valid_until", "txid")}
    return Word(**own, exposure=exposure)


def _exposure(text: str) -> Mapping[str, Any]:
    exposure = dict(strict_json.loads(text))
    for name, kind in {"weight": int, "salt": str, "regions": list}.items():
        if not isinstance(exposure.get(name), kind):
            raise TypeError(f"{name} of its exposure is {exposure.get(name)!r}")
    return exposure


def _epoch(word: Word | None) -> int:
    return 0 if word is None else word.epoch


def _txid(connection: Connection) -> str:
    return str(connection.execute(text(_TXID)).scalar_one()) if connection.dialect.name == "postgresql" else ""
