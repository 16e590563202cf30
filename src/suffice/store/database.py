"""Opening a store, and its transactions."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, Insert, Table, create_engine, event, inspect, make_url, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from suffice.errors import MissingDataError, StoreConflict, StoreError
from suffice.store.schema import HEAD

BUSY_SECONDS = 30
"""How long a transaction waits for another process before it gives up."""

WRITE_LOCK = 0x5375666669636500
"""PostgreSQL's number of the lock that a write transaction takes: "Suffice" in ASCII."""


class Store:
    """An open store at the current schema. Safe to share between threads; each process opens its own."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.name = name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the store. Raises StoreError."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that changes the store: all of it or, after an exception or a kill, nothing.

        It takes the store's one write lock at its start, so that what it reads cannot be outdated when it writes, and
        ledger rows are numbered in the order in which they are committed.
        Raises StoreConflict when a row exists already that must be unique, StoreError when the store cannot be written.
        """
        with (
            self._translated(),
            self._engine.connect() as connection,
            connection.execution_options(suffice_write=True).begin(),
        ):
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise StoreConflict(f"{self.name}: {_one_line(error)}") from error
        except DBAPIError as error:
            raise StoreError(f"{self.name}: {_one_line(error)}") from error


def open_store(where: str | Path, *, create: bool = True, durable: bool = True) -> Store:
    """Open the store at a path or database URL; an empty or older one is brought to the current schema first.

    A SQLite store that is not `durable` does not wait for the disk: for one that is thrown away in the same process.
    Raises MissingDataError when there is none and `create` is False; StoreError when it was written by a newer version,
    is no store, or cannot be reached. A store that was refused is left as it was.
    """
    url, name = _url(where)
    if url.get_backend_name() == "sqlite":
        _check_file(url, name, create=create)
    try:
        engine = _engine(url, durable=durable)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise StoreError(f"{name}: cannot be opened: {_one_line(error)}") from error
    store = Store(engine, name)
    try:
        _bring_to_head(store)
    except BaseException:
        store.close()
        raise
    return store


def insert_new(connection: Connection, table: Table, unique: Sequence[str], rows: list[dict[str, Any]]) -> int:
    """Insert the rows whose `unique` columns are not there yet; returns how many were new."""
    if not rows:
        return 0
    statement: sqlite.Insert | postgresql.Insert
    statement = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
    ignoring: Insert = statement.on_conflict_do_nothing(index_elements=list(unique))
    if connection.dialect.name == "postgresql":
        # psycopg does not say how many rows many statements have changed.
        return len(connection.execute(ignoring.returning(table.c[unique[0]]), rows).all())
    return connection.execute(ignoring, rows).rowcount


def insert_or_update(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows; those whose primary key is there already take the place of the old ones."""
    if not rows:
        return
    statement: sqlite.Insert | postgresql.Insert
    statement = postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
    changed = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    replacing: Insert = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)
    connection.execute(replacing, rows)


def _url(where: str | Path) -> tuple[URL, str]:
    if isinstance(where, str) and "://" in where:
        try:
            url = make_url(where)
        except (ArgumentError, ValueError) as error:
            raise StoreError(f"the store's URL cannot be read: {_one_line(error)}") from error
        return url, url.render_as_string(hide_password=True)
    return URL.create("sqlite", database=str(where)), str(where)


def _check_file(url: URL, name: str, *, create: bool) -> None:
    if url.database in (None, "", ":memory:"):
        raise StoreError(f"{name}: a store needs a file, several processes share it; allowed: a path or a database URL")
    path = Path(str(url.database))
    if path.is_dir():
        raise StoreError(f"{name}: is a folder; allowed: a file")
    if not create and not path.exists():
        raise MissingDataError(f"{name}: there is no store")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{name}: its folder cannot be made: {error.strerror or error}") from error


def _engine(url: URL, *, durable: bool) -> Engine:
    if url.get_backend_name() != "sqlite":
        engine = create_engine(url)
        event.listen(engine, "begin", _begin_on_server)
        return engine
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})
    event.listen(engine, "connect", _prepare)
    if not durable:
        event.listen(engine, "connect", _do_not_wait)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, _: object) -> None:
    # Python's sqlite3 begins transactions late and commits before DDL; with None it leaves both to `_begin`.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _do_not_wait(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("suffice_write", False)
    # A transaction that reads first and asks for the lock later fails at once when another wrote in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_on_server(connection: Connection) -> None:
    if not connection.get_execution_options().get("suffice_write", False):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return
    # Without it, PostgreSQL numbers rows before they are committed: a later one may be seen first, and a reader that
    # has gone on behind it would never see the earlier one. The lock ends with the transaction, whatever becomes of it.
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{BUSY_SECONDS}s'")
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")


def _bring_to_head(store: Store) -> None:
    with store.read() as connection:
        if _revision(connection, store.name) == HEAD:
            return
    with store.write() as connection:
        # Another process may have migrated it while this one waited for the lock.
        if _revision(connection, store.name) != HEAD:
            _upgrade(connection)


def _revision(connection: Connection, name: str) -> str | None:
    """The store's revision; None for an empty database. Raises StoreError for one that is not ours to touch."""
    tables = set(inspect(connection).get_table_names())
    if not tables:
        return None
    if not {"alembic_version", "store_meta"} <= tables:
        raise StoreError(f"{name}: is a database but not a store of Suffice; left as it is")
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if revision is None or not str(revision).isdecimal():
        raise StoreError(f"{name}: schema {revision!r} is not one of Suffice's; allowed: up to {HEAD}")
    if int(revision) > int(HEAD):
        raise StoreError(f"{name}: schema {revision} is newer than {HEAD}, which this version knows; upgrade Suffice")
    return str(revision)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _one_line(error: Exception) -> str:
    return " ".join(str(error.orig if isinstance(error, DBAPIError) else error).split())
