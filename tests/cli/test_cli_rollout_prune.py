"""`suffice rollout prune`: what it says, also before it does it, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from suffice.cli.main import run
from suffice.decision.rule import Decision
from suffice.store.database import open_store
from suffice.store.decision_row import DecisionRow, Reason
from suffice.store.ledger import Ledger
from suffice.verifier.arm import Arm

PLAIN = DecisionRow("k", "t", Arm.FIXED, Decision.ACCEPTED, 64, 64, 0.9, Reason.REACHED_N, 42, "plan", 1.0)


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    with open_store(tmp_path / "store.db") as store:
        Ledger(store).append([PLAIN, replace(PLAIN, key="k2")])
    return tmp_path


def test_a_dry_run_says_what_then_is_done(queue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more, left in ((["--dry-run"], 2), ([], 1)):
        assert run(["rollout", "prune", "--older-than", "90d", "--queue", str(queue), "--json", *more]) == 0
        answered = json.loads(capsys.readouterr().out)
        assert (answered["removed"], answered["dry_run"]) == ({"": 1}, bool(more))
        assert [(kept["rollout"], kept["decisions"]) for kept in answered["kept"]] == [("", 1)]
        with open_store(queue / "store.db") as store:
            assert len(Ledger(store).rows("")) == left


def test_it_prints_a_sentence_each(queue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rollout", "prune", "--older-than", "24h", "--queue", str(queue)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "1 decisions of no rollout removed"
    assert lines[1].startswith("1 decisions of no rollout kept: the newest row of the ledger")


def test_an_age_that_is_none_and_a_store_that_is_none_are_refused(
    queue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["rollout", "prune", "--older-than", "old", "--queue", str(queue)]) == 2
    assert "--older-than is 'old'; allowed: a duration like" in capsys.readouterr().err
    assert run(["rollout", "prune", "--older-than", "90d", "--queue", str(queue / "nowhere")]) == 3
