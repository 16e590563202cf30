"""Killed and interrupted at any moment, `suffice rehearse` goes on and ends as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
from rehearsing import process_in, run_in, write_files
from sqlalchemy import func, select

from effects import Effect, Moment, moments
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
        self.arguments = [*write_files(folder), "--json", *(["--fault", fault] if fault else [])]

    def run(self, moment: Moment | None = None) -> tuple[int, str, str]:
        """Begin, or go on."""
        return process_in(self.folder, [*self.arguments, *(["--continue"] if self.begun else [])], moment)

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
    """What a rehearsal comes to when nobody stops it, and how many effects it has."""

    fault: str | None
    summary: bytes
    effects: dict[str, int]


def undisturbed(folder: Path, fault: str | None) -> Undisturbed:
    """In a process with other hashes than those that are stopped."""
    world = World(folder, fault)
    command = [sys.executable, str(Path(run_in.__code__.co_filename)), str(folder), *world.arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(command, env=environment, check=False).returncode == (2 if fault else 0)
    assert json.loads((folder / "out").read_text("utf-8")) == json.loads(world.summary)
    return Undisturbed(fault, world.summary, json.loads((folder / "effects.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def put_back(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return undisturbed(tmp_path_factory.mktemp("undisturbed") / "world", "canary:margin")


def disturb(folder: Path, alone: Undisturbed, effect: Effect, times: int, seed: int, *, interrupt: bool) -> None:
    """Stop a rehearsal at random moments, then let it end."""
    world, expected = World(folder, alone.fault), json.loads(alone.summary)
    for moment in moments(effect, alone.effects[effect.name], times, seed, interrupt=interrupt):
        code, out, err = world.run(moment)
        assert code == (130 if interrupt else -signal.SIGALRM), err
        if interrupt:
            assert "Traceback" not in err
            assert not leftovers(world)
            assert not out or json.loads(out)["status"] in ("interrupted", expected["status"])
        if world.begun:
            check_whole(world)
    code, _, err = world.run()
    assert code == (2 if alone.fault else 0), err
    assert world.summary == alone.summary
    assert not leftovers(world)
    check_whole(world)
    if alone.fault:
        assert check(world.folder / expected["bundle"]) > 0


@pytest.mark.parametrize("effect", Effect, ids=lambda effect: effect.value)
def test_killed_at_three_random_moments(tmp_path: Path, put_back: Undisturbed, effect: Effect) -> None:
    disturb(tmp_path / "world", put_back, effect, 3, seed=1, interrupt=False)


def test_interrupted_at_two_random_moments(tmp_path: Path, put_back: Undisturbed) -> None:
    disturb(tmp_path / "world", put_back, Effect.FILE, 2, 2, interrupt=True)


@pytest.mark.campaign
@pytest.mark.parametrize("fault", [None, "canary:margin"])
@pytest.mark.parametrize("interrupt", [False, True])
def test_stopped_at_ninety_random_moments(tmp_path: Path, fault: str | None, interrupt: bool) -> None:
    alone = undisturbed(tmp_path / "expected", fault)
    for effect in Effect:
        for seed in range(10):
            disturb(tmp_path / f"{effect.name}{seed}", alone, effect, 3, seed, interrupt=interrupt)
