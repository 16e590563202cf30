"""The plots of a rehearsal, all over the days of its compressed clock. Evidence starts anew with each stage, and so do
the lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import isfinite, nan
from typing import Any

from suffice.extras import imported_for
from suffice.reports.plots import ACCEPT, INK, MUTED, PAPER, REJECT, SERIES, legend_above, scale_percent, style
from suffice.rollout.phases import Phase

with imported_for("a report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

Row = Mapping[str, Any]

_SIZE = (5.7, 3.7)
_DAYS = "days of traffic"
_LETTER = 0.0165
_LINE = 0.075
_LONGEST = 18
_MARKS = {
    Phase.COMPLETED: (ACCEPT, "o"),
    Phase.PAUSED: (SERIES[3], "s"),
    Phase.AWAITING_APPROVAL: (SERIES[3], "s"),
    Phase.ROLLING_BACK: (REJECT, "v"),
    Phase.ROLLED_BACK: (REJECT, "X"),
}


@dataclass(frozen=True, slots=True)
class Span:
    """The days of a stage, and its rows of the history: one for each cycle that judged it."""

    stage: str
    begin: float
    end: float
    rows: tuple[Row, ...]

    @property
    def days(self) -> list[float]:
        return [row["day"] for row in self.rows]

    def values(self, name: str, scale: float = 1.0) -> list[float]:
        """NaN where nothing was measured, which leaves a gap."""
        return [scale * row[name] if _measured(row[name]) else nan for row in self.rows]


def spans_of(history: Sequence[Row]) -> list[Span]:
    """The stages of a history, in their order; each begins where the one before it ended."""
    spans: list[Span] = []
    for stage, group in groupby(history, key=lambda row: row["stage"]):
        rows = tuple(group)
        spans.append(Span(stage, spans[-1].end if spans else 0.0, rows[-1]["day"], rows))
    return spans


def stages_figure(history: Sequence[Row], first: int, final: Phase) -> Figure:
    """The weight over the days as steps, with each change of phase marked. `first` is the weight of the first stage;
    `final` the phase in the end, which may have come after the last cycle."""
    figure, axes = _panel(history, "weight: % of the targets")
    days, weights = [0.0, *(row["day"] for row in history)], [first, *(row["weight"] for row in history)]
    axes.fill_between(days, weights, step="post", color=SERIES[0], alpha=0.14, linewidth=0)
    axes.plot(days, weights, drawstyle="steps-post", color=SERIES[0], linewidth=2, gid="weight")
    for day, weight, phase in _changes(history, final):
        colour, marker = _MARKS[phase]
        axes.plot(
            [day], [weight], color=colour, marker=marker, markersize=9, markeredgecolor=PAPER, linestyle="none",
            clip_on=False, zorder=5, label=f"{spoken(phase)} on day {day:.2f}",
        )  # fmt: skip
    axes.set_ylim(-3, 103)
    return _finished(figure, axes, history)


def draws_figure(history: Sequence[Row], least: float) -> Figure:
    """The draws saved at the stopping times, and net of audits, with the least reduction that is demanded."""
    figure, axes = _panel(history, "% of the draws saved")
    for span in spans_of(history):
        _line(axes, span, "sample_reduction", SERIES[0], "at the stopping time")
        _line(axes, span, "net", SERIES[1], "net of audits")
    _limit(axes, least, "at least")
    axes.set_ylim(-3, 103)
    return _finished(figure, axes, history)


def disagreement_figure(history: Sequence[Row], most: float) -> Figure:
    """The rate at which audits disagree, inside of what is proven about it at any time, with the limit."""
    figure, axes = _panel(history, "audits that disagree")
    for span in spans_of(history):
        lower, upper = span.values("disagreement_lower", 100), span.values("disagreement_upper", 100)
        axes.fill_between(
            span.days, lower, upper, color=SERIES[0], alpha=0.14, linewidth=0, label=_once(axes, "not ruled out")
        )
        for bound in (lower, upper):
            axes.plot(span.days, bound, color=SERIES[0], linewidth=1, **_dot(bound))
        observed = [100 * share for share in _rates(span)]
        axes.plot(span.days, observed, color=SERIES[2], linewidth=2, label=_once(axes, "observed"), **_dot(observed))
    _limit(axes, most, "limit")
    scale_percent(axes, [100 * rate for span in spans_of(history) for rate in _rates(span)] + [100 * most], 100)
    return _finished(figure, axes, history)


def escalations_figure(history: Sequence[Row]) -> Figure:
    """The audited targets that escalate in one world only: upwards because of adaptive decisions, downwards spared by
    them."""
    figure, axes = _panel(history, "targets in one world only")
    most = 2.0
    for span in spans_of(history):
        for name, sign, colour, label in (
            ("excess", 1, REJECT, "only adaptively (excess)"),
            ("spared", -1, ACCEPT, "only in the baseline (spared)"),
        ):
            counts = span.values(name, sign)
            axes.fill_between(span.days, counts, step="post", color=colour, alpha=0.14, linewidth=0)
            look = {"drawstyle": "steps-post", "color": colour, "linewidth": 1.8, **_dot(counts)}
            axes.plot(span.days, counts, label=_once(axes, label), **look)
            most = max([most, *(abs(count) for count in counts if isfinite(count))])
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_ylim(-1.12 * most, 1.12 * most)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{abs(count):g}"))
    return _finished(figure, axes, history)


def spoken(phase: Phase) -> str:
    """The phase as a person says it: "rolled back"."""
    return phase.name.lower().replace("_", " ")


def levels(places: Sequence[tuple[float, float]]) -> list[int]:
    """A level for each (begin, end), so that none overlaps another of its level; the lowest that is free."""
    ends: list[float] = []
    taken = []
    for begin, end in places:
        level = next((i for i, used in enumerate(ends) if used <= begin), len(ends))
        ends[level:] = [end, *ends[level + 1 :]]
        taken.append(level)
    return taken


def _panel(history: Sequence[Row], name: str) -> tuple[Figure, Axes]:
    with style():
        figure = Figure(figsize=_SIZE)
        axes = figure.subplots()
        axes.set(xlabel=_DAYS, ylabel=name)
        if not history:
            axes.text(0.5, 0.5, "no cycle was judged", transform=axes.transAxes, ha="center", color=MUTED)
    return figure, axes


def _finished(figure: Figure, axes: Axes, history: Sequence[Row]) -> Figure:
    with style():
        axes.set_xlim(0, 1.015 * _last_day(history))
        axes.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 2.5, 5, 10]))
        height = _name_stages(axes, spans_of(history))
        if axes.get_legend_handles_labels()[1]:
            legend_above(axes, bottom=1 + _LINE * height)
    return figure


def _name_stages(axes: Axes, spans: Sequence[Span]) -> int:
    """A line where each stage begins, and its name on top. Returns how many levels the names need."""
    right = axes.get_xlim()[1]
    places = [_place(span, right) for span in spans]
    chosen = levels(places)
    for i, (span, (begin, end), level) in enumerate(zip(spans, places, chosen, strict=True)):
        if i:
            axes.axvline(span.begin, color=MUTED, linewidth=0.9, alpha=0.7)
        axes.text(
            (begin + end) / 2, 1.015 + _LINE * level, short(span.stage), transform=axes.transAxes, ha="center",
            fontsize=9, color=MUTED, parse_math=False,
        )  # fmt: skip
    return max(chosen, default=-1) + 1


def _place(span: Span, right: float) -> tuple[float, float]:
    """Where a name goes, in shares of the axis: centred over its stage, but inside."""
    width = _LETTER * (len(short(span.stage)) + 2)
    middle = min(max((span.begin + span.end) / 2 / right, width / 2), 1 - width / 2)
    return middle - width / 2, middle + width / 2


def short(name: str) -> str:
    """The name as it is shown over the plots."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _last_day(history: Sequence[Row]) -> float:
    return history[-1]["day"] if history else 1.0


