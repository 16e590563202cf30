"""The adversarial scenarios as tests, every cell of each, under a configuration's rule and plan.

For pytest, which the package depends on for this: `python -m pytest --pyargs suffice.runbook.adversarial`. The
configuration is the file that SUFFICE_CONFIG names, else ./config.json, else the one that we ship.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from suffice.config import load, shipped
from suffice.resolution.storm import StormPolicy
from suffice.runbook.scenarios.catalogue import SCENARIOS
from suffice.runbook.sweep import Conditions, Task, make, tasks
from suffice.stopping.configured import configured_plan

CONFIG = "SUFFICE_CONFIG"


@pytest.fixture(scope="module")
def conditions() -> Conditions:
    """The configured plan and storm policy; a configuration that is named must be there."""
    path = Path(os.environ.get(CONFIG, "config.json"))
    config = load(path) if CONFIG in os.environ or path.exists() else shipped()
    policy = config.error_resolution.rollback_storm_policy
    return Conditions(
        configured_plan(config.verifier, None, path.parent),
        config.determinism.seed,
        StormPolicy(policy.max_rollbacks if policy.enabled else None),
        datetime(2025, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize("task", tasks(SCENARIOS), ids=lambda task: task.name.run_id)
def test_scenario(task: Task, conditions: Conditions) -> None:
    """Both worlds of a cell are as expected."""
    result = make(task, conditions)["result"]
    assert [check["what"] for check in result["checks"] if not check["holds"]] == []
    assert result["passed"]
