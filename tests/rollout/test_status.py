"""What an operator is answered, and what the verifier is told, both from the store."""

from pathlib import Path

import pytest
from production import STAGES, content, producing

from suffice.cli.main import run
from suffice.cli.rollout_view import print_explanation, print_status
from suffice.rollout.status import advances_when, plain_status, rolls_back_when, status_of
from suffice.rollout.wish import leave_wish
from suffice.store.irregular import Irregular, note_irregular


def test_the_answer_names_all_that_is_missing_with_its_numbers(tmp_path: Path) -> None:
    strict = content(acceptance={"max_disagreement_rate": 0.01})
    with producing(tmp_path, strict) as production:
        production.cycle()
        missing = advances_when(status_of(production.operator))
        assert missing[0] == "600 s more of watched time (600 of 1,200 s)"
        assert missing[1] == "audits: 0 of 100"
        # The figure of the method's design: 0 of 367 audits prove 1 % at 95 %.
        assert any(sentence.endswith("367 more audits that all agree would prove it at 95 %") for sentence in missing)
        production.traffic(300)
        production.cycle()
        (missing,) = advances_when(status_of(production.operator))
        assert missing.endswith("67 more audits that all agree would prove it at 95 %")


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


def test_decisions_without_a_row_of_their_own_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with producing(tmp_path) as production:
        assert plain_status(status_of(production.operator))["notes"] == []
        with production.store.write() as connection:
            for kind, count in ((Irregular.REUSED, 1270), (Irregular.REFUSED, 1)):
                note_irregular(connection, kind, "verifier-000001", "staging", count, 1.0)
        assert plain_status(status_of(production.operator))["notes"] == [
            "decisions that had keys of earlier ones: 1,270",
            "decisions that have a row that was refused, and put aside in spool/refused: 1",
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
        assert advances_when(status_of(production.operator))[0] == "a person says `suffice rollout approve`"


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
