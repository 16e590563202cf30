"""A triage item is opened elsewhere by a command: retried until it succeeds, with one key, and never after that."""

import json
import sys
from pathlib import Path

import pytest
from production import producing

from suffice.errors import RolloutError
from suffice.rollout.notify import FIRST_WAIT, LONGEST_WAIT, TriageCommand, deliver
from suffice.rollout.status import plain_status, status_of

SCRIPT = """
import json, os, sys
from pathlib import Path
calls = Path(sys.argv[1])
made = calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []
said = {"title": sys.argv[2], "body": Path(sys.argv[3]).read_text(encoding="utf-8"), "reason": sys.argv[4],
        "key": os.environ["SUFFICE_IDEMPOTENCY_KEY"]}
calls.write_text("\\n".join([*made, json.dumps(said)]), encoding="utf-8")
if len(made) < int(sys.argv[5]):
    print("the tracker is away")
    sys.exit(7)
"""


def template(folder: Path, failures: int = 0) -> TriageCommand:
    """A command that keeps what it was told, and fails so often at first."""
    script = folder / "open_item.py"
    script.write_text(SCRIPT, encoding="utf-8")
    words = [sys.executable, str(script), str(folder / "calls"), "{title}", "{body_file}", "{reason}", str(failures)]
    return TriageCommand.of(json.dumps(words))


def calls(folder: Path) -> list[dict[str, str]]:
    path = folder / "calls"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def test_an_item_is_opened_once_with_its_words_and_text(tmp_path: Path) -> None:
    command = template(tmp_path)
    with producing(tmp_path) as production:
        assert deliver(production.store, production.clock, [command]) == (0, [])
        production.operator.tell("rollback", "ann", "a; $(b) {title} 'c'")
        for _ in range(3):
            deliver(production.store, production.clock, [command])
            production.clock.now += LONGEST_WAIT
    (call,) = calls(tmp_path)
    assert call["title"] == "Triage: verifier-000001 was rolled back in stage staging"
    assert call["reason"] == "a; $(b) {title} 'c'"
    assert call["body"].startswith("# Triage: verifier-000001")
    assert call["key"] == "triage/verifier-000001"


def test_a_command_that_fails_is_told_waits_and_is_run_again_with_the_same_key(tmp_path: Path) -> None:
    command = template(tmp_path, failures=2)
    with producing(tmp_path) as production:
        production.operator.tell("rollback", "ann", "no appetite")
        waits = plain_status(status_of(production.operator))["notifications_waiting"]
        for pause in (FIRST_WAIT, 2 * FIRST_WAIT):
            taken, (problem,) = deliver(production.store, production.clock, [command])
            assert taken == 0
            assert problem.endswith("ended with 7: the tracker is away")
            assert plain_status(status_of(production.operator))["notifications_waiting"] == waits + 1
            production.clock.now += pause - 1
            assert deliver(production.store, production.clock, [command]) == (0, [])
            production.clock.now += 1
        assert deliver(production.store, production.clock, [command]) == (1, [])
    assert [call["key"] for call in calls(tmp_path)] == ["triage/verifier-000001"] * 3


def test_a_command_that_is_not_there_is_a_sentence_and_the_item_waits_for_the_right_one(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.operator.tell("rollback", "ann", "no appetite")
        _, (problem,) = deliver(production.store, production.clock, [TriageCommand(("/no/such/command", "{title}"))])
        assert "triage command /no/such/command cannot be run: No such file" in problem
        production.clock.now += LONGEST_WAIT
        assert deliver(production.store, production.clock, []) == (0, [])
        assert deliver(production.store, production.clock, [template(tmp_path)]) == (1, [])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("gh issue create", "allowed: a JSON list like"),
        ("[]", "allowed: a JSON list like"),
        ('["gh", 1]', "allowed: a JSON list like"),
        ('["gh", "{titel}"]', "no such placeholder; allowed: {title}, {body_file}, "),
        ('["gh", "{}"]', "no such placeholder"),
        ('["gh", "{title.x}"]', "no such placeholder"),
        ('["gh", "{title:>9}"]', "no such placeholder"),
        ('["gh", "{title"]', "expected '}'"),
    ],
)
def test_what_is_no_template_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(RolloutError) as caught:
        TriageCommand.of(text)
    assert sentence in str(caught.value)


def test_a_doubled_brace_is_a_brace(tmp_path: Path) -> None:
    assert TriageCommand.of('["echo", "{{x}}"]').words == ("echo", "{{x}}")
