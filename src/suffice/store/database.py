"""Opening a store, and its transactions."""

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    Engine,
    Index,
    Table,
    Text,
    bindparam,
    case,
    cast,
    column,
    create_engine,
    event,
    exc,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from suffice.errors import MissingDataError, StoreAddressError, StoreConflict, StoreError, StoreRefusal, StoreTimeout
from suffice.files import private_opener
from suffice.store import reading
from suffice.store.address import Address, address_of
from suffice.store.deadline import left, within
from suffice.store.forks import in_transaction, watch
from suffice.store.schema import HEAD, metadata

BUSY_SECONDS = 30
"""How long a transaction waits for another process."""

IDLE_SECONDS = 5
"""How long a server lets a transaction that writes be silent. A process that is stopped in one, or whose machine is cut
off, holds everybody's write lock no longer than its lease."""

CONNECT_SECONDS = 10
"""How long to wait for the answer of a database server."""

_ALIVE = {"keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 3}
"""A server that vanished while its link was cut sends no answer, and no end of the connection: after 20 s of silence
its successor, which knows nothing of the connection, or nobody, has been asked about it."""

SILENT_SECONDS = 5.0
"""How long a server may give no sign while an answer of it is waited for, until it is asked whether it is there."""

AGENT_SECONDS = 2
"""How long a transaction of an agent may wait for the store, in all: to connect, for answers, for locks."""

_MOMENT_SECONDS = 0.25
"""The server's own limits are so much shorter: its answer says more than ours."""

WRITE_LOCK = 0x5375666669636500
"""PostgreSQL's number of the lock that a write transaction takes: "Suffice" in ASCII."""


class Store:
    """An open store at the current schema. Safe to share between threads, and with a forked child (`forks`)."""

    def __init__(self, engine: Engine, name: str, *, patience: float | None = None) -> None:
        self._engine, self._patience = engine, patience
        self.name = name
        watch(engine)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one moment of the store. Raises StoreError."""
        with self._translated(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that changes the store: all of it or, after an exception or a kill, nothing.

        It takes the store's one write lock at its start. So what it reads cannot be outdated when it writes, and ledger
        rows are numbered in the order in which they are committed.
        Raises StoreConflict when a row that must be unique exists already, StoreRefusal when a row lacks what it must
        have or has what no store takes, StoreError when the store cannot be written.
        """
        with (
            self._translated(),
            self._engine.connect() as connection,
            connection.execution_options(suffice_write=True).begin(),
        ):
            yield connection

    @contextmanager
    def touch(self) -> Iterator[Connection]:
        """A transaction that changes only rows with a lock of their own: words and processes.

        On PostgreSQL it does not take the store's write lock, so that who holds that one delays nobody's word; SQLite
        has one writer at a time whatever is written. Raises as `write` does.
        """
        with (
            self._translated(),
            self._engine.connect() as connection,
            connection.execution_options(suffice_touch=True).begin(),
        ):
            yield connection

    def listening(self, channel: str) -> Any:
        """A psycopg connection of its own that listens on a channel and commits each statement, for the caller to
        close; None on SQLite."""
        if self._engine.dialect.name != "postgresql":
            return None
        with self._translated():
            pooled = self._engine.connect()
            connection: Any = pooled.connection.driver_connection
            pooled.detach()
            try:
                connection.autocommit = True
                connection.execute(f"LISTEN {channel}")
            except BaseException:
                connection.close()
                raise
        return connection

    def close(self) -> None:
        """Close the connections; one that is in use is closed when its transaction ends. A later use opens others."""
        pool = self._engine.pool
        self._engine.dispose()
        # What came back to the old pool before the new one took its place.
        pool.dispose()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        pool = self._engine.pool
        try:
            with in_transaction(self.name), within(self._patience):
                yield
        except exc.DBAPIError as error:
            raise _kind(error)(f"{self.name}: {_one_line(error)}") from error
        except exc.TimeoutError as error:
            raise StoreTimeout(f"{self.name}: {_one_line(error)}") from error
        finally:
            if pool is not self._engine.pool:
                pool.dispose()


def open_store(where: str | Path, *, create: bool = True, upgrade: bool = True, durable: bool = True) -> Store:
    """Open the store at a path or database URL, and bring an empty or older one to the current schema first.

    A SQLite store that is not `durable` does not wait for the disk: for a store that the same process throws away. One
    that this account may only read is opened to be read, and its folder left as it is.
    Raises MissingDataError when there is none and `create` is False. Raises StoreError when a newer version wrote it,
    when an older one did and it may not `upgrade` (for who changes nothing),
    when it is no store, or when it cannot be reached. A store that is refused stays as it was. No message holds a
    password.
    """
    address = address_of(where)
    if address.file:
        _check_file(address, create=create)
    if not address.file:
        engine = _server_engine(address)
    elif reading.may_only_read(address.path):
        engine = reading.engine(address)
    else:
        engine = _file_engine(address, durable=durable)
    store = Store(engine, address.name)
    try:
        _bring_to_head(store, create=create, upgrade=upgrade)
    except BaseException:
        store.close()
        raise
    return store


def agents_store(where: str | Path) -> Store:
    """The store for the agent of a process: what a transaction waits for ends after `AGENT_SECONDS`, all together.

    It is opened without a look at the store, which may be frozen, gone or of another version, and is never migrated.
    Raises StoreError for an address that can be none.
    """
    address = address_of(where)
    make = partial(_file_engine, durable=True) if address.file else _server_engine
    return Store(make(address, patience=AGENT_SECONDS), address.name, patience=AGENT_SECONDS)


def is_current(store: Store) -> bool:
    """Whether the store is at the schema of this version. Raises StoreError, also for one of a newer version."""
    with store.read() as connection:
        return _revision(connection, store.name) == HEAD


def insert_all(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows, which all have the same columns.

    On PostgreSQL always so, never one statement for each of many rows: the driver sends those as a pipeline, and within
    it no limit of the server ends the transaction of a process that has fallen silent.
    """
    if rows:
        connection.execute(_insert(connection.dialect.name, table, tuple(rows[0])), _values(connection, rows))


def insert_new(connection: Connection, table: Table, unique: Sequence[str], rows: list[dict[str, Any]]) -> int:
    """Insert the rows whose `unique` columns are not there yet, and return how many were new.

    All rows have the same columns.
    """
    if not rows:
        return 0
    statement = _insert(connection.dialect.name, table, tuple(rows[0]))
    ignoring = statement.on_conflict_do_nothing(index_elements=list(unique))
    values = _values(connection, rows)
    return connection.execute(ignoring.execution_options(preserve_rowcount=True), values).rowcount


def insert_or_update(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert the rows; a row whose primary key is there already takes the place of the old one.

    All rows have the same columns, and no key comes twice.
    """
    if rows:
        connection.execute(_insert_or_update(connection.dialect.name, table, tuple(rows[0])), _values(connection, rows))


def add_to(connection: Connection, table: Table, rows: list[dict[str, Any]], *, counts: str, latest: str) -> None:
    """Insert each row, or add its `counts` to the one with its primary key, whose `latest` becomes the later one.

    All rows have the same columns, and no key comes twice.
    """
    if not rows:
        return
    statement = _insert(connection.dialect.name, table, tuple(rows[0]))
    old, new = table.c[latest], statement.excluded[latest]
    changed = {counts: table.c[counts] + statement.excluded[counts], latest: case((old > new, old), else_=new)}
    updating = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)
    connection.execute(updating, _values(connection, rows))


# Made once for each table: making one takes longer than executing it.
@cache
def _insert(database: str, table: Table, names: tuple[str, ...]) -> sqlite.Insert | postgresql.Insert:
    """A statement that inserts rows of these columns, given their `_values`."""
    if database != "postgresql":
        return sqlite.insert(table)
    # One statement with one value: a statement a row, or a value a cell, takes many times as long.
    records = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON))
    source = records.table_valued(*(column(name, table.c[name].type) for name in names)).render_derived(with_types=True)
    return postgresql.insert(table).from_select(names, select(*source.c))


