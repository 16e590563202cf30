"""A far outlier with a huge uncertainty."""

from collections.abc import Iterable
from math import sqrt

from suffice.resolution.judge import Outcome, first_record
from suffice.runbook.scenarios.chance import acceptance, least
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Check, Params, Setting, Setup, correction, number, symmetric, targets
from suffice.runbook.scenarios.worlds import Worlds, content
from suffice.store.records import Status

COUNT = 8
VALUE, FAR = 10.0, 1000.0


def _setup(params: Params, setting: Setting) -> Setup:
    was, measured = symmetric(VALUE, 0.1), symmetric(VALUE + FAR, number(params, "spread") * FAR)
    steps = range(setting.policy.max_rollbacks or 3)
    return Setup(tuple(correction(setting, target, step, was, measured) for target in targets(COUNT) for step in steps))


def _expect(worlds: Worlds, params: Params) -> Iterable[Check]:
    setting, limit = worlds.setting, worlds.setting.policy.max_rollbacks
    accepted = acceptance(setting.plan.rule, setting.plan.n, 1 / sqrt(number(params, "spread") ** 2 + (0.1 / FAR) ** 2))
    needed = least(COUNT, (1 - accepted) ** limit) if limit else 0
    for world in worlds.both:
        in_review = [target for target, record in world.records.items() if record.status is Status.NEEDS_REVIEW]
        yield Check(f"{world.arm}: {len(in_review)} of {COUNT} need review; needed: {needed}", len(in_review) >= needed)
        untouched = sum(
            content(world.records[target]) == content(first_record(world.of(target)[0].correction))
            for target in in_review
            if not any(r.outcome is Outcome.COMMITTED for r in world.of(target))
        )
        committed = sum(any(r.outcome is Outcome.COMMITTED for r in world.of(target)) for target in in_review)
        what = f"{world.arm}: {untouched} of the {len(in_review) - committed} without a commit are untouched"
        yield Check(what, untouched == len(in_review) - committed)


LARGE_OUTLIER = Scenario(
    id="large_outlier",
    models="A measurement far from the record whose own uncertainty is far larger still, again and again.",
    expectation="It is rejected until the target needs review, and the record is untouched.",
    grid={"spread": (10.0, 30.0, 100.0)},
    setup=_setup,
    expect=_expect,
)
