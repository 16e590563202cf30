"""What was seen to go wrong in production, in its exact form, where no other test has that form."""

import itertools
import time
from pathlib import Path

import pytest
from production import BEGAN, STAGES, Clock, content, corrections, edit, producing

from suffice.flag.document import Exposure
from suffice.flag.file import published
from suffice.rollout.operator import Operator
from suffice.serving.verifier import Verifier

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
