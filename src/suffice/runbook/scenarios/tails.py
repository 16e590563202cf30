"""Simulations with heavy tails."""

from collections.abc import Iterable

from numpy.random import Generator
from numpy.typing import ArrayLike

from suffice.decision.rule import Decision
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Check, Params, Setting, Setup, correction, number, symmetric, targets
from suffice.runbook.scenarios.worlds import Worlds
from suffice.sampling.sampler import Sampler
from suffice.verifier.case import Case

COUNT = 80


def _setup(params: Params, setting: Setting) -> Setup:
    degrees = number(params, "degrees_of_freedom")
    names = targets(COUNT)

    def heavy(case: Case) -> Sampler:
        # Truths from clearly below to clearly above, spread over the targets.
        shift = 2.5 * names.index(case.target) / COUNT

        def draw(rng: Generator, n: int) -> ArrayLike:
            after = shift + rng.standard_t(degrees, n)
            return [(0.0, value) for value in after.tolist()]

        return draw

    was, measured = symmetric(0.0, 1.0), symmetric(1.0, 1.0)
    return Setup(tuple(correction(setting, target, 0, was, measured) for target in names), sampler=heavy)


def _expect(worlds: Worlds, _: Params) -> Iterable[Check]:
    for world in worlds.both:
        decided = sum(served.decision is not Decision.INVALID for served in world.served.values())
        yield Check(f"{world.arm}: {decided} of {COUNT} are decided", decided == COUNT)
        fallbacks = sum(served.fallback is not None for served in world.served.values())
        yield Check(f"{world.arm}: {fallbacks} fell back to fixed", fallbacks == 0)


HEAVY_TAIL = Scenario(
    id="heavy_tail",
    models="Draws from Student's t with so few degrees of freedom that variance, or even the mean, does not exist.",
    expectation="Every case is decided. For counts the bound holds for any distribution, so also for this one.",
    grid={"degrees_of_freedom": (1, 2, 3)},
    setup=_setup,
    expect=_expect,
    near_normal=False,
)
