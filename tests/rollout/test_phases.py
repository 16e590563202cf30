"""The table of phases: complete, readable, and the same as the diagram in the docs."""

from pathlib import Path

import pytest

from suffice.errors import RolloutError
from suffice.rollout.phases import TRANSITIONS, Phase, Signal, legal_signals, mermaid, next_phase

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("signal", Signal)
def test_every_pair_is_a_transition_or_a_refusal_that_names_the_legal_signals(phase: Phase, signal: Signal) -> None:
    if (phase, signal) in TRANSITIONS:
        assert next_phase(phase, signal) is TRANSITIONS[phase, signal]
        return
    with pytest.raises(RolloutError) as refusal:
        next_phase(phase, signal)
    assert phase.value in str(refusal.value)
    for legal in legal_signals(phase):
        assert legal.name.lower() in str(refusal.value)


def test_from_every_phase_a_rollback_leads_to_rolled_back() -> None:
    for phase in Phase:
        after = next_phase(phase, Signal.ROLL_BACK)
        if after is Phase.ROLLING_BACK:
            after = next_phase(after, Signal.OBSERVED)
        assert after is Phase.ROLLED_BACK


def test_only_a_started_rollout_progresses_and_a_rolled_back_one_never_again() -> None:
    into_progressing = {phase for (phase, _), target in TRANSITIONS.items() if target is Phase.PROGRESSING}
    waiting = {Phase.PAUSED, Phase.AWAITING_APPROVAL, Phase.HELD_BACK}
    assert into_progressing == {Phase.PENDING, Phase.PROGRESSING, *waiting}
    after = {target for (phase, _), target in TRANSITIONS.items() if phase in (Phase.ROLLING_BACK, Phase.ROLLED_BACK)}
    assert after == {Phase.ROLLING_BACK, Phase.ROLLED_BACK}


def test_the_diagram_in_the_docs_is_the_table() -> None:
    page = (ROOT / "docs" / "rollout.md").read_text(encoding="utf-8")
    assert page.split("```mermaid\n")[1].split("```")[0] == mermaid()
