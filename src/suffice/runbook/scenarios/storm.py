"""A target whose corrections are rolled back again and again."""

from collections.abc import Iterable, Sequence
from math import sqrt

from suffice.decision.rule import Decision
from suffice.resolution.judge import Outcome, Resolution
from suffice.runbook.scenarios.chance import acceptance, least
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Check, Params, Setting, Setup, correction, number, symmetric, targets
from suffice.runbook.scenarios.worlds import World, Worlds
from suffice.telemetry.counters import Counter

COUNT = 8
BEYOND = 4
"""Corrections that follow where the storm should have ended."""


def _setup(params: Params, setting: Setting) -> Setup:
    steps = range((setting.policy.max_rollbacks or 3) + BEYOND)
    was, measured = symmetric(0.0, 1.0), symmetric(number(params, "shift") * sqrt(2), 1.0)
    return Setup(tuple(correction(setting, target, step, was, measured) for step in steps for target in targets(COUNT)))


def _expect(worlds: Worlds, params: Params) -> Iterable[Check]:
    setting, limit = worlds.setting, worlds.setting.policy.max_rollbacks
    accepted = acceptance(setting.plan.rule, setting.plan.n, number(params, "shift"))
    needed = least(COUNT, (1 - accepted) ** limit) if limit else 0
    for world in worlds.both:
        right = sum(_once_and_in_time(world.of(target), limit) for target in world.records)
        yield Check(f"{world.arm}: {right} of {COUNT} escalate at rollback {limit}, once, and rest", right == COUNT)
        escalated = sum(r.escalated for r in world.resolutions)
        yield Check(f"{world.arm}: {escalated} targets escalate; needed: {needed}", escalated >= needed)
        yield Check(f"{world.arm}: as many are counted and in the provenance", _written(world) == (escalated,) * 2)


def _once_and_in_time(resolved: Sequence[Resolution], limit: int | None) -> bool:
    """Count what was decided, independently of the policy: the limit-th rollback in a row ends it."""
    in_a_row, ended = 0, False
    for resolution in resolved:
        if ended != (resolution.outcome is Outcome.SKIPPED):
            return False
        if not ended and resolution.verdict:
            in_a_row = in_a_row + 1 if resolution.verdict.decision is Decision.REJECTED else 0
        ends = not ended and in_a_row == limit
        if resolution.escalated != ends:
            return False
        ended = ended or ends
    return True


def _written(world: World) -> tuple[int, int]:
    events = [event for events in world.events.values() for event in events]
    return world.counts.counters[Counter.ESCALATIONS], sum(event.event == "escalated" for event in events)


ROLLBACK_STORM = Scenario(
    id="rollback_storm",
    models="Measurements that keep claiming a change which their noise cannot support.",
    expectation="The target escalates at the max_rollbacks-th rollback in a row, once, and then nothing is applied.",
    grid={"shift": (0.02, 0.05, 0.1)},
    setup=_setup,
    expect=_expect,
)
