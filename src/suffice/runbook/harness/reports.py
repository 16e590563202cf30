"""Cases about scenarios and their reports: shape, reproduction, and the storm policy in action."""

from dataclasses import replace
from typing import Any

from suffice import strict_json
from suffice.resolution.storm import StormPolicy
from suffice.runbook.harness.case import CaseFailed, Context
from suffice.runbook.scenarios.catalogue import SCENARIOS
from suffice.runbook.scenarios.run import run
from suffice.runbook.scenarios.setting import Setting
from suffice.runbook.scenarios.storm import ROLLBACK_STORM
from suffice.runbook.sweep import Task, make, tasks
from suffice.runbook.sweep_files import REPORT_KEYS, report_text, row_of
from suffice.telemetry.counters import Counter, Counters, Counts

DECISIVE = ("small_noise", "boundary_effect", "counterfactual_negative_gain")
"""Scenarios that between them commit, roll back and decide at the threshold."""


def report_shape(context: Context) -> str:
    """A report has its keys and no other, survives JSON, and gives a full row."""
    for task in _first_tasks():
        report = make(task, context.conditions)
        if set(report) != set(REPORT_KEYS):
            raise CaseFailed(f"{task.name.run_id}: the keys are {', '.join(report)}; needed: {', '.join(REPORT_KEYS)}")
        read: dict[str, Any] = strict_json.loads(report_text(report))
        if read != report or not all(row_of(read).values()):
            raise CaseFailed(f"{task.name.run_id}: the report read back is not the one written")
    return f"{len(DECISIVE)} reports have their {len(REPORT_KEYS)} keys and a full row each"


def deterministic_reproduction(context: Context) -> str:
    """Equal seeds give equal bytes, and another seed does not."""
    other = replace(context.conditions, seed=context.seed + 1)
    for task in _first_tasks():
        first, second = (report_text(make(task, context.conditions)) for _ in range(2))
        if first != second:
            raise CaseFailed(f"{task.name.run_id}: two runs with seed {context.seed} differ")
        if report_text(make(task, other)) == first:
            raise CaseFailed(f"{task.name.run_id}: seed {other.seed} gives the report of seed {context.seed}")
    return f"{len(DECISIVE)} reports are the same bytes when run again with seed {context.seed}"


def escalation_policy(context: Context) -> str:
    """Storms escalate at the configured rollback, once; without a policy, never."""
    limit = context.policy.max_rollbacks
    for policy in dict.fromkeys((context.policy, StormPolicy(None))):
        escalated = _storm(context, policy)
        if (escalated > 0) is not (policy.max_rollbacks is not None):
            raise CaseFailed(f"{escalated} targets escalate with max_rollbacks = {policy.max_rollbacks}")
    return "nothing escalates, the policy is off" if limit is None else f"storms escalate at rollback {limit}, once"


def _storm(context: Context, policy: StormPolicy) -> int:
    escalated = 0
    for i, params in enumerate(ROLLBACK_STORM.cells()):
        setting = Setting(context.plan, context.seed, policy, context.now.timestamp(), f"harness/storm/{i}")
        worlds, checks = run(ROLLBACK_STORM, params, setting)
        failed = [check.what for check in checks if not check.holds]
        if failed:
            raise CaseFailed(f"rollback_storm {params}: {failed[0]}")
        for world in worlds.both:
            _add(context.expected, world.counts)
            escalated += world.counts.counters[Counter.ESCALATIONS]
    return escalated


def _add(counters: Counters, counts: Counts) -> None:
    counters.decided(counts.decisions)
    for counter, value in counts.counters.items():
        counters.add(counter, value)


def _first_tasks() -> list[Task]:
    chosen = [scenario for scenario in SCENARIOS if scenario.id in DECISIVE]
    return tasks(chosen, budget=len(chosen))
