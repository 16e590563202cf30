"""The lease: one holder, a silent one is replaced, a living one never, whatever the clocks say."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from store_places import Place
from suffice.errors import RolloutError
from suffice.rollout.lease import Lease
from suffice.store.database import Store, open_store


@dataclass
class Times:
    """A monotonic clock that moves when somebody sleeps, and a wall clock that does as it likes."""

    passed: float = 0.0
    wall: float = 1_000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
        self.slept.append(seconds)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as opened:
        yield opened


def lease(store: Store, holder: str, times: Times) -> Lease:
    return Lease(
        store,
        "verifier",
        seconds=10,
        holder=holder,
        clock=lambda: times.wall,
        monotonic=lambda: times.passed,
        sleep=times.sleep,
    )


def test_a_free_lease_is_taken_at_once_and_given_back(store: Store) -> None:
    times = Times()
    with lease(store, "one", times) as first:
        first.acquire()
        assert not first.lost
    with lease(store, "two", times) as second:
        second.acquire()
    assert times.slept == []


def test_a_second_runner_waits_and_is_told_for_whom(store: Store) -> None:
    times, told = Times(), list[str]()
    first, second = lease(store, "one", times), lease(store, "two", times)
    first.acquire()
    with pytest.raises(RolloutError, match="one runs this rollout; allowed: one runner at a time"):
        second.acquire(patience=5, waiting=told.append)
    assert told == ["one runs this rollout; waiting until it ends, or is silent for 10 s"]
    assert not first.lost


def test_a_silent_holder_is_replaced_and_finds_out(store: Store) -> None:
    times = Times()
    first, second = lease(store, "one", times), lease(store, "two", times)
    first.acquire()
    second.acquire()
    assert 10 <= times.passed < 12
    assert not first.beat()
    assert first.lost and not second.lost
    first.release()
    assert second.beat()


def test_signs_of_life_keep_it(store: Store) -> None:
    times = Times()
    first = lease(store, "one", times)
    first.acquire()

    def sleep_and_beat(seconds: float) -> None:
        times.sleep(seconds)
        first.beat()

    second = Lease(store, "verifier", seconds=10, holder="two", monotonic=lambda: times.passed, sleep=sleep_and_beat)
    with pytest.raises(RolloutError):
        second.acquire(patience=25)
    assert not first.lost


def test_a_sign_of_life_that_was_given_but_not_confirmed_may_be_given_again(store: Store) -> None:
    leased = lease(store, "one", Times())
    leased.acquire()
    before = leased._held
    assert leased.beat()
    # The commit went through; the connection ended before its answer came.
    leased._held = before
    assert leased.beat() and leased.beat()
    assert not lease(store, "two", Times())._try(before, 10.0)
    leased._held = before
    leased.release()
    lease(store, "two", Times()).acquire(patience=0)


@pytest.mark.parametrize("jump", [-1e9, 1e9])
def test_no_jump_of_the_wall_clock_takes_it_from_its_holder(store: Store, jump: float) -> None:
    times = Times()
    first, second = lease(store, "one", times), lease(store, "two", times)
    first.acquire()
    times.wall += jump
    with pytest.raises(RolloutError):
        second.acquire(patience=5)
    assert first.beat()


def test_of_many_that_see_it_free_one_gets_it(store: Store) -> None:
    rows = [lease(store, str(i), Times()) for i in range(4)]
    seen = rows[0]._read()
    assert [row._try(seen, 0.0) for row in rows] == [True, False, False, False]


def test_a_wait_can_be_given_up(store: Store) -> None:
    times = Times()
    lease(store, "one", times).acquire()
    with pytest.raises(RolloutError):
        lease(store, "two", times).acquire(given_up=lambda: times.passed > 1)
    assert times.passed < 2


HOLD = """
import sys, time
from suffice.rollout.lease import Lease
from suffice.store.database import open_store
held = Lease(open_store(sys.argv[1]), "verifier", seconds=0.6)
held.acquire(); held.start_beating()
print("held", flush=True); time.sleep(60)
"""


def test_a_killed_process_is_replaced_and_a_living_one_is_not(place: Place) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(place)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    with open_store(place) as store, Lease(store, "verifier", seconds=0.6) as second:
        with pytest.raises(RolloutError):
            second.acquire(patience=1.5)
        process.kill()
        process.communicate()
        began = time.monotonic()
        second.acquire(patience=30)
        assert time.monotonic() - began >= 0.3
