"""The store on a PostgreSQL server: what is PostgreSQL's own, and what is refused, in one line without the password."""

import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import event, text
from tests.permission.links import Proxy

from postgres_server import Server
from store_places import ROW, bare
from suffice.errors import MissingDataError, StoreError
from suffice.store import database
from suffice.store.address import address_of, store_of
from suffice.store.database import Store, open_store
from suffice.store.ledger import Ledger
from suffice.store.records import Change, Record, save_changes


@pytest.fixture
def place(postgres: Server) -> str:
    return postgres.place()


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    with open_store(place) as opened:
        yield opened


@contextmanager
def refused(sentence: str, *secrets: str, kind: type[Exception] = StoreError) -> Iterator[None]:
    """Ends with one line that says so, and that holds none of these."""
    with pytest.raises(kind, match=sentence) as caught:
        yield
    assert "\n" not in str(caught.value)
    assert not [secret for secret in secrets if secret in str(caught.value)]


def test_a_reader_sees_one_moment_and_cannot_write_and_a_writer_waits_for_half_a_minute(store: Store) -> None:
    ask = ("transaction_isolation", "transaction_read_only", "lock_timeout", "idle_in_transaction_session_timeout")
    with store.read() as connection:
        reader = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in ask]
    with store.write() as connection:
        writer = [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in ask]
    assert reader == ["repeatable read", "on", "0", "0"]
    assert writer == ["read committed", "off", "30s", "5s"]


def test_without_the_lock_a_reader_passes_by_a_row(place: str, store: Store) -> None:
    """A negative control: PostgreSQL itself numbers rows before they are committed."""
    engine, ledger = bare(place), Ledger(store)
    with engine.connect() as slow, engine.connect() as quick:
        ledger.append([replace(ROW, key="slow")], slow)
        ledger.append([replace(ROW, key="quick")], quick)
        quick.commit()
        rows, last = ledger.rows_after("r", 0, 10)
        slow.commit()
    engine.dispose()
    assert [row.key for row in rows] == ["quick"]
    assert ledger.rows_after("r", last, 10)[0] == []


def test_a_writer_that_falls_silent_loses_the_lock_and_what_it_wrote(store: Store) -> None:
    ledger = Ledger(store)
    with refused("terminat|closed"), store.write() as silent:
        ledger.append([ROW], silent)
        silent.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
        assert ledger.append([replace(ROW, key="next")]) == 1
    assert [row.key for row in ledger.rows("r")] == ["next"]


class Choking(Proxy):
    """A link that is cut when the first INSERT has passed, but for an answer."""

    def passing(self, data: bytes) -> bytes:
        before, *others = data.split(b"INSERT INTO")
        if others:
            self.cut()
        return b"INSERT INTO".join([before, *others[:1]])


