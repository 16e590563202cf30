"""A server that falls silent: whoever waits for it counts the time, and nobody waits for ever."""

from pathlib import Path

import pytest
from sqlalchemy import text

from postgres_server import Server
from suffice.errors import ExitCode, StoreTimeout
from suffice.store import database
from suffice.store.database import agents_store, open_store


def test_an_agent_gives_up_a_server_that_stands_still_and_has_it_again_afterwards(postgres: Server) -> None:
    """In a transaction, at the begin of the next one, and for a new connection; no limit of the server's acts then."""
    with agents_store(postgres.place()) as agents:
        with pytest.raises(StoreTimeout, match="the server has not answered for 2 s"), agents.read() as connection:
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
