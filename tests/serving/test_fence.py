"""The fence: every reason that keeps a decision fixed, and that no combination of them lets an adaptive one pass."""

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import permitted
from suffice.serving.fence import LEASE_SECONDS, BootClock, Read, may_be_adaptive
from suffice.store.decision_row import WhyFixed

WORD = replace(permitted.WORD, epoch=3, incarnation="here")
READ = Read(WORD, began=100.0, remaining=60.0, store_time=1e9, incarnation="here", primary=True, registered=True)


PERMITTING = ("Progressing", "Paused", "AwaitingApproval", "Completed", "Released")


def asked(read: Read | None = READ, now: float = 101.0, **changes: Any) -> WhyFixed | None:
    return may_be_adaptive(read, now, **{"plan_id": "plan", "exposed": lambda word: True, **changes})


def with_word(**changes: Any) -> Read:
    return replace(READ, word=replace(WORD, **changes))


@pytest.mark.parametrize("phase", PERMITTING)
def test_a_fresh_word_that_names_the_plan_and_the_target_permits_in_each_phase_in_force(phase: str) -> None:
    assert asked(with_word(phase=phase)) is None


@pytest.mark.parametrize(
    ("read", "now", "changes", "why"),
    [
        (None, 101.0, {}, WhyFixed.NO_WORD),
        (replace(READ, word=None), 101.0, {}, WhyFixed.NO_WORD),
        (replace(READ, obstacle="the store was restored"), 101.0, {}, WhyFixed.NO_WORD),
        (replace(READ, primary=False), 101.0, {}, WhyFixed.NO_WORD),
        (replace(READ, registered=False), 101.0, {}, WhyFixed.NO_WORD),
        (replace(READ, incarnation=None), 101.0, {}, WhyFixed.NO_WORD),
        (replace(READ, incarnation="elsewhere"), 101.0, {}, WhyFixed.NO_WORD),
        (with_word(incarnation=""), 101.0, {}, WhyFixed.NO_WORD),
        (replace(with_word(incarnation=""), incarnation=""), 101.0, {}, WhyFixed.NO_WORD),
        (READ, 105.0, {}, WhyFixed.LAPSED),
        (READ, 99.0, {}, WhyFixed.LAPSED),
        (READ, float("nan"), {}, WhyFixed.LAPSED),
        (replace(READ, remaining=0.5), 100.5, {}, WhyFixed.LAPSED),
        (replace(READ, remaining=0.0), 100.0, {}, WhyFixed.LAPSED),
        (READ, 101.0, {"plan_id": "another"}, WhyFixed.FOREIGN_PLAN),
        (READ, 101.0, {"enabled": False}, WhyFixed.DISABLED),
        (READ, 101.0, {"forced": True}, WhyFixed.FORCED),
        (READ, 101.0, {"exposed": lambda word: False}, WhyFixed.EXPOSURE),
        (with_word(exposure=None), 101.0, {}, WhyFixed.EXPOSURE),
        (with_word(shadow=True), 101.0, {}, WhyFixed.EXPOSURE),
        (with_word(phase="RolledBack"), 101.0, {}, WhyFixed.EXPOSURE),
        (with_word(phase="HeldBack"), 101.0, {}, WhyFixed.EXPOSURE),
        (with_word(phase="a phase of a later version"), 101.0, {}, WhyFixed.EXPOSURE),
    ],
)
def test_each_reason_by_itself_keeps_a_decision_fixed(
    read: Read | None, now: float, changes: dict[str, Any], why: WhyFixed
) -> None:
    assert asked(read, now, **changes) is why


def test_a_word_that_is_none_for_this_process_does_not_stand() -> None:
    assert READ.stands(101.0)
    assert not replace(READ, registered=False).stands(101.0)
    assert not replace(READ, word=None).stands(101.0)


def test_a_lease_counts_from_the_begin_of_the_read_and_ends_to_the_instant() -> None:
    assert asked(now=100.0) is None
    assert asked(now=100.0 + LEASE_SECONDS - 1e-9) is None
    assert asked(now=100.0 + LEASE_SECONDS) is WhyFixed.LAPSED


def test_a_released_word_still_needs_a_fresh_read() -> None:
    released = replace(READ, word=replace(WORD, phase="Released", length=None), remaining=float("inf"))
    assert asked(released) is None
    assert asked(released, now=100.0 + LEASE_SECONDS) is WhyFixed.LAPSED


READS = st.builds(
    Read,
    word=st.none()
    | st.builds(
        replace,
        st.just(WORD),
        plan_id=st.sampled_from(["plan", "another"]),
        phase=st.sampled_from([*PERMITTING, "RolledBack", "RollingBack", "HeldBack", "Pending"]),
        exposure=st.sampled_from([None, WORD.exposure]),
        shadow=st.booleans(),
        incarnation=st.sampled_from(["here", "elsewhere"]),
    ),
    began=st.floats(0, 20),
    remaining=st.floats(0, 20) | st.just(float("inf")),
    store_time=st.just(1e9),
    incarnation=st.sampled_from(["here", "elsewhere", None]),
    primary=st.booleans(),
    registered=st.booleans(),
    obstacle=st.sampled_from(["", "the store was restored"]),
)


@given(read=st.none() | READS, now=st.floats(0, 40), enabled=st.booleans(), forced=st.booleans(), exposed=st.booleans())
def test_permission_is_the_conjunction_of_everything_that_it_needs(
    read: Read | None, now: float, enabled: bool, forced: bool, exposed: bool
) -> None:
    why = asked(read, now, enabled=enabled, forced=forced, exposed=lambda word: exposed)
    word = read.word if read else None
    needed = (
        not forced,
        enabled,
        read is not None and 0.0 <= now - read.began < min(5.0, read.remaining),
        read is not None and read.primary and read.registered and not read.obstacle,
        read is not None and word is not None and word.incarnation == read.incarnation,
        word is not None and word.plan_id == "plan" and not word.shadow and word.exposure is not None,
        word is not None and word.phase in PERMITTING,
        exposed,
    )
    assert (why is None) is all(needed)


@given(read=READS, now=st.floats(0, 40), later=st.floats(0, 40))
def test_what_was_not_permitted_is_not_permitted_later_by_the_same_read(read: Read, now: float, later: float) -> None:
    if read.began <= now and asked(read, now) is not None:
        assert asked(read, now + later) is not None


def test_the_kernels_own_boot_clock_is_taken_as_it_is() -> None:
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = BootClock(monotonic=lambda: before - 1.0)()
    assert before <= now <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_where_the_kernel_has_none_it_is_the_monotonic_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    before = time.monotonic()
    assert BootClock()() >= before


def test_the_boot_clock_rises_and_counts_what_only_the_wall_clock_saw() -> None:
    kernel = BootClock()
    assert kernel() <= kernel()
    monotonic, wall = [10.0], [1000.0]
    clock = BootClock(lambda: monotonic[0], lambda: wall[0])
    assert clock() == 10.0
    monotonic[0], wall[0] = 11.0, 1001.0
    assert clock() == 11.0
    wall[0] = 1601.0  # the machine slept for ten minutes: the monotonic clock saw nothing of it
    assert clock() == 611.0
    monotonic[0], wall[0] = 12.0, 900.0  # the wall clock was set back: no lease becomes longer
    assert clock() == 612.0
