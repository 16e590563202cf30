"""Truths right at the decision threshold, where decisions are hardest to keep."""

from collections.abc import Iterable

from suffice.decision.rule import Decision
from suffice.runbook.scenarios.chance import acceptance, boundary_shift, least, most
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Check, Params, Setting, Setup, correction, number, symmetric, targets
from suffice.runbook.scenarios.worlds import Worlds
from suffice.sampling.distributions import Normal
from suffice.sampling.sampler import Pair, Sampler
from suffice.verifier.case import Case

COUNT = 150


def _setup(params: Params, setting: Setting) -> Setup:
    shift = boundary_shift(setting.plan.rule, setting.plan.n, number(params, "effect"))

    def at_the_boundary(_: Case) -> Sampler:
        return Pair(Normal(0.0, 0.0), Normal(shift, 1.0))

    was, measured = symmetric(0.0, 1.0), symmetric(1.0, 1.0)
    return Setup(
        tuple(correction(setting, target, 0, was, measured) for target in targets(COUNT)), sampler=at_the_boundary
    )


def _expect(worlds: Worlds, params: Params) -> Iterable[Check]:
    plan = worlds.setting.plan
    chance = acceptance(plan.rule, plan.n, boundary_shift(plan.rule, plan.n, number(params, "effect")))
    accepted = sum(served.decision is Decision.ACCEPTED for served in worlds.fixed.served.values())
    low, high = least(COUNT, chance), most(COUNT, chance)
    yield Check(f"fixed: {accepted} of {COUNT} accepted; no surprise here: {low} to {high}", low <= accepted <= high)


BOUNDARY_EFFECT = Scenario(
    id="boundary_effect",
    models="Truths at the decision threshold, or one standard error beside it.",
    expectation="The baseline is undecided there, and adaptive decisions still differ from it no more than agreed.",
    grid={"effect": (-1.0, -0.5, 0.0, 0.5, 1.0)},
    setup=_setup,
    expect=_expect,
)
