"""What the counters say together: averages, rates and what was saved; in all, and in the stage of a rollout."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from suffice.answer import Answer
from suffice.comparison.intervals import clopper_pearson
from suffice.errors import DataError, MissingDataError
from suffice.telemetry.counters import Counter, by_frequency
from suffice.telemetry.metrics_file import LEDGER, OLDER, PRODUCTION, Metrics, read
from suffice.terminal import counted, percent, print_lines, print_table

if TYPE_CHECKING:
    from suffice.runbook.from_ledger import FromLedger


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
    rollbacks: int | None
    escalations: int | None
    stale: int | None
    reused_keys: int | None
    fallbacks: int
    sampler_errors: int | None
    sampler_retries: int | None
    sampler_errors_by_type: Mapping[str, int]

    @property
    def early_stop_rate(self) -> float | None:
        return self.early_stops / self.adaptive.decisions if self.adaptive.decisions else None


def show_metrics(
    metrics: Metrics, n: int | None, ledger: "FromLedger | None" = None, unread: str = "", unit: str = "cost"
) -> Answer:
    """What a metrics file holds and what follows; `n` is the N of fixed decisions, where it is known.

    Beside it what the `ledger` counts of the rollout's stage, what was saved, in this `unit` of cost and in time, and
    where file and ledger differ, or why the ledger is `unread`. Raises MissingDataError when no decisions have been
    counted.
    """
    if not metrics.has_decisions:
        raise MissingDataError(f"{metrics.path}: no decisions have been counted yet")
    summary, stage = summarise(metrics, n), ledger.stage if ledger else None
    of_stage = summarise(stage.metrics, n) if stage else None
    differs = _differing(metrics, ledger) if ledger else {}
    plain = {
        "metrics_file": metrics.path.as_posix(),
        "source": metrics.source,
        **_plain(metrics, summary),
        "counters": {counter.value: value for counter, value in metrics.counts.counters.items()},
        "stage": {
            "rollout": stage.rollout,
            "stage": stage.name,
            "health": list(stage.health),
            "slices": list(stage.slices),
            "saved": asdict(stage.saved),
            **_plain(stage.metrics, of_stage),
        }
        if stage and of_stage
        else None,
        "saved": asdict(ledger.saved) if ledger else None,
        "differs_from_ledger": {name: list(both) for name, both in differs.items()},
        "ledger_unread": unread or None,
    }

    def show() -> None:
        title = f"{metrics.counts.decisions:,} decisions of {metrics.source} in {metrics.path.as_posix()}"
        rows: tuple[tuple[str, ...], ...] = _cells(summary)
        columns: tuple[str, ...] = ("counted", "value")
        if stage and of_stage:
            columns = ("counted", "in all", f"stage {stage.name} of {stage.rollout}")
            rows = tuple((*row, cell) for row, (_, cell) in zip(rows, _cells(of_stage), strict=True))
        print_table(title, columns, rows)
        if stage and stage.health:
            _print_checks(f"Health of stage {stage.name}, as its last cycle saw it", "check", stage.health)
        if stage and stage.slices:
            _print_checks(f"Disagreement in stage {stage.name}, as its last cycle saw it", "slice", stage.slices)
        if ledger and ledger.saved.words(unit):
            print_lines(f"saved in all: {ledger.saved.words(unit)}")
        if stage and stage.saved.words(unit):
            print_lines(f"saved in stage {stage.name}: {stage.saved.words(unit)}")
        if unread:
            print_lines(f"the ledger cannot be read: {unread}")
        if differs:
            print_lines(
                f"{metrics.path.name} and the ledger differ; --from-ledger shows what is recorded:",
                *(
                    f"- {name}: {counted:,}, in the ledger {recorded:,}"
                    for name, (counted, recorded) in differs.items()
                ),
            )

    return Answer(plain, show)


def _print_checks(title: str, what: str, checks: Sequence[Mapping[str, Any]]) -> None:
    rows = ((check["gate"], check["outcome"], check["sentence"]) for check in checks)
    print_table(title, (what, "answer", "saw"), rows, left=3)


def show_production(path: Path, queue: Path, service: str, n: int | None, unit: str = "cost") -> Answer:
    """What production has counted: its metrics file, or the ledger where there is none on this host.

    No decision at all is an answer here: how long a service may be silent is judged by the gate health. Raises
    MissingDataError when there is no store, StoreError.
    """
    from suffice.runbook.from_ledger import count_ledger

    ledger = count_ledger(queue, service)
    try:
        metrics = read(path)
    except (DataError, MissingDataError):
        metrics = ledger.metrics
    if metrics.source != PRODUCTION or not metrics.has_decisions:
        metrics = ledger.metrics
    if not metrics.has_decisions:
        return Answer({"decisions": 0}, lambda: print_lines("no decision has been counted yet"))
    return show_metrics(metrics, n, ledger, unit=unit)


def summarise(metrics: Metrics, n: int | None) -> Summary:
    """What follows from the counters; `n` is the N of fixed decisions, where it is known."""
    counts = {counter: metrics.counts.counters.get(counter, 0) for counter in Counter}
    used, in_ledger = counts[Counter.ADAPTIVE_USED], metrics.source == LEDGER
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
        rollbacks=None if in_ledger else counts[Counter.ROLLBACKS],
        escalations=None if in_ledger else counts[Counter.ESCALATIONS],
        stale=None if in_ledger else counts[Counter.STALE],
        reused_keys=None if in_ledger else counts[Counter.REUSED_KEYS],
        fallbacks=counts[Counter.FALLBACKS],
        sampler_errors=None if in_ledger else counts[Counter.SAMPLER_ERRORS],
        sampler_retries=None if in_ledger else counts[Counter.SAMPLER_RETRIES],
        sampler_errors_by_type=dict(metrics.counts.sampler_errors),
    )


def _differing(metrics: Metrics, ledger: "FromLedger") -> dict[str, tuple[int, int]]:
    """What production's file counts otherwise than the ledger: both numbers by name."""
    if metrics.source != PRODUCTION:
        return {}
    counted, recorded = metrics.counts, ledger.metrics.counts
    both = {"decisions": (counted.decisions, recorded.decisions)}
    both |= {name.value: (counted.counters.get(name, 0), value) for name, value in recorded.counters.items()}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


