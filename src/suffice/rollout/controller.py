"""The controller: what a rollout does next, as a pure function of its state, an event and the time.

`advance(state, event, now) -> (state, commands)` reads no clock, flag or store. The driver stores the new state, and
then carries out the commands in their order.

Theory of operation
-------------------
What always holds:

1. A phase changes only as `TRANSITIONS` says. Any other event raises, and changes nothing.
2. What a stage has counted is about this stage alone. When it ends, its time, errors, failures, extension and approval
   end with it.
3. A stage that needs proof ends only in a cycle that has its hold, its audits, and Successful from every gate. Time
   that was not watched never counts: a cycle credits at most `CREDIT_CYCLES` intervals, and nothing when the clock went
   back or a gate answered Error.
4. A stage that is past its hold never waits in silence: without a new audit, or not over, for `progress_deadline` of
   watched time, it pauses with the sentence of what stalls it. A clock that jumps brings that no nearer than a hold's
   end. (The model is Kubernetes' `progressDeadlineSeconds`.)
5. A completed rollout that is not well tells it once, by the same limits; it has no stage left to hold.
6. A failed gate or a person's word leads to RollingBack from every phase in force. The only way on from there leads to
   RolledBack, and only after every probe answered fixed.

What can happen between any two lines of the driver, which decides (a), stores state and journal in one transaction (b),
and carries out the commands (c):

- It is killed before (b): the event never happened. The next cycle measures and decides anew.
- It is killed after (b): the stored state says what the world must be. The driver's `reconcile` carries out again
  whatever that state calls for. This is safe because each command may be repeated: the same flag is published once
  more, and of receipt, bundle and item the first one stays.
- Another process stores a state between (a) and (b): ours is refused by compare-and-swap, and nothing of it is written.
  The event is then decided again, on the state that includes the other one.
- Another process rolls back between (b) and (c): publishing takes the store's write lock and asks the state once more.
  A slow driver thus never publishes a stage over a baseline.
- The clock jumps: only the differences of `now` matter, and invariant 3 bounds what they can do.

So the flag is never wider than a state that was stored before it. Going up, a kill leaves too little exposure. Going
down, it leaves the old one until the next cycle; therefore RollingBack ends only with what probes saw, never with what
was written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from suffice.config import RolloutConfig, Stage, format_duration
from suffice.errors import RolloutError
from suffice.flag.document import Exposure
from suffice.gates import health
from suffice.gates.outcome import GateResult, Outcome
from suffice.rollout.phases import IN_FORCE, Phase, Signal, next_phase
from suffice.store.actions import Action

CREDIT_CYCLES = 2
"""A cycle credits at most this many of its intervals to a hold, so that a clock jump shortens nothing."""


@dataclass(frozen=True, slots=True)
class State:
    """Where a rollout is, and what it has counted since its stage began.

    `held` is the credited time in the stage (seconds), and `extended_to` how much of it an unproven stage waits for
    before it counts cycles as inconclusive; `why` is the sentence that explains the phase; `failed` holds the gates
    that caused a rollback. `audits` and `decisions` are the most that a cycle of the stage has seen. When audits grew
    last, and when a person resumed the stage, `grown_at` and `resumed_at` say in credited time; at the later of the two
    there were `grown_with` decisions. `slow`: a person has accepted that a stage takes longer than the deadline while
    its audits grow. Of a completed rollout, `unwell` is how long (credited seconds) health was not Successful, and
    `alarm` the sentence that people were told about it, "" while it is well. `released` says that a word was ever
    written that stands without a runner. In a new incarnation, `old_words_until` is when each word of the old one must
    have lapsed, by the store's clock, and `old_primary` says that one of them stands for ever, until a person says that
    the old primary is gone.
    """

    rollout: RolloutConfig
    phase: Phase = Phase.PENDING
    stage: int = 0
    held: float = 0.0
    last_cycle: float | None = None
    failures: int = 0
    inconclusive: int = 0
    extended_to: float | None = None
    errors: int = 0
    released: bool = False
    old_primary: bool = False
    old_words_until: float | None = None
    approved: bool = False
    audits: int = 0
    decisions: int = 0
    grown_at: float = 0.0
    grown_with: int = 0
    resumed_at: float = 0.0
    slow: bool = False
    unwell: float = 0.0
    alarm: str = ""
    why: str = "not started yet"
    failed: tuple[GateResult, ...] = ()

    @property
    def current(self) -> Stage:
        return self.rollout.stages[self.stage]

    @property
    def weight(self) -> int:
        """The percentage of targets that may be adaptive in this state."""
        return self.current.weight if self.in_force else 0

    @property
    def in_force(self) -> bool:
        """Whether the flag says what the stage says, rather than the baseline."""
        return self.phase in IN_FORCE

    def exposure(self, salt: str) -> Exposure | None:
        """What the flag says in this state, None for the baseline."""
        return exposure_of(self.current, salt) if self.in_force else None


@dataclass(frozen=True, slots=True)
class Started:
    """A person started the rollout; `accepted` says what she has accepted, "" for nothing."""

    accepted: str = ""


@dataclass(frozen=True, slots=True)
class Cycle:
    """One monitoring pass over the current stage: every gate's result, and the audits and decisions it has had."""

    results: tuple[GateResult, ...]
    audits: int | None
    decisions: int = 0


