"""The adversarial scenarios, every cell of each, under the configured rule and plan.

Also a door for pytest: `python -m pytest --pyargs suffice.runbook.adversarial`. The configuration is then the file that
SUFFICE_CONFIG names, else ./config.json, else the one that we ship.
"""

import os
from functools import cache
from pathlib import Path
from typing import Any

from suffice.answer import Answer
from suffice.errors import ExitCode
from suffice.runbook.configured import Configured, read
from suffice.runbook.scenarios.catalogue import SCENARIOS
from suffice.runbook.sweep import Task, make, tasks
from suffice.terminal import print_lines

CONFIG = "SUFFICE_CONFIG"


def run_adversarial(configured: Configured) -> Answer:
    """Every cell of every scenario; fails when an expectation does not hold."""
    every = tasks(SCENARIOS)
    failed = {task.name.run_id: wrong for task in every if (wrong := _wrong(task, configured))}
    plain = {"cells": len(every), "passed": len(every) - len(failed), "failed": failed}
    lines = [f"{name}: {'; '.join(what)}" for name, what in failed.items()]
    lines.append(f"{plain['passed']} of {plain['cells']} cells are as expected")
    return Answer(plain, lambda: print_lines(*lines), ExitCode.FAILS if failed else ExitCode.HOLDS)


def pytest_generate_tests(metafunc: Any) -> None:
    """Pytest's hook: one test for each cell."""
    metafunc.parametrize("task", tasks(SCENARIOS), ids=lambda task: task.name.run_id)


def test_scenario(task: Task) -> None:
    """Both worlds of a cell are as expected."""
    assert _wrong(task, _from_environment()) == []


def _wrong(task: Task, configured: Configured) -> list[str]:
    """What does not hold in a cell; a cell that checks nothing proves nothing."""
    result = make(task, configured.conditions(deterministic=True))["result"]
    wrong = [check["what"] for check in result["checks"] if not check["holds"]]
    return wrong or ([] if result["passed"] else ["nothing was checked"])


@cache
def _from_environment() -> Configured:
    named = os.environ.get(CONFIG)
    return read(Path(named) if named is not None else None)
