"""Any terminal: each command in four encodings, on a terminal of 80 columns and in a pipe, says the same words."""

import io
import json
import re
import shlex
import sys
from pathlib import Path

import pytest
import typer
from small_rehearsal import OWN, write

from suffice.cli.main import app, run
from suffice.terminal import print_table

ENCODINGS = ("ascii", "cp1252", "cp437", "utf-8")

SHIFT = """
plan --n 16 --look-every 8 --at-least 0.8
plan --n 16 --look-every 8 --at-least 0.8 --compare
plan --n 16 --at-least µ
compare --samples samples.csv --at-least 0.8
eval --list
eval --only config_round_trip
eval --only ≥
sweep --budget 1 --scenarios zero_variance --out-dir sweep --deterministic
verify-sweep --sweep-dir sweep
verify-sweep --sweep-dir récords
metrics
gate
resolve --records records.csv --measurements few.csv
metrics
gate
promote
rollout status
rollout start --force-waive “näher”
rollout start --waive determinism
rollout cycle
rollout status
rollout status --short
rollout explain
rollout history
rollout fleet
rollout pause --reason “warum…”
rollout approve
rollout resume
rollout advance
rollout release --reason x
rollout rollback --reason “zurück” --no-wait
rollout cycle
rollout status
rollout history
rollout run --until-done --lease 1
rollout run --until-done --lease 1 --log-format json
rollout word
rollout prune --older-than 90d
rollout roles
triage list
triage show verifier-000001
triage check TemporaryQueue/triage/verifier-000001
triage reproduce TemporaryQueue/triage/verifier-000001
triage explain TemporaryQueue/triage/verifier-000001
triage map verifier-000001
triage affected verifier-000001
triage close verifier-000001 --note '“≤ 1 %”'
ingest samples.csv
"""
"""A shift of an operator: each line is a command; what is refused is part of it."""

RUN_BY_THE_CAMPAIGN = {("rehearse",), ("runbook",)}

STREAMS = [
    pytest.param("ascii", True, id="ascii-terminal"),
    pytest.param("cp1252", False, id="cp1252-pipe"),
    pytest.param("cp437", False, id="cp437-pipe"),
    pytest.param("utf-8", True, id="utf-8-terminal"),
    pytest.param("ascii", False, id="ascii-pipe", marks=pytest.mark.campaign),
    pytest.param("cp1252", True, id="cp1252-terminal", marks=pytest.mark.campaign),
    pytest.param("cp437", True, id="cp437-terminal", marks=pytest.mark.campaign),
    pytest.param("utf-8", False, id="utf-8-pipe", marks=pytest.mark.campaign),
]
"""Each encoding once, and both ways to draw a table: a shift takes long. The campaign goes through all."""


