"""How a function becomes a command: its answer is printed in one place, as JSON or for a person."""

import json
from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

from suffice.answer import Answer
from suffice.cli.command import add
from suffice.cli.options import Json
from suffice.errors import ExitCode
from suffice.terminal import print_lines


@dataclass(frozen=True, slots=True)
class Where:
    """A group of options."""

    street: Annotated[str, typer.Option(help="Where.")] = "Bridge Street"
    number: Annotated[int, typer.Option("--number", help="Which house.")] = 1


def ask(app: typer.Typer, *arguments: str) -> int:
    return app(args=list(arguments), standalone_mode=False)


def made(command: object) -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None)
    add(app, "Commands", "ask", command)
    return app


def judged(value: Annotated[int, typer.Option()], where: Where, limit: Annotated[int, typer.Option()] = 5) -> Answer:
    holds = value <= limit
    return Answer(
        {"value": value, "where": f"{where.street} {where.number}"},
        lambda: print_lines(f"it is {value}"),
        ExitCode.HOLDS if holds else ExitCode.FAILS,
        "" if holds else f"{value} is above {limit}",
    )


def test_a_person_sees_what_the_answer_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(made(judged), "--value", "3") == 0
    assert capsys.readouterr() == ("it is 3\n", "")


def test_json_is_the_plain_answer_and_the_problem_stands_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(made(judged), "--value", "7", "--json") == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"value": 7, "where": "Bridge Street 1"}
    assert printed.err == "suffice: 7 is above 5\n"


def test_the_fields_of_a_group_are_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(made(judged), "--value", "3", "--street", "Mill Lane", "--number", "22", "--json") == 0
    assert json.loads(capsys.readouterr().out)["where"] == "Mill Lane 22"


def test_a_command_that_shows_its_work_is_told_whether_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    def working(json: Json = False) -> Answer:
        if not json:
            print_lines("working")
        return Answer({"json": json}, lambda: print_lines("done"))

    assert ask(made(working)) == 0
    assert capsys.readouterr().out == "working\ndone\n"
    assert ask(made(working), "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"json": True}


def test_every_exit_code_is_the_number_that_a_shell_sees_and_has_a_sentence() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "HOLDS": 0,
        "FAILS": 2,
        "CANNOT_TELL": 3,
        "INTERRUPTED": 130,
    }
    assert all(code.sentence.endswith(".") for code in ExitCode)
