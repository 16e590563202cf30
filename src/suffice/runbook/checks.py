"""The monitoring cycle: every check of the runbook by name, and running them all.

Each check answers for itself. One that raises fails with its reason, and hides no other.
"""

import json
import os
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from suffice.answer import Answer, nothing
from suffice.comparison.chunks import compare_in_chunks
from suffice.comparison.view import answer
from suffice.comparison.workers import pool
from suffice.errors import ExitCode, SufficeError
from suffice.files import check_writable, write_atomically
from suffice.runbook.adversarial import run_adversarial
from suffice.runbook.configured import Configured
from suffice.runbook.escalation_gate import configured as configured_gate
from suffice.runbook.escalation_gate import judge_escalations
from suffice.runbook.evaluation import Outputs, evaluate, show_result
from suffice.runbook.metrics import show_metrics
from suffice.runbook.sweep_run import Wanted, run_sweep, verify_sweep
from suffice.sources.even import even_cases
from suffice.telemetry.metrics_file import read

ANSWERS = "runbook.json"
METRICS = "metrics.json"


@dataclass(frozen=True, slots=True)
class Cycle:
    """What the checks are asked about: a configuration, the folders of their outputs and of the metrics file, and the
    most runs of each sweep."""

    configured: Configured
    folder: Path
    reports: Path
    budget: int

    @property
    def metrics(self) -> Path:
        return self.reports / METRICS

    @property
    def sweeps(self) -> tuple[Path, Path]:
        """Two folders whose sweeps must be equal."""
        return self.folder / "sweep_a", self.folder / "sweep_b"


Check: TypeAlias = Callable[[Cycle], Answer]


def _evaluate(cycle: Cycle) -> Answer:
    outputs = Outputs(cycle.folder / "eval_summary.json", cycle.metrics)
    return evaluate(cycle.configured, outputs, seen=show_result)


def _gate(cycle: Cycle) -> Answer:
    section = cycle.configured.config.error_resolution.rollback_storm_policy.ci_gate
    return judge_escalations(cycle.metrics, configured_gate(section, os.environ, None))


def _compare(cycle: Cycle) -> Answer:
    """The even regression set; the least number of cases holds where somebody wrote a configuration."""
    configured, plan = cycle.configured, cycle.configured.plan
    gate = configured.config.verifier.adaptive_sampling.regression_gate
    cases = even_cases(plan.rule, plan.n)
    with pool(1) as hands:
        *_, progress = compare_in_chunks(cases, plan.rule, plan.n, lambda _: [plan], configured.seed(), hands)
    return answer(progress, "even", gate, from_file=configured.from_file)


def _sweep(cycle: Cycle, folder: Path) -> Answer:
    return run_sweep(folder, Wanted(budget=cycle.budget), cycle.configured.conditions(deterministic=True))


CHECKS: Mapping[str, Check] = {
    "pytest_adversarial": lambda cycle: run_adversarial(cycle.configured),
    "run_eval": _evaluate,
    "metrics_summary": lambda cycle: show_metrics(read(cycle.metrics), cycle.configured.config.verifier.n_samples),
    "escalation_gate": _gate,
    "compare": _compare,
    "sweep_a": lambda cycle: _sweep(cycle, cycle.sweeps[0]),
    "sweep_b": lambda cycle: _sweep(cycle, cycle.sweeps[1]),
    "verify_sweep": lambda cycle: verify_sweep(*cycle.sweeps),
}
"""The checks, in the order in which they run: later ones read what earlier ones wrote."""


def run_checks(
    cycle: Cycle,
    seen: Callable[[str, ExitCode], None] = lambda _, __: None,
    checks: Mapping[str, Check] = CHECKS,
) -> Answer:
    """Ask every check; `seen` is called with each one's name and exit code.

    What a check printed is kept as NAME.out in the cycle's folder, the exit codes in runbook.json, which is there only
    when all have answered. Fails when a check fails; cannot tell when none fails and one cannot. Raises OutputError.
    """
    path = cycle.folder / ANSWERS
    check_writable(path)
    path.unlink(missing_ok=True)
    codes: dict[str, ExitCode] = {}
    for name, check in checks.items():
        codes[name] = _asked(check, cycle, cycle.folder / f"{name}.out")
        seen(name, codes[name])
    code = _worst(codes.values())
    plain = {"code": code, "out_dir": cycle.folder.as_posix(), "checks": codes}
    write_atomically(path, json.dumps(plain, indent=2) + "\n")
    return Answer(plain, nothing, code)


def _asked(check: Check, cycle: Cycle, path: Path) -> ExitCode:
    """The exit code of a check; what it shows goes to the file."""
    with path.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        try:
            given = check(cycle)
            given.show()
            if given.problem:
                file.write(f"suffice: {given.problem}\n")
            return given.exit
        except SufficeError as error:
            file.write(f"suffice: {error}\n")
            return error.exit_code
        except (OSError, MemoryError) as error:
            # What the host lacks says nothing about decisions.
            file.write(f"suffice: {type(error).__name__}: {error}\n")
            return ExitCode.CANNOT_TELL
        except Exception:
            # A check that is broken fails; the others still answer, and its traceback is in its file.
            traceback.print_exc()
            return ExitCode.FAILS


def _worst(codes: Iterable[ExitCode]) -> ExitCode:
    wrong = set(codes) - {ExitCode.HOLDS}
    if not wrong:
        return ExitCode.HOLDS
    return ExitCode.CANNOT_TELL if wrong == {ExitCode.CANNOT_TELL} else ExitCode.FAILS