@cache
def _insert_or_update(database: str, table: Table, names: tuple[str, ...]) -> sqlite.Insert | postgresql.Insert:
    statement = _insert(database, table, names)
    changed = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changed)


def _values(connection: Connection, rows: list[dict[str, Any]]) -> Any:
    return {"rows": json.dumps(rows)} if connection.dialect.name == "postgresql" else rows


def _check_file(address: Address, *, create: bool) -> None:
    name, path = address.name, address.path
    if address.url.database in (None, "", ":memory:"):
        raise StoreError(f"{name}: a store needs a file, several processes share it; allowed: a path or a database URL")
    if path.is_dir():
        raise StoreError(f"{name}: is a folder; allowed: a file")
    if not create and not path.exists():
        raise MissingDataError(f"{name}: there is no store")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{name}: its folder cannot be made: {error.strerror or error}") from error


def _file_engine(address: Address, *, durable: bool, patience: int | None = None) -> Engine:
    engine = create_engine(address.url, connect_args={"timeout": patience or BUSY_SECONDS})
    event.listen(engine, "do_connect", partial(_make_private, address.path))
    event.listen(engine, "connect", _prepare)
    if not durable:
        event.listen(engine, "connect", _do_not_wait)
    event.listen(engine, "begin", partial(_begin, patience=patience))
    return engine


