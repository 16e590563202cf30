"""Records and their versions."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from suffice.errors import StoreConflict, StoreError
from suffice.store.chain import understood
from suffice.store.database import insert_all
from suffice.store.schema import record_versions, records

_AT_ONCE = 500


class Status(Enum):
    """Whether corrections may be applied to a record."""

    ACTIVE = "active"
    NEEDS_REVIEW = "needs_review"


@dataclass(frozen=True, slots=True)
class Record:
    """A value with its upper and lower standard uncertainty, and what is known about it.

    `derived_from` holds (target, coefficient) of each input of a weighted sum; it is empty for a measured value.
    `version` counts the values that the record has had; only a commit changes it.
    """

    target: str
    value: float
    u_plus: float
    u_minus: float
    context: str | None = None
    time: str = ""
    derived_from: tuple[tuple[str, float], ...] = ()
    version: int = 1
    status: Status = Status.ACTIVE
    consecutive_rollbacks: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A record before (None: it is new) and after, with the reason and the correction that changed it."""

    before: Record | None
    after: Record
    reason: str
    correction_key: str | None = None


def load_records(connection: Connection, targets: Iterable[str]) -> dict[str, Record]:
    """The records of these targets that are in the store."""
    wanted, loaded = sorted(set(targets)), dict[str, Record]()
    for start in range(0, len(wanted), _AT_ONCE):
        query = select(records).where(records.c.target.in_(wanted[start : start + _AT_ONCE]))
        loaded.update({row.target: _record(row._mapping) for row in connection.execute(query).all()})
    return loaded


def load_inputs(connection: Connection, derived: Iterable[Record]) -> dict[str, Record]:
    """The records that derived ones are computed from."""
    return load_records(connection, (target for record in derived for target, _ in record.derived_from))


def derived_records(connection: Connection) -> dict[str, set[str]]:
    """All records that are computed from others, each with the targets of those."""
    c = records.c
    query = select(c.target, c.derived_from).where(c.derived_from.is_not(None))
    return {
        target: {str(name) for name, _ in understood(inputs, f"the record {target}", list)}
        for target, inputs in connection.execute(query)
    }


def save_changes(connection: Connection, changes: Sequence[Change]) -> None:
    """Write changes in the caller's write transaction: for each target at most one `before`, as it was loaded.

    A record that gained a version gets a row in `record_versions`. Raises StoreConflict when a record is no longer what
    `before` says. The caller must let it pass, so that nothing is written.
    """
    first = {c.after.target: c for c in reversed(changes)}
    last = {c.after.target: c for c in changes}
    new = [_columns(last[target].after) for target, change in first.items() if change.before is None]
    insert_all(connection, records, new)
    _update(connection, [(c.before, last[target].after) for target, c in first.items() if c.before is not None])
    grown = [c for c in changes if c.before is None or c.after.version > c.before.version]
    insert_all(connection, record_versions, [_version(change) for change in grown])


def _update(connection: Connection, pairs: Sequence[tuple[Record, Record]]) -> None:
    changed = [{**_columns(after), **_expected(before)} for before, after in pairs if before != after]
    if not changed:
        return
    c = records.c
    unchanged = (
        (c.target == bindparam("was_target"))
        & (c.version == bindparam("was_version"))
        & (c.status == bindparam("was_status"))
        & (c.consecutive_rollbacks == bindparam("was_consecutive_rollbacks"))
    )
    # One by one: `insert_all` says why.
    statement = update(records).where(unchanged)
    if sum(connection.execute(statement, one).rowcount for one in changed) != len(changed):
        raise StoreConflict(
            f"one of {len(changed)} records was changed by somebody else meanwhile; nothing was written"
        )


def _expected(before: Record) -> dict[str, Any]:
    return {
        "was_target": before.target,
        "was_version": before.version,
        "was_status": before.status.value,
        "was_consecutive_rollbacks": before.consecutive_rollbacks,
    }


def _record(row: Any) -> Record:
    what = f"the record {row['target']}"
    inputs = understood(row["derived_from"], what, list) if row["derived_from"] else []
    try:
        derived_from = tuple((str(target), float(weight)) for target, weight in inputs)
        return Record(**{**row, "status": Status(row["status"]), "derived_from": derived_from})
    except (TypeError, ValueError) as error:
        raise StoreError(f"{what} in the store cannot be understood: {error}") from error


def _columns(record: Record) -> dict[str, Any]:
    return {
        **_content(record),
        "derived_from": json.dumps(record.derived_from) if record.derived_from else None,
        "status": record.status.value,
        "consecutive_rollbacks": record.consecutive_rollbacks,
    }


def _version(change: Change) -> dict[str, Any]:
    return {**_content(change.after), "reason": change.reason, "correction_key": change.correction_key}


def _content(record: Record) -> dict[str, Any]:
    return {
        "target": record.target,
        "version": record.version,
        "value": record.value,
        "u_plus": record.u_plus,
        "u_minus": record.u_minus,
        "context": record.context,
        "time": record.time,
    }
