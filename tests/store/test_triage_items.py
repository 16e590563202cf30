"""What remains of a rollback: the first receipt, and one item that is closed once."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from store_places import Place
from suffice.store.database import Store, open_store
from suffice.store.triage import (
    StoredReceipt,
    TriageItem,
    add_receipt,
    close_item,
    item_of,
    items,
    open_item,
    receipt_of,
)

ITEM = TriageItem("r-1", "r", "canary", "2 % of audits differ", "queue/triage/r-1", 1.5)
RECEIPT = StoredReceipt("r-1", 2.5, 420, 420, 7, 0.75)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as opened, opened.write() as connection:
        assert open_item(connection, ITEM)
        assert open_item(connection, replace(ITEM, id="r-2"))
        assert add_receipt(connection, RECEIPT)
    with open_store(place) as opened:
        yield opened


def test_they_read_back_as_they_were_written_and_are_written_once(store: Store) -> None:
    with store.write() as connection:
        assert not open_item(connection, replace(ITEM, reason="another"))
        assert not add_receipt(connection, replace(RECEIPT, at=9.0))
        assert (item_of(connection, "r-1"), receipt_of(connection, "r-1")) == (ITEM, RECEIPT)
        assert (item_of(connection, "r-9"), receipt_of(connection, "r-9")) == (None, None)


def test_an_item_is_closed_once_and_then_no_longer_open(store: Store) -> None:
    with store.write() as connection:
        assert close_item(connection, "r-1", 9.0, "ann", "a biased sampler")
        assert not close_item(connection, "r-1", 10.0, "bob", "again")
        assert not close_item(connection, "r-9", 10.0, "bob", "nothing")
    with store.read() as connection:
        closed = replace(ITEM, closed_at=9.0, closed_by="ann", note="a biased sampler")
        assert [item.id for item in items(connection)] == ["r-2"]
        assert items(connection, closed=True) == [closed, replace(ITEM, id="r-2")]