def _server_engine(address: Address, *, patience: int | None = None) -> Engine:
    # A statement that is prepared is planned without its values: a list of 500 targets is then compared one by one with
    # each row. A pool of connections before the server could not keep it either.
    arguments: dict[str, Any] = {"prepare_threshold": None}
    if patience is not None:
        limit = _limit(patience)
        limits = f"-c statement_timeout={limit} -c lock_timeout={limit}"
        options = f"{address.url.query.get('options', '')} {limits}".strip()
        arguments |= {"connect_timeout": patience, "tcp_user_timeout": 1000 * patience, "options": options}
        # That limit is for what was sent. Who waits for an answer that was lost would wait for hours without these.
        arguments |= {"keepalives_idle": 1, "keepalives_interval": 1, "keepalives_count": patience}
    else:
        given = address.url.query
        waits = {"connect_timeout": CONNECT_SECONDS, **_ALIVE}
        arguments |= {name: seconds for name, seconds in waits.items() if name not in given}
    try:
        # Asked before each use whether it is still there, a connection outlives a restart of the server.
        engine = create_engine(address.url, connect_args=arguments, pool_pre_ping=True)
    except ImportError as error:
        needed = "allowed: with its driver installed, pip install 'suffice[postgres]'"
        raise StoreAddressError(f"{address.name}: PostgreSQL needs psycopg, {_one_line(error)}; {needed}") from error
    from suffice.store import silence

    silent = SILENT_SECONDS if patience is None else patience
    event.listen(engine, "do_connect", partial(silence.connect, seconds=silent, probe=patience is None))
    event.listen(engine, "begin", partial(_begin_on_server, patience=patience))
    return engine


def _make_private(path: Path, *_: object) -> None:
    # SQLite makes files that everybody may read. Those beside the store take its mode.
    with suppress(OSError):
        if not path.exists():
            os.close(private_opener(str(path), os.O_CREAT | os.O_WRONLY))


def _prepare(connection: Any, _: object) -> None:
    # Python's sqlite3 begins transactions late and commits before DDL; with None it leaves both to `_begin`.
    connection.isolation_level = None
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")


def _do_not_wait(connection: Any, _: object) -> None:
    connection.execute("PRAGMA synchronous = OFF")


def _begin(connection: Connection, patience: int | None) -> None:
    options = connection.get_execution_options()
    if patience is not None:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {1000 * left():.0f}")
    writes = options.get("suffice_write", False) or options.get("suffice_touch", False)
    # A transaction that reads first and asks for the lock later fails at once when another wrote in between.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_on_server(connection: Connection, patience: int | None) -> None:
    options = connection.get_execution_options()
    if options.get("suffice_touch", False):
        _set(connection, lock_timeout=_limit(AGENT_SECONDS), idle_in_transaction_session_timeout=f"'{AGENT_SECONDS}s'")
        return
    if not options.get("suffice_write", False):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return
    # Without it, PostgreSQL numbers rows before they are committed: a later one may be seen first, and a reader that
    # has gone on behind it would never see the earlier one. The lock ends with the transaction, whatever becomes of it.
    # A process that is stopped, or a machine that vanishes without a word, would hold the lock for hours. The limit for
    # silence does not count while the server waits for the rest of a message: there TCP asks whether anybody is there.
    idle = patience or IDLE_SECONDS
    _set(
        connection,
        lock_timeout=_limit(patience) if patience else f"'{BUSY_SECONDS}s'",
        idle_in_transaction_session_timeout=f"'{idle}s'",
        tcp_keepalives_idle=1,
        tcp_keepalives_interval=1,
        tcp_keepalives_count=max(round(idle) - 1, 1),
    )
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")


