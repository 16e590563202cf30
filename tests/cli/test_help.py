"""Help tells what to type: an example for each command, the choices that there are, headings, the Tab key."""

import os
import re
import shlex
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from test_documented_commands import resolved

from suffice.cli import main
from suffice.cli.main import app, run
from suffice.decision.rules import RULES
from suffice.rehearsal.faults import Kind
from suffice.stopping.make import METHODS

EXAMPLE = re.compile(r"^Example: (suffice .+)$", re.MULTILINE)

NOT_SHARED = {"--budget", "--deterministic", "--out-dir", "--method", "--source", "--run", "--all"}
"""Options that mean something else in each command that has them."""


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each command and group, with the words that name it."""
    command = command or typer.main.get_command(app)
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, (*path, name))


LEAVES = [(path, command) for path, command in commands() if not hasattr(command, "commands")]
GROUPS = [(path, command) for path, command in commands() if hasattr(command, "commands")]


def shown(path: tuple[str, ...], command: Any) -> list[tuple[str, str, str]]:
    """Each option, not argument, that help shows: its long name, what stands for its value, its text."""
    context = command.context_class(command, info_name=path[-1])
    records = [(param, param.get_help_record(context)) for param in command.params]
    return [(param.opts[-1], record[0], record[1]) for param, record in records if record and record[0].startswith("-")]


def help_of(path: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    assert run([*path, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[" ".join(path) for path, _ in LEAVES])
def test_each_command_has_an_example_of_itself_that_the_program_takes(
    path: tuple[str, ...], command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    # In one line: whoever copies it gets all of it.
    (example,) = EXAMPLE.findall(help_of(path, capsys).replace("  Example", "Example"))
    context, words = resolved(shlex.split(example)[1:])
    assert tuple(shlex.split(example)[1 : len(path) + 1]) == path
    context.command.parse_args(context, words)
    assert context.params


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[" ".join(path) for path, _ in LEAVES])
def test_a_value_says_what_it_is(path: tuple[str, ...], command: Any) -> None:
    assert [
        name for name, usage, _ in shown(path, command) if "str" in re.findall(r"\w+", usage.partition("<")[2])
    ] == []


def test_choices_are_those_of_the_rooms_that_decide_them() -> None:
    usage = {(path, name): (value, text) for path, each in LEAVES for name, value, text in shown(path, each)}
    for path in (("plan",), ("compare",), ("rehearse",)):
        assert usage[path, "--rule"][0] == f"--rule <{'|'.join(RULES)}>"
    assert usage[("plan",), "--method"][0] == f"--method <{'|'.join(METHODS)}>"
    assert usage[("resolve",), "--source"][0] == "--source <pdg|codata>"
    assert all(kind.spelling in usage[("rehearse",), "--fault"][1] for kind in Kind)


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ("plan --rule coin", ", ".join(RULES)),
        ("plan --method guess", ", ".join(METHODS)),
        ("resolve --source moon", "pdg, codata, or --records with --measurements"),
        ("compare --source moon", "pdg, codata, even, ledger, or --records with --measurements"),
        ("compare --samples s.csv --order as-it-is", "keyed, given"),
    ],
)
def test_what_is_no_choice_is_refused_with_those_that_are(
    line: str, allowed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line.split()) == 2
    problem = capsys.readouterr().err
    name, wrong = line.split()[-2:]
    assert problem == f"suffice: {name} is '{wrong}'; allowed: {allowed}\n"


def test_an_option_of_several_commands_has_one_text() -> None:
    texts: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for path, command in LEAVES:
        for name, usage, text in shown(path, command):
            texts[name].add((usage, re.sub(r"\s*\[(required|default).*", "", text)))
    assert {name: told for name, told in texts.items() if len(told) > 1 and name not in NOT_SHARED} == {}


@pytest.mark.parametrize(("path", "group"), GROUPS, ids=[" ".join(path) or "suffice" for path, _ in GROUPS])
def test_a_group_lists_each_command_once_with_its_whole_sentence(
    path: tuple[str, ...], group: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(path, capsys)
    assert "..." not in text.replace("[ARGS]...", "")
    for name, command in group.commands.items():
        assert len(re.findall(rf"^  {name}  ", text, re.MULTILINE)) == 1
        first = " ".join(command.help.split("\n\n")[0].split()).partition(". ")[0].rstrip(".")
        assert first in " ".join(text.split())


def test_many_commands_stand_under_headings(capsys: pytest.CaptureFixture[str]) -> None:
    headings = re.compile(r"^(\S.*):$", re.MULTILINE)
    assert headings.findall(help_of((), capsys)) == ["Options", "Plan and compare", "Roll out", "The runbook's checks"]
    assert headings.findall(help_of(("rollout",), capsys)) == ["Options", "See", "Run", "Decide", "Keep the store"]


@pytest.fixture
def no_detection(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A home of the test's own; the shell is named, because the tests run in any."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    main._commands.cache_clear()  # It is read where they are made.
    yield tmp_path
    main._commands.cache_clear()


@pytest.mark.parametrize(("shell", "file"), [("bash", ".bash_completions/suffice.sh"), ("zsh", ".zfunc/_suffice")])
def test_the_completion_is_installed(
    shell: str, file: str, no_detection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--install-completion", shell]) == 0
    assert f"{shell} completion installed" in capsys.readouterr().out
    assert "_SUFFICE_COMPLETE" in (no_detection / file).read_text(encoding="utf-8")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_the_completion_is_shown_and_installs_nothing(
    shell: str, no_detection: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--show-completion", shell]) == 0
    assert "_SUFFICE_COMPLETE" in capsys.readouterr().out
    assert os.listdir(no_detection) == []  # noqa: PTH208


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("suffice ro", ["rollout"]),
        ("suffice rollout st", ["status", "start"]),
        ("suffice rollout status --wa", ["--watch"]),
        ("suffice plan --method cur", ["curtailed", "curtailed-exact"]),
        ("suffice resolve --source ", ["pdg", "codata"]),
    ],
)
def test_the_tab_key_offers_what_may_follow(
    typed: str, offered: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_SUFFICE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    assert run([]) == 0
    assert capsys.readouterr().out.split() == offered