class Stream(io.TextIOWrapper):
    """A stream as a shell opens it, with what it was given."""

    def __init__(self, encoding: str, *, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def text(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)  # type: ignore[attr-defined]


def leaves() -> set[tuple[str, ...]]:
    """Every command that there is."""

    def walk(command: object, path: tuple[str, ...]) -> set[tuple[str, ...]]:
        inner = getattr(command, "commands", None)
        return {path} if inner is None else {leaf for name, each in inner.items() for leaf in walk(each, (*path, name))}

    return walk(typer.main.get_command(app), ())


def said(arguments: list[str], encoding: str, monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> tuple[int, str]:
    """The exit code of a command, and all that it printed."""
    streams = [Stream(encoding, terminal=terminal) for _ in range(2)]
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", streams[0])
        patched.setattr(sys, "stderr", streams[1])
        patched.setenv("COLUMNS", "80")
        patched.setenv("TERM", "xterm")
        code = run(arguments)
    return code, "".join(stream.text() for stream in streams)


def shift(
    folder: Path, encoding: str, monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> list[tuple[str, int, str]]:
    """What each command of the shift answered, in a folder of its own."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    write(folder, 24)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["verifier"]["adaptive_sampling"]["enabled"] = True
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    lines = (folder / "measurements.csv").read_text(encoding="utf-8").splitlines()
    (folder / "few.csv").write_text("\n".join(lines[:6]) + "\n", encoding="utf-8")
    rows = [f"c{i},{int(i % 3 > 0)}" for i in range(3) for _ in range(16)]
    (folder / "samples.csv").write_text("case,value\n" + "\n".join(rows) + "\n", encoding="utf-8")
    answers = []
    for line in SHIFT.strip().splitlines():
        code, text = said(shlex.split(line), encoding, monkeypatch, terminal=terminal)
        answers.append((line, code, text.replace(str(folder), "here")))
    return answers


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int, str]]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        return shift(tmp_path_factory.mktemp("expected") / "shift", "utf-8", monkeypatch, terminal=False)


def test_the_shift_has_every_command(expected: list[tuple[str, int, str]]) -> None:
    begun = {tuple(line.split()[:length]) for line, _, _ in expected for length in (1, 2)}
    assert leaves() - begun == RUN_BY_THE_CAMPAIGN
    assert {code for _, code, _ in expected} >= {0, 2, 3}


@pytest.mark.parametrize(("encoding", "terminal"), STREAMS)
def test_every_command_answers_in_the_letters_that_there_are(
    encoding: str, terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: list[tuple[str, int, str]]
) -> None:
    answered = shift(tmp_path / "shift", encoding, monkeypatch, terminal=terminal)
    assert [(line, code) for line, code, _ in answered] == [(line, code) for line, code, _ in expected]
    for (line, _, text), (_, _, plain) in zip(answered, expected, strict=True):
        assert "Traceback" not in text, line
        assert words(text) >= words(plain), line


def test_in_a_pipe_each_row_of_a_table_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: gates in a pipe were wrapped at 132 columns, and `grep` found half of a sentence."""
    sentence = "0 of 120 audits differ (limit 1 %), " * 8
    rows = [("disagreement", "Inconclusive", sentence), ("flag", "Successful", "as\npublished")]

    def printed(*, terminal: bool) -> list[str]:
        stream = Stream("utf-8", terminal=terminal)
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", stream)
            patched.setenv("COLUMNS", "80")
            print_table("Gates", ("gate", "answer", "what it saw"), rows, left=3)
        return stream.text().splitlines()

    assert printed(terminal=False) == [
        "Gates",
        "gate          answer        what it saw",
        f"disagreement  Inconclusive  {sentence.strip()}",
        "flag          Successful    as published",
    ]
    assert max(map(len, (re.sub(r"\x1b\[[0-9;]*m", "", line) for line in printed(terminal=True)))) <= 80


def test_in_a_pipe_numbers_stand_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("By N", ("N", "cases", "saved"), [("8", "1,000", "9.5 %"), ("256", "7", "–")])
    assert capsys.readouterr().out == "By N\nN    cases  saved\n8    1,000  9.5 %\n256      7      –\n"


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_help_is_shown_in_every_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for leaf in sorted(leaves()):
        code, text = said([*leaf, "--help"], encoding, monkeypatch, terminal=True)
        assert code == 0 and "Usage:" in text, leaf


@pytest.mark.campaign
@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("command", [["rehearse", *OWN], ["runbook", "--budget", "12"]], ids=["rehearse", "runbook"])
def test_the_long_commands_answer_too(
    command: list[str], encoding: str, terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    code, text = said(command, encoding, monkeypatch, terminal=terminal)
    assert code in (0, 2) and "Traceback" not in text


def words(text: str) -> set[str]:
    """The words and whole numbers of a text, whatever its lines, colours and signs: none may be cut or lost."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\b[0-9a-f]{6,}\b", "", text)
    return set(re.findall(r"[A-Za-z]{3,}", plain)) - {"min"}  # A duration grows while the shift lasts.
