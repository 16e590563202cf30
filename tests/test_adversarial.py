"""The adversarial scenarios under the configured rule and method, every cell of each: the runbook's first command."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from suffice.config import Config, load
from suffice.evaluation.scenarios.catalogue import SCENARIOS
from suffice.evaluation.sweep import Conditions, make, tasks
from suffice.resolution.storm import StormPolicy
from suffice.stopping.configured import configured_plan

CONFIG = Path(__file__).parents[1] / "config.json"


@pytest.fixture(scope="module")
def conditions() -> Conditions:
    config: Config = load(CONFIG)
    policy, now = config.error_resolution.rollback_storm_policy, datetime(2025, 1, 1, tzinfo=UTC)
    return Conditions(
        configured_plan(config.verifier, None, CONFIG.parent),
        config.determinism.seed,
        StormPolicy(policy.max_rollbacks if policy.enabled else None),
        deterministic=True,
        clock=lambda: now,
    )


@pytest.mark.parametrize("task", tasks(SCENARIOS), ids=lambda task: task.name.run_id)
def test_scenario(task, conditions: Conditions) -> None:
    result = make(task, conditions)["result"]
    assert [check["what"] for check in result["checks"] if not check["holds"]] == []
    assert result["passed"]
