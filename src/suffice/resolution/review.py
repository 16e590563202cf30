"""What people do to records beside correcting them: they add records, and close the review of one that stormed."""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from suffice.errors import DataError
from suffice.resolution.provenance import values
from suffice.sources.correction import Estimate
from suffice.store.database import Store
from suffice.store.events import ProvenanceEvent, append_provenance
from suffice.store.records import Change, Record, Status, load_records, save_changes


def add_records(store: Store, new: Sequence[Record], at: float) -> int:
    """Add the records whose targets the store does not have yet, and return how many. `at`: seconds since the epoch.

    Inputs of a derived record must be in the store, or stand before it in `new`. Raises DataError, with nothing added,
    in three cases: an input is missing, its weight is 0 or not finite, or a record's own numbers cannot be used.
    """
    with store.write() as connection:
        inputs = {target for record in new for target, _ in record.derived_from}
        known = load_records(connection, inputs | {record.target for record in new})
        added: list[Record] = []
        for record in new:
            if record.target not in known:
                _check(record, known)
                added.append(known.setdefault(record.target, record))
        save_changes(connection, [Change(None, record, "first seen") for record in added])
        append_provenance(connection, [ProvenanceEvent(at, r.target, "first_seen", values(r)) for r in added])
    return len(added)


def close_review(store: Store, target: str, who: str, why: str, at: float) -> Record:
    """Let corrections be applied to a record again; its count of rollbacks starts at 0. `at`: seconds since the epoch.

    Raises DataError when there is no such record, or it does not need review.
    """
    with store.write() as connection:
        record = load_records(connection, [target]).get(target)
        if record is None or record.status is not Status.NEEDS_REVIEW:
            why_not = "there is no such record" if record is None else f"it is {record.status.value}"
            raise DataError(f"{target}: no review to close, {why_not}; allowed: a record that needs_review")
        closed = replace(record, status=Status.ACTIVE, consecutive_rollbacks=0)
        save_changes(connection, [Change(record, closed, why)])
        append_provenance(connection, [ProvenanceEvent(at, target, "review_closed", {"who": who, "why": why})])
    return closed


def _check(record: Record, known: dict[str, Record]) -> None:
    try:
        Estimate(record.value, record.u_plus, record.u_minus)
    except DataError as error:
        raise DataError(f"{record.target}: {error}") from error
    for target, weight in record.derived_from:
        if target not in known:
            raise DataError(f"{record.target}: is derived from {target}, which is not in the store; add it first")
        if not isfinite(weight) or weight == 0:
            raise DataError(f"{record.target}: the weight of {target} is {weight}; it must be finite and not 0")
