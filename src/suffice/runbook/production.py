"""The checks beside the cycles of a rollout: `python -m suffice.runbook.production FOLDER CONFIG QUEUE SERVICE NAME…`.

They run one after the other in this process, at a low priority: the host is production's. What they print is in their
files; standard output has a line for each, with the first line that says what failed in it.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from suffice.answer import Answer
from suffice.errors import ExitCode, SufficeError
from suffice.extras import EXTRA_OF, installed
from suffice.files import read_whole, write_atomically
from suffice.runbook.checks import CHECKS, METRICS, Check, Cycle, run_checks
from suffice.runbook.configured import read
from suffice.runbook.evaluation import Outputs, evaluate, show_result
from suffice.runbook.harness.case import EvalCase
from suffice.runbook.harness.catalogue import CASES
from suffice.runbook.metrics import show_production
from suffice.runbook.sweep_run import verify_sweep
from suffice.runbook.telling import telling_line
from suffice.terminal import print_lines

BUDGET = 12
"""Runs of each sweep: one for each scenario."""

_WORK = "work"
"""The folder of what is not finished yet, and of the sweeps."""

_WORDS = {ExitCode.HOLDS: "PASS", ExitCode.FAILS: "FAIL", ExitCode.CANNOT_TELL: "CANNOT TELL"}


def command(folder: Path, config: Path, queue: Path, service: str) -> list[str]:
    """The command that runs the checks whose names are added to it, and keeps what they print in `folder`.

    The service's store is in its queue folder, or where the environment says.
    """
    return [sys.executable, "-P", "-m", "suffice.runbook.production", str(folder), str(config), str(queue), service]


def run(folder: Path, config: Path, queue: Path, service: str, names: Sequence[str]) -> ExitCode:
    """Run the checks of these names, in their order; files of an earlier pass are replaced when this one is over.

    Production's counters stay as they are: what the cases count is in the folder too. Raises SufficeError.
    """
    cycle = Cycle(read(config), folder / _WORK, folder / _WORK, BUDGET)
    every: Mapping[str, Check] = {
        "pytest_adversarial": CHECKS["pytest_adversarial"],
        "run_eval": _evaluate,
        "metrics_summary": partial(_summarise, queue, service),
        "verify_sweep": _sweep_twice,
    }
    lines = list[str]()

    def seen(name: str, code: ExitCode) -> None:
        why = "" if code is ExitCode.HOLDS else f": {telling_line(_printed(cycle.folder, name), failed=True)}"
        lines.append(f"- {name}: {_WORDS[code]}{why}")

    answer = run_checks(cycle, seen, {name: every[name] for name in names})
    for name in names:
        write_atomically(folder / f"{name}.out", _printed(cycle.folder, name))
    holding = f"{len(names)} of {len(names)} checks hold{_without() if 'run_eval' in names else ''}"
    first = next((line for line in lines if not line.endswith(_WORDS[ExitCode.HOLDS])), holding)
    print_lines(*lines, first)
    return answer.exit


def _evaluate(cycle: Cycle) -> Answer:
    """The evaluation cases that this installation can run; a rollout does not wait for an optional package."""
    left_out = _left_out()
    for case in left_out:
        print_lines(f"without {case.name}, which needs {case.needs}: pip install 'suffice[{EXTRA_OF[case.needs]}]'")
    names = [case.name for case in CASES if case not in left_out]
    outputs = Outputs(cycle.folder / "eval_summary.json", cycle.metrics)
    return evaluate(cycle.configured, outputs, names=names, seen=show_result)


def _left_out() -> list[EvalCase]:
    return [case for case in CASES if case.needs and not installed(case.needs)]


def _without() -> str:
    left_out = [case.name for case in _left_out()]
    return f"; without {', '.join(left_out)} (see run_eval.out)" if left_out else ""


def _summarise(queue: Path, service: str, cycle: Cycle) -> Answer:
    config = cycle.configured.config
    return show_production(queue / METRICS, queue, service, config.verifier.n_samples, config.rollout.cost_unit)


def _sweep_twice(cycle: Cycle) -> Answer:
    for name in ("sweep_a", "sweep_b"):
        swept = CHECKS[name](cycle)
        if swept.exit is not ExitCode.HOLDS:
            return swept
    return verify_sweep(*cycle.sweeps)


def _printed(folder: Path, name: str) -> str:
    return read_whole(folder / f"{name}.out").decode()


def main(folder: str, config: str, queue: str, service: str, *names: str) -> ExitCode:
    """Run the checks, and say on standard output what keeps them from running."""
    try:
        return run(Path(folder), Path(config), Path(queue), service, names)
    except SufficeError as error:
        # Nothing failed that was checked: a configuration or a disk keeps the checks from telling.
        print_lines(f"the checks cannot run: {error}")
        return ExitCode.CANNOT_TELL


if __name__ == "__main__":
    if hasattr(os, "nice"):
        # Not the lowest: on a busy host the checks would not end before their deadline.
        os.nice(10)
    sys.exit(main(*sys.argv[1:]))
