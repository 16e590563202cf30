"""What an operator is told about an event, and what an operator may tell a rollout."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from suffice.config import Stage
from suffice.errors import ExitCode
from suffice.flag.document import in_words
from suffice.gates.outcome import GateResult, Outcome
from suffice.rollout.controller import (
    Command,
    Event,
    KeepBaseline,
    PublishBaseline,
    PublishStage,
    Settle,
    State,
    Write,
    advance,
    exposure_of,
)
from suffice.rollout.phases import TRANSITIONS, Phase, Signal

RETRY_SECONDS = 15.0
"""The longest pause while something is undone: a rollback that is not observed, notifications, a cycle that failed."""

_SIGNALS = {
    "pause": Signal.PAUSE,
    "resume": Signal.RESUME,
    "approve": Signal.RESUME,
    "advance": Signal.ADVANCE,
    "release": Signal.RELEASE,
    "rollback": Signal.ROLL_BACK,
}

_EXIT_CODES = {
    Phase.PAUSED: ExitCode.CANNOT_TELL,
    Phase.AWAITING_APPROVAL: ExitCode.CANNOT_TELL,
    Phase.HELD_BACK: ExitCode.CANNOT_TELL,
    Phase.ROLLING_BACK: ExitCode.FAILS,
    Phase.ROLLED_BACK: ExitCode.FAILS,
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a cycle or an operator's word came to: where the rollout is now, and why.

    `rollout` is "" where there is none, `possible` holds what an operator may say next, `pause` the seconds until the
    next cycle. `commands` would follow, in a dry run; otherwise they were done.
    """

    rollout: str
    phase: Phase
    stage: str
    why: str
    possible: tuple[str, ...] = ("start",)
    pause: float = RETRY_SECONDS
    results: tuple[GateResult, ...] = ()
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """What a command that came to this ends with."""
        return exit_code_of(self.phase)


def exit_code_of(phase: Phase) -> ExitCode:
    """What a command about a rollout in this phase ends with."""
    return _EXIT_CODES.get(phase, ExitCode.HOLDS)


def reported(rollout: str, state: State, **more: Any) -> Report:
    """The report of a rollout in this state; `more` are further fields of it."""
    undone = state.phase is Phase.ROLLING_BACK
    cycle = state.rollout.cycle_seconds
    pause = min(cycle, RETRY_SECONDS) if undone else cycle
    return Report(rollout, state.phase, state.current.name, state.why, legal_commands(state), pause, **more)


NO_PROOF = (
    "A stage without hold and least audits, as the last one often is, needs no proof of its own: it is watched, and "
    "guardrails can still roll it back."
)


def watched_only(stage: Stage, outcomes: Sequence[str]) -> str | None:
    """Why a stage is not held up by gates that did not succeed; None where it is, or all did."""
    unproven = any(outcome != Outcome.SUCCESSFUL.value for outcome in outcomes)
    return NO_PROOF if unproven and not stage.needs_proof else None


def legal_commands(state: State) -> tuple[str, ...]:
    """What an operator may tell a rollout in this state, by the table of phases."""
    known = [name for name, signal in _SIGNALS.items() if (state.phase, signal) in TRANSITIONS]
    unfit = "resume" if state.phase is Phase.AWAITING_APPROVAL else "approve"
    begin = ("start",) if state.phase in (Phase.ROLLED_BACK, Phase.COMPLETED, Phase.RELEASED) else ()
    return (*begin, *(name for name in known if name != unfit))


def foreseen(rollout: str, state: State, event: Event, now: float) -> Report:
    """What an event would come to. Raises RolloutError when it is not legal."""
    after, commands = advance(state, event, now)
    return reported(rollout, after, commands=tuple(map(_words, commands)), dry_run=True)


def _words(command: Command) -> str:
    match command:
        case PublishStage(stage):
            return f"publish stage {stage.name}: {in_words(exposure_of(stage, 'salt'))}"
        case PublishBaseline():
            return "publish the baseline, and ask until everybody is on fixed"
        case KeepBaseline():
            return "publish the baseline"
        case Write(action, why):
            return f"record {action}: {why}"
        case Settle():
            return "settle: receipt, enabled false, bundle, triage item, notification"
