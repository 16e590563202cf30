"""A real runner ends soon after SIGTERM, whatever it is at, and leaves what the next one goes on from."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from production import corrections

from postgres_server import Server
from suffice.cli.main import run
from suffice.gates.outcome import Outcome
from suffice.rollout.operator import Operator
from suffice.rollout.phases import Phase
from suffice.rollout.world import Place
from suffice.serving.verifier import Verifier
from suffice.store.actions import Action
from suffice.store.journal import verify_journal
from suffice.store.leases import read_lease
from suffice.verifier.arm import Arm

PATIENCE = 120.0
CONFIG = {
    "verifier": {"rule": "proportion", "n_samples": 32, "adaptive_sampling": {"enabled": True}},
    "rollout": {
        "cycle": "1s",
        "checks": {"run": []},
        "stages": [{"name": "full", "weight": 100, "audit_fraction": 0.1, "hold": "1h"}],
    },
}
LEFT = "what was at work did not end within 4 s; it was left as by a kill"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUFFICE_WEBHOOK", raising=False)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return tmp_path


@contextmanager
def runner(*arguments: str, in_a_group: bool = False) -> "Iterator[subprocess.Popen[str]]":
    """A runner whose first cycle is over."""
    command = [sys.executable, "-m", "suffice.cli.main", "rollout", "run", "--json", *arguments]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=in_a_group
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_cycle(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


def told_to_end(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its exit code after SIGTERM, and what it wrote to standard error."""
    process.send_signal(signal.SIGTERM)
    _, problem = process.communicate(timeout=PATIENCE)
    return process.returncode, problem.strip()


def until(condition: Callable[[], object]) -> None:
    waited = time.monotonic()
    while not condition():
        assert time.monotonic() - waited < PATIENCE
        time.sleep(0.01)


def check_whole(url: str | None = None) -> None:
    """The store is as a kill leaves it: whole; and the next cycle is possible."""
    with Operator(Place(Path("config.json"), url=url)) as operator:
        with operator.store.read() as connection:
            assert verify_journal(connection).intact
        assert operator.cycle().phase is operator.state.phase


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_while_it_waits_for_its_next_cycle(here: Path, signal_: signal.Signals) -> None:
    """The next cycle is an hour away: whoever ends before it has not waited, and nothing happened after the signal."""
    rollout = {**CONFIG["rollout"], "cycle": "1h"}
    (here / "config.json").write_text(json.dumps({**CONFIG, "rollout": rollout}), encoding="utf-8")
    assert run(["rollout", "start", "--waive", "determinism"]) == 0
    with runner() as process:
        first_cycle(process)
        process.send_signal(signal_)
        said, problem = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said, problem) == (0, "", "")
    with Operator(Place(Path("config.json"))) as operator:
        last = operator.history()[-1]
        with operator.store.read() as connection:
            lease = read_lease(connection, "verifier")
    assert last.action is Action.JUDGE
    assert lease is not None and not lease.holder
    check_whole()


def test_while_it_waits_for_another_runner() -> None:
    assert run(["rollout", "start", "--waive", "determinism"]) == 0
    with runner("--lease", "600") as first:
        first_cycle(first)
        with runner("--lease", "600") as second:
            assert second.stderr is not None
            assert "waiting until it ends" in second.stderr.readline()
            second.send_signal(signal.SIGINT)
            assert second.communicate(timeout=PATIENCE) == ("", "")
            assert second.returncode == 0
        assert told_to_end(first) == (0, "")


def test_while_its_server_stands_still(postgres: Server) -> None:
    place = postgres.place()
    assert run(["rollout", "start", "--waive", "determinism", "--store", place]) == 0
    with runner("--store", place) as process:
        first_cycle(process)
        with postgres.frozen():
            code, problem = told_to_end(process)
    assert code == 3 and problem.endswith(LEFT), problem
    check_whole(place)


def test_a_runner_outlives_its_server(postgres: Server) -> None:
    """Seen: the time of a line was asked of the store, and the runner ended with it in the middle of a rollback."""
    place = postgres.place()
    assert run(["rollout", "start", "--waive", "determinism", "--store", place]) == 0
    with runner("--store", place) as process:
        assert first_cycle(process)["level"] == "INFO"
        postgres.stop()
        try:
            while (told := first_cycle(process))["level"] != "ERROR":
                pass
            assert told["report"] is None
        finally:
            postgres.start()
        while first_cycle(process)["level"] != "INFO":
            pass
        assert told_to_end(process) == (0, "")
    check_whole(place)