def _plain(metrics: Metrics, summary: Summary) -> dict[str, Any]:
    arms = {
        name: {"decisions": arm.decisions, "draws": arm.draws, "average_n": arm.average_n}
        for name, arm in (("adaptive", summary.adaptive), ("fixed", summary.fixed))
    }
    return {
        "decisions": metrics.counts.decisions,
        **arms,
        "early_stops": summary.early_stops,
        "early_stop_rate": summary.early_stop_rate,
        **{name: value for name, value in asdict(summary).items() if name not in ("adaptive", "fixed", "early_stops")},
    }


def _saving(adaptive: float | None, fixed: float | None) -> float | None:
    return None if adaptive is None or not fixed else 1 - adaptive / fixed


def _cells(summary: Summary) -> tuple[tuple[str, str], ...]:
    between = (
        f"{percent(summary.disagreement_lower)} … {percent(summary.disagreement_upper)}" if summary.audits else "–"
    )
    return (
        ("decisions, adaptive", _count(summary.adaptive.decisions)),
        ("decisions, fixed", _count(summary.fixed.decisions)),
        ("draws, adaptive", _count(summary.adaptive.draws)),
        ("draws, fixed", _count(summary.fixed.draws)),
        ("average n, adaptive", _average(summary.adaptive.average_n)),
        ("average n, fixed", _average(summary.fixed.average_n)),
        ("draws saved", percent(summary.saving, 1)),
        ("stopped early", percent(summary.early_stop_rate, 1)),
        ("audits", _count(summary.audits)),
        ("disagreements", counted(summary.disagreements, summary.disagreement_rate)),
        ("95 % interval", between),
        ("invalid", _count(summary.invalid)),
        ("rollbacks", _count(summary.rollbacks)),
        ("escalations", _count(summary.escalations)),
        ("stale measurements", _count(summary.stale)),
        ("reused keys", _count(summary.reused_keys)),
        ("fallbacks", _count(summary.fallbacks)),
        ("sampler errors", _by_type(summary)),
        ("sampler errors, tried again", _count(summary.sampler_retries)),
    )


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _by_type(summary: Summary) -> str:
    types = by_frequency(summary.sampler_errors_by_type)
    return f"{_count(summary.sampler_errors)}{types and f': {types}'}"


def _average(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
