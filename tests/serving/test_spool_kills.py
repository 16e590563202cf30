"""Whatever is killed, swept or cannot be written, each decision that was returned is in the ledger once."""

import errno
import multiprocessing
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
import spooling
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from serving_world import case, verifier
from spooling import ROW, keys, kill, noted, rows
from sqlalchemy import Connection

from property_examples import examples
from suffice.errors import StoreError
from suffice.serving import spool as spool_module
from suffice.serving.situation import Situation
from suffice.serving.spool import Spool, take_up
from suffice.serving.verifier import Verifier
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow
from suffice.store.ledger import Ledger

PROCESSES = multiprocessing.get_context("forkserver")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.db") as opened:
        yield opened


def test_spools_that_are_made_while_others_sweep_keep_their_rows_and_their_locks(store: Store, tmp_path: Path) -> None:
    ledger, stop = Ledger(store), threading.Event()

    def sweep() -> None:
        while not stop.is_set():
            take_up(tmp_path, ledger)

    sweeping = [threading.Thread(target=sweep) for _ in range(2)]
    for thread in sweeping:
        thread.start()
    try:
        for i in range(200):
            spool = Spool(tmp_path)
            spool.add(replace(ROW, key=f"k{i}"))
            assert spool.path is not None and spool.waiting == 0
            assert spool.path.exists() and spool.path.with_suffix(".lock").exists()
            spool.close()
    finally:
        stop.set()
        for thread in sweeping:
            thread.join()
    take_up(tmp_path, ledger)
    assert len(ledger.rows(ROW.rollout)) == 200
    assert list(tmp_path.glob("*.jsonl")) == list(tmp_path.glob("*.lock")) == []


class Disk:
    """A disk that may be full: then it takes the first bytes of a line, or none, and says so or says how many."""

    full = False
    rng = random.Random(0)


class Filling(FileIO):
    def write(self, line: Any) -> int:
        if not Disk.full:
            return super().write(line)
        taken = super().write(line[: Disk.rng.randrange(len(line))])
        if Disk.rng.random() < 0.5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return taken


class Killed(BaseException):
    """The process dies here."""


class Moody(Ledger):
    """A ledger that works, refuses, or whose process is killed right after a commit."""

    mood = "works"

    def append(self, rows: Iterable[DecisionRow], connection: Connection | None = None) -> int:
        if self.mood == "refuses":
            raise StoreError("the ledger refuses")
        new = super().append(rows, connection)
        if self.mood == "kills":
            raise Killed
        return new


@dataclass
class Process:
    """A verifier with all that dies with it; `in_memory` are the decisions that only its memory has."""

    verifier: Verifier
    spool: Spool
    ledger: Moody
    in_memory: set[str] = field(default_factory=set)


MOODS = st.sampled_from(["works", "refuses"])
WHICH = st.integers(0, 3)