def _set(connection: Connection, **limits: object) -> None:
    """Set what the server keeps for this transaction, in one question."""
    connection.exec_driver_sql("; ".join(f"SET LOCAL {name} = {value}" for name, value in limits.items()))


def _limit(seconds: int) -> int:
    """A limit of the server's own, in milliseconds, for who waits so many seconds."""
    return round(1000 * (seconds - _MOMENT_SECONDS))


def _bring_to_head(store: Store, *, create: bool, upgrade: bool) -> None:
    with store.read() as connection:
        revision = _revision(connection, store.name)
        if revision == HEAD:
            return
        if revision is None and not create:
            raise MissingDataError(f"{store.name}: there is no store")
        if revision is not None and not upgrade:
            older = f"schema {revision} is older than {HEAD}, and nothing is to be changed"
            raise StoreError(f"{store.name}: {older}; suffice rollout status brings it there")
    with store.write() as connection:
        # Another process may have migrated it while this one waited for the lock.
        revision = _revision(connection, store.name)
        if revision is None:
            _check_encoding(connection, store.name)
            _make(connection)
        elif revision != HEAD:
            _upgrade(connection)


def _check_encoding(connection: Connection, name: str) -> None:
    if connection.dialect.name == "postgresql":
        encoding = connection.exec_driver_sql("SHOW server_encoding").scalar_one()
        if encoding != "UTF8":
            raise StoreError(f"{name}: the database's encoding is {encoding}; allowed: UTF8, a target may be any text")


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


def _make(connection: Connection) -> None:
    """All tables at once, as the migrations would leave them: that takes an eighth of the time."""
    for statement in _making(connection.dialect.name):
        connection.exec_driver_sql(statement)


_DIALECTS = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}


@cache
def _making(database: str) -> tuple[str, ...]:
    dialect, tables = _DIALECTS[database](), metadata.sorted_tables
    indexes = sorted((index for table in tables for index in table.indexes), key=_newest_last)
    made = [CreateTable(table).compile(dialect=dialect) for table in tables]
    made += [CreateIndex(index).compile(dialect=dialect) for index in indexes]
    revision = "version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)"
    revised = (f"CREATE TABLE alembic_version ({revision})", f"INSERT INTO alembic_version VALUES ('{HEAD}')")
    return (*map(str, made), *revised)


def _newest_last(index: Index) -> tuple[bool, str]:
    """Of two indexes that answer equally well SQLite takes the newer one: those of some rows only, as the migrations
    make them."""
    return index.dialect_options["sqlite"]["where"] is not None, str(index.name)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _kind(error: exc.DBAPIError) -> type[StoreError]:
    if _refused(error):
        return StoreRefusal
    if isinstance(error, exc.IntegrityError):
        return StoreConflict
    return StoreTimeout if _late(error) else StoreError


_LACKS = (sqlite3.SQLITE_CONSTRAINT_NOTNULL, sqlite3.SQLITE_CONSTRAINT_CHECK)


def _refused(error: exc.DBAPIError) -> bool:
    """Whether the values are at fault (SQLSTATE 22: data; 23502, 23514: one is missing, or not allowed; 54: a limit of
    the program, as of a row in an index), and not another row, a lock, the network, the disk, a right or the schema."""
    state = getattr(error.orig, "sqlstate", None) or ""
    lacks = getattr(error.orig, "sqlite_errorcode", None) in _LACKS
    return isinstance(error, exc.DataError) or lacks or state.startswith(("22", "23502", "23514", "54"))


def _late(error: exc.DBAPIError) -> bool:
    """Whether an answer, a lock or a connection did not come in time."""
    if isinstance(error.orig, sqlite3.Error):
        # The low byte: which of the waits it was is in the others.
        return getattr(error.orig, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
    from suffice.store.silence import timed_out

    return timed_out(error.orig)


def _one_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    # psycopg's whole text repeats the statement; SQLite's is what is wrong and nothing else.
    diagnosis = getattr(cause, "diag", None)
    words = (getattr(diagnosis, "message_primary", None), getattr(diagnosis, "message_detail", None))
    return " ".join((": ".join(filter(None, words)) or str(cause)).split())
