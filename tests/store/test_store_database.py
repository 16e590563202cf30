"""Opening a store: made when empty, migrated when old, refused when newer or foreign, whole after every transaction."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, insert, inspect, select, text

import suffice.store.migrations
from store_places import Place, bare, store_at
from suffice.errors import MissingDataError, StoreConflict, StoreError
from suffice.store.database import Store, agents_store, open_store
from suffice.store.schema import HEAD, metadata, store_meta


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "store.sqlite"


def meta(store: Store) -> dict[str, str]:
    with store.read() as connection:
        return {row.key: row.value for row in connection.execute(select(store_meta))}


def put(store: Store, *keys: str) -> None:
    with store.write() as connection:
        for key in keys:
            connection.execute(insert(store_meta).values(key=key, value="x"))


def test_the_migrations_lead_to_exactly_the_tables_of_the_schema(place: Place) -> None:
    store_at(place, "head").dispose()
    options = {"target_metadata": metadata, "compare_type": True, "compare_server_default": True}
    with open_store(place) as store, store.read() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def tables_of(store: Store) -> dict[str, list[Any]]:
    """All that a database says of its tables, with each name and each default."""
    with store.read() as connection:
        known = inspect(connection)
        asked = (
            known.get_pk_constraint,
            known.get_unique_constraints,
            lambda table: [plain(index) for index in known.get_indexes(table)],
            known.get_check_constraints,
            known.get_foreign_keys,
        )
        return {
            table: [
                sorted(map(repr, known.get_columns(table))),
                *(str(ask(table)) for ask in asked),
            ]
            for table in known.get_table_names()
        }


def plain(index: Any) -> dict[str, Any]:
    return index | {"dialect_options": {name: str(value) for name, value in index.get("dialect_options", {}).items()}}


def test_a_new_store_is_what_the_migrations_make_of_an_empty_one(new_place: Callable[[], Place]) -> None:
    migrated, new = new_place(), new_place()
    store_at(migrated, "head").dispose()
    with open_store(migrated) as one, open_store(new) as other:
        assert tables_of(one) == tables_of(other)
        assert len(tables_of(one)) == len(metadata.tables) + 1


def test_a_table_that_no_migration_makes_would_be_noticed(place: Place) -> None:
    with open_store(place) as store:
        with store.write() as connection:
            connection.exec_driver_sql("DROP TABLE outbox")
        with store.read() as connection:
            assert compare_metadata(MigrationContext.configure(connection), metadata) != []


def test_the_head_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", suffice.store.migrations.__path__[0])
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_store_is_made_and_opened_at_the_head_without_alembic(place: Place) -> None:
    code = (
        "import sys; from suffice.store.database import open_store; open_store(sys.argv[1]); open_store(sys.argv[1]);"
        "print([name for name in sys.modules if name.split('.')[0] in ('alembic', 'mako')])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(place)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_was_written_is_there_after_opening_again(place: Place) -> None:
    with open_store(place) as store:
        put(store, "a")
    with open_store(place, create=False) as store:
        assert meta(store) == {"a": "x"}


def test_a_file_is_found_by_its_url_too(path: Path) -> None:
    with open_store(path) as store:
        put(store, "a")
    with open_store(f"sqlite:///{path}") as store:
        assert meta(store) == {"a": "x"}


def test_sqlite_runs_with_write_ahead_log_full_sync_foreign_keys_and_patience(path: Path) -> None:
    with open_store(path) as store, store.read() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        values = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas}
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000}


def test_a_transaction_that_fails_leaves_nothing(place: Place) -> None:
    with open_store(place) as store:
        with pytest.raises(ZeroDivisionError), store.write() as connection:
            connection.execute(insert(store_meta).values(key="a", value="x"))
            raise ZeroDivisionError
        with pytest.raises(StoreConflict):
            put(store, "b", "b")
        assert meta(store) == {}


def test_a_reader_sees_one_moment_while_another_writes(place: Place) -> None:
    with open_store(place) as store, store.read() as reading:
        before = reading.execute(select(store_meta)).all()
        put(store, "a")
        assert reading.execute(select(store_meta)).all() == before == []


def test_a_store_that_is_closed_during_a_transaction_leaves_no_connection_open(place: Place) -> None:
    """Seen: the agent's reader closes the store while its writer writes, and a connection was left to the collector."""
    closed: list[Any] = []
    with open_store(place) as store:
        event.listen(store._engine, "close", lambda connection, _: closed.append(connection))
        with store.read() as connection:
            used = connection.connection.dbapi_connection
            store.close()
        assert closed == [used]
        put(store, "a")
        assert meta(store) == {"a": "x"}


def test_processes_that_open_an_empty_store_at_once_all_succeed(place: Place) -> None:
    code = "import sys; from suffice.store.database import open_store; open_store(sys.argv[1]).close()"
    running = [subprocess.Popen([sys.executable, "-c", code, str(place)]) for _ in range(4)]
    assert [process.wait() for process in running] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("revision", "sentence"), [("9999", f"schema 9999 is newer than {HEAD}"), ("f00", "'f00' is not one of Suffice's")]
)
def test_a_newer_or_unknown_schema_is_refused_in_one_line(place: Place, revision: str, sentence: str) -> None:
    with open_store(place) as store, store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :it"), {"it": revision})
    with pytest.raises(StoreError, match=sentence) as caught:
        open_store(place)
    assert store.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_of_something_else_is_refused_and_left_as_it_is(place: Place) -> None:
    engine = bare(place)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE measurements (id INTEGER)"))
    with pytest.raises(StoreError, match="is a database but not a store of Suffice"):
        open_store(place)
    assert inspect(engine).get_table_names() == ["measurements"]
    engine.dispose()


def test_what_cannot_be_a_store_is_refused_in_one_line(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.write_text("this is no database, and longer than its header would be " * 3, encoding="utf-8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    refused = {
        str(path): "file is not a database",
        str(tmp_path): "is a folder",
        str(tmp_path / "file" / "store.sqlite"): "folder cannot be made",
        "sqlite://": "a store needs a file",
        "nosuchdb://host/name": "nosuchdb://… is no store; allowed: a database URL like postgresql://",
    }
    for where, sentence in refused.items():
        with pytest.raises(StoreError, match=sentence) as caught:
            open_store(where)
        assert "\n" not in str(caught.value)


def test_a_missing_store_is_not_made_when_it_was_only_asked_for(place: Place) -> None:
    with pytest.raises(MissingDataError, match="there is no store"):
        open_store(place, create=False)
    if isinstance(place, Path):
        assert not place.exists()
    else:
        engine = bare(place)
        assert inspect(engine).get_table_names() == []
        engine.dispose()


@pytest.mark.parametrize("first", [open_store, agents_store])
def test_a_new_store_is_for_its_owner_and_group_and_one_that_is_there_keeps_its_mode(
    tmp_path: Path, first: Callable[[Path], Store]
) -> None:
    path = tmp_path / "store.db"
    for mode in (0o640, 0o600):
        with first(path) as store, suppress(StoreError), store.write() as connection:
            connection.execute(text("SELECT 1"))
            modes = {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
        assert modes == {mode}
        path.chmod(0o600)