@dataclass(frozen=True, slots=True)
class Paused:
    """A person, or the shell, wants the rollout to wait."""

    reason: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """A person let a paused rollout go on; this also approves a stage that waits for approval."""

    who: str = "a person"


@dataclass(frozen=True, slots=True)
class RollbackAsked:
    """A person, or the shell, wants the baseline."""

    reason: str


@dataclass(frozen=True, slots=True)
class Probed:
    """The flag was evaluated the way production does it, after the baseline was published."""

    all_fixed: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class StoreChanged:
    """The store is of another incarnation, or an older copy. Words of the old one may stand until then by the clock of
    the store; `released` says that one of them stands for ever."""

    reason: str
    old_words_until: float
    released: bool = False


@dataclass(frozen=True, slots=True)
class Released:
    """A person lets a completed rollout stand without a runner."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reopened:
    """Decisions were adaptive after the receipt."""

    sentence: str


@dataclass(frozen=True, slots=True)
class OldPrimaryGone:
    """A person says that the primary of the old incarnation is gone. Whoever read it before may act on that until then,
    by the clock of the store."""

    old_words_until: float


@dataclass(frozen=True, slots=True)
class Renewed:
    """The word is written again, for there is nothing to judge."""


Event: TypeAlias = (
    Started
    | Cycle
    | Paused
    | Resumed
    | RollbackAsked
    | Probed
    | StoreChanged
    | Released
    | Reopened
    | OldPrimaryGone
    | Renewed
)


@dataclass(frozen=True, slots=True)
class PublishStage:
    """Publish the flag for this stage."""

    stage: Stage


@dataclass(frozen=True, slots=True)
class PublishBaseline:
    """Publish the flag that answers fixed for everybody, then probe it and report with `Probed`."""


@dataclass(frozen=True, slots=True)
class KeepBaseline:
    """Publish the flag that answers fixed for everybody; nothing waits for it."""


@dataclass(frozen=True, slots=True)
class Settle:
    """After the baseline was observed: store the receipt, disable in the configuration, freeze the bundle, open triage,
    notify."""


@dataclass(frozen=True, slots=True)
class Write:
    """Append an event to the journal: what happened, why, and the numbers seen."""

    action: Action
    why: str
    results: tuple[GateResult, ...] = field(default=())


Command: TypeAlias = PublishStage | PublishBaseline | KeepBaseline | Settle | Write


def exposure_of(stage: Stage, salt: str) -> Exposure | None:
    """What the flag says in a stage; a shadow stage, and one of weight 0, is the baseline."""
    return None if stage.shadow or stage.weight == 0 else Exposure(stage.weight, salt, stage.regions)


def advance(state: State, event: Event, now: float) -> tuple[State, tuple[Command, ...]]:
    """The next state and what to do about it. `now` is in seconds and only its differences matter.

    Guarantees: a stage ends only when its hold, its audits and a Successful answer of every gate come together in one
    cycle; a failed gate or a person's word rolls back from every phase that has not; time that was not watched, or
    ended in a cycle with an Error, is not credited. Raises RolloutError, with the legal signals named, for an event
    that the phase does not allow; the caller's state is then still valid.
    """
    match event:
        case Started(accepted):
            began = f"stage {state.rollout.stages[0].name} began"
            moved = _move(state, Signal.START, f"{began}; {accepted}" if accepted else began)
            return replace(moved, last_cycle=now), (Write(Action.START, moved.why), PublishStage(moved.current))
        case Cycle():
            return _cycle(state, event, now)
        case Paused(reason):
            moved = _move(state, Signal.PAUSE, reason)
            return moved, (Write(Action.PAUSE, reason),)
        case Resumed(who):
            approves, name = state.phase is Phase.AWAITING_APPROVAL, state.current.name
            moved = _move(state, Signal.RESUME, f"{who} approved stage {name}" if approves else f"stage {name} goes on")
            fresh = replace(
                moved, inconclusive=0, extended_to=None, errors=0, grown_at=state.held, resumed_at=state.held
            )
            fresh = replace(fresh, grown_with=state.decisions, unwell=0.0, alarm="")
            resumed = replace(fresh, approved=state.approved or approves, last_cycle=now)
            return resumed, (
                Write(Action.APPROVE if approves else Action.RESUME, moved.why),
                PublishStage(resumed.current),
            )
        case RollbackAsked(reason):
            return _roll_back(state, reason, ())
        case Probed(all_fixed, sentence):
            return _probed(state, all_fixed=all_fixed, sentence=sentence)
        case StoreChanged():
            return _store_changed(state, event)
        case Released(reason):
            moved = _move(state, Signal.RELEASE, reason)
            return replace(moved, released=True), (Write(Action.RELEASE, reason), PublishStage(moved.current))
        case Reopened(sentence):
            return _move(state, Signal.REOPEN, state.why), (PublishBaseline(), Write(Action.REOPEN, sentence))
        case OldPrimaryGone(until):
            gone = replace(state, old_primary=False, old_words_until=max(until, state.old_words_until or until))
            return gone, (Write(Action.OLD_PRIMARY_GONE, "a person said so"),)
        case Renewed():
            return state, ()


def _cycle(state: State, cycle: Cycle, now: float) -> tuple[State, tuple[Command, ...]]:
    if not state.in_force:
        raise RolloutError(f"a cycle has nothing to judge while {state.phase.value}")
    watched, passed, state = state.held, _passed(state, now), _credit(state, now)
    failed = tuple(r for r in cycle.results if r.outcome is Outcome.FAILED)
    if failed:
        state = replace(state, failures=state.failures + 1)
        if state.failures > state.rollout.failure_limit:
            return _roll_back(state, failed[0].named, failed)
    if state.phase is Phase.COMPLETED:
        return _watch(state, cycle, passed)
    if state.phase is not Phase.PROGRESSING:
        return _move(state, Signal.HOLD, state.why), ()
    broken = [r for r in cycle.results if r.outcome is Outcome.ERROR]
    if broken or not cycle.results or cycle.audits is None:
        sentence = broken[0].named if broken else "no gate gave an answer"
        # What could not be measured was not watched.
        return _count_error(replace(state, held=watched), sentence, cycle.results)
    state = replace(state, errors=0, decisions=max(state.decisions, cycle.decisions))
    if cycle.audits > state.audits:
        state = replace(state, audits=cycle.audits, grown_at=state.held, grown_with=state.decisions)
    after, commands = _judge(state, cycle)
    stall = _stall(after, cycle.results) if after.phase is Phase.PROGRESSING else None
    return (after, commands) if stall is None else _pause(after, stall, cycle.results)


def _watch(state: State, cycle: Cycle, passed: float) -> tuple[State, tuple[Command, ...]]:
    """Of a completed rollout: tell people once that it is not well, and again only after it was well."""
    broken = [result for result in cycle.results if result.outcome is Outcome.ERROR]
    signs = [r for r in cycle.results if r.gate == health.GATE and r.outcome is not Outcome.SUCCESSFUL]
    errors = state.errors + 1 if broken else 0
    state = replace(state, errors=errors, unwell=state.unwell + passed if signs else 0.0)
    deadline, most = state.rollout.progress_deadline, state.rollout.consecutive_error_limit
    if not broken and not signs:
        return _move(replace(state, alarm=""), Signal.HOLD, state.why), ()
    alarm = ""
    if errors > most:
        alarm = f"{errors} errors in a row, allowed {most}: {broken[0].named}"
    elif state.unwell > deadline.total_seconds():
        for_long = f"not well for more than {format_duration(deadline)} (rollout.progress_deadline)"
        alarm = f"completed, and {for_long}; {signs[0].named}"
    if state.alarm or not alarm:
        return _move(state, Signal.HOLD, state.why), ()
    return _move(replace(state, alarm=alarm), Signal.HOLD, state.why), (Write(Action.UNWELL, alarm, cycle.results),)


def _passed(state: State, now: float) -> float:
    """Seconds since the last cycle, as far as a cycle credits them."""
    passed = 0.0 if state.last_cycle is None else now - state.last_cycle
    return min(max(passed, 0.0), CREDIT_CYCLES * state.rollout.cycle_seconds)


def _credit(state: State, now: float) -> State:
    credited = _passed(state, now) if state.phase is Phase.PROGRESSING else 0.0
    # It never goes back: of two runners whose clocks differ, the one behind would let the other credit it all again.
    last = now if state.last_cycle is None else max(now, state.last_cycle)
    return replace(state, held=state.held + credited, last_cycle=last)


def _count_error(state: State, sentence: str, results: Sequence[GateResult]) -> tuple[State, tuple[Command, ...]]:
    state = replace(state, errors=state.errors + 1)
    if state.errors <= state.rollout.consecutive_error_limit:
        why = f"error {state.errors} of at most {state.rollout.consecutive_error_limit} in a row: {sentence}"
        return _move(state, Signal.HOLD, why), ()
    why = f"{state.errors} errors in a row, allowed {state.rollout.consecutive_error_limit}: {sentence}"
    return _pause(state, why, results)


def _judge(state: State, cycle: Cycle) -> tuple[State, tuple[Command, ...]]:
    stage, audits = state.current, cycle.audits or 0
    if state.held < stage.hold_seconds:
        return _move(state, Signal.HOLD, f"held {state.held:.0f} of {stage.hold_seconds:.0f} s"), ()
    if audits < stage.min_audits:
        return _move(state, Signal.HOLD, f"{audits} of {stage.min_audits} audits"), ()
    undecided = [r for r in cycle.results if r.outcome is not Outcome.SUCCESSFUL]
    if undecided and stage.needs_proof:
        return _extend(state, undecided[0].named, cycle.results)
    if stage.approval and not state.approved:
        why = f"stage {stage.name} has passed and waits for approval"
        return _move(state, Signal.AWAIT, why), (Write(Action.AWAIT, why, cycle.results),)
    return _end_stage(state, cycle.results)


def _extend(state: State, sentence: str, results: Sequence[GateResult]) -> tuple[State, tuple[Command, ...]]:
    """Extend the stage once, by its hold; only what is inconclusive after that counts towards the limit."""
    to = state.held + state.current.hold_seconds if state.extended_to is None else state.extended_to
    state = replace(state, extended_to=to)
    if state.held < to:
        return _move(state, Signal.HOLD, f"extended, held {state.held:.0f} of {to:.0f} s: {sentence}"), ()
    limit = state.rollout.inconclusive_limit
    state = replace(state, inconclusive=state.inconclusive + 1)
    if state.inconclusive <= limit:
        return _move(state, Signal.HOLD, f"inconclusive {state.inconclusive} of at most {limit}: {sentence}"), ()
    why = (
        f"not proven by the end of the extension: {state.inconclusive} inconclusive cycles, allowed {limit}: {sentence}"
    )
    return _pause(state, why, results)


def _stall(state: State, results: Sequence[GateResult]) -> str | None:
    """Why a stage makes no progress, by the sign that tells most; None while it makes some, or is in its hold."""
    stage, deadline = state.current, state.rollout.progress_deadline
    past = max(stage.hold_seconds, state.resumed_at, state.extended_to or 0.0)
    if state.held < stage.hold_seconds:
        return None
    if state.held - state.grown_at >= deadline.total_seconds():
        what, came = "without a new audit for", state.decisions - state.grown_with
    elif not state.slow and state.held - past >= deadline.total_seconds():
        what, came = "beyond its hold, and not over, for", 0
    else:
        return None
    undecided = [result for result in results if result.outcome is not Outcome.SUCCESSFUL]
    sign = next((result for result in undecided if result.gate == health.GATE), next(iter(undecided), None))
    told = f"; {sign.named}" if sign else ""
    return (
        f"stage {stage.name} has been {what} {format_duration(deadline)} (rollout.progress_deadline)"
        f"{f', although {came:,} decisions came' if came else ''}, with "
        f"{state.audits:,} of {stage.min_audits:,} audits{told}; resume starts the deadline anew"
    )


def _pause(state: State, why: str, results: Sequence[GateResult]) -> tuple[State, tuple[Command, ...]]:
    return _move(state, Signal.PAUSE, why), (Write(Action.PAUSE, why, tuple(results)),)


def _end_stage(state: State, results: tuple[GateResult, ...]) -> tuple[State, tuple[Command, ...]]:
    if state.stage + 1 == len(state.rollout.stages):
        moved = _move(state, Signal.FINISH, f"stage {state.current.name} has passed; adaptive everywhere")
        return moved, (Write(Action.COMPLETE, moved.why, results),)
    following = state.rollout.stages[state.stage + 1]
    moved = _move(state, Signal.ADVANCE, f"stage {following.name} began")
    uncounted = replace(moved, failures=0, inconclusive=0, errors=0)
    unproven = replace(uncounted, audits=0, decisions=0, grown_at=0.0, grown_with=0, resumed_at=0.0)
    fresh = replace(unproven, stage=state.stage + 1, held=0.0, extended_to=None, approved=False)
    return fresh, (Write(Action.ADVANCE, f"stage {state.current.name} has passed", results), PublishStage(following))


def _roll_back(state: State, reason: str, failed: tuple[GateResult, ...]) -> tuple[State, tuple[Command, ...]]:
    moved = _move(state, Signal.ROLL_BACK, reason)
    if state.phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK):
        return replace(moved, why=state.why), ()
    return replace(moved, failed=failed), (PublishBaseline(), Write(Action.ROLL_BACK, reason, failed))


def _store_changed(state: State, event: StoreChanged) -> tuple[State, tuple[Command, ...]]:
    """The baseline first; a rollback that is under way, or done, stays so, and its receipt waits for the old words."""
    old_primary = state.old_primary or state.released or event.released
    until = max(event.old_words_until, state.old_words_until or 0.0)
    lowered = replace(state, old_words_until=until, old_primary=old_primary, released=False)
    written = Write(Action.HOLD_BACK, event.reason)
    if not state.in_force and state.phase is not Phase.HELD_BACK:
        return lowered, (written,)
    return _move(lowered, Signal.HOLD_BACK, event.reason), (written, KeepBaseline())


def _probed(state: State, *, all_fixed: bool, sentence: str) -> tuple[State, tuple[Command, ...]]:
    if not all_fixed:
        return _move(state, Signal.NOT_OBSERVED, state.why), (Write(Action.NOT_OBSERVED, sentence),)
    moved = _move(state, Signal.OBSERVED, state.why)
    return moved, (Write(Action.OBSERVED, sentence), Settle())


def _move(state: State, signal: Signal, why: str) -> State:
    return replace(state, phase=next_phase(state.phase, signal), why=why)
