"""Commands as gates: asked at their pace, answered by their exit code, their output kept."""

import json
import sys
from pathlib import Path

import pytest
from production import BEGAN, content, producing

from suffice.errors import RolloutError
from suffice.gates.outcome import Outcome
from suffice.rollout.checks import check_of, judge_checks
from suffice.rollout.operator import Start
from suffice.rollout.phases import Phase
from suffice.triage.manifest import check

PYTHON = sys.executable


def exits(code: int, says: str = "said") -> str:
    return f"eval={PYTHON} -c \"print('{says}'); raise SystemExit({code})\""


def judged(folder: Path, text: str, now: float = BEGAN) -> tuple[Outcome, str]:
    check = check_of(text, 100.0)
    (found,) = judge_checks([{"name": check.name, "command": check.command, "every": check.every}], folder, now)
    return found.outcome, found.sentence


@pytest.mark.parametrize(
    ("code", "outcome"), [(0, Outcome.SUCCESSFUL), (3, Outcome.ERROR), (2, Outcome.FAILED), (1, Outcome.FAILED)]
)
def test_the_exit_code_is_the_answer_and_the_last_line_says_why(tmp_path: Path, code: int, outcome: Outcome) -> None:
    found, sentence = judged(tmp_path, exits(code, "because"))
    assert found is outcome
    assert f"ended with {code} (limit 0): because" in sentence
    assert json.loads((tmp_path / "eval.json").read_text(encoding="utf-8"))["output"] == "because\n"
    assert (tmp_path / "eval.out").read_text(encoding="utf-8") == "because\n"


def test_an_answer_is_used_until_it_is_old_or_from_the_future(tmp_path: Path) -> None:
    assert judged(tmp_path, exits(0))[0] is Outcome.SUCCESSFUL
    assert judged(tmp_path, exits(2), BEGAN + 99)[0] is Outcome.SUCCESSFUL
    assert judged(tmp_path, exits(2), BEGAN + 100)[0] is Outcome.FAILED
    assert judged(tmp_path, exits(0), BEGAN - 1)[0] is Outcome.SUCCESSFUL


def test_a_command_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    outcome, sentence = judged(tmp_path, "eval=/no/such/command")
    assert outcome is Outcome.ERROR
    assert "cannot be run: No such file" in sentence


def test_what_names_no_check_is_refused() -> None:
    for text in ("true", "=true", "a/b=true", "name="):
        with pytest.raises(RolloutError, match="allowed: NAME=COMMAND"):
            check_of(text, 1.0)


@pytest.mark.parametrize(("code", "phase"), [(0, Phase.PROGRESSING), (2, Phase.ROLLED_BACK)])
def test_a_check_is_a_gate_of_the_rollout(tmp_path: Path, code: int, phase: Phase) -> None:
    begin = Start(waived=("determinism",), checks=(check_of(exits(code), 1e6),))
    with producing(tmp_path, content(), begin) as made:
        assert made.cycle().phase is phase
        assert made.judged("eval")["value"] == code if code == 0 else "ended with 2" in made.state.why
        if phase is Phase.ROLLED_BACK:
            bundle = made.place.queue / "triage" / made.operator.current.id
            assert check(bundle)
            assert (bundle / "checks" / "eval.out").read_text(encoding="utf-8") == "said\n"
