"""What a run of a scenario is given, what it is judged by, and the words that scenarios share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from suffice.resolution.storm import StormPolicy
from suffice.sampling.sampler import Sampler
from suffice.sources.correction import Correction, Estimate
from suffice.stopping.plan import Plan
from suffice.store.records import Record
from suffice.verifier.case import Case

Value: TypeAlias = float | int | str
Params: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a scenario is run under. `scope` stands before every key, so that each run has streams of its own; `at` is
    the time that everything is stored with, in seconds since the epoch."""

    plan: Plan
    seed: int
    policy: StormPolicy
    at: float
    scope: str


@dataclass(frozen=True, slots=True)
class Setup:
    """The input of a run: corrections in order, records that the store has before them, and what draws the validations
    (None: the distributions of the correction itself). `sampler` is asked anew for each validation."""

    corrections: tuple[Correction, ...]
    records: tuple[Record, ...] = ()
    sampler: Callable[[Case], Sampler] | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, as a sentence with its numbers."""

    what: str
    holds: bool


def number(params: Params, name: str) -> float:
    """A parameter that is a number."""
    return float(params[name])


def correction(
    setting: Setting,
    target: str,
    step: int,
    record: Estimate,
    measurement: Estimate,
    record_context: str | None = None,
    measurement_context: str | None = None,
) -> Correction:
    """Step `step` (0, 1, …) of a target's corrections in this run."""
    return Correction(
        key=f"{setting.scope}/{target}/{step:03d}",
        target=target,
        record=record,
        measurement=measurement,
        time=f"{step:03d}",
        record_context=record_context,
        measurement_context=measurement_context,
    )


def targets(count: int) -> list[str]:
    """The names of a run's targets."""
    return [f"target-{i:03d}" for i in range(count)]


def symmetric(value: float, u: float) -> Estimate:
    """An estimate with equal uncertainties."""
    return Estimate(value, u, u)
