"""Every operator command in every phase: what is possible is done, what is not is refused with what is, in one line."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from suffice.cli.main import run
from suffice.rollout.operator import Operator, Start
from suffice.rollout.phases import Phase
from suffice.rollout.saved_state import plain_state
from suffice.rollout.world import Place
from suffice.store.rollouts import save_rollout
from suffice.store.words import lower_word

CONFIG = {
    "verifier": {"rule": "proportion", "n_samples": 32, "adaptive_sampling": {"enabled": True}},
    "rollout": {
        "cycle": "1s",
        "checks": {"run": []},
        "stages": [
            {"name": "half", "weight": 50, "hold": "1h", "min_audits": 10, "approval": True},
            {"name": "full", "weight": 100, "audit_fraction": 0.1},
        ],
    },
}

COMMANDS = ("start", "pause", "resume", "approve", "advance", "release", "rollback")
APPROVAL = "AwaitingApproval"

POSSIBLE = {
    "Pending": ("rollback",),
    "Progressing": ("pause", "advance", "rollback"),
    "Paused": ("resume", "rollback"),
    APPROVAL: ("pause", "approve", "rollback"),
    "RollingBack": ("rollback",),
    "RolledBack": ("start", "rollback"),
    "Completed": ("start", "release", "rollback"),
}
"""What an operator may say, written down apart from the code."""

AFTER = {
    "start": (0, "Progressing"),
    "pause": (0, "Paused"),
    "resume": (0, "Progressing"),
    "approve": (0, "Progressing"),
    "release": (0, "Released"),
    "rollback": (0, "RolledBack"),
}
"""Exit code and phase after a command that was possible. `advance` skips no proof: without one it ends with 2."""

CYCLED = {"Pending": 0, "Progressing": 0, "Paused": 3, APPROVAL: 3, "RollingBack": 2, "RolledBack": 2, "Completed": 0}

phases = pytest.mark.parametrize("phase", POSSIBLE)


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")


def bring_to(phase: str) -> None:
    """A rollout in this phase, with the flag that belongs to it."""
    with Operator(Place(Path("config.json"))) as operator:
        operator.start("ann", Start(waived=("determinism",)))
        if phase == "RolledBack":
            operator.tell("rollback", "ann", "enough")
            return
        stored, wanted = operator.current, Phase(phase)
        stage = 1 if wanted is Phase.COMPLETED else 0
        state = replace(operator.state, phase=wanted, stage=stage)
        with operator.store.write() as connection:
            save_rollout(connection, replace(stored, phase=wanted.value, state=plain_state(state)))
            if wanted is Phase.ROLLING_BACK:
                # The word is lowered in the transaction that begins a rollback.
                lower_word(connection, stored.service, wanted.value)
        if wanted is Phase.COMPLETED:
            operator.monitor.driver.reconcile()


def asked(capsys: pytest.CaptureFixture[str], command: str, *more: str) -> tuple[int, Any, str]:
    """Exit code, the JSON on stdout (None for nothing), the text on stderr."""
    reason = ["--reason", "enough"]
    begin = ["--enable", "--waive", "determinism", "--accept-open-item", "the cause is known"]
    all_options = {"start": begin, "rollback": reason, "release": reason}
    options = all_options.get(command, [])
    code = run(["rollout", command, *options, *more, "--json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else None, printed.err


def everything() -> tuple[Any, ...]:
    """All that a command could have changed."""
    with Operator(Place(Path("config.json"))) as operator:
        stored = operator.current
        flag = Path("TemporaryQueue/flag.json")
        return stored, operator.history(), flag.read_text(), flag.stat().st_mtime_ns, Path("config.json").read_text()


@phases
def test_what_is_not_possible_is_refused_and_names_all_that_is(phase: str, capsys: pytest.CaptureFixture[str]) -> None:
    bring_to(phase)
    before = everything()
    for command in COMMANDS:
        if command in POSSIBLE[phase]:
            continue
        for more in ((), ("--dry-run",)):
            code, printed, err = asked(capsys, command, *more)
            assert (code, printed) == (2, None)
            assert err.startswith(f"suffice: {command} is not possible while ")
            assert err.endswith(f"; possible: {', '.join(POSSIBLE[phase])}\n") and err.count("\n") == 1
    assert everything() == before


@phases
def test_what_is_possible_is_done_and_a_dry_run_only_says_so(phase: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in POSSIBLE[phase]:
        for path in Path("TemporaryQueue").glob("**/*"):
            if path.is_file():
                path.unlink()
        Path("config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
        bring_to(phase)
        before = everything()
        dry, foreseen, err = asked(capsys, command, "--dry-run")
        assert everything() == before
        code, report, _ = asked(capsys, command)
        if command == "advance":
            assert (dry, code) == (2, 2)
            assert "is not over" in err and "advance skips no proof" in err
            continue
        assert (dry, foreseen["dry_run"]) == (0, True)
        assert (code, report["phase"], report["dry_run"]) == (*AFTER[command], False)
        assert everything() != before or phase == "RolledBack"


@phases
def test_whoever_looks_gets_an_answer_in_every_phase(phase: str, capsys: pytest.CaptureFixture[str]) -> None:
    bring_to(phase)
    before = everything()
    for command in ("status", "explain"):
        code, answered, err = asked(capsys, command)
        assert (code, err, answered["phase"]) == (CYCLED[phase], "", phase)
        assert tuple(answered["possible"]) == POSSIBLE[phase]
        assert answered["percent"] == {"Progressing": 50, "Paused": 50, APPROVAL: 50, "Completed": 100}.get(
            answered["phase"], 0
        )
        assert answered["why"] and isinstance(answered["advances_when"], list)
        assert bool(answered["advances_when"]) == (phase in ("Pending", "Progressing", "Paused", APPROVAL))
        assert bool(answered["rolls_back_when"]) == (phase in ("Progressing", "Paused", APPROVAL, "Completed"))
        assert run(["rollout", command]) == CYCLED[phase]
        text = capsys.readouterr().out
        for sentence in (*answered["advances_when"], *answered["rolls_back_when"]):
            assert f"- {sentence}" in text.splitlines()
    code, answered, _ = asked(capsys, "history")
    assert (code, answered["intact"], answered["events"][0]["action"]) == (0, True, "start")
    code, foreseen, _ = asked(capsys, "cycle", "--dry-run")
    assert (code, foreseen["dry_run"]) == (CYCLED[phase], True)
    assert everything() == before


@phases
def test_a_cycle_is_possible_in_every_phase_and_its_exit_code_says_where_it_is(
    phase: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bring_to(phase)
    code, report, _ = asked(capsys, "cycle")
    assert code == CYCLED[phase]
    assert report["phase"] == {"Pending": "Progressing", "RollingBack": "RolledBack"}.get(phase, phase.split()[0])


def test_a_rollback_without_a_reason_has_who_asked_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    bring_to("Progressing")
    assert run(["rollout", "rollback", "--reason", " ", "--who", "ann", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["why"] == "ann rolled it back"


@phases
def test_the_short_status_is_one_line_with_the_exit_code_of_the_phase(
    phase: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bring_to(phase)
    assert run(["rollout", "status", "--short"]) == CYCLED[phase]
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"verifier-000001: {phase} ") and " %, " in line
