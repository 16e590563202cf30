"""What an operator is answered, and what the verifier is told, both from the store."""

import io
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from production import STAGES, content, producing, workers

from suffice.cli.main import run
from suffice.cli.rollout_view import print_explanation, print_status
from suffice.rollout.command_checks import check_of
from suffice.rollout.operator import Start
from suffice.rollout.phases import Phase
from suffice.rollout.report import NO_PROOF
from suffice.rollout.status import advances_when, changed_since, meanwhile, plain_status, rolls_back_when, status_of
from suffice.rollout.wish import leave_wish
from suffice.store.irregular import Irregular, Irregularities, note_irregular
from suffice.terminal import duration


class Stream(io.TextIOWrapper):
    """Standard output as a terminal, or a pipe, has it."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def text(self) -> str:
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined]


def test_the_answer_names_all_that_is_missing_with_its_numbers(tmp_path: Path) -> None:
    strict = content(acceptance={"max_disagreement_rate": 0.01})
    with producing(tmp_path, strict) as production:
        production.cycle()
        missing = advances_when(status_of(production.operator))
        assert missing[0] == "the hold of 20 min is over: 10 min of watched time left"
        assert missing[1] == "audits: 0 of 100"
        # The figure of the method's design: 0 of 367 audits prove 1 % at 95 %.
        assert any(sentence.endswith("367 more audits that all agree would prove it at 95 %") for sentence in missing)
        production.traffic(300)
        production.cycle()
        audits, targets = advances_when(status_of(production.operator))
        assert audits.endswith("; 67 more audits that all agree would prove it at 95 %")
        assert targets.startswith("targets is Inconclusive: 0 of 300 targets disagree in their first audit")
        assert targets.endswith("; 67 more targets that all agree would prove it at 95 %")


def test_the_answer_says_what_would_roll_back(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        production.until("canary")
        production.traffic()
        production.cycle()
        status = status_of(production.operator)
        (alarm,) = [sentence for sentence in rolls_back_when(status) if sentence.startswith("disagreement")]
        needed = int(alarm.split()[1])
        production.disagreements(needed - 1, "canary")
        assert production.cycle(0).phase.value != "RolledBack"
        production.disagreements(needed, "canary")
        assert production.cycle(0).phase.value == "RolledBack"
        assert rolls_back_when(status_of(production.operator)) == []


def test_the_answer_says_what_would_pause_and_how_often_it_was_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seen: cycles in which a check had not answered yet counted, and only another page said so."""
    slow = check_of(f'eval={sys.executable} -c "import time; time.sleep(600)  # {tmp_path}"', 1e6)
    slow = replace(slow, deadline=1e6)
    with producing(tmp_path, content(), Start(waived=("determinism",), checks=(slow,))) as production:
        production.traffic(300)
        for count in range(5):
            while production.cycle().inconclusive < count:
                production.traffic(5)
            print_status(status_of(production.operator), production.clock())
            assert (
                "it pauses for a person when:\n"
                "- more than 4 cycles in a row cannot measure (0 so far)\n"
                f"- more than 4 cycles after hold and extension are without proof ({count} so far); "
                "a check that has not answered counts\n"
            ) in capsys.readouterr().out
        production.cycle()
        status = status_of(production.operator)
        assert status.state.phase is Phase.PAUSED
        assert "eval: has not answered yet" in status.state.why
        told = str(meanwhile(status))
        assert told.startswith("eval is Inconclusive: ") or "; eval is Inconclusive: " in told
        print_status(status, production.clock())
        assert f"\nmeanwhile: {told}\n" in capsys.readouterr().out
        well = replace(status, gates=[{**gate, "outcome": "Successful"} for gate in status.gates])
        assert str(meanwhile(well)).startswith("every gate is Successful: `suffice rollout resume")
        assert plain_status(status)["pauses_when"] == []
    (worker,) = workers(tmp_path)
    os.kill(worker, signal.SIGKILL)


