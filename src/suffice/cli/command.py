"""How a function becomes a command: its options from its parameters, its answer printed here and nowhere else."""

from collections.abc import Callable
from dataclasses import is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any

import typer
from typer.core import TyperGroup

from suffice.answer import Answer
from suffice.cli.options import Json
from suffice.errors import ExitCode
from suffice.terminal import print_error, print_json


class Grouped(TyperGroup):
    """A group whose help lists its commands under headings, each with the whole first sentence of its own help."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        headings: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.commands[name]
            whole = command.get_short_help_str(limit=len(command.help or ""))
            headings.setdefault(command.rich_help_panel or "Commands", []).append((name, whole))
        for heading, rows in headings.items():
            with formatter.section(heading):
                formatter.write_dl(rows)


def add(app: typer.Typer, heading: str, name: str, command: Callable[..., Answer | ExitCode]) -> None:
    """Add `command` to `app` under `name`, with the option `--json`; help lists it under `heading`.

    A parameter that is a dataclass stands for a group of options: each of its fields is one. A command that shows
    something while it works takes a parameter `json` itself.
    """
    app.command(name, rich_help_panel=heading)(_printed(command))


def _printed(command: Callable[..., Answer | ExitCode]) -> Callable[..., ExitCode]:
    """The command with its groups taken apart for Typer; it prints its answer and returns the exit code."""
    own = signature(command).parameters
    annotated = {key: each.annotation for key, each in own.items()}
    groups = {key: kind for key, kind in annotated.items() if isinstance(kind, type) and is_dataclass(kind)}
    members = {key: signature(group).parameters for key, group in groups.items()}

    @wraps(command)
    def run(**options: Any) -> ExitCode:
        for key, group in groups.items():
            options[key] = group(**{name: options.pop(name) for name in members[key]})
        json = options["json"] if "json" in own else options.pop("json")
        return print_answer(command(**options), json=json)

    parameters = [member for key, each in own.items() for member in members.get(key, {key: each}).values()]
    if "json" not in own:
        parameters.append(Parameter("json", Parameter.KEYWORD_ONLY, default=False, annotation=Json))
    keyword_only = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in parameters]
    run.__signature__ = Signature(keyword_only)  # type: ignore[attr-defined]
    return run


def print_answer(answer: Answer | ExitCode, *, json: bool) -> ExitCode:
    """Print an answer to standard output and its problem to standard error, and return the exit code.

    A command that has printed everything itself answers with its exit code alone.
    """
    if not isinstance(answer, Answer):
        return answer
    if json:
        print_json(answer.plain)
    else:
        answer.show()
    if answer.problem:
        print_error(answer.problem)
    return answer.exit
