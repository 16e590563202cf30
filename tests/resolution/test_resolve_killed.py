"""SIGKILL at any moment: the store opens, the chain verifies, nothing is applied twice, and the end is the same."""

import itertools
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import resolving
from sqlalchemy import Connection, func, select

from suffice.resolution.resolve import summarise
from suffice.store.database import open_store
from suffice.store.events import verify_provenance
from suffice.store.schema import decisions, provenance, record_versions, records, resolutions

TABLES = (records, record_versions, resolutions, provenance, decisions)


def content(connection: Connection) -> list[list[tuple[object, ...]]]:
    return [[tuple(row) for row in connection.execute(select(t).order_by(*t.primary_key))] for t in TABLES]


def check_whole(path: Path) -> int:
    """Every resolution has all that belongs to it; returns how many there are."""
    closing = ("committed", "rolled_back", "invalid", "skipped", "unchanged")
    with open_store(path) as store, store.read() as connection:
        assert verify_provenance(connection).intact
        done = connection.execute(select(func.count()).select_from(resolutions)).scalar_one()
        closed = select(func.count()).where(provenance.c.event.in_(closing))
        committed = select(func.count()).where(resolutions.c.outcome == "committed")
        grown = select(func.count()).where(record_versions.c.version > 1)
        assert connection.execute(closed).scalar_one() == done
        assert connection.execute(committed).scalar_one() == connection.execute(grown).scalar_one()
        decided = select(resolutions.c.correction_key).where(resolutions.c.decision.is_not(None))
        ledger = set(connection.execute(select(decisions.c.key)).scalars())
        assert ledger.issuperset(connection.execute(decided).scalars())
    return int(done)


def start(path: Path, count: int) -> subprocess.Popen[str]:
    program = [sys.executable, str(Path(resolving.__file__)), str(path), str(count)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    return process


def kill_until_done(folder: Path, kills: int, count: int, seed: int) -> None:
    """Kill at random moments of a run, as often as asked; each time a fresh store takes the place of a finished one."""
    expected_path = folder / "expected.sqlite"
    with open_store(expected_path) as store:
        began = time.perf_counter()
        summarise(resolving.resolver(store).resolve(resolving.corrections(count)))
        lasts = time.perf_counter() - began
        with store.read() as connection:
            expected = content(connection)
    rng, caught = random.Random(seed), 0
    paths = (folder / f"store{number}.sqlite" for number in itertools.count())
    path = next(paths)
    while caught < kills:
        process = start(path, count)
        time.sleep(rng.uniform(0, lasts / 2))
        process.kill()
        process.communicate()
        done = check_whole(path)
        caught += done < count
        path = path if done < count else next(paths)
    with open_store(path) as store:
        found = summarise(resolving.resolver(store).resolve(resolving.corrections(count)))
        assert found.corrections == count
        with store.read() as connection:
            assert content(connection)[:-1] == expected[:-1]
            assert sorted(row[3] for row in content(connection)[-1]) == sorted(row[3] for row in expected[-1])
    assert not [found for found in folder.iterdir() if found.suffix == ".tmp"]


def test_killed_at_six_random_moments(tmp_path: Path) -> None:
    kill_until_done(tmp_path, kills=6, count=1_500, seed=1)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(4))
def test_killed_at_thirty_random_moments(tmp_path: Path, seed: int) -> None:
    kill_until_done(tmp_path, kills=30, count=3_000, seed=100 + seed)
