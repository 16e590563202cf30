"""Measurements that differ from the record by a little noise, and simulations without any."""

from collections.abc import Iterable
from math import sqrt

from suffice.decision.rule import Decision
from suffice.resolution.judge import Outcome
from suffice.runbook.scenarios.chance import acceptance, least
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Check, Params, Setting, Setup, correction, number, symmetric, targets
from suffice.runbook.scenarios.worlds import World, Worlds
from suffice.sampling.distributions import Normal
from suffice.sampling.sampler import Pair, Sampler
from suffice.verifier.case import Case

CHANGE = 1.0
COUNT = 12


def _small_noise(params: Params, setting: Setting) -> Setup:
    u = number(params, "noise") * CHANGE
    was, measured = symmetric(10.0, u), symmetric(10.0 + CHANGE, u)
    return Setup(tuple(correction(setting, target, 0, was, measured) for target in targets(COUNT)))


def _validated(worlds: Worlds, params: Params) -> Iterable[Check]:
    chance = acceptance(
        worlds.setting.plan.rule, worlds.setting.plan.n, CHANGE / (number(params, "noise") * CHANGE * sqrt(2))
    )
    needed = least(COUNT, chance)
    for world in worlds.both:
        committed, put_back = len(world.outcomes(Outcome.COMMITTED)), len(world.outcomes(Outcome.ROLLED_BACK))
        yield Check(
            f"{world.arm}: {committed} of {COUNT} committed, {put_back} rolled back; needed: {needed} committed",
            committed >= needed and committed + put_back == COUNT,
        )


SMALL_NOISE = Scenario(
    id="small_noise",
    models="A re-measurement that differs clearly from the record, with noise that is small beside the difference.",
    expectation="It is validated and committed; nothing is rolled back.",
    grid={"noise": (0.05, 0.1, 0.2, 0.3)},
    setup=_small_noise,
    expect=_validated,
)


def _zero_variance(params: Params, setting: Setting) -> Setup:
    gap = number(params, "gap")

    def constant(_: Case) -> Sampler:
        return Pair(Normal(0.0, 0.0), Normal(gap, 0.0))

    was, measured = symmetric(1.0, 0.5), symmetric(2.0, 0.5)
    return Setup(tuple(correction(setting, target, 0, was, measured) for target in targets(COUNT)), sampler=constant)


def _one_answer(worlds: Worlds, params: Params) -> Iterable[Check]:
    rule, gap = worlds.setting.plan.rule, number(params, "gap")
    expected = Decision.ACCEPTED if gap > rule.min_effect else Decision.REJECTED
    for world in worlds.both:
        yield _all_decided(world, expected)
    draws = {served.n for served in worlds.adaptive.served.values()}
    yield Check(f"adaptive: equal draws stop at one look: {sorted(draws)}", len(draws) == 1)


def _all_decided(world: World, expected: Decision) -> Check:
    right = sum(served.decision is expected for served in world.served.values())
    return Check(f"{world.arm}: {right} of {COUNT} are {expected.value}", right == COUNT)


ZERO_VARIANCE = Scenario(
    id="zero_variance",
    models="A simulation that gives the same numbers each time: no spread to divide by.",
    expectation="It is decided, by the size of the change alone, and always after the same number of draws.",
    grid={"gap": (0.0, 1e-9, 1.0, 1e9)},
    setup=_zero_variance,
    expect=_one_answer,
)
