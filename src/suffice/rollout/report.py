"""What an operator is told about an event, and what an operator may tell a rollout."""

from dataclasses import dataclass

from suffice.flag.document import in_words
from suffice.gates.outcome import GateResult
from suffice.rollout.controller import (
    Command,
    Event,
    PublishBaseline,
    PublishStage,
    Record,
    Settle,
    State,
    advance,
)
from suffice.rollout.driver import exposure_of
from suffice.rollout.phases import TRANSITIONS, Phase, Signal

_SIGNALS = {
    "pause": Signal.PAUSE,
    "resume": Signal.RESUME,
    "approve": Signal.RESUME,
    "advance": Signal.ADVANCE,
    "rollback": Signal.ROLL_BACK,
}


@dataclass(frozen=True, slots=True)
class Report:
    """What a cycle or an operator's word came to. `commands` would follow, in a dry run; otherwise they were done."""

    rollout: str
    state: State
    results: tuple[GateResult, ...] = ()
    notes: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    dry_run: bool = False


def legal_commands(state: State) -> tuple[str, ...]:
    """What an operator may tell a rollout in this state, by the table of phases."""
    known = [name for name, signal in _SIGNALS.items() if (state.phase, signal) in TRANSITIONS]
    unfit = "resume" if state.awaits_approval else "approve"
    begin = ("start",) if state.phase in (Phase.ROLLED_BACK, Phase.COMPLETED) else ()
    return (*begin, *(name for name in known if name != unfit))


def foreseen(rollout: str, state: State, event: Event, now: float) -> Report:
    """What an event would come to. Raises RolloutError when it is not legal."""
    after, commands = advance(state, event, now)
    return Report(rollout, after, commands=tuple(map(_words, commands)), dry_run=True)


def _words(command: Command) -> str:
    match command:
        case PublishStage(stage):
            return f"publish stage {stage.name}: {in_words(exposure_of(stage, 'salt'))}"
        case PublishBaseline():
            return "publish the baseline, and ask until everybody is on fixed"
        case Record(action, why):
            return f"record {action}: {why}"
        case Settle():
            return "settle: receipt, enabled false, bundle, triage item, notification"
