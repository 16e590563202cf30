"""SIGKILL at any moment: the store opens, the chain verifies, nothing is applied twice, and the end is the same."""

import signal
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest
import resolving
from sqlalchemy import Connection, func, select

from effects import Effect, moments
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


def exit_code(target: Callable[..., object], *arguments: object) -> int | None:
    """Of a process of its own."""
    process = get_context("forkserver").Process(target=target, args=arguments)
    process.start()
    process.join()
    return process.exitcode


def kill_and_go_on(folder: Path, kills: int, seed: int) -> None:
    """Kill at random moments of one piece of work, and let it end: it leaves what an undisturbed one leaves."""
    alone, path = folder / "expected.sqlite", folder / "store.sqlite"
    assert exit_code(resolving.note_effects, alone) == 0
    writes = int(alone.with_suffix(".effects").read_text("ascii"))
    for moment in moments(Effect.STATEMENT, writes, kills, seed):
        assert exit_code(resolving.resolve_in, path, moment) == -signal.SIGALRM
        assert check_whole(path) < resolving.MANY
    with open_store(alone) as undisturbed, undisturbed.read() as connection:
        expected = content(connection)
    with open_store(path) as store:
        summary = summarise(resolving.resolver(store).resolve(resolving.corrections(resolving.MANY)))
        assert summary.corrections == resolving.MANY
        with store.read() as connection:
            *others, ledger = content(connection)
    assert others == expected[:-1]
    assert sorted(row[3] for row in ledger) == sorted(row[3] for row in expected[-1])
    assert not list(folder.glob("*.tmp"))


def test_killed_at_six_random_moments(tmp_path: Path) -> None:
    kill_and_go_on(tmp_path, kills=6, seed=1)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(12))
def test_killed_at_twelve_random_moments(tmp_path: Path, seed: int) -> None:
    kill_and_go_on(tmp_path, kills=12, seed=100 + seed)
