"""What was seen to go wrong in production, in its exact form, where no other test has that form."""

import itertools
import time
from pathlib import Path

import pytest
from production import BEGAN, STAGES, Clock, content, corrections, edit, producing

from suffice.flag.document import Exposure
from suffice.flag.file import published
from suffice.rollout.notify import TELLING
from suffice.rollout.operator import Operator
from suffice.rollout.phases import Phase
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
            "health: 44 of 55 decisions had keys of earlier ones, 80 % (limit 50 %): a restart with the same keys "
            "leaves the evidence at 11; give each case a key of its own; resume starts the deadline anew"
        )
        with production.store.write() as connection:
            enqueue_events(connection, TELLING, production.clock())
            told = [message.payload["why"] for message in due(connection, production.clock(), 10.0)]
        assert told[-1] == state.why
        assert production.actions()[-1] == "pause"


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