class OnceAndNeverLost(RuleBasedStateMachine):
    """Verifiers decide, die, and are followed by others, while the disk fills and the ledger refuses now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = open_store(self.folder / "store.db", durable=False)
        self.processes = [self.process() for _ in range(4)]
        self.returned: list[str] = []
        self.lost: set[str] = set()

    def process(self) -> Process:
        spool, ledger = Spool(self.folder / "spool"), Moody(self.store)
        situation = Situation(rollout="r", stage="canary")
        return Process(verifier(ledger=ledger, spool=spool, batch=3, situation=lambda: situation), spool, ledger)

    @rule(which=WHICH, full=st.lists(st.booleans(), min_size=1, max_size=5), mood=MOODS)
    def decide(self, which: int, full: list[bool], mood: str) -> None:
        process = self.processes[which]
        process.ledger.mood = mood
        for Disk.full in full:
            process.verifier.verify(case(len(self.returned)))
            self.returned.append(f"k{len(self.returned)}")
            process.in_memory.add(self.returned[-1])
            if not Disk.full or self.returned[-1] in keys(self.store):
                process.in_memory.clear()

    @rule(which=WHICH, mood=MOODS | st.just("kills"), torn=st.booleans())
    def flush(self, which: int, mood: str, torn: bool) -> None:
        process = self.processes[which]
        process.ledger.mood = mood
        try:
            process.verifier.flush()
            process.in_memory.clear()
        except StoreError:
            assert mood == "refuses"
        except Killed:
            # What the ledger took before is safe; what was in memory alone dies with its process.
            process.in_memory -= set(keys(self.store))
            self.die(which, torn)

    @rule(which=WHICH, torn=st.booleans())
    def die(self, which: int, torn: bool) -> None:
        process, self.processes[which] = self.processes[which], self.process()
        self.lost |= process.in_memory
        path = process.spool.path
        kill(process.spool)
        if torn and path is not None:
            with path.open("ab") as file:
                file.write(b'\n{"key":"never returned","tar')

    @rule(which=WHICH, mood=MOODS)
    def close(self, which: int, mood: str) -> None:
        process, Disk.full = self.processes[which], False
        process.ledger.mood = mood
        with suppress(StoreError):
            process.verifier.close()
        process.in_memory.clear()
        self.die(which, False)

    @rule()
    def take_up(self) -> None:
        before = len(keys(self.store))
        new = take_up(self.folder / "spool", Ledger(self.store))
        assert len(keys(self.store)) == before + new

    def teardown(self) -> None:
        try:
            for which in range(4):
                self.die(which, False)
            self.take_up()
            rows = keys(self.store)
            assert len(set(rows)) == len(rows)
            assert set(self.returned) - self.lost <= set(rows) <= set(self.returned)
            assert not list((self.folder / "spool").glob("*"))
        finally:
            Disk.full = False
            self.store.close()
            shutil.rmtree(self.folder)


@pytest.fixture
def filling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "FileIO", Filling)


OnceAndNeverLost.TestCase.settings = settings(max_examples=examples(25), stateful_step_count=20)
# Only what was in memory alone, on a full disk, may be lost with its process.
TestOnceAndNeverLost = pytest.mark.usefixtures("filling")(OnceAndNeverLost.TestCase)


def test_a_verifier_that_is_killed_loses_no_decision_it_returned(tmp_path: Path) -> None:
    check_kills(tmp_path, kills=8, seed=1)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(4))
def test_verifiers_that_are_killed_lose_no_decision_they_returned(tmp_path: Path, seed: int) -> None:
    check_kills(tmp_path, kills=50, seed=100 + seed)


def check_kills(folder: Path, kills: int, seed: int) -> None:
    """Two at a time, so that one takes up what the other left."""
    rng = random.Random(seed)
    open_store(folder / "store.db").close()
    for number in range(0, kills, 2):
        children = [PROCESSES.Process(target=spooling.decide, args=(folder, number + i)) for i in range(2)]
        for process in children:
            process.start()
        while not (folder / f"returned-{number}").exists():
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.2))
        for process in children:
            process.kill()
            process.join()
            assert process.exitcode == -9
    with open_store(folder / "store.db") as store:
        take_up(folder / "spool", Ledger(store))
        rows = keys(store)
    returned = noted(folder)
    assert len(set(rows)) == len(rows)
    assert returned <= set(rows)
    # The last decision of each may have been kept and never returned.
    assert len(rows) - len(returned) <= kills
    assert len(returned) > 10 * kills


def test_several_processes_take_up_the_same_spools_at_once(tmp_path: Path) -> None:
    for number in range(20):
        spool = Spool(tmp_path / "spool")
        for row in rows(200):
            spool.add(replace(row, key=f"{number}/{row.key}"))
        spool.close()
    open_store(tmp_path / "store.db").close()
    with PROCESSES.Pool(4) as pool:
        taken = pool.map(spooling.take, [tmp_path] * 8)
    assert sum(taken) == 4_000
    with open_store(tmp_path / "store.db") as store:
        assert sorted(keys(store)) == sorted(f"{n}/k{i}" for n in range(20) for i in range(200))
    assert list((tmp_path / "spool").iterdir()) == []
