"""A PostgreSQL server of the tests' own: made when it is first asked for, thrown away at the end."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

PATIENCE = 60.0
ROLE, DATABASE = "suffice", "suffice"
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "track_commit_timestamp": "on",
    "restore_command": "false",
}
"""Processes are killed in these tests, but never the machine. Each row tells when it was committed. There is no archive
beside what a backup brings along."""


@dataclass
class Server:
    """A running server. Its one role may do all and comes by a password, which must never be printed.

    We reach it at `port`, whoever is on its machine at `own_port`.
    """

    port: int
    own_port: int
    password: str
    process: "subprocess.Popen[bytes]"
    data: Path
    _start: "Callable[[], subprocess.Popen[bytes]]"
    _made: Iterator[int] = field(default_factory=lambda: count(1))

    def url(self, database: str = DATABASE, *, role: str = ROLE, query: str = "") -> str:
        return f"postgresql://{role}:{self.password}@127.0.0.1:{self.port}/{database}{query}"

    def place(self) -> str:
        """The URL of an empty place for a store: a new schema."""
        schema = f"s{next(self._made)}"
        self.execute(f"CREATE SCHEMA {schema}")
        return self.url(query=f"?options=-csearch_path%3D{schema}")

    def restart(self) -> None:
        """End it with all its connections, and start it again at the same place."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """End it with all its connections."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(PATIENCE)

    def start(self) -> None:
        """Start it again at the same place."""
        self.process = self._start()
        if not _answers(self):
            raise RuntimeError("PostgreSQL does not start again")

    def restore(self, copy: Path, *, to_new_timeline: bool) -> None:
        """Put a copy of its files in their place; a recovery from a backup begins a new timeline."""
        self.stop()
        shutil.rmtree(self.data)
        shutil.copytree(copy, self.data)
        if to_new_timeline:
            (self.data / "recovery.signal").touch()
        for path in (self.data, *self.data.rglob("*")) if os.geteuid() == 0 else ():
            shutil.chown(path, "postgres", "postgres")
        self.start()

    @contextmanager
    def standby(self) -> Iterator["Server"]:
        """A server on a port of its own that follows this one, until it is promoted."""
        folder = Path(tempfile.mkdtemp(prefix="suffice-standby-"))
        try:
            data, user = folder / "data", {}
            self.run("pg_basebackup", "--pgdata", data, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync")
            if os.geteuid() == 0:
                user = {"user": "postgres", "group": "postgres", "extra_groups": []}
                for path in (folder, data, *data.rglob("*")):
                    shutil.chown(path, "postgres", "postgres")
            server = _started(_programs(), data, self.password, user, (), lambda port: port)
            try:
                yield server
            finally:
                server.stop()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def promote(self) -> None:
        """Make a standby a primary."""
        self.execute("SELECT pg_promote()")

    def run(self, program: str, *words: str | Path) -> None:
        """Run one of PostgreSQL's programs about the tests' database, as the role that may do all."""
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--username", ROLE]
        secret = {**os.environ, "PGPASSWORD": self.password}
        command = [_programs() / program, *where, *words]
        done = subprocess.run(command, env=secret, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{program} ended with {done.returncode}: {done.stdout}")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """While this lasts, the whole server stands still, as on a machine that is suspended; its kernel goes on."""
        main = self.process.pid
        os.kill(main, signal.SIGSTOP)
        children = Path(f"/proc/{main}/task/{main}/children").read_text(encoding="ascii").split()
        for pid in map(int, children):
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in (*map(int, children), main):
                os.kill(pid, signal.SIGCONT)

    @contextmanager
    def away(self, database: str) -> Iterator[None]:
        """While this lasts, a database ends its connections and takes none."""
        self.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        self.execute(f"SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{database}'")
        try:
            yield
        finally:
            self.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")

    def execute(self, statement: str, database: str = DATABASE) -> list[Any]:
        """Run a statement as the role that may do all; the rows that it gives."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            done = connection.execute(statement)  # type: ignore[call-overload]
            return [] if done.description is None else done.fetchall()


@contextmanager
def running(prefix: Sequence[str] = (), reached_at: Callable[[int], int] = lambda port: port) -> Iterator[Server]:
    """A server on 127.0.0.1, as user postgres when we are root, whom it refuses.

    `prefix` starts it on another machine, where it answers every network; `reached_at` says at which port we reach its
    own.
    """
    programs, folder = _programs(), Path(tempfile.mkdtemp(prefix="suffice-postgres-"))
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "postgres", "postgres")
    password = secrets.token_hex(12)
    secret, data = folder / "password", folder / "data"
    try:
        secret.write_text(password, encoding="ascii")
        command = [programs / "initdb", "--pgdata", data, "--username", ROLE, "--pwfile", secret, "--no-sync"]
        _checked([*command, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"], folder, user)
        if prefix:
            with (data / "pg_hba.conf").open("a", encoding="ascii") as rules:
                rules.write("host all all all scram-sha-256\n")
            prefix = (*prefix, "setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups")
        server = _started(programs, data, password, user, prefix, reached_at)
        try:
            server.execute(f"CREATE DATABASE {DATABASE}", "postgres")
            yield server
        finally:
            # It ends at once, whoever is still connected; SIGTERM would wait for them.
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path:
    initdbs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [shutil.which("initdb")]
    if initdbs[-1] is None:
        raise RuntimeError(
            "there is no PostgreSQL server: initdb is in no /usr/lib/postgresql/*/bin and not on the PATH"
        )
    return Path(initdbs[-1]).parent


def _checked(command: list[Any], folder: Path, user: dict[str, Any]) -> None:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **user)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stdout}")


def _started(
    programs: Path,
    data: Path,
    password: str,
    user: dict[str, Any],
    prefix: Sequence[str],
    reached_at: Callable[[int], int],
) -> Server:
    listens = "*" if prefix else "127.0.0.1"
    settings = {**SETTINGS, "listen_addresses": listens, "unix_socket_directories": str(data.parent)}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    log = data.parent / "log"
    for _ in range(3):
        port = _free_port()
        command = [*prefix, programs / "postgres", "-D", data, "-p", str(port), *options]
        start = partial(_spawned, command, log, {} if prefix else user)
        server = Server(reached_at(port), port, password, start(), data, start)
        if _answers(server):
            return server
        server.process.kill()
        server.process.wait()
    raise RuntimeError(f"PostgreSQL does not start: {log.read_text(encoding='utf-8', errors='replace')}")


def _spawned(command: list[Any], log: Path, user: dict[str, Any]) -> "subprocess.Popen[bytes]":
    with log.open("ab") as output:
        return subprocess.Popen(command, cwd=log.parent, stdout=output, stderr=output, **user)


def _answers(server: Server) -> bool:
    """Whether it takes connections, at last; False when it ended, as it does when somebody else has taken the port."""
    deadline = time.monotonic() + PATIENCE
    while server.process.poll() is None and time.monotonic() < deadline:
        try:
            server.execute("SELECT 1", "postgres")
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return True
    return False


def _free_port() -> int:
    with socket.socket() as port:
        port.bind(("127.0.0.1", 0))
        return int(port.getsockname()[1])
