"""SIGKILL and SIGINT at any moment of `suffice rehearse`: what goes on ends as if nothing had happened."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from rehearsing import write_files
from sqlalchemy import func, select

from suffice.store.database import open_store
from suffice.store.events import verify_provenance
from suffice.store.journal import verify_journal
from suffice.store.rollouts import load_rollout
from suffice.store.schema import decisions, record_versions, resolutions
from suffice.triage.manifest import check


class World:
    """A folder in which the same rehearsal is run again and again."""

    def __init__(self, folder: Path, fault: str | None) -> None:
        self.folder = folder
        folder.mkdir()
        self.command = [sys.executable, "-m", "suffice.cli.main", *write_files(folder), "--json"]
        self.command += ["--fault", fault] if fault else []

    def start(self, *options: str, hash_seed: str = "0") -> subprocess.Popen[str]:
        """Start it; returns when it is at work: it has the lease."""
        process = subprocess.Popen(
            [*self.command, *options],
            cwd=self.folder,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while process.poll() is None and f"/{process.pid}/" not in self.holder:
            time.sleep(0.02)
        return process

    def run(self, *options: str, hash_seed: str = "0") -> tuple[int, str, str]:
        process = self.start(*options, hash_seed=hash_seed)
        out, err = process.communicate()
        return process.returncode, out, err

    @property
    def holder(self) -> str:
        """Who has the lease, as far as there is a store."""
        path = self.folder / "rehearsal" / "store.db"
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                row = connection.execute("SELECT holder FROM leases").fetchone()
        except sqlite3.Error:
            return ""
        return str(row[0]) if row else ""

    @property
    def summary(self) -> bytes:
        return (self.folder / "rehearsal" / "summary.json").read_bytes()

    @property
    def begun(self) -> bool:
        """Whether there is a rehearsal that can go on."""
        path = self.folder / "rehearsal" / "store.db"
        if not path.exists():
            return False
        with open_store(path) as store, store.read() as connection:
            return load_rollout(connection, "rehearsal-000001") is not None


def check_whole(world: World) -> None:
    """The store opens, its chains hold, every correction was applied at most once, and nothing is half-written."""
    where = world.folder / "rehearsal"
    with open_store(where / "store.db") as store, store.read() as connection:
        assert verify_provenance(connection).intact
        assert verify_journal(connection).intact
        committed = select(func.count()).where(resolutions.c.outcome == "committed")
        keys = select(record_versions.c.correction_key).where(record_versions.c.version > 1)
        applied = Counter(connection.execute(keys).scalars())
        assert set(applied.values()) <= {1}
        assert connection.execute(committed).scalar_one() == applied.total()
        ledger = set(connection.execute(select(decisions.c.key)).scalars())
        decided = select(resolutions.c.correction_key).where(resolutions.c.decision.is_not(None))
        assert ledger.issuperset(connection.execute(decided).scalars())


def leftovers(world: World) -> list[str]:
    return [str(path) for path in world.folder.rglob("*") if path.name.endswith(".tmp")]


@dataclass(frozen=True)
class Undisturbed:
    """What a rehearsal comes to when nobody stops it, and how many seconds it works."""

    fault: str | None
    summary: bytes
    seconds: float


def undisturbed(folder: Path, fault: str | None) -> Undisturbed:
    world = World(folder, fault)
    process, began = world.start(hash_seed="7"), time.perf_counter()
    out, err = process.communicate()
    assert process.returncode == (2 if fault else 0), err
    assert json.loads(out) == json.loads(world.summary)
    return Undisturbed(fault, world.summary, time.perf_counter() - began)


@pytest.fixture(scope="module")
def put_back(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return undisturbed(tmp_path_factory.mktemp("undisturbed") / "world", "canary:margin")


def disturb(tmp_path: Path, alone: Undisturbed, kind: signal.Signals, times: int, seed: int) -> None:
    """Stop a rehearsal at random moments until it was stopped this often, then let it end."""
    fault, expected = alone.fault, alone.summary
    rng, stopped, number = random.Random(seed), 0, 0
    world = World(tmp_path / "world0", fault)
    while stopped < times:
        going_on = world.begun
        process = world.start(*(["--continue"] if going_on else []), hash_seed=str(stopped))
        time.sleep(rng.uniform(0, alone.seconds / 2))
        process.send_signal(kind)
        out, err = process.communicate()
        if process.returncode in (0, 2):
            assert world.summary == expected, err
            number += 1
            world = World(tmp_path / f"world{number}", fault)
            continue
        stopped += 1
        assert process.returncode == (130 if kind is signal.SIGINT else -signal.SIGKILL), err
        if kind is signal.SIGINT:
            assert "Traceback" not in err
            assert not leftovers(world)
            assert not out or json.loads(out)["status"] in ("interrupted", json.loads(expected)["status"])
        if world.begun:
            check_whole(world)
    code, _, err = world.run(*(["--continue"] if world.begun else []), hash_seed="3")
    assert code == (2 if fault else 0), err
    assert world.summary == expected
    assert not leftovers(world)
    check_whole(world)
    if fault:
        assert check(world.folder / json.loads(expected)["bundle"]) > 0


def test_killed_at_six_random_moments(tmp_path: Path, put_back: Undisturbed) -> None:
    disturb(tmp_path, put_back, signal.SIGKILL, 6, 1)


def test_interrupted_at_two_random_moments(tmp_path: Path, put_back: Undisturbed) -> None:
    disturb(tmp_path, put_back, signal.SIGINT, 2, 2)


@pytest.mark.campaign
@pytest.mark.parametrize("fault", [None, "canary:margin"])
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGINT])
def test_stopped_at_twenty_random_moments(tmp_path: Path, fault: str | None, kind: signal.Signals) -> None:
    disturb(tmp_path, undisturbed(tmp_path / "expected", fault), kind, 20, 11)
