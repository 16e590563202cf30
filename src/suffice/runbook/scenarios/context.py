"""A measurement of something else."""

from collections.abc import Iterable

from suffice.resolution.classify import Kind
from suffice.resolution.judge import Outcome
from suffice.resolution.strategy import Strategy
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Check, Params, Setting, Setup, correction, number, symmetric, targets
from suffice.runbook.scenarios.worlds import Worlds

COUNT = 10
OURS, OTHER = "sensor A", "sensor B"


def _setup(params: Params, setting: Setting) -> Setup:
    was, measured = symmetric(7.31, 0.5), symmetric(7.31 + number(params, "change"), 0.5)
    return Setup(tuple(correction(setting, target, 0, was, measured, OURS, OTHER) for target in targets(COUNT)))


def _expect(worlds: Worlds, _: Params) -> Iterable[Check]:
    for world in worlds.both:
        kinds = sum(
            r.kind is Kind.MIS_ASSOCIATION and r.strategy is Strategy.RELINK and _in_the_provenance(worlds, r.kind)
            for r in world.resolutions
        )
        yield Check(f"{world.arm}: {kinds} of {COUNT} are classified as mis-association and relinked", kinds == COUNT)
        linked = sum(r.after.context == (OTHER if r.outcome is Outcome.COMMITTED else OURS) for r in world.resolutions)
        yield Check(f"{world.arm}: {linked} of {COUNT} have the context of what was decided", linked == COUNT)


def _in_the_provenance(worlds: Worlds, kind: Kind) -> bool:
    events = [event for world in worlds.both for events in world.events.values() for event in events]
    named = [event.payload["kind"] for event in events if event.event == "classified"]
    return len(named) == 2 * COUNT and set(named) == {kind.name.lower()}


CONTEXT_SWAP = Scenario(
    id="context_swap",
    models="Record and measurement belong to different contexts: two sensors whose cables were swapped.",
    expectation="It is classified as mis-association; a commit takes the context over, a rollback does not.",
    grid={"change": (-2.13, 0.04, 0.9, 5.37)},
    setup=_setup,
    expect=_expect,
)
