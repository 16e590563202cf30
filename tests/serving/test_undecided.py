"""Cases without a decision wait for the store, and none of them is lost or told of another rollout."""

import threading
from collections.abc import Iterator

import pytest

from store_places import Place
from suffice.errors import StoreError
from suffice.serving.undecided import Undecided
from suffice.store.database import Store, open_store
from suffice.store.irregular import undecided_of


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place, durable=False) as opened:
        yield opened


def noted(store: Store, rollout: str = "r", stage: str = "s") -> dict[str, int]:
    with store.read() as connection:
        return undecided_of(connection, rollout, stage)


def test_processes_add_up_and_a_second_delivery_adds_nothing(store: Store) -> None:
    for _ in range(2):
        undecided = Undecided()
        for error in (TimeoutError(), TimeoutError(), OSError()):
            undecided.add("r", "s", error, 1.0)
        undecided.add("r", "next", KeyError(), 2.0)
        undecided.add("", "", ValueError(), 2.0)
        undecided.deliver(store)
        undecided.deliver(store)
    assert (noted(store), noted(store, stage="next")) == ({"OSError": 2, "TimeoutError": 4}, {"KeyError": 2})
    assert noted(store, "", "") == {}


def test_what_a_store_does_not_take_waits_on(store: Store) -> None:
    undecided = Undecided()
    undecided.add("r", "s", TimeoutError(), 1.0)
    with store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE irregularities RENAME TO away")
    with pytest.raises(StoreError):
        undecided.deliver(store)
    with store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE away RENAME TO irregularities")
    undecided.add("r", "s", TimeoutError(), 1.0)
    undecided.deliver(store)
    assert noted(store) == {"TimeoutError": 2}


def test_threads_lose_none(store: Store) -> None:
    undecided = Undecided()

    def failing() -> None:
        for _ in range(200):
            undecided.add("r", "s", TimeoutError(), 1.0)

    threads = [threading.Thread(target=failing) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        undecided.deliver(store)
    undecided.deliver(store)
    assert noted(store) == {"TimeoutError": 800}
