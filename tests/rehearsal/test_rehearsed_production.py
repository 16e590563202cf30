"""What is rehearsed is what runs: production's gates, spool, lease and stored situation act in a rehearsal."""

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rehearsing import ROLLOUT, Done, config_text, process_in, setup, write_files

import effects
from suffice.config import parse
from suffice.errors import OutputError
from suffice.flag.document import Exposure
from suffice.flag.file import publish, published
from suffice.gates.outcome import Outcome
from suffice.rehearsal import rehearse as room
from suffice.rehearsal.rehearse import Ending, Moment, rehearse
from suffice.rehearsal.setup import SERVICE, Setup
from suffice.rollout.lease import Lease
from suffice.serving.verifier import Verifier
from suffice.store.database import open_store
from suffice.store.ledger import Ledger
from suffice.store.rollouts import StoredRollout, create_rollout


class Met:
    """What a rehearsal met cycle by cycle; `disturb` is told the number of each cycle that has passed."""

    def __init__(self, prepared: Setup, disturb: Callable[[int], object] = lambda _: None) -> None:
        self.moments: list[Moment] = []

        def seen(moment: Moment) -> None:
            self.moments.append(moment)
            disturb(len(self.moments))

        self.ending: Ending = rehearse(prepared, seen=seen)

    def said(self, gate: str) -> list[tuple[str, str]]:
        """Outcome and sentence of a gate in each cycle."""
        return [(r.outcome.value, r.sentence) for m in self.moments for r in m.results if r.gate == gate]


def foreign_rows(prepared: Setup) -> None:
    """Decisions of a process that was deployed with another plan and decides on."""
    with open_store(prepared.file("store.db")) as store:
        newest = Ledger(store).latest(ROLLOUT, "staging", 5)
        Ledger(store).append(replace(row, key=f"{row.key}-foreign", plan_id="0" * 64) for row in newest)


def test_decisions_of_a_foreign_plan_pause_a_rehearsal(tmp_path: Path) -> None:
    prepared = setup(tmp_path)
    met = Met(prepared, lambda passed: foreign_rows(prepared) if passed == 1 else None)
    assert met.ending.status == "paused"
    assert met.said("plan")[0][0] == "Successful"
    assert all(outcome == "Error" for outcome, _ in met.said("plan")[1:])
    assert "5 errors in a row, allowed 4: plan: 5 of " in met.ending.state.why
    assert "decisions were made with another plan than" in met.ending.state.why


def test_a_flag_that_is_overwritten_by_hand_is_an_error_of_its_cycle_and_is_repaired(tmp_path: Path) -> None:
    prepared = setup(tmp_path)
    flag, raised = prepared.file("flag.json"), Exposure(100, "by hand")

    met = Met(prepared, lambda passed: publish(flag, raised) if passed == 1 else None)
    assert met.ending.status == "completed"
    outcomes = [outcome for outcome, _ in met.said("flag")]
    assert [number for number, outcome in enumerate(outcomes) if outcome == "Error"] == [1]
    assert met.said("flag")[1][1].endswith("published again")
    assert met.moments[1].state.errors == 1
    # The time up to the error is not credited to the hold.
    assert met.moments[1].state.held == met.moments[0].state.held < met.moments[2].state.held
    assert published(flag) == Exposure(100, ROLLOUT)


def test_a_flag_that_is_raised_by_hand_makes_nobody_adaptive_in_the_shadow(tmp_path: Path) -> None:
    prepared = setup(tmp_path)
    Met(prepared, lambda _: publish(prepared.file("flag.json"), Exposure(100, "by hand")))
    with open_store(prepared.file("store.db")) as store:
        assert {row.arm.value for row in Ledger(store).rows(ROLLOUT, "staging")} == {"fixed"}


