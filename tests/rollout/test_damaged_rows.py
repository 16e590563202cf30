"""A row that is damaged, or that a newer version wrote, breaks no decision; a rollback lowers all the same."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from production import BEGAN, Clock, Production, corrections, producing
from sqlalchemy import text

from suffice.cli.main import run
from suffice.flag.file import published
from suffice.rollout.phases import Phase
from suffice.serving.verifier import Verifier
from suffice.store.words import read_word

PATIENCE = 60.0
ROLLOUTS = {
    "no JSON": "UPDATE rollouts SET state = '{'",
    "another shape": "UPDATE rollouts SET state = '[]'",
    "an empty state": "UPDATE rollouts SET state = '{}'",
    "a phase of a newer version": """UPDATE rollouts SET phase = 'Dreaming', state = replace(state, '"Progressing"',
        '"Dreaming"')""",
    "a stage of a newer version": """UPDATE rollouts SET state = replace(state, '"weight"', '"share"')""",
    "no configuration": "UPDATE rollouts SET config = '{}'",
    "a plan of a newer version": """UPDATE rollouts SET config = replace(config, '"table"', '"tables"')""",
}
WORDS = {
    "no JSON": "UPDATE words SET exposure = '{'",
    "an exposure of a newer version": """UPDATE words SET exposure = '{"share": 0.5}'""",
    "a phase of a newer version": "UPDATE words SET phase = 'Dreaming'",
}


@contextmanager
def exposed(folder: Path, place: Path | str | None = None) -> Iterator[tuple[Production, Verifier]]:
    """A service at work: the canary is in force, and a process decides by its word."""
    clock, url = Clock(BEGAN), place if isinstance(place, str) else None
    with producing(folder, clock=clock, url=url) as production:
        production.until("canary")
        where = production.place
        with Verifier.from_config(where.config, queue=where.queue, store=url, clock=clock) as verifier:
            yield production, verifier


def arms(verifier: Verifier, first: int) -> set[str]:
    return {verifier.verify(correction.case()).arm.value for correction in corrections(first, 40)}


def become(verifier: Verifier, wanted: set[str]) -> None:
    until, first = time.monotonic() + PATIENCE, 10_000
    while arms(verifier, first) != wanted:
        assert time.monotonic() < until, verifier.obstacle
        first += 40


def asked(production: Production, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """A command's exit code, and what it wrote to standard error."""
    place = production.place
    where = ["--config", str(place.config), "--queue", str(place.queue)] + (["--store", place.url] if place.url else [])
    capsys.readouterr()
    code = run(["rollout", *words, *where])
    return code, capsys.readouterr().err.strip()


def damage(production: Production, statement: str) -> None:
    with production.store.write() as connection:
        assert connection.execute(text(statement)).rowcount


@pytest.mark.parametrize("statement", ROLLOUTS.values(), ids=ROLLOUTS)
def test_a_damaged_or_newer_rollout_breaks_no_decision_and_is_lowered(
    tmp_path: Path, statement: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seen: `verify` raised."""
    with exposed(tmp_path) as (production, verifier):
        become(verifier, {"adaptive", "fixed"})
        damage(production, statement)
        code, problem = asked(production, capsys, "cycle")
        assert code == 3
        assert len(problem.splitlines()) == 1, problem
        code, _ = asked(production, capsys, "status")
        assert code == (0 if "tables" in statement else 3)  # It needs the configuration, and not the plan.
        # The word is what decides, and it still stands.
        assert arms(verifier, 5_000) == {"adaptive", "fixed"}
        code, problem = asked(production, capsys, "rollback", "--reason", "it is damaged")
        assert code == 3 and len(problem.splitlines()) == 1
        assert "the word was lowered all the same" in problem
        become(verifier, {"fixed"})
        assert published(production.place.flag) is None
        with production.store.read() as connection:
            word = read_word(connection, "verifier", production.clock()).word
        assert word is not None and (word.exposure, word.phase) == (None, "RollingBack")


@pytest.mark.parametrize("statement", WORDS.values(), ids=WORDS)
def test_a_damaged_or_newer_word_is_none_and_is_written_anew(
    tmp_path: Path, place: Path | str, statement: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with exposed(tmp_path, place) as (production, verifier):
        become(verifier, {"adaptive", "fixed"})
        damage(production, statement)
        become(verifier, {"fixed"})
        assert asked(production, capsys, "status") == (0, "")
        assert asked(production, capsys, "rollback", "--reason", "it is damaged", "--no-wait") == (2, "")
        assert published(production.place.flag) is None
        assert production.state.phase is Phase.ROLLING_BACK
        with production.store.read() as connection:
            word = read_word(connection, "verifier", production.clock()).word
        assert word is not None and (word.exposure, word.phase) == (None, "RollingBack")
