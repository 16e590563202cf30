"""`suffice runbook`: the monitoring cycle as one command, and what each of its checks printed."""

import os
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from suffice.answer import Answer
from suffice.cli import options
from suffice.cli.command import print_answer
from suffice.cli.metrics import ReportsDir
from suffice.errors import SufficeError
from suffice.extras import require

HOLDS, FAILS, CANNOT_TELL = 0, 2, 3
ANSWERS = "runbook.json"

Check: TypeAlias = Callable[[], Answer | int]


def runbook(
    out_dir: Annotated[Path, typer.Option(help="Where the checks' outputs and the sweeps are kept.")] = Path(
        "TemporaryQueue/runbook"
    ),
    reports_dir: ReportsDir = Path("TemporaryQueue"),
    budget: Annotated[int, typer.Option(help="The most runs of each of the two sweeps.")] = 40,
    tied: Annotated[bool, typer.Option("--tied", hidden=True, help="End when standard input does.")] = False,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> int:
    """Run the runbook's monitoring cycle once: adversarial tests, evaluation, metrics, escalation gate, comparison, and
    two sweeps that must be equal.

    What each check printed is kept as NAME.out, the exit codes in runbook.json. Exits 2 when a check fails, 3 when none
    fails but one cannot tell.
    """
    import json as json_module
    import sys

    from suffice.cli.console import print_json
    from suffice.files import check_writable, write_atomically

    require("suffice runbook", "pytest")
    options.read_config(config, required=False)
    if tied:
        _end_with_standard_input()
    check_writable(out_dir / ANSWERS)
    (out_dir / ANSWERS).unlink(missing_ok=True)
    answers: dict[str, int] = {}
    for name, check in _checks(out_dir, reports_dir, config, budget).items():
        answers[name] = _asked(check, out_dir / f"{name}.out")
        if not json:
            sys.stdout.write(f"- {name}: {_WORDS.get(answers[name], 'FAIL')}\n")
            sys.stdout.flush()
    written = {"code": _worst(answers.values()), "out_dir": out_dir.as_posix(), "checks": answers}
    write_atomically(out_dir / ANSWERS, json_module.dumps(written, indent=2) + "\n")
    if json:
        print_json(written)
    return _worst(answers.values())


_WORDS = {HOLDS: "PASS", CANNOT_TELL: "CANNOT TELL"}


def _worst(codes: Iterable[int]) -> int:
    wrong = set(codes) - {HOLDS}
    return HOLDS if not wrong else CANNOT_TELL if wrong == {CANNOT_TELL} else FAILS


def _checks(folder: Path, reports: Path, config: Path | None, budget: int) -> dict[str, Check]:
    from suffice.cli.compare import compare
    from suffice.cli.eval import evaluate
    from suffice.cli.gate import gate
    from suffice.cli.metrics import metrics
    from suffice.cli.sweep import sweep, verify_sweep

    first, second = folder / "sweep_a", folder / "sweep_b"
    named = config is not None or Path("config.json").exists()
    return {
        "pytest_adversarial": lambda: _adversarial(config),
        "run_eval": lambda: evaluate(summary=folder / "eval_summary.json", reports_dir=reports, config=config),
        "metrics_summary": lambda: metrics(reports_dir=reports, config=config),
        "escalation_gate": lambda: gate(use_config=named, reports_dir=reports, config=config),
        "compare": lambda: compare(use_config=named, deterministic=True, config=config),
        "sweep_a": lambda: sweep(out_dir=first, budget=budget, deterministic=True, config=config),
        "sweep_b": lambda: sweep(out_dir=second, budget=budget, deterministic=True, config=config),
        "verify_sweep": lambda: verify_sweep(sweep_dir=first, compare_dir=second),
    }


def _adversarial(config: Path | None) -> int:
    import pytest

    from suffice import runbook as room
    from suffice.runbook.adversarial import CONFIG

    words = ["--pyargs", "suffice.runbook.adversarial", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    with pytest.MonkeyPatch.context() as patch:
        if config is not None:
            patch.setenv(CONFIG, str(config))
        code = pytest.main([*words, "-c", os.devnull, "--rootdir", str(Path(*room.__path__).parent)])
    return HOLDS if code == pytest.ExitCode.OK else FAILS if code == pytest.ExitCode.TESTS_FAILED else CANNOT_TELL


def _asked(check: Check, path: Path) -> int:
    """The exit code of a check; what it prints goes to the file. An exception is a failure with its reason."""
    import traceback

    with path.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        try:
            return print_answer(check(), json=False)
        except SufficeError as error:
            file.write(f"suffice: {error}\n")
            return error.exit_code
        except Exception:
            traceback.print_exc()
            return FAILS


def _end_with_standard_input() -> None:
    """For a check that another process started: it must not outlive that one, however it dies."""
    import signal
    import sys
    from threading import Thread

    def wait() -> None:
        sys.stdin.buffer.read()
        os._exit(FAILS)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=wait, daemon=True).start()
