"""Hash-chained tables: what was appended cannot be changed, removed or inserted later without it being found.

A row's hash is SHA-256 over the hash before it and the row's content as canonical JSON; `store_meta` holds the head, so
that rows cut off at the end are missed too. This finds accidents and edits; somebody who rewrites the whole chain and
its head is found only by a head that was noted elsewhere.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import isfinite
from typing import Any

from sqlalchemy import Connection, Table, select, update

from suffice import strict_json
from suffice.errors import StoreError, shown
from suffice.store.database import insert_all, insert_new
from suffice.store.schema import store_meta

GENESIS = "0" * 64
"""What the first row follows."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found: how many rows hold from the first on, and the first that does not, if any."""

    verified: int
    head: str
    broken_seq: int | None = None
    what: str | None = None

    @property
    def intact(self) -> bool:
        return self.broken_seq is None


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal bytes. NaN and infinity become null."""
    try:
        return _encode(value)
    except ValueError:
        return _encode(_finite(value))


def understood(text: str, what: str, kind: type = dict) -> Any:
    """The JSON of a column, of that kind; `what` names the row. Raises StoreError for what no version writes there."""
    try:
        value = strict_json.loads(text)
    except (TypeError, ValueError) as error:
        raise StoreError(f"{what} in the store cannot be understood: {error}") from error
    if not isinstance(value, kind):
        raise StoreError(f"{what} in the store cannot be understood: it holds {shown(value)}")
    return value


def append(connection: Connection, table: Table, rows: Iterable[Mapping[str, Any]]) -> int:
    """Append rows, without seq and hashes, in order, in the caller's write transaction; returns how many."""
    seq, last = _lock_head(connection, table)
    names, chained = _content(table), []
    for row in rows:
        seq += 1
        values = {**row, "seq": seq}
        before, last = last, _hash(last, [values[name] for name in names])
        chained.append({**values, "prev_hash": before, "hash": last})
    if chained:
        insert_all(connection, table, chained)
        connection.execute(update(store_meta).where(store_meta.c.key == _key(table)).values(value=f"{seq}:{last}"))
    return len(chained)


def verify(connection: Connection, table: Table) -> Verification:
    """Recompute every hash, first to last, and compare the end with the head."""
    names = _content(table)
    columns = [table.c[name] for name in names]
    rows = connection.execute(select(*columns, table.c.prev_hash, table.c.hash).order_by(table.c.seq))
    place, count, last = names.index("seq"), 0, GENESIS
    for *values, before, own in rows:
        wrong = _wrong(count + 1, values[place], last, before, own, values)
        if wrong:
            return Verification(count, last, count + 1, wrong)
        count, last = count + 1, own
    noted = head(connection, table)
    if noted != f"{count}:{last}":
        return Verification(count, last, count + 1, f"the chain ends after {count}, its head says {noted}")
    return Verification(count, last)


def head(connection: Connection, table: Table) -> str:
    """The number and hash of the last row, as `number:hash`."""
    noted = connection.execute(select(store_meta.c.value).where(store_meta.c.key == _key(table))).scalar_one_or_none()
    return noted or f"0:{GENESIS}"


def _wrong(expected: int, seq: int, last: str, before: str, own: str, values: list[Any]) -> str | None:
    if seq != expected:
        return f"row {expected} is missing, {seq} is found in its place"
    if before != last:
        return f"row {seq} does not follow the row before it"
    if own != _hash(before, values):
        return f"the content of row {seq} is not what its hash was made from"
    return None


def _lock_head(connection: Connection, table: Table) -> tuple[int, str]:
    insert_new(connection, store_meta, ["key"], [{"key": _key(table), "value": f"0:{GENESIS}"}])
    query = select(store_meta.c.value).where(store_meta.c.key == _key(table)).with_for_update()
    seq, _, last = str(connection.execute(query).scalar_one()).partition(":")
    return int(seq), last


def _content(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.name not in ("prev_hash", "hash")]


def _key(table: Table) -> str:
    return f"chain/{table.name}"


def _hash(before: str, values: list[Any]) -> str:
    return sha256(f"{before}{_encode(values)}".encode()).hexdigest()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(member) for member in value]
    return value
