"""Draws that are no numbers."""

from collections.abc import Iterable
from math import inf, nan

from numpy.random import Generator
from numpy.typing import ArrayLike

from suffice.decision.rule import Decision
from suffice.resolution.judge import Outcome
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Check, Params, Setting, Setup, correction, number, symmetric, targets
from suffice.runbook.scenarios.worlds import Worlds
from suffice.sampling.sampler import Sampler
from suffice.verifier.case import Case

COUNT = 5
FLAWS = {"nan": nan, "inf": inf, "-inf": -inf}


def _position(params: Params, n: int) -> int:
    return round(number(params, "at") * (n - 1))


def _setup(params: Params, setting: Setting) -> Setup:
    position, flaw = _position(params, setting.plan.n), FLAWS[str(params["draw"])]

    def flawed(_: Case) -> Sampler:
        seen = 0

        def draw(rng: Generator, n: int) -> ArrayLike:
            nonlocal seen
            values = rng.standard_normal(n).tolist()
            if seen <= position < seen + n:
                values[position - seen] = flaw
            seen += n
            return [(0.0, value) for value in values]

        return draw

    was, measured = symmetric(0.0, 1.0), symmetric(1.0, 1.0)
    # Often enough to make a storm, if an invalid draw counted as a rollback.
    steps = range(setting.policy.max_rollbacks or 3)
    return Setup(
        tuple(correction(setting, target, step, was, measured) for target in targets(COUNT) for step in steps),
        sampler=flawed,
    )


def _expect(worlds: Worlds, params: Params) -> Iterable[Check]:
    position = _position(params, worlds.setting.plan.n)
    decided = len(worlds.fixed.resolutions)
    invalid = len(worlds.fixed.outcomes(Outcome.INVALID))
    yield Check(f"fixed: {invalid} of {decided} are INVALID", invalid == decided)
    changed = sum(record.version > 1 or record.consecutive_rollbacks > 0 for record in worlds.fixed.records.values())
    yield Check(f"fixed: {changed} of {COUNT} records were changed or counted as rolled back", changed == 0)
    blind = [s for s in worlds.adaptive.served.values() if s.decision is not Decision.INVALID and s.n > position]
    yield Check(f"adaptive: {len(blind)} decisions were made over a draw that is no number", not blind)
    counted = [s for s in worlds.adaptive.served.values() if s.agrees]
    yield Check(f"adaptive: {len(counted)} cases without a valid baseline count as agreement", not counted)


NON_FINITE_DRAWS = Scenario(
    id="non_finite_draws",
    models="A simulation that fails now and then and returns NaN or infinity for it.",
    expectation="It is INVALID: never accepted over it, no rollback, no storm; to decide it early is to differ.",
    grid={"draw": ("nan", "inf", "-inf"), "at": (0.0, 0.5, 1.0)},
    setup=_setup,
    expect=_expect,
    near_normal=False,
)
