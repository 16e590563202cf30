"""A process that forks while its store is open: parent and child each go on, and nothing of either is lost."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Thread

import pytest

from store_places import ROW, Place
from suffice.errors import StoreError
from suffice.store import forks
from suffice.store.database import Store, agents_store, open_store
from suffice.store.ledger import Ledger

REFUSED = 3


def note(store: Store, key: str) -> None:
    Ledger(store).append([replace(ROW, key=key)])


def write_alone(place: Place, key: str) -> None:
    with open_store(place) as store:
        note(store, key)


def noted(place: Place) -> list[str]:
    with open_store(place) as store:
        return sorted(row.key for row in Ledger(store).rows("r"))


def forked(act: Callable[[], None]) -> int:
    """The pid of a forked child that does it: its status is 0 when nothing was raised, REFUSED for a StoreError."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.alarm(60)
        act()
        status = 0
    except StoreError as error:
        status = REFUSED if "forked in the middle of a transaction" in str(error) else status
    finally:
        os._exit(status)


def status(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@contextmanager
def another_thread_writes(store: Store, until: Event) -> Iterator[None]:
    """A transaction of another thread that writes a row, and lasts until the event."""
    began = Event()

    def work() -> None:
        with store.write() as connection:
            Ledger(store).append([replace(ROW, key="thread")], connection)
            began.set()
            until.wait(60)

    thread = Thread(target=work)
    thread.start()
    assert began.wait(60)
    try:
        yield
    finally:
        until.set()
        thread.join()


def test_a_fork_waits_for_a_transaction_of_another_thread(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child would find the store locked for ever by a thread that it has not."""
    monkeypatch.setattr(forks, "FORK_SECONDS", 60.0)
    over = Event()
    with open_store(place) as store:
        with another_thread_writes(store, over):
            Thread(target=lambda: over.wait(0.2) or over.set()).start()
            pid = forked(lambda: note(agents_store(place), "child"))
        assert status(pid) == 0
        note(store, "parent")
    assert noted(place) == ["child", "parent", "thread"]


def test_a_child_goes_on_after_its_parent_closed_the_store(place: Place) -> None:
    """SQLite's last connection removes the log: the child's must count as one."""
    go_on, told = os.pipe()
    with open_store(place) as store:
        note(store, "before")

        def child() -> None:
            with open_store(place) as own:
                note(own, "child 1")
                os.read(go_on, 1)
                note(own, "child 2")

        pid = forked(child)
        while "child 1" not in noted(place):
            pass
    os.write(told, b"x")
    assert status(pid) == 0
    assert noted(place) == ["before", "child 1", "child 2"]


def test_a_store_that_was_opened_before_a_fork_serves_both(place: Place) -> None:
    with open_store(place) as store:
        note(store, "before")
        pid = forked(lambda: note(store, "child"))
        note(store, "parent")
        assert status(pid) == 0
        note(store, "after")
    assert noted(place) == ["after", "before", "child", "parent"]


def test_a_child_that_was_forked_within_a_transaction_refuses_the_store(place: Place) -> None:
    with open_store(place) as store:
        with store.write() as connection:
            Ledger(store).append([replace(ROW, key="parent")], connection)
            pid = forked(lambda: note(agents_store(place), "child"))
            assert status(pid) == REFUSED
        note(store, "after")
    assert noted(place) == ["after", "parent"]


def test_a_fork_does_not_wait_for_ever(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forks, "FORK_SECONDS", 0.01)
    with open_store(place) as store, another_thread_writes(store, Event()):
        assert status(forked(lambda: note(agents_store(place), "child"))) == REFUSED


def test_many_forks_beside_threads_that_write(tmp_path: Path) -> None:
    """What random moments show: no child finds the store locked, no row is lost, no transaction waits for ever."""
    place, over, written = tmp_path / "store.db", Event(), list[str]()
    with open_store(place) as store:

        def work(name: str) -> None:
            while not over.is_set():
                key = f"{name} {len(written)}"
                note(store, key)
                written.append(key)

        threads = [Thread(target=work, args=(name,)) for name in ("a", "b")]
        for thread in threads:
            thread.start()
        children = [forked(partial(write_alone, place, f"child {i}")) for i in range(20)]
        statuses = [status(pid) for pid in children]
        over.set()
        for thread in threads:
            thread.join()
    assert statuses == [0] * 20
    assert {*written, *(f"child {i}" for i in range(20))} == set(noted(place))
