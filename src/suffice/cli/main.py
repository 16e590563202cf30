"""The `suffice` command."""

import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from suffice import __version__
from suffice.cli import compare, gate, metrics, plan, promote, rehearse, resolve, rollout, runbook, sweep, triage
from suffice.cli.command import add
from suffice.cli.eval import evaluate
from suffice.errors import ExitCode, SufficeError
from suffice.terminal import print_error, spell_what_is_not_there

app = typer.Typer(
    name="suffice",
    help="Monte Carlo decisions with no more samples than they need, and the fixed-sample decision kept.\n\n"
    "Exit codes: 0 holds, 2 fails or bad input, 3 cannot tell because data is missing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Help texts are plain: Rich would take what stands in brackets, like [default: 8], for markup and swallow it.
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
add(app, "plan", plan.plan)
add(app, "compare", compare.compare)
add(app, "rehearse", rehearse.rehearse)
add(app, "promote", promote.promote)
add(app, "resolve", resolve.resolve)
add(app, "eval", evaluate)
add(app, "sweep", sweep.sweep)
add(app, "verify-sweep", sweep.verify_sweep)
add(app, "metrics", metrics.metrics)
add(app, "gate", gate.gate)
add(app, "runbook", runbook.runbook)
app.add_typer(rollout.app, name="rollout")
app.add_typer(triage.app, name="triage")


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


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    What a caller can get wrong ends with one line on stderr that says what and where, never with a traceback.
    """
    spell_what_is_not_there()
    try:
        return app(args=None if arguments is None else list(arguments), standalone_mode=False) or 0
    except SufficeError as error:
        print_error(error)
        return error.exit_code
    except typer.TyperException as error:
        print_error(f"{error.format_message()} (suffice --help lists what is allowed)")
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
