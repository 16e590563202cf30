"""The words of a command line, as the program would take them."""

import typer

from suffice.cli.main import app


def resolved(words: list[str]) -> tuple[typer.Context, list[str]]:
    """The context of the command that the words begin with, not yet parsed, and the words that follow."""
    command = typer.main.get_command(app)
    context = command.context_class(command, info_name="suffice")
    while hasattr(command, "resolve_command") and words:
        name, command, words = command.resolve_command(context, words)
        context = command.context_class(command, info_name=name, parent=context)
    return context, words
