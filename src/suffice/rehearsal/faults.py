"""Faults on demand: what can be wrong with an adaptive variant, and what must come of it."""

from dataclasses import dataclass
from enum import Enum
from math import nan

from suffice.errors import PlanError
from suffice.serving.served import Feed
from suffice.stopping.make import plan
from suffice.stopping.plan import Plan
from suffice.stopping.request import Margin


class Kind(Enum):
    """The faults; the value says what is wrong and what comes of it."""

    MARGIN = "the old heuristic stops in place of the plan: decisions differ, and the rollout is rolled back"
    BIASED_SAMPLER = "the adaptive draws lean against the claim: decisions differ, and the rollout is rolled back"
    NAN = "the adaptive draws are NaN: the baseline takes over, and the rollout is rolled back"
    NO_METRICS = "nothing can be measured: the rollout pauses and is never promoted"
    STORM = "the adaptive path rejects all it sees: decisions differ, and the rollout is rolled back before it storms"

    @property
    def spelling(self) -> str:
        """As it is written on the command line."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault that begins with a stage and lasts."""

    stage: str
    kind: Kind

    @property
    def spelling(self) -> str:
        """As it is written on the command line."""
        return f"{self.stage}:{self.kind.spelling}"


def fault_of(text: str, stages: tuple[str, ...]) -> Fault:
    """The fault that STAGE:KIND names. Raises PlanError, with what is allowed."""
    stage, _, kind = text.partition(":")
    kinds = {k.spelling: k for k in Kind}
    if stage not in stages or kind not in kinds:
        allowed = f"stages {', '.join(stages)}; kinds {', '.join(kinds)}"
        raise PlanError(f"--fault is {text!r}; allowed: STAGE:KIND, {allowed}")
    return Fault(stage, kinds[kind])


def faulty_plan(kind: Kind, sound: Plan, margin: Margin) -> Plan:
    """The plan that a fault puts in place of the sound one."""
    if kind is Kind.MARGIN:
        return plan(sound.rule, sound.n, 0.01, method="margin", margin=margin)
    return sound


def faulty_feed(kind: Kind) -> Feed | None:
    """What a fault makes of the observations that the adaptive path is fed."""
    return {Kind.NAN: _nan, Kind.BIASED_SAMPLER: _biased, Kind.STORM: _contrary}.get(kind)


def feed_of(spelling: str) -> Feed | None:
    """What the fault of this spelling makes of the observations, None for one that leaves them or is not known."""
    return next((faulty_feed(kind) for kind in Kind if kind.spelling == spelling), None)


def _nan(observed: list[float]) -> list[float]:
    return [nan] * len(observed)


def _biased(observed: list[float]) -> list[float]:
    """Every third observation is turned into one that speaks against the claim."""
    return [0.0 if i % 3 == 0 else x for i, x in enumerate(observed)]


def _contrary(observed: list[float]) -> list[float]:
    return [0.0] * len(observed)