def test_a_writer_that_is_cut_off_in_the_middle_of_what_it_writes_loses_the_lock(
    place: str, store: Store, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's limit for silence does not count within a pipeline of statements."""
    link = Choking(postgres.own_port)
    behind = place.replace(f":{postgres.port}/", f":{link.port}/")
    new = [Change(None, Record(f"target {i}", 1.0, 1.0, 1.0), "first seen", f"c{i}") for i in range(20)]

    def write() -> None:
        with suppress(StoreError), open_store(behind) as cut_off, cut_off.write() as connection:
            save_changes(connection, new)

    monkeypatch.setattr(database, "IDLE_SECONDS", 0.5)
    writer = Thread(target=write)
    writer.start()
    while link._open.is_set():
        time.sleep(0.01)
    with store.write() as connection:
        assert connection.execute(text("SELECT count(*) FROM records")).scalar_one() == 0
    link.close()
    writer.join()


def test_in_a_transaction_that_writes_the_server_asks_whether_anybody_is_there(store: Store) -> None:
    with store.write() as connection:
        names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
        assert [connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in names] == ["1", "1", "4"]


def test_everybody_asks_tcp_whether_a_silent_server_is_there(place: str, store: Store) -> None:
    """One that vanished while the link was cut never answers; the system's own default is to ask after two hours."""
    for query, idle in (("", "5"), ("&keepalives_idle=60", "60")):
        with open_store(f"{place}{query}") as asking, asking.read() as connection:
            driver: Any = connection.connection.driver_connection
            assert driver.info.get_parameters()["keepalives_idle"] == idle


def test_a_writer_does_not_wait_for_ever(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.write():
        monkeypatch.setattr(database, "BUSY_SECONDS", 0.02)
        with refused("lock timeout"), store.write():
            pass


def test_a_store_outlives_its_connections(store: Store, postgres: Server) -> None:
    Ledger(store).append([ROW])
    others = "pid <> pg_backend_pid() AND datname = current_database()"
    assert postgres.execute(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE {others}")
    assert Ledger(store).rows("r") == [ROW]


def indexes_of(store: Store, ask: Callable[[], object]) -> list[str]:
    """The index that each SELECT on the ledger goes by, where the server may not read it all."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM decisions" in statement:
            asked.append((statement, parameters))

    with store.read() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", note)
    ask()
    event.remove(engine, "before_cursor_execute", note)
    names = []
    for statement, parameters in asked:
        with store.read() as connection:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
        names += _indexes(plan[0]["Plan"])
    return names


def _indexes(node: dict[str, Any]) -> Iterator[str]:
    if "Index Name" in node:
        yield node["Index Name"]
    for child in node.get("Plans", ()):
        yield from _indexes(child)


def test_what_a_cycle_asks_of_the_ledger_is_found_by_an_index(store: Store) -> None:
    ledger = Ledger(store)
    ledger.append([replace(ROW, key=f"k{i}", stage=f"s{i % 20}") for i in range(400)])
    with store.write() as connection:
        connection.execute(text("ANALYZE decisions"))
    assert indexes_of(store, lambda: ledger.rows_after("r", 390, 100)) == ["pk_decisions", "pk_decisions"]
    assert indexes_of(store, lambda: ledger.disagreements("r", "s1")) == ["ix_decisions_disagreeing"]
    assert indexes_of(store, lambda: ledger.latest("r", "s1", 5, adaptive_path=True)) == ["ix_decisions_adaptive_path"]


SECRET = "hush-hush"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (f"postgresql:/ann:{SECRET}@host/name", "cannot be read .*; allowed: a database URL like postgresql://"),
        (f"ann:{SECRET}@host/name", "cannot be read"),
        (f"postgresql://ann:{SECRET}@host:port{SECRET}/name", "cannot be read"),
        (f"postgresql://ann:p@{SECRET}@host/name", "second @ before its host; allowed: a password with %40 for @"),
        (f"mysql://ann:{SECRET}@host/name", "mysql://… is no store; allowed: a database URL like postgresql://"),
        (f"postgresql+asyncpg://ann:{SECRET}@host/name", r"postgresql\+asyncpg://… is no store"),
        (f"postgresql://ann@127.0.0.1:1/name?password={SECRET}", "postgresql://ann@127.0.0.1:1/name: .*refused"),
        (f"postgresql://ann:{SECRET}@127.0.0.1:1/name?colour=blue", 'invalid connection option "colour"'),
    ],
)
def test_a_wrong_url_is_refused_without_a_word_of_the_password(url: str, sentence: str) -> None:
    with refused(sentence, SECRET):
        open_store(store_of(Path("queue"), url))


def test_a_server_that_does_not_answer_or_refuses_is_told_in_one_line(postgres: Server) -> None:
    wrong = postgres.url().replace(postgres.password, SECRET)
    with refused("password authentication failed", SECRET):
        open_store(wrong)
    with refused('database "nowhere" does not exist', postgres.password):
        open_store(postgres.url("nowhere"))
    with refused('schema "nowhere"|no schema has been selected', postgres.password):
        open_store(postgres.url(query="?options=-csearch_path%3Dnowhere"))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with refused("timeout", SECRET):
            open_store(f"postgresql://ann:{SECRET}@127.0.0.1:{silent.getsockname()[1]}/name?connect_timeout=2")


def test_without_its_driver_the_line_says_how_to_get_it(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with refused(r"PostgreSQL needs psycopg.*pip install 'suffice\[postgres\]'"):
        open_store(place)


def test_a_name_for_messages_holds_what_is_needed_to_find_it_and_no_secret() -> None:
    address = address_of(
        f"postgresql://ann:{SECRET}@db:5433/name?options=-csearch_path%3Da&password={SECRET}&x={SECRET}"
    )
    assert address.name == "postgresql://ann@db:5433/name?options=-csearch_path%3Da"
    assert SECRET not in repr(address.url.set(query={}))
    assert address_of("postgresql:///name?host=/run/postgresql").name == "postgresql:///name?host=%2Frun%2Fpostgresql"


def test_a_role_without_rights_is_refused_and_nothing_is_half_made(postgres: Server, place: str) -> None:
    schema = place.rpartition("%3D")[2]
    postgres.execute(f"CREATE ROLE {schema}_guest LOGIN PASSWORD '{postgres.password}'")
    guest = place.replace("//suffice:", f"//{schema}_guest:")
    postgres.execute(f"GRANT USAGE ON SCHEMA {schema} TO {schema}_guest")
    with refused(f"permission denied for schema {schema}", postgres.password):
        open_store(guest)
    with refused("there is no store", kind=MissingDataError):
        open_store(place, create=False)
    with open_store(place) as store:
        Ledger(store).append([ROW])
    with refused("permission denied for table", postgres.password):
        open_store(guest)
    postgres.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {schema}_guest")
    with open_store(guest) as reader:
        assert Ledger(reader).rows("r") == [ROW]
        with refused("permission denied for table decisions", postgres.password):
            Ledger(reader).append([replace(ROW, key="another")])
        assert Ledger(reader).rows("r") == [ROW]


def test_a_database_that_cannot_hold_every_text_is_refused(postgres: Server) -> None:
    postgres.execute("CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
    with refused("the database's encoding is LATIN1; allowed: UTF8"):
        open_store(postgres.url("latin"))
    with refused("there is no store", kind=MissingDataError):
        open_store(postgres.url("latin"), create=False)
