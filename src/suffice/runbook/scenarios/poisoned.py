"""A biased instrument that looks precise."""

from collections.abc import Iterable

from suffice.resolution.judge import Outcome
from suffice.runbook.scenarios.chance import acceptance, least
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Check, Params, Setting, Setup, correction, number, symmetric, targets
from suffice.runbook.scenarios.worlds import World, Worlds

COUNT = 8
TRUTH, HONEST_U = 100.0, 1.0


def _setup(params: Params, setting: Setting) -> Setup:
    bias = number(params, "bias")
    honest = symmetric(TRUTH, HONEST_U)
    poisoned = symmetric(TRUTH + bias, HONEST_U / number(params, "precision"))
    again = symmetric(TRUTH + HONEST_U / 4, HONEST_U)
    return Setup(
        tuple(
            step
            for target in targets(COUNT)
            for step in (
                correction(setting, target, 0, honest, poisoned),
                correction(setting, target, 1, poisoned, again),
            )
        )
    )


def _expect(worlds: Worlds, params: Params) -> Iterable[Check]:
    plan, bias = worlds.setting.plan, number(params, "bias")
    spread = HONEST_U * (1 + 1 / number(params, "precision") ** 2) ** 0.5
    needed = least(COUNT, acceptance(plan.rule, plan.n, (bias - HONEST_U / 4) / spread) ** 2)
    for world in worlds.both:
        back = sum(_taken_back(world, target) for target in world.records)
        yield Check(f"{world.arm}: {back} of {COUNT} are honest again; needed: {needed}", back >= needed)
        kept = sum(_honest_value_kept(world, target) for target in world.records)
        yield Check(f"{world.arm}: {kept} of {COUNT} have the honest value in their provenance", kept == COUNT)


def _taken_back(world: World, target: str) -> bool:
    outcomes = [r.outcome for r in world.of(target)]
    return outcomes == [Outcome.COMMITTED] * 2 and abs(world.records[target].value - TRUTH) < HONEST_U


def _honest_value_kept(world: World, target: str) -> bool:
    snapshots = [event.payload["value"] for event in world.events[target] if event.event == "snapshot"]
    return snapshots[:1] == [TRUTH]


POISONED_SOURCE = Scenario(
    id="poisoned_source",
    models="A biased instrument that looks precise. Validation asks whether a change moves the claimed way, so it "
    "believes a precise lie: what protects is that nothing is lost and honest measurements take it back.",
    expectation="The honest value stays in the provenance, and the next honest measurement takes the lie back.",
    grid={"bias": (5.0, 50.0), "precision": (10.0, 1000.0)},
    setup=_setup,
    expect=_expect,
)
