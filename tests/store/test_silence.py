"""A server that falls silent: whoever waits for it counts the time, and nobody waits for ever."""

from pathlib import Path

import pytest
from sqlalchemy import text

from postgres_server import Server
from suffice.errors import ExitCode, StoreTimeout
from suffice.store import database, deadline
from suffice.store.database import AGENT_SECONDS, Store, agents_store, open_store


class Clock:
    """A clock of deadlines that moves on by a tick whenever somebody looks at it."""

    tick = 0.05

    def __init__(self) -> None:
        self.reading = 0.0

    def __call__(self) -> float:
        self.reading += self.tick
        return self.reading

    def is_within(self, seconds: float, began: float) -> bool:
        """Whether no more has passed; the looks that find a deadline over move this clock too."""
        return self.reading - began <= seconds + 10 * self.tick


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(deadline, "now", clock)
    return clock


def given_up_in_time(store: Store, clock: Clock, kind: str) -> bool:
    """A transaction is given up, and what it waited for took no longer than an agent may wait in all."""
    began = clock.reading
    with pytest.raises(StoreTimeout), getattr(store, kind)() as connection:
        connection.execute(text("SELECT 1"))
    return clock.is_within(AGENT_SECONDS, began)


@pytest.mark.parametrize("kind", ["read", "touch", "write"])
def test_a_connection_that_is_dead_a_new_one_and_a_statement_have_one_deadline(
    kind: str, postgres: Server, clock: Clock
) -> None:
    with agents_store(postgres.place()) as agents:
        with agents.read() as connection:
            connection.execute(text("SELECT 1"))
        with postgres.frozen():
            assert given_up_in_time(agents, clock, kind)
            assert given_up_in_time(agents, clock, kind)


def test_statements_of_one_transaction_have_one_deadline(postgres: Server, clock: Clock) -> None:
    with agents_store(postgres.place()) as agents:
        began = clock.reading
        with pytest.raises(StoreTimeout), agents.read() as connection:
            for _ in range(5):
                connection.execute(text("SELECT pg_sleep(1)"))
        assert clock.is_within(AGENT_SECONDS, began)


def test_a_bell_has_one_deadline_too(postgres: Server, clock: Clock) -> None:
    with agents_store(postgres.place()) as agents, postgres.frozen():
        began = clock.reading
        with pytest.raises(StoreTimeout):
            agents.listening("a_channel")
        assert clock.is_within(AGENT_SECONDS, began)


def test_a_lock_in_sqlite_is_waited_for_as_long_as_is_left(tmp_path: Path, clock: Clock) -> None:
    place = tmp_path / "store.db"
    with open_store(place), agents_store(place) as agents:
        with agents.write() as connection:
            first = connection.execute(text("PRAGMA busy_timeout")).scalar_one()
        clock.tick = 1.0
        with agents.write() as connection:
            second = connection.execute(text("PRAGMA busy_timeout")).scalar_one()
    assert (second, first > second) == (1000, True)


def test_an_agent_gives_up_a_server_that_stands_still_and_has_it_again_afterwards(postgres: Server) -> None:
    """In a transaction, at the begin of the next one, and for a new connection; no limit of the server's acts then."""
    with agents_store(postgres.place()) as agents:
        with (
            pytest.raises(StoreTimeout, match="the server has not answered within 2 s in all"),
            agents.read() as connection,
        ):
            connection.execute(text("SELECT 1"))
            with postgres.frozen():
                connection.execute(text("SELECT 1"))
        with agents.read() as connection:
            connection.execute(text("SELECT 1"))
        with postgres.frozen():
            for _ in range(2):
                with pytest.raises(StoreTimeout), agents.read() as connection:
                    connection.execute(text("SELECT 1"))
        with agents.read() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_statement_that_takes_long_is_waited_for_and_a_server_that_stands_still_is_not(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SILENT_SECONDS", 0.2)
    with open_store(postgres.place()) as store:
        with store.read() as connection:
            assert connection.execute(text("SELECT pg_sleep(1), 5")).one()[1] == 5
        with pytest.raises(StoreTimeout) as late, store.write() as connection:
            connection.execute(text("SELECT 1"))
            with postgres.frozen():
                connection.execute(text("SELECT 1"))
        assert late.value.exit_code is ExitCode.CANNOT_TELL
        with store.write() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1


def test_a_lock_that_somebody_holds_too_long_is_a_matter_of_time_too(tmp_path: Path, postgres: Server) -> None:
    for place in (tmp_path / "store.db", postgres.place()):
        with open_store(place) as store, agents_store(place) as agents, store.write(), pytest.raises(StoreTimeout):
            agents.write().__enter__()
