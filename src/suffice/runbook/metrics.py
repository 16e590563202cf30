"""What the counters say together: averages, rates and what was saved."""

from dataclasses import asdict, dataclass

from suffice.answer import Answer
from suffice.comparison.intervals import clopper_pearson
from suffice.errors import MissingDataError
from suffice.telemetry.counters import Counter
from suffice.telemetry.metrics_file import OLDER, Metrics
from suffice.terminal import percent, print_table


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """Decisions and draws of one arm; the average is None where there are no decisions, or nobody counted them."""

    decisions: int | None
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


def show_metrics(metrics: Metrics, n: int | None) -> Answer:
    """What a metrics file holds and what follows; `n` is the N of fixed decisions, where it is known.

    Raises MissingDataError when no decisions have been counted.
    """
    summary = summarise(metrics, n)
    arms = {
        name: {"decisions": arm.decisions, "draws": arm.draws, "average_n": arm.average_n}
        for name, arm in (("adaptive", summary.adaptive), ("fixed", summary.fixed))
    }
    plain = {
        "metrics_file": metrics.path.as_posix(),
        "source": metrics.source,
        "decisions": metrics.counts.decisions,
        **arms,
        "early_stops": summary.early_stops,
        "early_stop_rate": summary.early_stop_rate,
        **{name: value for name, value in asdict(summary).items() if name not in ("adaptive", "fixed", "early_stops")},
        "counters": {counter.value: value for counter, value in metrics.counts.counters.items()},
    }
    return Answer(plain, lambda: _show(metrics, summary))


def summarise(metrics: Metrics, n: int | None) -> Summary:
    """`n` is the N of fixed decisions, where it is known.

    Raises MissingDataError when no decisions have been counted.
    """
    counts = {counter: metrics.counts.counters.get(counter, 0) for counter in Counter}
    if not metrics.has_decisions:
        raise MissingDataError(f"{metrics.path}: no decisions have been counted yet")
    used = counts[Counter.ADAPTIVE_USED]
    adaptive = ArmSummary(used, counts[Counter.ADAPTIVE_SAMPLES])
    told = None if metrics.source == OLDER else metrics.counts.decisions - used
    fixed = ArmSummary(told, counts[Counter.FIXED_SAMPLES])
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


def _show(metrics: Metrics, summary: Summary) -> None:
    between = (
        f"{percent(summary.disagreement_lower)} … {percent(summary.disagreement_upper)}" if summary.audits else "–"
    )
    rows = (
        ("decisions, adaptive", f"{summary.adaptive.decisions:,}"),
        ("decisions, fixed", "–" if summary.fixed.decisions is None else f"{summary.fixed.decisions:,}"),
        ("draws, adaptive", f"{summary.adaptive.draws:,}"),
        ("draws, fixed", f"{summary.fixed.draws:,}"),
        ("average n, adaptive", _average(summary.adaptive.average_n)),
        ("average n, fixed", _average(summary.fixed.average_n)),
        ("draws saved", percent(summary.saving, 1)),
        ("stopped early", percent(summary.early_stop_rate, 1)),
        ("audits", f"{summary.audits:,}"),
        ("disagreements", f"{summary.disagreements:,} = {percent(summary.disagreement_rate)}"),
        ("95 % interval", between),
        ("invalid", f"{summary.invalid:,}"),
        ("rollbacks", f"{summary.rollbacks:,}"),
        ("escalations", f"{summary.escalations:,}"),
        ("fallbacks", f"{summary.fallbacks:,}"),
    )
    title = f"{metrics.counts.decisions:,} decisions of {metrics.source} in {metrics.path.as_posix()}"
    print_table(title, ("counted", "value"), rows)


def _average(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
