"""The `suffice` command."""

import re
import signal
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated

import typer

from suffice import __version__
from suffice.cli import (
    compare,
    gate,
    ingest,
    metrics,
    plan,
    promote,
    rehearse,
    resolve,
    rollout,
    runbook,
    sweep,
    triage,
)
from suffice.cli.command import Grouped, add
from suffice.cli.eval import evaluate
from suffice.errors import ExitCode, SufficeError
from suffice.terminal import print_error, spell_what_is_not_there

NAME = "suffice"

app = typer.Typer(
    name=NAME,
    help="Monte Carlo decisions with no more samples than they need, and the fixed-sample decision kept.\n\n"
    "Exit codes: 0 holds, 2 fails or bad input, 3 cannot tell: data is missing, or could not be "
    "read or written.",
    cls=Grouped,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Help texts are plain: Rich would take what stands in brackets, like [default: 8], for markup and swallow it.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
PLAN, ROLL_OUT, CHECK = "Plan and compare", "Roll out", "The runbook's checks"
for _heading, _name, _command in (
    (PLAN, "plan", plan.plan),
    (PLAN, "compare", compare.compare),
    (ROLL_OUT, "rehearse", rehearse.rehearse),
    (ROLL_OUT, "promote", promote.promote),
    (ROLL_OUT, "resolve", resolve.resolve),
    (ROLL_OUT, "ingest", ingest.ingest),
    (CHECK, "runbook", runbook.runbook),
    (CHECK, "eval", evaluate),
    (CHECK, "sweep", sweep.sweep),
    (CHECK, "verify-sweep", sweep.verify_sweep),
    (CHECK, "metrics", metrics.metrics),
    (CHECK, "gate", gate.gate),
):
    add(app, _heading, _name, _command)
app.add_typer(rollout.app, name="rollout", rich_help_panel=ROLL_OUT)
app.add_typer(triage.app, name="triage", rich_help_panel=ROLL_OUT)


def _print_version(show: bool) -> None:
    if show:
        typer.echo(f"suffice {__version__}")
        raise typer.Exit


@app.callback()
def _suffice(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


_NO_CHOICE = re.compile(
    r"Invalid value for '(?P<name>.+)': (?:Value error, )?(?P<value>.+) is not one of (?P<allowed>.+)\."
)

_NO_RIGHT = re.compile(r"path '(?P<path>.+)' is not readable")


@cache
def _commands() -> Callable[..., int | None]:
    """Made once, for whoever runs many commands in one process."""
    return typer.main.get_command(app)


def _in_our_words(sentence: str, command: str) -> str:
    """What the parser of command lines complains of about a command: what it was, and what is allowed."""
    told = _NO_CHOICE.fullmatch(sentence)
    if told is None:
        return f"{sentence.rstrip('.')} ({command} --help lists what is allowed)"
    allowed = told["allowed"].replace("'", "")
    # Whoever has a source of their own names it by other options, wherever there is this one.
    own = ", or --records with --measurements" if told["name"] == "--source" else ""
    return f"{told['name']} is {told['value']}; allowed: {allowed}{own}"


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    What a caller can get wrong ends with one line on stderr that says what and where, never with a traceback.
    """
    spell_what_is_not_there()
    try:
        words = None if arguments is None else list(arguments)
        code = _commands()(args=words, standalone_mode=False, prog_name=NAME) or 0
        # Typer's own 1: a shell whose completion it cannot install.
        return ExitCode.FAILS if code == 1 else code
    except SystemExit as done:  # So ends what has printed or installed the shell completion.
        return int(done.code or 0)
    except SufficeError as error:
        print_error(error)
        return error.exit_code
    except typer.TyperException as error:
        # The parser looks at a path that there is before any reader does.
        if locked := _NO_RIGHT.search(error.format_message()):
            print_error(f"{locked['path']}: cannot be read: Permission denied")
            return ExitCode.CANNOT_TELL
        if error.format_message().startswith("Usage:"):  # A group without a command: its whole help.
            sys.stderr.write(f"{error.format_message()}\n")
            return ExitCode.FAILS
        context = getattr(error, "ctx", None)
        print_error(_in_our_words(error.format_message(), context.command_path if context else NAME))
        return ExitCode.FAILS
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("suffice: interrupted\n")
        return ExitCode.INTERRUPTED


def main() -> None:
    """The console script."""
    code = run()
    # What is done is done: an interrupt while the interpreter shuts down must not change what the exit code says.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


if __name__ == "__main__":
    main()