def test_the_answer_says_when_things_happen_in_units_that_people_use(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with producing(tmp_path) as production:
        production.cycle()
        print_status(status_of(production.operator), production.clock() + 90)
        assert "\njudged 1 min 30 s ago; the next cycle is due in 8 min 30 s; runner: none at work\n" in (
            capsys.readouterr().out
        )
        print_status(status_of(production.operator), production.clock() + 5 * 3600)
        assert "\njudged 5 h ago; a cycle was due 4 h 50 min ago; runner: none at work\n" in capsys.readouterr().out


def test_explain_says_what_the_last_cycle_saw_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with producing(tmp_path) as production:
        production.cycle()
        assert status_of(production.operator).changed == []
        print_explanation(status_of(production.operator), production.clock())
        explained = capsys.readouterr().out
        assert "beside the one before it:\n- nothing but the time has changed\n" in explained
        table = explained.partition("Gates")[2]
        assert all(check in table for check in ("health: keys", "health: processes", "health: spools", "health: arms"))
        production.traffic(300)
        production.cycle()
        changed = status_of(production.operator).changed
        (disagreement,) = [sentence for sentence in changed if sentence.startswith("disagreement: ")]
        assert disagreement.startswith("disagreement: Inconclusive, then Successful: ")
        print_explanation(status_of(production.operator), production.clock())
        assert f"- {disagreement}\n" in capsys.readouterr().out


def test_gates_that_come_and_go_and_stages_are_changes_too() -> None:
    gate = {"gate": "flag", "outcome": "Successful", "sentence": "as published"}
    before = {"stage": "canary", "phase": "Progressing", "weight": 5, "gates": [gate]}
    assert changed_since(before, before) == []
    assert changed_since(before, {**before, "gates": []}) == ["flag is not asked any more"]
    assert changed_since({**before, "gates": []}, before) == ["flag is asked now: Successful"]
    assert changed_since(before, {**before, "gates": [{**gate, "sentence": "as asked"}]}) == [
        "flag: as published; then as asked"
    ]
    assert changed_since(before, {**before, "phase": "Paused"}) == ["phase: Progressing, then Paused"]
    (stage,) = changed_since(before, {**before, "stage": "full", "gates": []})
    assert stage.startswith("stage full follows canary")


def test_a_completed_rollout_says_why_a_gate_that_proved_nothing_held_nothing_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with producing(tmp_path) as production:
        production.until("full")
        print_status(status_of(production.operator), production.clock())
        assert NO_PROOF not in capsys.readouterr().out
        production.cycle()
        status = status_of(production.operator)
        assert status.state.phase is Phase.COMPLETED
        assert "Inconclusive" in {gate["outcome"] for gate in status.gates}
        print_status(status, production.clock())
        assert f"\n{NO_PROOF}\n" in capsys.readouterr().out
        production.operator.tell("rollback", "ann", "enough")
        print_status(status_of(production.operator), production.clock())
        assert NO_PROOF not in capsys.readouterr().out


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_has_colours_unless_it_wants_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_color: str, *, coloured: bool
) -> None:
    with producing(tmp_path) as production:
        production.cycle()
        for terminal, expected in ((True, coloured), (False, False)):
            stream = Stream(terminal=terminal)
            with monkeypatch.context() as patched:
                patched.setattr(sys, "stdout", stream)
                patched.setenv("TERM", "xterm")
                patched.setenv("NO_COLOR", no_color)
                print_explanation(status_of(production.operator), production.clock())
            assert ("\x1b[32mProgressing" in stream.text()) is expected
            assert ("\x1b[33mInconclusive" in stream.text()) is expected


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (59.6, "1 min"),
        (90, "1 min 30 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (11_520, "3 h 12 min"),
        (86_400, "24 h"),
        (172_800, "48 h"),
        (259_200, "3 d"),
        (270_000, "3 d 3 h"),
    ],
)
def test_a_duration_is_told_by_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_decisions_without_a_row_of_their_own_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with producing(tmp_path) as production:
        assert plain_status(status_of(production.operator))["notes"] == ["waived at the start: determinism"]
        with production.store.write() as connection:
            for kind, count in ((Irregular.REUSED, 1270), (Irregular.REFUSED, 1)):
                note_irregular(connection, kind, {("verifier-000001", "staging"): Irregularities(count, 1.0)})
        assert plain_status(status_of(production.operator))["notes"] == [
            "waived at the start: determinism",
            "decisions that had keys of earlier ones: 1,270",
            "decisions that have a row that was refused, and put aside in spool/refused (ingest: FILE.refused): 1",
        ]
        for show in (print_status, print_explanation):
            show(status_of(production.operator), production.clock())
            assert capsys.readouterr().out.count("note: decisions that had keys of earlier ones: 1,270\n") == 1


def test_the_percentage_is_what_may_be_adaptive_now(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        assert plain_status(status_of(production.operator))["percent"] == 0
        production.until("canary")
        assert plain_status(status_of(production.operator))["percent"] == 50
        production.operator.tell("rollback", "ann", "x")
        assert plain_status(status_of(production.operator))["percent"] == 0


def test_an_approval_is_asked_for_by_name(tmp_path: Path) -> None:
    with producing(tmp_path, content(stages=[{**STAGES[0], "approval": True}, *STAGES[1:]])) as production:
        assert "a person approves the stage" in advances_when(status_of(production.operator))[-1]
        production.traffic()
        production.cycle(), production.cycle()
        assert advances_when(status_of(production.operator))[0] == (
            f"a person says `{production.place.command('rollout approve')}`"
        )


def test_a_rollback_that_was_asked_for_comes_before_everything_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = "ann asked for a rollback (too many alarms); the next cycle carries it out"
    with producing(tmp_path) as production:
        where = ["--config", str(production.place.config), "--queue", str(production.place.queue)]
        assert run(["rollout", "status", *where]) == 0
        assert "asked for a rollback" not in capsys.readouterr().out
        leave_wish(production.place.queue, "ann", "too many alarms")
        plain = plain_status(status_of(production.operator))
        assert (plain["rollback_asked"], plain["possible"]) == (asked, ["rollback"])
        assert (plain["advances_when"], plain["rolls_back_when"]) == ([], [asked])
        assert run(["rollout", "status", *where]) == 2
        first, *_, last = capsys.readouterr().out.splitlines()
        assert (first, last) == (asked, "possible: rollback")
        assert run(["rollout", "status", "--short", *where]) == 2
        assert capsys.readouterr().out == f"verifier-000001: Progressing staging, 0 %, {asked}\n"
