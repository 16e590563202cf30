"""A correction: a record, and the measurement that disagrees with it."""

from dataclasses import dataclass
from math import hypot, inf, isfinite

from suffice.errors import DataError
from suffice.sampling.distributions import Distribution, Normal, SplitNormal
from suffice.sampling.sampler import Pair
from suffice.verifier.case import Case, Features


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its upper and lower standard uncertainty, 0 where it is exact. Raises DataError otherwise."""

    value: float
    u_plus: float
    u_minus: float

    def __post_init__(self) -> None:
        if not isfinite(self.value):
            raise DataError(f"value is {self.value}; it must be finite")
        for name, u in (("u_plus", self.u_plus), ("u_minus", self.u_minus)):
            if not (isfinite(u) and u >= 0):
                raise DataError(f"{name} is {u}; it must be finite, and 0 or more")

    def distribution(self) -> Distribution:
        """Normal when both uncertainties are equal (a constant when they are 0), split normal otherwise."""
        if self.u_plus == self.u_minus:
            return Normal(self.value, self.u_plus)
        return SplitNormal(self.value, self.u_minus, self.u_plus)


@dataclass(frozen=True, slots=True)
class Correction:
    """A record and a later measurement of the same target; `key` is unique in its source.

    `time` is that of the measurement, `record_time` that of the record: a year, or ISO 8601 (`sources.times`). Contexts
    that differ hint at a measurement of something else.
    """

    key: str
    target: str
    record: Estimate
    measurement: Estimate
    time: str = ""
    region: str | None = None
    record_context: str | None = None
    measurement_context: str | None = None
    record_time: str = ""

    def case(self) -> Case:
        """The case that asks whether a drawn pair moves in the claimed direction, the sign of measurement − record.

        Its features are how large the change is (`effect`, in standard uncertainties of the difference) and how the
        measurement's uncertainty compares with the record's (`uncertainty_ratio`), where they are finite numbers.
        """
        change = self.measurement.value - self.record.value
        return Case(
            key=self.key,
            target=self.target,
            sampler=Pair(self.record.distribution(), self.measurement.distribution()),
            region=self.region,
            direction=(change > 0) - (change < 0),
            features=self._features(),
        )

    def _features(self) -> Features:
        record, measurement = _uncertainty(self.record), _uncertainty(self.measurement)
        change, spread = abs(self.measurement.value - self.record.value), hypot(record, measurement)
        known = {
            "effect": change / spread if spread > 0 else inf,
            "uncertainty_ratio": measurement / record if record > 0 else inf,
        }
        return {name: value for name, value in known.items() if isfinite(value)}


def _uncertainty(estimate: Estimate) -> float:
    """The mean of both sides."""
    return estimate.u_plus / 2 + estimate.u_minus / 2
