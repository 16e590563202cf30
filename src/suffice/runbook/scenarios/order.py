"""Draws whose order is not random."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import NormalDist

from numpy.random import Generator, Philox
from numpy.typing import ArrayLike

from suffice.decision.rule import Decision
from suffice.runbook.scenarios.chance import boundary_shift
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Check, Params, Setting, Setup, correction, number, symmetric, targets
from suffice.runbook.scenarios.worlds import Worlds
from suffice.sampling.sampler import BLOCK, Sampler
from suffice.sampling.streams import philox_key
from suffice.telemetry.counters import Counter
from suffice.verifier.case import Case

COUNT = 30


@dataclass(slots=True)
class _InOrder:
    """Reads recorded differences first to last; beyond the last one the last is repeated."""

    values: list[float]
    at: int = field(default=0)

    def __call__(self, rng: Generator, n: int) -> ArrayLike:
        del rng
        read = self.values[self.at : self.at + n]
        self.at += n
        return [(0.0, value) for value in read + [self.values[-1]] * (n - len(read))]


def _setup_of(values: Callable[[Params, Setting, str], list[float]]) -> Callable[[Params, Setting], Setup]:
    def setup(params: Params, setting: Setting) -> Setup:
        def recorded(case: Case) -> Sampler:
            return _InOrder(values(params, setting, case.key))

        was, measured = symmetric(0.0, 1.0), symmetric(1.0, 1.0)
        return Setup(
            tuple(correction(setting, target, 0, was, measured) for target in targets(COUNT)), sampler=recorded
        )

    return setup


def _drifting(params: Params, setting: Setting, key: str) -> list[float]:
    """A mean that runs through the decision boundary, downward, with normal noise."""
    n = setting.plan.n
    middle, drift = boundary_shift(setting.plan.rule, n, -1.0), number(params, "drift")
    noise = Generator(Philox(key=philox_key(setting.seed, f"{key}/noise"))).standard_normal(n + BLOCK).tolist()
    return [middle + drift * (0.5 - i / n) + value for i, value in enumerate(noise)]


def _front_loaded(params: Params, setting: Setting, key: str) -> list[float]:
    """A recorded sample that the baseline just rejects, its best draws first, or in a keyed random permutation."""
    n = setting.plan.n
    shift = boundary_shift(setting.plan.rule, n, -1.0)
    values = [NormalDist(shift).inv_cdf((n - i - 0.5) / n) for i in range(n)]
    if params["order"] == "recorded":
        return values
    keyed = Generator(Philox(key=philox_key(setting.seed, f"{key}/order")))
    return [values[i] for i in keyed.permutation(n).tolist()]


def _audits_tell(worlds: Worlds, _: Params) -> Iterable[Check]:
    fixed, adaptive = worlds.fixed.served, worlds.adaptive.served
    differ = sum(served.decision is not fixed[key].decision for key, served in adaptive.items())
    counts = worlds.adaptive.counts.counters
    audits, told = counts[Counter.AUDITS], counts[Counter.DISAGREEMENTS]
    yield Check(f"adaptive: {audits} of {COUNT} are audited", audits == COUNT)
    yield Check(f"adaptive: {differ} decisions differ from the fixed world's, audits tell of {told}", told == differ)


def _audits_tell_of_front_loading(worlds: Worlds, params: Params) -> Iterable[Check]:
    yield from _audits_tell(worlds, params)
    rejected = sum(served.decision is Decision.REJECTED for served in worlds.fixed.served.values())
    yield Check(f"fixed: {rejected} of {COUNT} rejected, in whatever order", rejected == COUNT)


DRIFTING_DRAWS = Scenario(
    id="drifting_draws",
    models="A simulation that drifts while it runs: the first draws say something else than the last.",
    expectation="No guarantee is claimed for it; audits tell of exactly the decisions that differ.",
    grid={"drift": (0.25, 0.5, 1.0, 2.0)},
    setup=_setup_of(_drifting),
    expect=_audits_tell,
    near_normal=False,
    exchangeable=lambda _: False,
)

FRONT_LOADED_DRAWS = Scenario(
    id="front_loaded_draws",
    models="A recorded sample that was stored with its best draws first.",
    expectation="Read as recorded, audits tell of every decision that differs; read in a keyed random permutation, the "
    "bound holds.",
    grid={"order": ("recorded", "shuffled")},
    setup=_setup_of(_front_loaded),
    expect=_audits_tell_of_front_loading,
    exchangeable=lambda params: params["order"] == "shuffled",
)