@pytest.mark.parametrize(
    ("max_age", "why"),
    [("15m", "5 errors in a row, allowed 4: health: no sign of life of production for "), ("30d", "arrived 2 times")],
)
def test_a_verifier_that_is_silent_for_longer_than_max_age_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_age: str, why: str
) -> None:
    rollout = json.loads(config_text())["rollout"] | {"health": {"max_age": max_age, "max_silence": "30d"}}
    chosen = parse(json.dumps(json.loads(config_text()) | {"rollout": rollout}), "test")
    prepared = setup(tmp_path, chosen=chosen, passes=2)

    class Mute(Verifier):
        """It decides, but from the second cycle on the store hears nothing of it."""

        def flush(self) -> None:
            if self.clock() <= prepared.start + prepared.cycle:
                super().flush()

        def beat(self, service: str = SERVICE) -> None:
            if self.clock() <= prepared.start + prepared.cycle:
                super().beat(service)

    monkeypatch.setattr(room, "Verifier", Mute)
    met = Met(prepared)
    assert (met.ending.status, why in met.ending.state.why) == ("paused", True)
    first, second, *_ = met.said("health")
    assert first[0] == "Successful"
    silent = second == ("Error", "no sign of life of production for 21,600 s (limit 900 s)")
    assert silent is (max_age == "15m")
    assert any(outcome == "Error" for outcome, _ in met.said("health")) is silent


def test_what_a_killed_rehearsal_had_in_its_spool_is_in_the_ledger_of_the_one_that_goes_on(tmp_path: Path) -> None:
    arguments = [*write_files(tmp_path), "--json"]
    code, _, err = process_in(tmp_path, arguments, effects.Moment(effects.Effect.DECISION, 260))
    assert code == -signal.SIGALRM, err
    spools = [path for path in (tmp_path / "rehearsal" / "spool").glob("*.jsonl") if path.stat().st_size]
    spooled = {json.loads(line)["key"] for path in spools for line in path.read_text("utf-8").splitlines() if line}
    with open_store(tmp_path / "rehearsal" / "store.db") as store:
        before = {row.key for row in Ledger(store).rows(ROLLOUT)}
    # Decided and returned, but in no batch of the ledger yet.
    assert len(spooled - before) >= 9
    code, out, err = process_in(tmp_path, [*arguments, "--continue"])
    assert code == 0, err
    with open_store(tmp_path / "rehearsal" / "store.db") as store:
        keys = [row.key for row in Ledger(store).rows(ROLLOUT)]
    assert before | spooled <= set(keys)
    assert len(keys) == len(set(keys)) == json.loads(out)["decisions"]
    assert not list((tmp_path / "rehearsal" / "spool").glob("*.jsonl"))


def test_a_rehearsal_does_not_begin_while_another_has_the_lease_and_ends_when_it_loses_its_own(tmp_path: Path) -> None:
    prepared = setup(tmp_path)

    def taken_over(passed: int) -> None:
        if passed == 2:
            with open_store(prepared.file("store.db")) as store:
                other = Lease(store, SERVICE, seconds=0.0, holder="another")
                other.acquire()

    with pytest.raises(OutputError, match="another rehearsal has taken over here; this one ends"):
        Met(prepared, taken_over)


def test_a_store_of_production_is_not_emptied(tmp_path: Path) -> None:
    prepared = setup(tmp_path)
    prepared.directory.mkdir()
    (prepared.directory / "flag.json").write_text("production's", encoding="utf-8")
    with open_store(prepared.file("store.db")) as store, store.write() as connection:
        create_rollout(connection, StoredRollout("verifier-000001", "verifier", "Progressing", {}, {}, 1.0, 1.0))
    with pytest.raises(OutputError, match="holds rollouts of verifier; allowed: a folder for rehearsals alone"):
        rehearse(prepared)
    assert (prepared.directory / "flag.json").read_text(encoding="utf-8") == "production's"


def test_signs_of_life_are_on_the_compressed_clock(completed: Done) -> None:
    outcomes = {result.outcome for moment in completed.moments for result in moment.results if result.gate == "health"}
    assert outcomes == {Outcome.SUCCESSFUL}
