"""The controller as a specification: what ends a stage, what pauses, what rolls back, and that nothing else does."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.config import RolloutConfig, Stage
from suffice.errors import RolloutError
from suffice.flag.document import Exposure
from suffice.gates.outcome import GateResult, Outcome
from suffice.rollout.controller import (
    Command,
    Cycle,
    Event,
    KeepBaseline,
    OldPrimaryGone,
    Paused,
    Probed,
    PublishBaseline,
    PublishStage,
    Released,
    Renewed,
    Reopened,
    Resumed,
    RollbackAsked,
    Settle,
    Started,
    State,
    StoreChanged,
    Write,
    advance,
)
from suffice.rollout.phases import Phase
from suffice.store.actions import Action

STAGES = (
    Stage(name="staging", weight=0, shadow=True, hold=timedelta(seconds=100), min_audits=10),
    Stage(name="canary", weight=5, regions=("eu-west-1",), hold=timedelta(seconds=100), min_audits=5),
    Stage(name="expand", weight=50, hold=timedelta(seconds=200), min_audits=5),
    Stage(name="full", weight=100),
)
SECTION = RolloutConfig(stages=STAGES, cycle=timedelta(seconds=50))


def gate(outcome: Outcome) -> GateResult:
    return GateResult("disagreement", outcome, f"0.3 % of audits differ, {outcome.value}; allowed 1 %", 0.003, 0.01)


GOOD, UNDECIDED, BROKEN, BAD = (
    gate(o) for o in (Outcome.SUCCESSFUL, Outcome.INCONCLUSIVE, Outcome.ERROR, Outcome.FAILED)
)


def started() -> State:
    return advance(State(SECTION), Started(), 0.0)[0]


def after(state: State, *events: tuple[Event, float]) -> State:
    for event, now in events:
        state, _ = advance(state, event, now)
    return state


def good(audits: int = 10) -> Cycle:
    return Cycle((GOOD,), audits)


def in_phase(phase: Phase, **changes: object) -> State:
    return replace(started(), phase=phase, why="as before", **changes)


@pytest.mark.parametrize("phase", Phase)
def test_the_stage_is_in_force_while_it_goes_on_waits_or_has_passed(phase: Phase) -> None:
    in_force = phase.name in ("PROGRESSING", "PAUSED", "AWAITING_APPROVAL", "COMPLETED", "RELEASED")
    state = in_phase(phase, stage=1)
    assert (state.in_force, state.weight) == (in_force, 5 if in_force else 0)
    assert state.exposure("salt") == (Exposure(5, "salt", ("eu-west-1",)) if in_force else None)


@pytest.mark.parametrize(
    ("changes", "exposed"),
    [
        ({"weight": 1}, True),
        ({"weight": 0}, False),
        ({"weight": 5, "shadow": True}, False),
    ],
)
def test_a_shadow_stage_and_one_of_weight_0_are_the_baseline(changes: dict[str, object], exposed: bool) -> None:
    stage = STAGES[2].model_copy(update=changes)
    state = replace(started(), rollout=SECTION.model_copy(update={"stages": (stage,)}))
    assert (state.exposure("salt") is not None) == exposed


def test_a_start_a_pause_and_a_resume_are_written_and_publish_what_is_in_force() -> None:
    state, commands = advance(State(SECTION), Started(), 0.0)
    assert commands == (Write(Action.START, "stage staging began"), PublishStage(STAGES[0]))
    told = advance(State(SECTION), Started("accepted: it is slow"), 0.0)[1][0]
    assert told == Write(Action.START, "stage staging began; accepted: it is slow")
    state, commands = advance(replace(state, errors=3), Paused("lunch"), 10.0)
    assert commands == (Write(Action.PAUSE, "lunch"),)
    assert after(state, (good(), 20.0)).why == "lunch", "a cycle of a paused rollout changes nothing that people read"
    state, commands = advance(state, Resumed(), 30.0)
    assert commands == (Write(Action.RESUME, "stage staging goes on"), PublishStage(STAGES[0]))
    assert (state.phase, state.errors, state.approved) == (Phase.PROGRESSING, 0, False)


def test_what_ends_a_stage_and_the_rollout_is_written_with_what_was_seen() -> None:
    last_but_one = replace(started(), stage=2, held=150.0)
    state, commands = advance(last_but_one, good(), 50.0)
    assert commands == (Write(Action.ADVANCE, "stage expand has passed", (GOOD,)), PublishStage(STAGES[3]))
    assert state.why == "stage full began"
    state, commands = advance(state, good(), 100.0)
    why = "stage full has passed; adaptive everywhere"
    assert (state.phase, state.why, commands) == (Phase.COMPLETED, why, (Write(Action.COMPLETE, why, (GOOD,)),))


def test_a_last_stage_without_hold_and_audits_needs_no_proof() -> None:
    assert after(replace(started(), stage=3), (Cycle((UNDECIDED,), 0), 50.0)).phase is Phase.COMPLETED


def test_so_many_failures_of_a_stage_are_let_pass_as_the_limit_says() -> None:
    state = replace(started(), rollout=SECTION.model_copy(update={"failure_limit": 1}))
    assert state.failures == 0
    failed_once = after(state, (Cycle((BAD,), 10), 10.0))
    assert (failed_once.phase, failed_once.failures) == (Phase.PROGRESSING, 1)
    rolled, commands = advance(failed_once, Cycle((BAD,), 10), 20.0)
    assert (rolled.phase, rolled.failures) == (Phase.ROLLING_BACK, 2)
    assert commands == (PublishBaseline(), Write(Action.ROLL_BACK, BAD.named, (BAD,)))
    following = after(failed_once, *((good(), float(t)) for t in (50, 100, 150)))
    assert (following.stage, following.failures) == (1, 0), "failures of one stage are none of the next"
    assert after(following, (Cycle((BAD,), 10), 160.0)).phase is Phase.PROGRESSING


def test_a_stage_that_nobody_watched_before_is_credited_nothing() -> None:
    assert after(replace(started(), last_cycle=None), (good(), 60.0)).held == 0


def test_no_audit_is_fewer_than_one() -> None:
    stages = (STAGES[0].model_copy(update={"min_audits": 1}), *STAGES[1:])
    state = replace(started(), rollout=SECTION.model_copy(update={"stages": stages}), held=100.0)
    assert after(state, (good(0), 10.0)).why == "0 of 1 audits"
    assert after(state, (good(1), 10.0)).stage == 1


def test_who_waits_reads_for_what() -> None:
    undecided, broken = Cycle((UNDECIDED,), 10), Cycle((GOOD, BROKEN), 10)
    assert after(started(), (good(), 50.0)).why == "held 50 of 100 s"
    assert after(started(), (broken, 50.0)).why == f"error 1 of at most 4 in a row: {BROKEN.named}"
    assert after(started(), (Cycle((), 10), 50.0)).why == "error 1 of at most 4 in a row: no gate gave an answer"
    extended = after(started(), (undecided, 100.0), (undecided, 150.0))
    assert extended.why == f"extended, held 150 of 200 s: {UNDECIDED.named}"
    assert after(extended, (undecided, 200.0)).why == f"inconclusive 1 of at most 4: {UNDECIDED.named}"


@pytest.mark.parametrize(
    ("counted", "cycle", "why"),
    [
        ({"errors": 4}, Cycle((BROKEN,), 10), f"5 errors in a row, allowed 4: {BROKEN.named}"),
        (
            {"held": 200.0, "extended_to": 200.0, "inconclusive": 4},
            Cycle((UNDECIDED,), 10),
            f"not proven by the end of the extension: 5 inconclusive cycles, allowed 4: {UNDECIDED.named}",
        ),
    ],
)
def test_a_pause_by_the_machine_is_written_with_what_was_seen(
    counted: dict[str, object], cycle: Cycle, why: str
) -> None:
    state, commands = advance(replace(started(), **counted), cycle, 10.0)
    assert (state.phase, state.why) == (Phase.PAUSED, why)
    assert commands == (Write(Action.PAUSE, why, cycle.results),)


def test_a_rollback_that_is_under_way_is_not_begun_again() -> None:
    rolling = in_phase(Phase.ROLLING_BACK, failed=(BAD,))
    assert advance(rolling, RollbackAsked("again"), 10.0) == (rolling, ())


@pytest.mark.parametrize("phase", [Phase.PROGRESSING, Phase.PAUSED, Phase.HELD_BACK, Phase.COMPLETED, Phase.RELEASED])
def test_in_another_store_the_baseline_comes_first(phase: Phase) -> None:
    state, commands = advance(in_phase(phase), StoreChanged("restored", 500.0), 10.0)
    assert (state.phase, state.why, state.weight) == (Phase.HELD_BACK, "restored", 0)
    assert commands == (Write(Action.HOLD_BACK, "restored"), KeepBaseline())
    assert (state.old_words_until, state.old_primary) == (500.0, False)


@pytest.mark.parametrize("phase", [Phase.PENDING, Phase.ROLLING_BACK, Phase.ROLLED_BACK])
def test_what_is_the_baseline_stays_so_in_another_store(phase: Phase) -> None:
    state, commands = advance(in_phase(phase), StoreChanged("restored", 500.0), 10.0)
    assert (state.phase, state.why, state.old_words_until) == (phase, "as before", 500.0)
    assert commands == (Write(Action.HOLD_BACK, "restored"),)


@pytest.mark.parametrize("known, told", [(400.0, 500.0), (500.0, 400.0)])
def test_old_words_stand_until_the_last_of_them_has_lapsed(known: float, told: float) -> None:
    state, _ = advance(in_phase(Phase.HELD_BACK, old_words_until=known), StoreChanged("again", told), 10.0)
    assert state.old_words_until == 500.0


def test_the_first_change_of_a_store_may_lie_before_the_clock_began() -> None:
    assert advance(started(), StoreChanged("restored", 0.5), 10.0)[0].old_words_until == 0.5


@pytest.mark.parametrize(("before", "told"), [({"released": True}, False), ({"old_primary": True}, False), ({}, True)])
def test_a_word_that_stands_for_ever_waits_for_a_person(before: dict[str, object], told: bool) -> None:
    state, _ = advance(in_phase(Phase.RELEASED, **before), StoreChanged("restored", 500.0, told), 10.0)
    assert (state.old_primary, state.released) == (True, False), "the old word is no word of this store"
    gone, commands = advance(state, OldPrimaryGone(505.5), 20.0)
    assert gone == replace(state, old_primary=False, old_words_until=505.5)
    assert advance(state, OldPrimaryGone(25.5), 20.0)[0].old_words_until == 500.0
    assert commands == (Write(Action.OLD_PRIMARY_GONE, "a person said so"),)
    assert advance(replace(state, old_words_until=None), OldPrimaryGone(25.5), 20.0)[0].old_words_until == 25.5


def test_a_completed_rollout_is_released_by_a_person() -> None:
    state, commands = advance(in_phase(Phase.COMPLETED, stage=3), Released("it is good"), 10.0)
    assert (state.phase, state.why, state.released, state.weight) == (Phase.RELEASED, "it is good", True, 100)
    assert commands == (Write(Action.RELEASE, "it is good"), PublishStage(STAGES[3]))


def test_a_completed_rollout_that_is_not_well_for_the_deadline_tells_it_once_and_again_after_it_was_well() -> None:
    """Seen: ten days without a decision that was evidence, and nobody was told."""
    section = SECTION.model_copy(update={"progress_deadline": timedelta(seconds=100)})
    state = in_phase(Phase.COMPLETED, stage=3, rollout=section)
    held = Cycle((GOOD, GateResult("health", Outcome.INCONCLUSIVE, "nothing comes", 0.0, 1.0)), 10)
    alarm = "completed, and not well for more than 100s (rollout.progress_deadline); health: nothing comes"
    told, now = [], 0.0
    for cycle, times in ((held, 4), (good(), 1), (held, 3)):
        for _ in range(times):
            now += 50.0
            state, commands = advance(state, cycle, now)
            told += [(now, command) for command in commands]
            assert (state.phase, state.why) == (Phase.COMPLETED, "as before")
            assert state.alarm == (alarm if 150.0 <= now <= 200.0 or now == 400.0 else "")
    assert told == [(at, Write(Action.UNWELL, alarm, held.results)) for at in (150.0, 400.0)]
    # A clock that jumps brings it nearer by two cycles at most.
    assert not advance(in_phase(Phase.COMPLETED, stage=3, rollout=section), held, 100_000.0)[0].alarm


def test_a_completed_rollout_that_cannot_be_measured_tells_it_beyond_the_limit_of_errors() -> None:
    state = in_phase(Phase.COMPLETED, stage=3)
    written: list[Command] = []
    for number in range(1, 2 * SECTION.consecutive_error_limit + 2):
        state, commands = advance(state, Cycle((BROKEN,), None), 50.0 * number)
        written += commands
        assert bool(state.alarm) is (number > SECTION.consecutive_error_limit)
    most = SECTION.consecutive_error_limit
    alarm = f"{most + 1} errors in a row, allowed {most}: {BROKEN.named}"
    assert (state.phase, written) == (Phase.COMPLETED, [Write(Action.UNWELL, alarm, (BROKEN,))])
    assert after(state, (good(), 10_000.0)).alarm == ""


def test_an_adaptive_decision_after_the_receipt_reopens_the_rollback() -> None:
    state, commands = advance(in_phase(Phase.ROLLED_BACK), Reopened("2 decisions were adaptive"), 10.0)
    assert (state.phase, state.why) == (Phase.ROLLING_BACK, "as before")
    assert commands == (PublishBaseline(), Write(Action.REOPEN, "2 decisions were adaptive"))


def test_a_renewed_word_changes_nothing() -> None:
    state = in_phase(Phase.RELEASED)
    assert advance(state, Renewed(), 10.0) == (state, ())


def test_a_stage_ends_when_time_exposure_and_proof_come_together() -> None:
    state = after(started(), (good(), 50), (good(), 99))
    assert (state.stage, state.held) == (0, 99)
    state, commands = advance(state, good(), 100)
    assert state.current.name == "canary"
    assert PublishStage(STAGES[1]) in commands
    assert (state.held, state.errors, state.inconclusive) == (0, 0, 0)


@pytest.mark.parametrize(
    ("cycle", "why"),
    [(Cycle((GOOD,), 9), "9 of 10 audits"), (Cycle((GOOD, UNDECIDED), 10), "extended, held 150 of 250 s")],
)
def test_a_stage_does_not_end_without_exposure_or_proof(cycle: Cycle, why: str) -> None:
    state = after(started(), (good(0), 50), (good(0), 100), (cycle, 150))
    assert (state.phase, state.stage) == (Phase.PROGRESSING, 0)
    assert why in state.why


def test_the_last_stage_completes_and_is_still_watched() -> None:
    times = iter(range(50, 10_000, 50))
    state = started()
    while state.phase is Phase.PROGRESSING:
        state = after(state, (good(), next(times)))
    assert state.phase is Phase.COMPLETED
    assert state.weight == 100
    now = next(times)
    assert after(state, (good(), now)).phase is Phase.COMPLETED
    assert after(state, (Cycle((BAD,), 10), now)).phase is Phase.ROLLING_BACK


def test_a_failed_gate_rolls_back_in_mid_hold_and_while_paused() -> None:
    early = after(started(), (good(0), 10))
    for state in (early, after(early, (Paused("lunch"), 20))):
        rolled, commands = advance(state, Cycle((GOOD, BAD), 0), 30)
        assert rolled.phase is Phase.ROLLING_BACK
        assert rolled.failed == (BAD,)
        assert commands[0] == PublishBaseline()


def test_a_rollback_is_done_when_it_is_observed_and_settled_once() -> None:
    state = after(started(), (RollbackAsked("the owner said so"), 10))
    state, commands = advance(state, Probed(False, "3 of 20 probes answer adaptive"), 11)
    # What RollingBack calls for, the driver does again with each cycle.
    assert state.phase is Phase.ROLLING_BACK
    assert commands == (Write(Action.NOT_OBSERVED, "3 of 20 probes answer adaptive"),)
    state, commands = advance(state, Probed(True, "20 of 20 probes answer fixed"), 12)
    assert state.phase is Phase.ROLLED_BACK
    assert commands == (Write(Action.OBSERVED, "20 of 20 probes answer fixed"), Settle())
    again, commands = advance(state, RollbackAsked("again"), 13)
    assert (again, commands) == (state, ())


def test_errors_in_a_row_pause_and_never_promote() -> None:
    state = after(started(), (good(), 50))
    for i in range(4):
        state = after(state, (Cycle((GOOD, BROKEN), 10), 100 + i))
        assert state.phase is Phase.PROGRESSING
        assert state.stage == 0
    state = after(state, (Cycle((GOOD, BROKEN), 10), 110))
    assert state.phase is Phase.PAUSED
    assert "5 errors in a row, allowed 4" in state.why


@pytest.mark.parametrize("nothing", [Cycle((), 10), Cycle((GOOD,), None)])
def test_no_answer_is_an_error(nothing: Cycle) -> None:
    assert after(started(), (nothing, 50)).errors == 1


def test_one_good_cycle_ends_a_row_of_errors() -> None:
    state = after(started(), *((Cycle((BROKEN,), 10), float(i)) for i in range(4)), (good(), 5.0))
    assert state.errors == 0


def test_a_stage_without_proof_is_extended_once_by_its_hold_and_then_counts_cycles() -> None:
    undecided = Cycle((UNDECIDED,), 10)
    state = after(started(), *((undecided, float(t)) for t in range(1, 200)))
    assert (state.extended_to, state.inconclusive, state.phase) == (200, 0, Phase.PROGRESSING)
    state = after(state, *((undecided, float(t)) for t in range(200, 204)))
    assert (state.inconclusive, state.phase) == (4, Phase.PROGRESSING)
    state = after(state, (undecided, 204.0))
    assert state.phase is Phase.PAUSED
    assert "5 inconclusive cycles, allowed 4" in state.why


def test_the_extension_begins_when_the_exposure_is_reached_too() -> None:
    state = after(started(), *((Cycle((UNDECIDED,), 9), float(t)) for t in range(0, 301, 50)))
    assert state.extended_to is None
    assert after(state, (Cycle((UNDECIDED,), 10), 350.0)).extended_to == 350 + STAGES[0].hold_seconds


def test_a_stage_that_is_proven_in_its_extension_or_while_cycles_count_ends() -> None:
    undecided = Cycle((UNDECIDED,), 10)
    in_extension = after(started(), *((undecided, float(t)) for t in range(50, 200, 50)), (good(), 190.0))
    counted = after(started(), *((undecided, float(t)) for t in range(50, 400, 50)), (good(), 390.0))
    assert [(state.stage, state.inconclusive, state.extended_to) for state in (in_extension, counted)] == [
        (1, 0, None)
    ] * 2


def test_who_resumes_a_stage_that_was_not_proven_gives_it_another_extension() -> None:
    undecided = Cycle((UNDECIDED,), 10)
    paused = after(started(), *((undecided, float(t)) for t in range(1, 205)))
    state = after(paused, (Resumed(), 300.0), (undecided, 301.0))
    assert (state.phase, state.inconclusive, state.extended_to) == (Phase.PROGRESSING, 0, 305)


def test_a_clock_jump_credits_at_most_two_cycles_and_never_less_than_nothing() -> None:
    assert after(started(), (good(0), 1_000_000)).held == 2 * SECTION.cycle_seconds
    assert after(started(), (good(), -1_000_000)).held == 0
    assert after(started(), (good(), -1_000_000), (good(), -999_990)).held == 0


def test_two_runners_whose_clocks_differ_credit_no_time_twice() -> None:
    """Seen: two cron hosts with clocks 30 minutes apart ended a hold of 24 h after 1.6 h."""
    ahead, cycle = 30 * 60.0, SECTION.cycle_seconds
    steps = [(good(0), moment + late) for moment in (cycle, 2 * cycle, 3 * cycle) for late in (0.0, ahead)]
    assert after(started(), *steps).held <= 3 * cycle + min(ahead, 2 * cycle)


@pytest.mark.parametrize("broken", [Cycle((GOOD, BROKEN), 10), Cycle((), 10), Cycle((GOOD,), None)])
def test_time_that_could_not_be_measured_is_not_credited(broken: Cycle) -> None:
    state = after(started(), (good(), 50), (broken, 100), (broken, 150))
    assert state.held == 50
    state = after(state, (good(), 160))
    assert (state.stage, state.held) == (0, 60)
    assert after(state, (good(), 200)).stage == 1


HURRIED = SECTION.model_copy(update={"progress_deadline": timedelta(seconds=150)})
"""The first stage is held for 100 s, and needs 10 audits."""


def hurried(**changes: object) -> State:
    return replace(started(), rollout=HURRIED, **changes)


def stalled(what: str, audits: int, sign: str) -> str:
    return (
        f"stage staging has been {what} 150s (rollout.progress_deadline), with {audits} of 10 audits{sign}; "
        "resume starts the deadline anew"
    )


def test_a_stage_without_new_audits_pauses_at_the_deadline_with_the_sign_that_tells_most() -> None:
    health = GateResult("health", Outcome.INCONCLUSIVE, "2,051 of 2,062 decisions had keys of earlier ones", 0.99, 0.5)
    cycle = Cycle((GOOD, UNDECIDED, health), 3)
    state = after(hurried(), *((cycle, float(t)) for t in (50, 100, 150, 199)))
    assert (state.phase, state.audits, state.grown_at, state.held) == (Phase.PROGRESSING, 3, 50, 199)
    state, commands = advance(state, cycle, 200.0)
    why = stalled("without a new audit for", 3, f"; {health.named}")
    assert (state.phase, state.why, state.weight) == (Phase.PAUSED, why, 0)
    assert commands == (Write(Action.PAUSE, why, cycle.results),), "people are told of a pause"


@pytest.mark.parametrize(("results", "sign"), [((UNDECIDED,), f"; {UNDECIDED.named}"), ((GOOD,), "")])
def test_without_a_sign_of_health_another_gate_tells_or_the_audits_alone(
    results: tuple[GateResult, ...], sign: str
) -> None:
    state = after(hurried(), *((Cycle(results, 3), float(t)) for t in range(50, 201, 50)))
    assert (state.phase, state.why) == (Phase.PAUSED, stalled("without a new audit for", 3, sign))


def test_in_its_hold_a_stage_is_not_late() -> None:
    stage = STAGES[0].model_copy(update={"hold": timedelta(seconds=400)})
    state = replace(hurried(), rollout=HURRIED.model_copy(update={"stages": (stage, *STAGES[1:])}))
    state = after(state, *((good(3), float(t)) for t in range(50, 400, 50)))
    assert (state.phase, state.held) == (Phase.PROGRESSING, 350)
    assert after(state, (good(3), 400.0)).phase is Phase.PAUSED, "its audits have not grown for 350 s"


def test_a_stage_whose_audits_grow_too_slowly_pauses_too_unless_a_person_has_accepted_that() -> None:
    cycles = [(good(t // 50), float(t)) for t in range(50, 300, 50)]
    slowly = after(hurried(slow=True), *cycles)
    assert (slowly.phase, slowly.held) == (Phase.PROGRESSING, 250)
    assert after(hurried(), *cycles[:-1]).phase is Phase.PROGRESSING
    state = after(hurried(), *cycles)
    assert (state.phase, state.why) == (Phase.PAUSED, stalled("beyond its hold, and not over, for", 5, ""))
    idle = after(slowly, *((good(5), float(t)) for t in (300, 350, 400)))
    assert (idle.phase, idle.why) == (Phase.PAUSED, stalled("without a new audit for", 5, ""))


def test_an_extension_is_not_late_while_audits_grow() -> None:
    stage = STAGES[0].model_copy(update={"hold": timedelta(seconds=200)})
    state = replace(hurried(), rollout=HURRIED.model_copy(update={"stages": (stage, *STAGES[1:])}))
    state = after(state, *((Cycle((UNDECIDED,), t), float(t)) for t in range(50, 400, 50)))
    assert (state.phase, state.held) == (Phase.PROGRESSING, 350)


def test_what_ends_a_stage_in_time_pauses_nothing_and_the_next_one_begins_anew() -> None:
    state = after(hurried(resumed_at=9.0), (good(3), 50.0), (good(3), 100.0), (good(3), 199.0), (good(10), 249.0))
    assert (state.stage, state.phase) == (1, Phase.PROGRESSING)
    assert (state.held, state.audits, state.grown_at, state.resumed_at) == (0, 0, 0, 0)
    at_the_last_moment = after(hurried(audits=10), (good(), 50.0), (good(), 100.0))
    assert at_the_last_moment.stage == 1


def test_a_stage_that_has_counted_nothing_begins_at_zero() -> None:
    state = State(SECTION)
    assert (state.audits, state.grown_at, state.resumed_at, state.slow) == (0, 0.0, 0.0, False)
    assert after(started(), (good(1), 50.0)).grown_at == 50


def test_what_ends_or_pauses_a_stage_that_is_late_is_told_and_not_that_it_is_late() -> None:
    late = {"held": 300.0, "audits": 10, "last_cycle": 0.0}
    approved = HURRIED.model_copy(update={"stages": (STAGES[0].model_copy(update={"approval": True}), *STAGES[1:])})
    waits = after(replace(hurried(**late), rollout=approved), (good(), 10.0))
    assert (waits.phase, waits.why) == (Phase.AWAITING_APPROVAL, "stage staging has passed and waits for approval")
    unproven = after(hurried(**late, extended_to=200.0, inconclusive=4), (Cycle((UNDECIDED,), 10), 10.0))
    assert (unproven.phase, unproven.why.partition(":")[0]) == (Phase.PAUSED, "not proven by the end of the extension")


def test_the_deadline_of_a_stage_without_a_hold_begins_with_it() -> None:
    stage = Stage(name="full", weight=100, min_audits=10)
    state = replace(hurried(), rollout=HURRIED.model_copy(update={"stages": (stage,)}))
    state = after(state, (good(1), 50.0), (good(2), 100.0))
    assert after(state, (good(3), 149.5)).phase is Phase.PROGRESSING
    assert after(state, (good(3), 150.0)).phase is Phase.PAUSED


def test_who_resumes_starts_the_deadline_anew() -> None:
    paused = after(hurried(slow=True), *((good(3), float(t)) for t in range(50, 201, 50)))
    assert paused.phase is Phase.PAUSED
    resumed = after(paused, (Resumed(), 1_000.0))
    assert (resumed.grown_at, resumed.resumed_at) == (200, 200)
    for state in (resumed, replace(resumed, slow=False)):
        again = after(state, (good(3), 1_050.0), (good(3), 1_100.0), (good(3), 1_149.0))
        assert again.phase is Phase.PROGRESSING
        assert after(again, (good(3), 1_150.0)).phase is Phase.PAUSED
    growing = after(replace(resumed, slow=False), *((good(t // 300), float(t)) for t in (1_050, 1_100, 1_149)))
    assert after(growing, (good(4), 1_150.0)).why == stalled("beyond its hold, and not over, for", 4, "")


def test_time_that_is_not_credited_brings_no_deadline_nearer() -> None:
    state = after(hurried(), (good(3), 50.0), (good(3), 1_000_000.0))
    assert (state.phase, state.held) == (Phase.PROGRESSING, 150)
    state = after(hurried(), (good(3), 50.0), *((Cycle((BROKEN,), 3), float(t)) for t in (100, 150, 200, 250)))
    assert (state.held, state.phase) == (50, Phase.PROGRESSING)
    paused = after(hurried(), (good(3), 50.0), (Paused("lunch"), 60.0), *((good(3), float(t)) for t in (300, 600)))
    assert after(paused, (Resumed(), 700.0), (good(3), 750.0)).phase is Phase.PROGRESSING


def test_a_pause_is_not_credited() -> None:
    state = after(started(), (good(), 40), (Paused("lunch"), 40), (good(), 80), (Resumed(), 90), (good(), 100))
    assert state.held == 50


def test_a_stage_that_needs_approval_waits_for_it_and_a_resume_after_errors_is_no_approval() -> None:
    stages = (STAGES[0].model_copy(update={"approval": True}), *STAGES[1:])
    state = replace(started(), rollout=SECTION.model_copy(update={"stages": stages}))
    state = after(state, *((Cycle((BROKEN,), 10), float(i)) for i in range(5)))
    assert state.phase is Phase.PAUSED
    state = after(state, (Resumed(), 10.0), (good(), 60.0), (good(), 160.0))
    assert (state.phase, state.stage) == (Phase.AWAITING_APPROVAL, 0)
    why = "stage staging has passed and waits for approval"
    assert (state.why, state.exposure("salt")) == (why, None), "staging puts nobody on the adaptive arm"
    approved, commands = advance(state, Resumed("ann"), 170.0)
    said = "ann approved stage staging"
    assert commands == (Write(Action.APPROVE, said), PublishStage(stages[0])), "an auditor finds it under its own name"
    assert (approved.phase, approved.approved, approved.why) == (Phase.PROGRESSING, True, said)
    paused = after(state, (Paused("lunch"), 170.0), (Resumed(), 172.0))
    assert (paused.phase, paused.approved) == (Phase.PROGRESSING, False), "a resume after a pause is no approval"
    assert after(paused, (good(), 180.0)).phase is Phase.AWAITING_APPROVAL
    assert after(state, (Cycle((BAD,), 10), 170.0)).phase is Phase.ROLLING_BACK
    assert after(approved, (good(), 180.0)).stage == 1
    # A pause in between takes no approval back.
    assert after(approved, (Paused("lunch"), 171.0), (Resumed(), 172.0), (good(), 180.0)).stage == 1
    assert advance(replace(state, phase=Phase.PROGRESSING), good(), 180.0)[1] == (Write(Action.AWAIT, why, (GOOD,)),)


def test_an_approval_is_for_one_stage() -> None:
    stages = (*(stage.model_copy(update={"approval": True}) for stage in STAGES[:2]), *STAGES[2:])
    state = advance(State(SECTION.model_copy(update={"stages": stages})), Started(), 0.0)[0]
    state = after(state, (good(), 50), (good(), 100), (Resumed(), 110))
    assert state.approved
    state = after(state, (good(), 120))
    assert (state.current.name, state.approved) == ("canary", False)
    state = after(state, (good(), 170), (good(), 220))
    assert (state.current.name, state.phase) == ("canary", Phase.AWAITING_APPROVAL)


def test_an_illegal_event_changes_nothing_and_names_what_is_legal() -> None:
    with pytest.raises(RolloutError, match="possible: start, roll_back"):
        advance(State(SECTION), Resumed(), 0.0)
    with pytest.raises(RolloutError, match="nothing to judge while Pending"):
        advance(State(SECTION), good(), 0.0)


EVENTS = st.one_of(
    st.just(Started()),
    st.builds(
        Cycle,
        st.lists(st.sampled_from((GOOD, GOOD, GOOD, UNDECIDED, BROKEN, BAD)), max_size=2).map(tuple),
        st.one_of(st.none(), st.integers(0, 12)),
    ),
    st.builds(Cycle, st.just((GOOD,)), st.just(12)),
    st.just(Paused("wait")),
    st.just(Resumed()),
    st.just(RollbackAsked("asked")),
    st.builds(Probed, st.booleans(), st.just("probed")),
)


def tried(state: State, event: Event, now: float) -> tuple[State, tuple[Command, ...]]:
    try:
        return advance(state, event, now)
    except RolloutError:
        return state, ()


@given(st.lists(st.tuples(EVENTS, st.floats(-1000, 1000)), max_size=80))
def test_no_sequence_of_events_reaches_a_higher_weight_without_time_exposure_and_proof(
    history: list[tuple[Event, float]],
) -> None:
    state, now = State(SECTION), 0.0
    watched = 0.0
    for event, passed in history:
        before, now = state, now + passed
        if isinstance(event, Cycle) and before.phase is Phase.PROGRESSING and before.last_cycle is not None:
            watched += min(max(now - before.last_cycle, 0), 2 * SECTION.cycle_seconds)
        state, commands = tried(before, event, now)
        if state.weight > before.weight or state.stage > before.stage:
            if isinstance(event, Cycle):
                assert state.stage == before.stage + 1
                assert watched >= before.current.hold_seconds
                assert event.audits is not None
                assert event.audits >= before.current.min_audits
                assert all(r.outcome is Outcome.SUCCESSFUL for r in event.results)
                assert event.results
            else:
                assert isinstance(event, (Started, Resumed))
                assert state.stage == before.stage
            watched = 0.0 if state.stage != before.stage else watched
        published = [c.stage.weight for c in commands if isinstance(c, PublishStage)]
        assert published in ([], [state.weight])


@given(st.lists(st.tuples(EVENTS, st.floats(0, 1000)), max_size=40))
def test_from_every_state_a_rollback_reaches_rolled_back(history: list[tuple[Event, float]]) -> None:
    state, now = State(SECTION), 0.0
    for event, passed in history:
        now += passed
        state, _ = tried(state, event, now)
    state, _ = advance(state, RollbackAsked("now"), now)
    assert state.weight == 0
    if state.phase is Phase.ROLLING_BACK:
        state, commands = advance(state, Probed(True, "all fixed"), now)
        assert sum(isinstance(c, Settle) for c in commands) == 1
    assert state.phase is Phase.ROLLED_BACK
