"""`suffice runbook`: the monitoring cycle as one command, and what each of its checks printed."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.cli.metrics import ReportsDir
from suffice.errors import ExitCode
from suffice.extras import require


def runbook(
    out_dir: Annotated[Path, typer.Option(help="Where the checks' outputs and the sweeps are kept.")] = Path(
        "TemporaryQueue/runbook"
    ),
    reports_dir: ReportsDir = Path("TemporaryQueue"),
    budget: Annotated[int, typer.Option(help="The most runs of each of the two sweeps.")] = 40,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> Answer:
    """Run the runbook's monitoring cycle once: adversarial tests, evaluation, metrics, escalation gate, comparison, and
    two sweeps that must be equal.

    What each check printed is kept as NAME.out, the exit codes in runbook.json. Exits 2 when a check fails, 3 when none
    fails but one cannot tell.

    Example: suffice runbook --budget 40
    """
    from suffice.runbook.checks import Cycle, run_checks
    from suffice.runbook.configured import read

    # Its evaluation cases decide what is published.
    require("the runbook", "pdg")
    cycle = Cycle(read(config), out_dir, reports_dir, budget)
    return run_checks(cycle, (lambda _, __: None) if json else _show)


def _show(name: str, code: ExitCode) -> None:
    sys.stdout.write(f"- {name}: {_WORDS[code]}\n")
    sys.stdout.flush()


_WORDS = {ExitCode.HOLDS: "PASS", ExitCode.FAILS: "FAIL", ExitCode.CANNOT_TELL: "CANNOT TELL"}
