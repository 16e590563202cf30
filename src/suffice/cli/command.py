"""How a function becomes a command: its options from its parameters, its answer printed here and nowhere else."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints

import typer

from suffice.answer import Answer
from suffice.cli.options import Json
from suffice.terminal import print_json


def add(app: typer.Typer, name: str, command: Callable[..., Answer | int], *, hidden: bool = False) -> None:
    """Add `command` to `app` under `name`, with the option `--json`.

    A parameter that is a dataclass stands for a group of options: each of its fields is one. A command that shows
    something while it works takes a parameter `json` itself.
    """
    app.command(name, hidden=hidden)(_printed(command))


def _printed(command: Callable[..., Answer | int]) -> Callable[..., int]:
    """The command with its groups taken apart for Typer; it prints its answer and returns the exit code."""
    own = signature(command).parameters
    hints = get_type_hints(command, include_extras=True)
    groups = {key: hints[key] for key in own if is_dataclass(hints[key])}

    @wraps(command)
    def run(**options: Any) -> int:
        for key, group in groups.items():
            options[key] = group(**{field.name: options.pop(field.name) for field in fields(group)})
        json = options["json"] if "json" in own else options.pop("json")
        return print_answer(command(**options), json=json)

    run.__signature__ = Signature([*_options(own, hints), *_json(own)])  # type: ignore[attr-defined]
    return run


def _options(own: Mapping[str, Parameter], hints: dict[str, Any]) -> list[Parameter]:
    """One parameter for each option; a group's fields stand where the group stands."""
    options: list[Parameter] = []
    for key, parameter in own.items():
        if is_dataclass(hints[key]):
            options += _fields(hints[key])
        else:
            options.append(parameter.replace(kind=Parameter.KEYWORD_ONLY))
    return options


def _fields(group: Any) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    own = signature(group).parameters
    return [own[f.name].replace(kind=Parameter.KEYWORD_ONLY, annotation=hints[f.name]) for f in fields(group)]


def _json(own: Mapping[str, Parameter]) -> list[Parameter]:
    return [] if "json" in own else [Parameter("json", Parameter.KEYWORD_ONLY, default=False, annotation=Json)]


def print_answer(answer: Answer | int, *, json: bool) -> int:
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
        sys.stdout.flush()
        sys.stderr.write(f"suffice: {answer.problem}\n")
    return answer.exit
