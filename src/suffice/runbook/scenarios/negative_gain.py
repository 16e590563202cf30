"""A correction that would make things worse."""

from collections.abc import Iterable
from math import sqrt

from suffice.resolution.judge import Outcome
from suffice.runbook.scenarios.chance import acceptance, least
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Check, Params, Setting, Setup, correction, number, symmetric, targets
from suffice.runbook.scenarios.worlds import World, Worlds
from suffice.store.records import Record

COUNT = 6
VALUE, MEASURED = 10.0, 12.0
U = 0.2
"""Of each of the two inputs; their sum has √2 of it."""


def _setup(params: Params, setting: Setting) -> Setup:
    """A total that is measured too low; recomputing it from an input that is wrong lowers it further."""
    wrong, right = VALUE / 2 - number(params, "loss"), VALUE / 2 + 2.0
    records, corrections = list[Record](), []
    total, measured = symmetric(VALUE, U), symmetric(MEASURED, U)
    for target in targets(COUNT):
        part, other = f"{target}/part", f"{target}/other"
        records += [
            Record(part, wrong, U, U),
            Record(other, VALUE / 2, U, U),
            Record(target, VALUE, U, U, derived_from=((part, 1.0), (other, 1.0))),
        ]
        corrections += [
            correction(setting, target, 0, total, measured),
            correction(setting, part, 0, symmetric(wrong, U), symmetric(right, U)),
            correction(setting, target, 1, total, measured),
        ]
    return Setup(tuple(corrections), tuple(records))


def _expect(worlds: Worlds, params: Params) -> Iterable[Check]:
    plan, policy = worlds.setting.plan, worlds.setting.policy
    gain = acceptance(plan.rule, plan.n, 2.0 / (U * sqrt(3)))
    part = acceptance(plan.rule, plan.n, (number(params, "loss") + 2.0) / (U * sqrt(2)))
    needed = 0 if policy.max_rollbacks == 1 else least(COUNT, gain * part)
    for world in worlds.both:
        totals = [target for target in world.records if "/" not in target]
        never = sum(world.of(target)[0].outcome is Outcome.ROLLED_BACK for target in totals)
        yield Check(f"{world.arm}: {never} of {COUNT} that would lose are rolled back", never == COUNT)
        gained = sum(_gained(world, target) for target in totals)
        what = f"{world.arm}: {gained} of {COUNT} are committed when evaluated again; needed: {needed}"
        yield Check(what, gained >= needed)
        worse = sum(world.records[target].value < VALUE for target in totals)
        yield Check(f"{world.arm}: {worse} of {COUNT} ended farther from the measurement", worse == 0)


def _gained(world: World, target: str) -> bool:
    return world.of(target)[1].outcome is Outcome.COMMITTED and world.records[target].value == MEASURED


COUNTERFACTUAL_NEGATIVE_GAIN = Scenario(
    id="counterfactual_negative_gain",
    models="A derived record measured too low, whose recomputation from a wrong input would lower it further.",
    expectation="It is never committed; once the input is corrected it is evaluated again, and then committed.",
    grid={"loss": (0.5, 1.0, 3.0)},
    setup=_setup,
    expect=_expect,
)
