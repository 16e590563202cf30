"""The word of a rollout: who may be adaptive now, until when, and in which incarnation of the store."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

import permitted
from postgres_server import Server
from store_places import Place
from suffice.errors import DataError, MissingDataError, StoreError, StoreTimeout
from suffice.store.database import Store, agents_store, open_store
from suffice.store.note import NAME, Note, read_note, write_note
from suffice.store.processes import ProcessRow, Pruner, fleet, is_registered, sign_off, write_process
from suffice.store.schema import HEAD
from suffice.store.words import Word, lower_word, read_word, write_word

WORD = replace(permitted.WORD, exposure={"weight": 5, "salt": "pump-000001", "regions": ["eu"]})
PROCESS = ProcessRow("n1", "pump", "host", 17, "1", 10.0, "plan", enabled=True, beat_at=100.0)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as opened:
        yield opened


def written(store: Store, word: Word, now: float = 100.0, at_least: int = 0) -> Word:
    with store.write() as connection:
        return write_word(connection, word, now, at_least=at_least)


def test_it_reads_back_and_stands_for_its_length(store: Store) -> None:
    word = written(store, WORD)
    with store.read() as connection:
        read = read_word(connection, "pump", 100.0)
    assert read.counts
    assert read.word == word
    assert (word.epoch, word.service, word.exposure) == (1, "pump", WORD.exposure)
    assert 100.0 < read.remaining <= 120.0
    assert read.standing.primary
    assert read.standing.incarnation == word.incarnation


def test_its_time_runs_by_the_clock_of_the_store_and_never_above_its_length(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        written(store, WORD, now=1000.0)
        with store.read() as connection:
            left = [read_word(connection, "pump", now).remaining for now in (900.0, 1000.0, 1119.0, 1120.0, 2000.0)]
    assert left == [120.0, 120.0, 1.0, 0.0, 0.0]


def test_a_released_word_stands_for_ever(store: Store) -> None:
    written(store, replace(WORD, length=None))
    with store.read() as connection:
        assert read_word(connection, "pump", 1e12).remaining == float("inf")


@pytest.mark.parametrize(
    "change",
    [
        {"exposure": None},
        {"exposure": {"weight": 6, "salt": "pump-000001", "regions": ["eu"]}},
        {"plan_id": "other"},
        {"phase": "Paused"},
        {"stage": "expand"},
        {"rollout": "pump-000002"},
    ],
)
def test_a_renewal_keeps_the_epoch_and_any_change_raises_it(store: Store, change: dict[str, object]) -> None:
    assert [written(store, WORD, now).epoch for now in (100.0, 110.0, 120.0)] == [1, 1, 1]
    assert written(store, replace(WORD, **change)).epoch == 2  # type: ignore[arg-type]
    assert written(store, WORD).epoch == 3


def test_an_epoch_that_was_seen_elsewhere_is_passed(store: Store) -> None:
    assert written(store, WORD, at_least=7).epoch == 8
    assert written(store, WORD, at_least=7).epoch == 8
    assert written(store, WORD, at_least=8).epoch == 8
    assert written(store, WORD, at_least=9).epoch == 10


def test_there_is_no_word_before_the_first_one_nor_of_another_service(store: Store) -> None:
    for service, write in (("pump", False), ("other", True)):
        if write:
            written(store, WORD)
        with store.read() as connection:
            read = read_word(connection, service, 100.0)
        assert not read.counts
        assert "no word of this service" in read.obstacle or "which one it is" in read.obstacle


@pytest.mark.parametrize("exposure", ["{", "[1]", "5", "{}", '{"weight": "all", "salt": "s", "regions": []}'])
def test_a_word_that_is_damaged_is_none_says_so_and_gives_way_to_a_higher_one(store: Store, exposure: str) -> None:
    written(store, WORD)
    with store.write() as connection:
        connection.execute(text("UPDATE words SET exposure = :exposure"), {"exposure": exposure})
    with store.read() as connection:
        read = read_word(connection, "pump", 100.0)
    assert (read.word, read.counts, read.damaged) == (None, False, True)
    assert read.obstacle.startswith("the word of service pump cannot be understood: ")
    assert written(store, WORD, at_least=7).epoch == 8
    with store.read() as connection:
        assert read_word(connection, "pump", 100.0).counts


@pytest.mark.parametrize("column", ["epoch", "length", "valid_until", "audit_fraction", "phase", "exposure"])
def test_a_value_of_another_kind_is_no_word_either(tmp_path: Path, column: str) -> None:
    """SQLite keeps whatever it is given."""
    with open_store(tmp_path / "store.db") as store:
        written(store, WORD)
        with store.write() as connection:
            connection.execute(text(f"UPDATE words SET {column} = x'00ff'"))
        with store.read() as connection:
            read = read_word(connection, "pump", 100.0)
        assert (read.word, read.damaged) == (None, True)
        assert "the word of service pump cannot be understood: " in read.obstacle
        with store.write() as connection:
            write_word(connection, WORD, 100.0)
        with store.read() as connection:
            assert read_word(connection, "pump", 100.0).counts


def test_a_row_that_something_else_brought_here_is_no_word_on_postgresql(store: Store) -> None:
    """A logical restore gives each row another xmin; here another transaction writes the same values again."""
    written(store, WORD)
    with store.write() as connection:
        if connection.dialect.name != "postgresql":
            return
        connection.execute(text("UPDATE words SET epoch = epoch"))
    with store.read() as connection:
        read = read_word(connection, "pump", 100.0)
    assert not read.counts
    assert "restored" in read.obstacle
    assert written(store, WORD).epoch == 1
    with store.read() as connection:
        assert read_word(connection, "pump", 100.0).counts


def test_a_backup_that_is_moved_into_place_is_another_incarnation(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    with open_store(place) as store:
        word = written(store, WORD)
    shutil.copy(place, tmp_path / "backup.db")
    (tmp_path / "backup.db").replace(place)
    with open_store(place) as store, store.read() as connection:
        read = read_word(connection, "pump", 100.0)
    assert not read.counts
    assert "another incarnation" in read.obstacle
    assert read.standing.incarnation != word.incarnation


def test_an_agents_store_is_opened_without_a_look_and_gives_up_soon(place: Place) -> None:
    with open_store(place) as store, agents_store(place) as quick:
        written(store, WORD)
        # Who writes the ledger holds the store's write lock; the word is read all the same.
        with store.write(), quick.read() as connection:
            assert read_word(connection, "pump", 100.0).counts
        if not isinstance(place, Path):
            with store.write(), quick.touch() as connection:
                write_process(connection, PROCESS)
        with store.write(), pytest.raises(StoreError), quick.write():
            pass


def test_a_store_that_is_not_there_costs_an_agent_an_error_and_nothing_else(tmp_path: Path) -> None:
    quick = agents_store(tmp_path / "missing" / "store.db")
    with pytest.raises((StoreError, MissingDataError)), quick.read() as connection:
        read_word(connection, "pump", 100.0)
    assert not (tmp_path / "missing").exists()


def test_processes_register_acknowledge_sign_off_and_are_forgotten(store: Store) -> None:
    with store.touch() as connection:
        write_process(connection, PROCESS)
        write_process(connection, replace(PROCESS, nonce="n2", service="other"))
    with store.read() as connection:
        assert is_registered(connection, "n1")
        assert not is_registered(connection, "n3")
        assert fleet(connection, "pump") == [PROCESS]
    seen = replace(PROCESS, epoch=3, seen_at=150.0, beat_at=151.0, rows_waiting=4)
    with store.touch() as connection:
        write_process(connection, seen)
        assert fleet(connection, "pump") == [seen]
        sign_off(connection, "n1", 160.0)
        assert not is_registered(connection, "n1")


def test_a_process_is_pruned_when_whoever_watches_has_seen_it_silent_for_an_hour(store: Store) -> None:
    """Whatever the clocks of hosts say: a receipt must know of everybody who may be adaptive."""
    pruner = Pruner()
    with store.touch() as connection:
        for nonce, beat_at in (("dead", 2e9), ("alive", 5.0), ("gone", 5.0)):
            write_process(connection, replace(PROCESS, nonce=nonce, beat_at=beat_at))
        sign_off(connection, "gone", 6.0)
        assert pruner.prune(connection, 100.0) == 0
        for minute in range(1, 60):
            write_process(connection, replace(PROCESS, nonce="alive", beat_at=5.0 + minute))
            assert pruner.prune(connection, 100.0 + 60 * minute) == 0
        write_process(connection, replace(PROCESS, nonce="alive", beat_at=1.0))
        assert pruner.prune(connection, 3700.0) == 2
        assert [row.nonce for row in fleet(connection, PROCESS.service)] == ["alive"]
        alone = Pruner("alive")
        assert (alone.prune(connection, 0.0), alone.prune(connection, 1e6)) == (0, 0), "nobody removes himself"
        assert Pruner().prune(connection, 1e12) == 0, "who has just begun to watch has seen nobody silent"


def test_a_folders_note_never_forgets_an_epoch_and_recognises_an_older_copy(tmp_path: Path) -> None:
    assert read_note(tmp_path) == Note()
    note = Note().raised("a", 3, 1000).raised("a", 2, 900)
    assert note == Note("a", 3, 1000)
    assert [note.is_above("a", *seen) for seen in ((2, 2000), (3, 999), (3, 1000), (4, 1001))] == [
        True,
        True,
        False,
        False,
    ]
    # A runner wrote a higher epoch in a copy that was put back: whoever noted the store before goes on with it.
    assert not note.is_above("a", 4, 10)
    assert note.raised("a", 4, 10) == Note("a", 4, 10)
    assert not note.is_above("b", 3, 10)
    assert note.raised("b", 3, 10) == Note("b", 3, 10)
    write_note(tmp_path, note)
    assert read_note(tmp_path) == note
    (tmp_path / NAME).write_text("{")
    with pytest.raises(DataError, match=NAME):
        read_note(tmp_path)


@pytest.mark.parametrize("revision", ["9999", "f00"])
def test_a_store_that_a_newer_version_migrated_gives_no_word_and_can_be_lowered(place: Place, revision: str) -> None:
    with open_store(place) as store:
        written(store, WORD)
        with store.write() as connection:
            connection.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))
            connection.execute(text("ALTER TABLE words ADD COLUMN later TEXT"))
        with store.read() as connection:
            read = read_word(connection, "pump", 100.0)
        assert not read.counts
        assert read.obstacle == f"the store's schema {revision} is newer than {HEAD}, which this version knows"
    with agents_store(place) as agents:
        with agents.touch() as connection:
            assert lower_word(connection, "pump", "RollingBack") == 2
            assert lower_word(connection, "other", "RollingBack") is None
        with agents.write() as connection:
            connection.execute(text(f"UPDATE alembic_version SET version_num = '{HEAD}'"))
        with agents.read() as connection:
            read = read_word(connection, "pump", 100.0)
    assert read.counts
    assert read.word is not None
    assert (read.word.epoch, read.word.exposure, read.word.phase) == (2, None, "RollingBack")


def test_a_server_that_hides_who_it_is_gives_no_word_and_takes_none(postgres: Server) -> None:
    postgres.execute("CREATE DATABASE hiding")
    postgres.execute("CREATE ROLE humble LOGIN PASSWORD 'humble' IN ROLE pg_read_all_data, pg_write_all_data")
    with open_store(postgres.url("hiding")) as store:
        written(store, WORD)
    postgres.execute("REVOKE EXECUTE ON FUNCTION pg_control_system FROM PUBLIC", "hiding")
    with agents_store(f"postgresql://humble:humble@127.0.0.1:{postgres.port}/hiding") as store:
        sentence = "cannot say which one it is, so that nobody is adaptive: permission denied for function pg_control"
        with store.read() as connection, pytest.raises(StoreError, match=sentence):
            read_word(connection, "pump", 100.0)
        with store.write() as connection, pytest.raises(StoreError, match=sentence):
            write_word(connection, WORD, 100.0)


def test_whatever_an_agent_asks_of_a_server_has_a_deadline(postgres: Server) -> None:
    with agents_store(postgres.place()) as agents:
        with agents.touch() as connection:
            names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
            limits = [connection.execute(text(f"SHOW {name}")).scalar_one() for name in names]
            driver = connection.connection.driver_connection
            assert driver is not None
            asked = driver.info.get_parameters()
        with agents.write() as connection:
            limits.append(connection.execute(text("SHOW lock_timeout")).scalar_one())
        with pytest.raises(StoreError, match="statement timeout"), agents.read() as connection:
            connection.execute(text("SET LOCAL statement_timeout = '10ms'"))
            connection.execute(text("SELECT pg_sleep(60)"))
    assert limits == ["1750ms", "1750ms", "2s", "1750ms"]
    assert (asked["connect_timeout"], asked["tcp_user_timeout"]) == ("2", "2000")


def test_neither_word_nor_process_waits_for_the_stores_write_lock(postgres: Server) -> None:
    place = postgres.place()
    with open_store(place) as store, agents_store(place) as agents, store.write():
        with pytest.raises(StoreTimeout, match="timeout"), agents.write():
            raise AssertionError("the lock is held")
        with agents.touch() as connection:
            write_word(connection, WORD, 100.0)
            write_process(connection, PROCESS)
    with agents_store(place) as agents, agents.read() as connection:
        assert read_word(connection, "pump", 100.0).counts
        assert is_registered(connection, PROCESS.nonce)
