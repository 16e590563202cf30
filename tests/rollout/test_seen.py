"""What was seen to go wrong in production, in its exact form, where no other test has that form."""

import itertools
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest
from production import BEGAN, STAGES, Clock, content, corrections, edit, producing, situation_in

from suffice.flag.document import Exposure
from suffice.flag.file import published
from suffice.rollout.notify import TELLING
from suffice.rollout.operator import Operator
from suffice.rollout.phases import Phase
from suffice.rollout.status import status_of
from suffice.serving.verifier import Verifier
from suffice.store.outbox import due, enqueue_events

PATIENCE = 60.0


def test_two_hosts_of_cron_whose_clocks_are_half_an_hour_apart_end_no_hold_early(tmp_path: Path) -> None:
    """Seen: a hold of 24 h ended after 1.6 h. The difference itself is credited once, at most two cycles of it."""
    stages = [{**STAGES[0], "hold": "24h"}, *STAGES[1:]]
    config = content(cycle="15m", stages=stages, health={"max_age": "2d", "max_silence": "2d"})
    ahead = Clock(BEGAN + 1800)
    with producing(tmp_path, config) as one, Operator(one.place, clock=ahead) as other:
        for _ in range(8):
            one.traffic(20)
            one.cycle(900.0)
            ahead.now += 900.0
            other.cycle()
        passed = one.clock.now - BEGAN
        assert passed <= one.state.held <= passed + 2 * 900


def test_a_restart_with_the_same_keys_pauses_with_its_number_and_people_are_told(tmp_path: Path) -> None:
    """Seen: evidence stood still at 11 audits for ever, while production decided 2,062 cases."""
    config = content(progress_deadline="40m", health={"max_age": "2d", "max_silence": "2d"})
    with producing(tmp_path, config) as production:
        production.traffic(11)
        state = production.cycle()
        for _ in range(4):
            assert state.phase is Phase.PROGRESSING
            production.sent = 0
            production.traffic(11)
            state = production.cycle()
        assert state.phase is Phase.PAUSED
        assert state.why == (
            "stage staging has been without a new audit for 40m (rollout.progress_deadline), with 11 of 100 audits; "
            "health: 44 of 55 decisions had keys of earlier ones, 80 % (limit 10 %): a restart with the same keys "
            "leaves the evidence at 11; give each case a key of its own; resume starts the deadline anew"
        )
        with production.store.write() as connection:
            enqueue_events(connection, TELLING, production.clock())
            told = [message.payload["why"] for message in due(connection, production.clock(), 10.0)]
        assert told[-1] == state.why
        assert production.actions()[-1] == "pause"


def test_one_of_two_processes_that_began_its_keys_anew_holds_the_stage(tmp_path: Path) -> None:
    """Seen: its sampler was broken, its audits were no evidence, and the rollout completed."""
    with producing(tmp_path) as production:
        production.until("canary")
        for _ in range(6):
            production.traffic(120)
            with production.process() as restarted:
                for correction in corrections(0, 110):
                    restarted.verify(correction.case())
            state = production.cycle()
        assert (state.phase, state.current.name) == (Phase.PROGRESSING, "canary")
        health = production.judged("health")
        assert health["outcome"] == "Inconclusive"
        assert re.match(
            r"\d+ of [\d,]+ decisions had keys of earlier ones, [\d.]+ % \(limit 10 %\): ", health["sentence"]
        )


def test_processes_that_leave_a_long_stage_with_keys_of_earlier_decisions_are_seen_in_the_latest_hour(
    tmp_path: Path,
) -> None:
    stages = [{**STAGES[0], "hold": "2d"}, *STAGES[1:]]
    with producing(tmp_path, content(stages=stages, health={"max_age": "2d"})) as production:
        for _ in range(3):
            production.traffic(200)
            production.cycle()
        production.cycle(3000.0)
        production.sent = 0
        production.traffic(30)
        production.cycle()
        health = production.judged("health")
        assert health["outcome"] == "Inconclusive"
        assert health["sentence"].startswith("30 of 30 recent decisions had keys of earlier ones, 100 % (limit 50 %): ")


def test_audits_that_end_in_a_stage_pause_it_with_what_came_without_them(tmp_path: Path) -> None:
    """Seen: the sentence of the pause was that 0 decisions fell back."""
    stages = [STAGES[0], {**STAGES[1], "min_audits": 500}, STAGES[2]]
    with producing(tmp_path, content(stages=stages, progress_deadline="2h")) as production:
        production.until("canary")
        production.traffic(120)
        production.cycle()
        audits = production.state.audits
        for _ in range(14):
            with production.process(replace(situation_in(production.store), audit_fraction=0.0)) as process:
                for correction in corrections(production.sent, 60):
                    process.verify(correction.case())
            production.sent += 60
            state = production.cycle()
        assert state.phase is Phase.PAUSED
        came = state.decisions - state.grown_with
        assert came >= 600
        assert state.why.startswith(
            f"stage canary has been without a new audit for 2h (rollout.progress_deadline), although {came} decisions "
            f"came, with {audits} of 500 audits; health: no new audit although "
        )


def test_people_are_told_once_that_a_completed_rollout_is_not_well_and_status_says_so(tmp_path: Path) -> None:
    """Seen: ten days without a decision, and no word of it but in the journal of the cycles."""
    health = {"max_age": "30d", "max_silence": "1h"}
    with producing(tmp_path, content(progress_deadline="2h", health=health)) as production:
        production.until("full")
        for _ in range(6):
            production.traffic()
            production.cycle()
        assert production.state.phase is Phase.COMPLETED
        for _ in range(30):
            production.cycle()
        assert production.state.phase is Phase.COMPLETED
        assert production.actions()[-2:] == ["complete", "unwell"]
        alarm = production.state.alarm
        assert alarm.startswith(
            "completed, and not well for more than 2h (rollout.progress_deadline); health: no decision for "
        )
        assert alarm in status_of(production.operator).notes
        with production.store.write() as connection:
            enqueue_events(connection, TELLING, production.clock())
            told = [message.payload["why"] for message in due(connection, production.clock(), 10.0)]
        assert told[-1] == alarm


@pytest.mark.parametrize("foreign", [False, True])
def test_a_store_that_is_lost_between_start_and_first_decision_permits_nothing(tmp_path: Path, foreign: bool) -> None:
    """Seen: a foreign plan decided, under rollout ""; the flag file was all that was left. The rollout's own plan may
    decide until the next read."""
    with producing(tmp_path) as made:
        made.until("canary")
        place = made.place
    assert published(place.flag) == Exposure(50, "verifier-000001", ("eu",))
    if foreign:
        edit(place, confidence_threshold=0.7)
    process = Verifier.from_config(place.config, queue=place.queue)
    for path in place.queue.glob("store.db*"):
        path.unlink()
    numbers = itertools.count(10_000, 40)

    def arms() -> set[str]:
        return {process.verify(correction.case()).arm.value for correction in corrections(next(numbers), 40)}

    with process:
        until = time.monotonic() + PATIENCE
        while (seen := arms()) != {"fixed"}:
            assert not foreign, seen
            assert time.monotonic() < until
        assert arms() == {"fixed"}
        # The store is made anew, and takes the rows; they waited for a restart before.
        while process.waiting:
            assert time.monotonic() < until
            time.sleep(0.01)
