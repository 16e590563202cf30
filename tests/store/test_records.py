"""Records: read back as they were saved, each value kept, and never saved over somebody else's change."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import select

from store_places import Place
from suffice.errors import StoreConflict
from suffice.store.database import Store, open_store
from suffice.store.records import (
    Change,
    Record,
    load_inputs,
    load_records,
    save_changes,
)
from suffice.store.schema import record_versions

PLAIN = Record("t", 10.0, 1.0, 2.0, "lab", "2001")
DERIVED = Record("sum", 21.5, 0.1, 0.1, derived_from=(("t", 2.0), ("ü/µ", -0.5)))


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as opened:
        save(
            opened,
            *(Change(None, record, "first seen", "c0") for record in (PLAIN, DERIVED, replace(PLAIN, target="ü/µ"))),
        )
        yield opened


def save(store: Store, *changes: Change) -> None:
    with store.write() as connection:
        save_changes(connection, changes)


def loaded(store: Store, *targets: str) -> dict[str, Record]:
    with store.read() as connection:
        return load_records(connection, targets)


def test_records_read_back_as_they_were_saved(store: Store) -> None:
    assert loaded(store, "t", "sum", "nobody") == {"t": PLAIN, "sum": DERIVED}
    with store.read() as connection:
        assert load_inputs(connection, [DERIVED]).keys() == {"t", "ü/µ"}


def test_more_targets_than_one_query_takes_are_all_loaded(store: Store) -> None:
    many = {f"m{i}": replace(PLAIN, target=f"m{i}") for i in range(1_203)}
    save(store, *(Change(None, record, "first seen") for record in many.values()))
    assert loaded(store, *many) == many


def test_each_value_that_a_record_had_is_kept(store: Store) -> None:
    second, third = replace(PLAIN, value=0.1 + 0.2, version=2), replace(PLAIN, value=-1e-300, version=3)
    save(store, Change(PLAIN, second, "better", "c1"), Change(second, third, "better still", "c2"))
    with store.read() as connection:
        query = select(record_versions).where(record_versions.c.target == "t").order_by(record_versions.c.version)
        kept = connection.execute(query).all()
    assert [(row.version, row.value, row.reason, row.correction_key) for row in kept] == [
        (1, 10.0, "first seen", "c0"),
        (2, 0.1 + 0.2, "better", "c1"),
        (3, -1e-300, "better still", "c2"),
    ]


def test_a_change_of_what_somebody_else_has_changed_is_refused_with_all_that_came_with_it(store: Store) -> None:
    mine, theirs = replace(PLAIN, value=11.0, version=2), replace(PLAIN, consecutive_rollbacks=1)
    save(store, Change(PLAIN, theirs, "rolled back"))
    with pytest.raises(StoreConflict, match="one of 2 records was changed by somebody else"):
        save(store, Change(DERIVED, replace(DERIVED, value=0.0, version=2), "x"), Change(PLAIN, mine, "x"))
    assert loaded(store, "t", "sum") == {"t": theirs, "sum": DERIVED}


def test_a_record_is_new_once(store: Store) -> None:
    with pytest.raises(StoreConflict):
        save(store, Change(None, replace(PLAIN, target="other"), "x"), Change(None, PLAIN, "x"))
    assert loaded(store, "other") == {}