def test_while_somebody_holds_the_lock_that_it_waits_for() -> None:
    """The main thread waits within SQLite, for half a minute, and Python runs no handler there."""
    assert run(["rollout", "start", "--waive", "determinism"]) == 0
    with closing(sqlite3.connect("TemporaryQueue/store.db", isolation_level=None)) as other:
        with runner() as process:
            first_cycle(process)
            other.execute("BEGIN IMMEDIATE")
            time.sleep(2)  # So that the next cycle, one second later, waits for the lock; else this shows less.
            code, problem = told_to_end(process)
        other.execute("ROLLBACK")
    assert code == 3 and problem.endswith(LEFT), problem
    check_whole()


def test_while_a_check_runs() -> None:
    seconds = f"600.{os.getpid()}"
    assert run(["rollout", "start", "--waive", "determinism", "--check", f"slow=sleep {seconds}"]) == 0
    with runner() as process:
        first_cycle(process)
        assert told_to_end(process) == (0, "")
    # It runs on, for the next runner; here it is ended.
    workers = [pid for pid, words in commands() if "check_worker" in words and seconds in words]
    assert len(workers) == 1
    os.kill(workers[0], signal.SIGKILL)
    until(lambda: not any(seconds in words for _, words in commands()))


def test_ctrl_c_on_the_terminal_while_a_check_runs_judges_nothing() -> None:
    """Seen: the check ended with -2 as the runner did, and production was rolled back. The terminal asks the group."""
    done = Path("done")
    command = f"until [ -e {done.absolute()} ]; do sleep 0.05; done"
    assert run(["rollout", "start", "--waive", "determinism", "--check", f'smoke=sh -c "{command}"']) == 0
    with runner(in_a_group=True) as process:
        first_cycle(process)
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    done.touch()
    with Operator(Place(Path("config.json"))) as operator:
        until(lambda: "smoke" in successful(operator))
        assert operator.state.phase is Phase.PROGRESSING
    check_whole()


def successful(operator: Operator) -> set[str]:
    """The gates that hold in the cycle that is made now."""
    return {result.gate for result in operator.cycle().results if result.outcome is Outcome.SUCCESSFUL}


def test_while_a_webhook_drips() -> None:
    """Seen: it hung with the lease."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked: list[socket.socket] = []

        def drip() -> None:
            with suppress(OSError):
                asked.append(server.accept()[0])
                while True:
                    asked[0].sendall(b"H")
                    time.sleep(0.1)

        Thread(target=drip, daemon=True).start()
        assert run(["rollout", "start", "--waive", "determinism"]) == 0
        with runner("--webhook", f"http://127.0.0.1:{server.getsockname()[1]}/hook") as process:
            until(lambda: asked)
            assert told_to_end(process) == (0, "")
        asked[0].close()
    check_whole()


def test_while_it_reads_a_large_ledger() -> None:
    """The cycle ends as it should where that takes a moment; else it is left, and no row is counted twice for it."""
    assert run(["rollout", "start", "--waive", "determinism"]) == 0
    rows = 300_000
    with closing(sqlite3.connect("TemporaryQueue/store.db")) as store:
        decide(store, rows)
        store.commit()
        with runner() as process:
            until(lambda: store.execute("SELECT max(last) FROM rollups").fetchone()[0])
            assert told_to_end(process)[0] in (0, 3)
    with Operator(Place(Path("config.json"))) as operator:
        operator.cycle()
        assert operator.monitor.measurement.stages["full"].decisions == rows
    check_whole()


def decide(store: sqlite3.Connection, rows: int) -> None:
    """Put so many copies of one decision into the ledger, each with a key of its own."""
    case = corrections(0, 1)[0].case()
    with Verifier.from_config(Path("config.json")) as verifier:
        until(lambda: verifier.arm(case) is Arm.ADAPTIVE)
        verifier.verify(case)
    columns = [name for _, name, *_ in store.execute("PRAGMA table_info(decisions)") if name not in ("id", "key")]
    listed = ", ".join(columns)
    store.execute(
        f"""INSERT INTO decisions (key, {listed}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n
        WHERE i < {rows - 1}) SELECT 'copy' || i, {listed} FROM n, decisions"""
    )


def commands() -> list[tuple[int, str]]:
    """Every process with its command line."""
    listed = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                listed.append((int(entry.name), (entry / "cmdline").read_bytes().decode(errors="replace")))
    return listed
