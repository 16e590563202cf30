"""What the counters say together: averages, rates and what was saved."""

from dataclasses import dataclass

from suffice.comparison.intervals import clopper_pearson
from suffice.errors import MissingDataError
from suffice.telemetry.counters import Counter
from suffice.telemetry.metrics_file import Metrics


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """Decisions and draws of one arm; the average is None where there are no decisions."""

    decisions: int
    draws: int

    @property
    def average_n(self) -> float | None:
        return self.draws / self.decisions if self.decisions else None


@dataclass(frozen=True, slots=True)
class Summary:
    """The counters of a metrics file and what follows from them.

    `saving` is the share of the fixed draws that adaptive decisions did not need: against the average of the fixed
    decisions, or, where there are none, against N. `disagreement_*` are over audits, with an exact 95 % interval. What
    cannot be told is None.
    """

    adaptive: ArmSummary
    fixed: ArmSummary
    early_stops: int
    saving: float | None
    audits: int
    disagreements: int
    disagreement_rate: float | None
    disagreement_lower: float | None
    disagreement_upper: float | None
    invalid: int
    rollbacks: int
    escalations: int
    fallbacks: int

    @property
    def early_stop_rate(self) -> float | None:
        return self.early_stops / self.adaptive.decisions if self.adaptive.decisions else None


def summarise(metrics: Metrics, n: int | None) -> Summary:
    """`n` is the N of fixed decisions, where it is known.

    Raises MissingDataError when no decisions have been counted.
    """
    counts = {counter: metrics.counts.counters.get(counter, 0) for counter in Counter}
    if metrics.counts.decisions == 0:
        raise MissingDataError(f"{metrics.path}: no decisions have been counted yet")
    adaptive = ArmSummary(counts[Counter.ADAPTIVE_USED], counts[Counter.ADAPTIVE_SAMPLES])
    fixed = ArmSummary(metrics.counts.decisions - adaptive.decisions, counts[Counter.FIXED_SAMPLES])
    audits, disagreements = counts[Counter.AUDITS], counts[Counter.DISAGREEMENTS]
    interval = clopper_pearson(disagreements, audits) if audits else (None, None)
    return Summary(
        adaptive=adaptive,
        fixed=fixed,
        early_stops=counts[Counter.ADAPTIVE_EARLY_STOP],
        saving=_saving(adaptive.average_n, fixed.average_n or n),
        audits=audits,
        disagreements=disagreements,
        disagreement_rate=disagreements / audits if audits else None,
        disagreement_lower=interval[0],
        disagreement_upper=interval[1],
        invalid=counts[Counter.INVALID],
        rollbacks=counts[Counter.ROLLBACKS],
        escalations=counts[Counter.ESCALATIONS],
        fallbacks=counts[Counter.FALLBACKS],
    )


def _saving(adaptive: float | None, fixed: float | None) -> float | None:
    return None if adaptive is None or not fixed else 1 - adaptive / fixed
