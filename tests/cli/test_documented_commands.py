"""Every command that the pages name exists as they write it, for POSIX shells and PowerShell alike."""

import itertools
import re
import shlex
from pathlib import Path

import pytest
import typer

from command_words import resolved
from suffice.cli import rollout, triage

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(suffice [a-z][^`\n]*)`")
DOOR = re.compile(r"python ((?:scripts/|tools/|tests/)?\w+\.py)")


def blocks(page: Path) -> list[tuple[str, list[str]]]:
    """The language of each block and the suffice commands in it."""
    fenced = FENCED.findall(page.read_text(encoding="utf-8"))
    return [
        (language, [command for line in text.splitlines() if (command := command_in(line))])
        for language, text in fenced
        if language != "python"
    ]


def command_in(line: str) -> str:
    """The command in a line, without a comment, or a scheduler's words around it."""
    at = [match.end() for match in re.finditer(r"(?:^|\s|/)suffice(?= [a-z])", line.split("  #")[0])]
    if not at or line.lstrip().startswith("#"):
        return ""
    command = line[at[-1] - len("suffice") :]
    return command.rstrip('"') if command.count('"') % 2 else command


def bare(command: str) -> list[str]:
    return shlex.split(command, comments=True)


def written() -> list[str]:
    return sorted({command for page in PAGES for _, commands in blocks(page) for command in commands})


def mentioned() -> list[str]:
    return sorted({command for page in PAGES for command in INLINE.findall(page.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("line", written())
def test_a_command_in_a_block_is_one_that_the_program_takes(line: str) -> None:
    context, words = resolved(bare(line)[1:])
    # Parses and converts as the program would, and runs nothing.
    context.command.parse_args(context, words)
    assert context.params


@pytest.mark.parametrize("line", mentioned())
def test_a_command_in_a_sentence_has_the_options_that_it_is_given(line: str) -> None:
    words = [word for word in shlex.split(line.replace("[", " ").replace("]", " ")) if word != "|"]
    context, words = resolved(words[1:])
    known = {name for param in context.command.params for name in param.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_a_command_that_does_not_exist_would_be_found() -> None:
    for line in ("suffice rollout undo", "suffice rollout status --wach 60", "suffice triage close verifier-000001"):
        context = None
        with pytest.raises(typer.TyperException):
            context, words = resolved(shlex.split(line)[1:])
            context.command.parse_args(context, words)


def test_powershell_has_the_same_commands_as_the_posix_block_before_it() -> None:
    pairs = 0
    for page in PAGES:
        fenced = blocks(page)
        for (before, posix), (language, commands) in itertools.pairwise(fenced):
            if language != "powershell" or before != "sh":
                continue
            assert [shlex.split(command, comments=True) for command in commands] == [
                shlex.split(command, comments=True) for command in posix
            ]
            pairs += 1
    assert pairs >= 3


def test_the_doors_that_the_pages_name_are_there() -> None:
    named = {door for page in PAGES for door in DOOR.findall(page.read_text(encoding="utf-8"))}
    assert len(named) >= 6
    assert [door for door in sorted(named) if not (ROOT / door).is_file()] == []


def test_every_command_of_an_operator_is_on_the_page_for_operators() -> None:
    page = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    for group, commands in (("rollout", rollout.app), ("triage", triage.app)):
        for command in commands.registered_commands:
            assert f"suffice {group} {command.name}" in page or f"| `{command.name}" in page, f"{group} {command.name}"