def _changes(history: Sequence[Row], final: Phase) -> list[tuple[float, float, Phase]]:
    """(day, weight, phase) of each change of phase after the start."""
    seen = [(row["day"], row["weight"], Phase(row["phase"])) for row in history]
    if seen:
        seen.append((*seen[-1][:2], final))
    started = [(0.0, 0.0, Phase.PROGRESSING), *seen]
    return [after for before, after in pairwise(started) if after[2] is not before[2] and after[2] in _MARKS]


def _rates(span: Span) -> list[float]:
    counts = zip(span.values("disagreements"), span.values("audits"), strict=True)
    return [differ / audits if audits > 0 else nan for differ, audits in counts]


def _line(axes: Axes, span: Span, name: str, colour: str, label: str) -> None:
    shares = span.values(name, 100)
    axes.plot(span.days, shares, color=colour, linewidth=2, label=_once(axes, label), **_dot(shares))


def _once(axes: Axes, label: str) -> str:
    """The label for the legend the first time; matplotlib leaves out what begins with an underscore."""
    return label if label not in axes.get_legend_handles_labels()[1] else f"_{label}"


def _dot(values: Sequence[float]) -> dict[str, Any]:
    """One value alone makes no line, so it gets a dot."""
    return {"marker": "o", "markersize": 4} if sum(map(isfinite, values)) == 1 else {}


def _limit(axes: Axes, share: float, word: str) -> None:
    axes.axhline(100 * share, color=INK, linewidth=1.1, linestyle=(0, (5, 3)), label=f"{word} {100 * share:g} %")


def _measured(value: float | None) -> bool:
    return value is not None and isfinite(value)
