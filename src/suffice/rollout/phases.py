"""The phases of a rollout and what moves it from one to another, as one table."""

from enum import Enum

from suffice.errors import RolloutError


class Phase(Enum):
    """Where a rollout is."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    AWAITING_APPROVAL = "AwaitingApproval"
    HELD_BACK = "HeldBack"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    COMPLETED = "Completed"
    RELEASED = "Released"


IN_FORCE = (Phase.PROGRESSING, Phase.PAUSED, Phase.AWAITING_APPROVAL, Phase.COMPLETED, Phase.RELEASED)
"""Phases in which the word says what the stage says; in the others it says the baseline."""


class Signal(Enum):
    """What an event comes down to; the value is the sentence a person reads."""

    START = "the rollout was started"
    HOLD = "nothing to do but wait"
    ADVANCE = "the stage has passed its time, its exposure and its proof"
    FINISH = "the last stage has passed"
    PAUSE = "a person has to look"
    AWAIT = "the stage has passed, and a person has to approve it"
    RESUME = "a person let it go on"
    HOLD_BACK = "the store is another one than before"
    RELEASE = "a person let it stand without a runner"
    ROLL_BACK = "a gate failed, or a person asked for the baseline"
    NOT_OBSERVED = "the baseline was published but is not observed yet"
    OBSERVED = "every process has seen the baseline, or its lease has run out"
    REOPEN = "a decision was adaptive after the receipt"


TRANSITIONS: dict[tuple[Phase, Signal], Phase] = {
    (Phase.PENDING, Signal.START): Phase.PROGRESSING,
    (Phase.PENDING, Signal.ROLL_BACK): Phase.ROLLING_BACK,
    (Phase.PROGRESSING, Signal.HOLD): Phase.PROGRESSING,
    (Phase.PROGRESSING, Signal.ADVANCE): Phase.PROGRESSING,
    (Phase.PROGRESSING, Signal.FINISH): Phase.COMPLETED,
    (Phase.PROGRESSING, Signal.PAUSE): Phase.PAUSED,
    (Phase.PROGRESSING, Signal.AWAIT): Phase.AWAITING_APPROVAL,
    (Phase.PROGRESSING, Signal.ROLL_BACK): Phase.ROLLING_BACK,
    (Phase.PROGRESSING, Signal.HOLD_BACK): Phase.HELD_BACK,
    (Phase.PAUSED, Signal.HOLD): Phase.PAUSED,
    (Phase.PAUSED, Signal.RESUME): Phase.PROGRESSING,
    (Phase.PAUSED, Signal.ROLL_BACK): Phase.ROLLING_BACK,
    (Phase.PAUSED, Signal.HOLD_BACK): Phase.HELD_BACK,
    (Phase.AWAITING_APPROVAL, Signal.HOLD): Phase.AWAITING_APPROVAL,
    (Phase.AWAITING_APPROVAL, Signal.PAUSE): Phase.PAUSED,
    (Phase.AWAITING_APPROVAL, Signal.RESUME): Phase.PROGRESSING,
    (Phase.AWAITING_APPROVAL, Signal.ROLL_BACK): Phase.ROLLING_BACK,
    (Phase.AWAITING_APPROVAL, Signal.HOLD_BACK): Phase.HELD_BACK,
    (Phase.HELD_BACK, Signal.HOLD): Phase.HELD_BACK,
    (Phase.HELD_BACK, Signal.HOLD_BACK): Phase.HELD_BACK,
    (Phase.HELD_BACK, Signal.RESUME): Phase.PROGRESSING,
    (Phase.HELD_BACK, Signal.ROLL_BACK): Phase.ROLLING_BACK,
    (Phase.ROLLING_BACK, Signal.NOT_OBSERVED): Phase.ROLLING_BACK,
    (Phase.ROLLING_BACK, Signal.ROLL_BACK): Phase.ROLLING_BACK,
    (Phase.ROLLING_BACK, Signal.OBSERVED): Phase.ROLLED_BACK,
    (Phase.ROLLED_BACK, Signal.ROLL_BACK): Phase.ROLLED_BACK,
    (Phase.ROLLED_BACK, Signal.REOPEN): Phase.ROLLING_BACK,
    (Phase.COMPLETED, Signal.HOLD): Phase.COMPLETED,
    (Phase.COMPLETED, Signal.ROLL_BACK): Phase.ROLLING_BACK,
    (Phase.COMPLETED, Signal.HOLD_BACK): Phase.HELD_BACK,
    (Phase.COMPLETED, Signal.RELEASE): Phase.RELEASED,
    (Phase.RELEASED, Signal.HOLD): Phase.RELEASED,
    (Phase.RELEASED, Signal.RELEASE): Phase.RELEASED,
    (Phase.RELEASED, Signal.HOLD_BACK): Phase.HELD_BACK,
    (Phase.RELEASED, Signal.ROLL_BACK): Phase.ROLLING_BACK,
}


def next_phase(phase: Phase, signal: Signal) -> Phase:
    """The phase after a signal. Raises RolloutError, naming what is legal, when the table has no such entry."""
    try:
        return TRANSITIONS[phase, signal]
    except KeyError:
        legal = ", ".join(s.name.lower() for s in legal_signals(phase))
        raise RolloutError(f"{signal.name.lower()} is not possible while {phase.value}; possible: {legal}") from None


def legal_signals(phase: Phase) -> list[Signal]:
    """The signals that the table has for a phase."""
    return [signal for signal in Signal if (phase, signal) in TRANSITIONS]


def mermaid() -> str:
    """The table as a Mermaid state diagram, for the docs."""
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.PENDING.value}"]
    for (phase, signal), target in TRANSITIONS.items():
        lines.append(f"    {phase.value} --> {target.value}: {signal.name.lower().replace('_', ' ')}")
    return "\n".join(lines) + "\n"
