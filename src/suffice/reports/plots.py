"""Plots of a plan, and the ink that all plots share.

Figures are matplotlib objects without pyplot, so that no figure is registered anywhere. Equal input gives equal bytes:
no date, fixed ids, matplotlib's own defaults instead of the user's.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from math import floor, log10, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from suffice.decision.rule import Rule
from suffice.errors import OutputError
from suffice.extras import imported_for
from suffice.files import write_atomically
from suffice.sampling.distributions import Floats
from suffice.stopping.operating_counts import CountOperating
from suffice.stopping.plan import Plan

with imported_for("a plot"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

INK, MUTED, GRID, PAPER = "#1f2430", "#667085", "#e4e7ec", "#ffffff"
ACCEPT, REJECT = "#0f8a7e", "#c8511b"
SERIES = ("#2f5bd7", "#7a5195", "#d0377f", "#a67c00", "#475467")
"""One colour a method, in the order they were asked for."""

_TITLE_PAD = 36
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "figure.dpi": 120,
    "figure.facecolor": PAPER,
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.borderaxespad": 0.1,
    "legend.columnspacing": 1.2,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",
    "svg.hashsalt": "suffice",
    "text.color": INK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
}


@contextmanager
def style(salt: str = "suffice") -> Iterator[None]:
    """Our look, whatever the user's matplotlibrc says. SVG ids are a hash of `salt` and what they name."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**_STYLE, "svg.hashsalt": salt})
        yield


def plan_figure(plan: Plan) -> Figure:
    """Three panels: the boundaries, the average sample number over the truth, and the disagreement over the truth."""
    with style():
        figure = Figure(figsize=(14, 4.6))
        boundaries, asn, disagreement = figure.subplots(1, 3)
        figure.suptitle(_title(plan), x=0.01, ha="left", fontsize=12)
        boundaries.set_title("Where the plan stops", pad=_TITLE_PAD)
        draw_boundaries(boundaries, plan)
        _draw_asn(asn, plan)
        _draw_disagreement(disagreement, plan)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write an SVG or a PNG, by the name's suffix, whole or not at all. Raises OutputError for any other suffix."""
    kind = path.suffix.lower().removeprefix(".")
    if kind not in ("svg", "png"):
        raise OutputError(
            f"{path}: no picture can be written as {path.suffix or 'a file without suffix'!r}; allowed: .svg, .png"
        )
    write_atomically(path, rendered(figure, kind))


def rendered(figure: Figure, kind: str, salt: str = "suffice") -> bytes:
    """The figure as a file's content, without dates and programme versions. `kind` is svg or png."""
    unsaid = dict.fromkeys(("Creator", "Date", "Format", "Type") if kind == "svg" else ("Software",))
    content = BytesIO()
    with style(salt):
        figure.savefig(content, format=kind, metadata=unsaid)
    return content.getvalue()


def pace(rule: Rule, n: int) -> float:
    """What is taken off the statistic for each draw, so that boundaries are readable: for counts, the share of
    successes that just accepts; nothing for |t|."""
    return rule.critical(n) / n if rule.counts else 0.0


def draw_boundaries(axes: Axes, plan: Plan) -> None:
    """The regions where the plan accepts and rejects, over n; a stop can happen at the dots and at N only."""
    slope, finals = pace(plan.rule, plan.n), _final_boundaries(plan.rule, plan.n)
    sides = [
        _side([(b.n, b.accept_at) for b in plan.boundaries], plan.n, finals[0], slope),
        _side([(b.n, b.reject_at) for b in plan.boundaries], plan.n, finals[1], slope),
    ]
    low, high = _reach(plan.rule, sides)
    dot = float(np.clip(160 / max(1, len(plan.boundaries)), 1.0, 3.5))
    for (n, at), edge, colour, word in zip(sides, (high, low), (ACCEPT, REJECT), ("accept", "reject"), strict=True):
        axes.fill_between(n, at, edge, color=colour, alpha=0.12, linewidth=0)
        axes.plot(n, at, color=colour, linewidth=1.2, marker="o", markersize=dot, label=f"stop and {word}")
        axes.plot([plan.n, plan.n], [at[-1], edge], color=colour, linewidth=3, solid_capstyle="butt")
    axes.set(xlim=(0, plan.n * 1.015), ylim=(low, high), xlabel="draws n", ylabel=_statistic_name(plan.rule, plan.n))
    legend_above(axes)


def legend_above(axes: Axes, columns: int = 4, bottom: float = 1.0) -> None:
    """The legend between title and axes, where it hides nothing; `bottom` in heights of the axes."""
    legend = axes.legend(loc="lower left", bbox_to_anchor=(-0.01, bottom), ncols=columns, fontsize=9)
    legend.set_in_layout(
        axes.get_title(loc="left") == ""
    )  # a titled panel keeps its width and makes room by _TITLE_PAD


def limit_line(axes: Axes, plan: Plan) -> None:
    """The agreed bound ε in percent; the larger one, when it is split by direction."""
    agreed = plan.budget
    side = "" if agreed.accept == agreed.reject else " (reject)" if agreed.reject > agreed.accept else " (accept)"
    name = f"ε = {100 * agreed.largest:g} %{side}"
    axes.axhline(100 * agreed.largest, color=INK, linewidth=1.1, linestyle=(0, (5, 3)), label=name)


def scale_percent(axes: Axes, shown: Iterable[float], top: float) -> None:
    """For percentages of any size: linear from 0 to the least that matters (at most 1 %), logarithmic above."""
    start = 10.0 ** floor(log10(min(x for x in (*shown, 1.0) if x > 0)))
    axes.set_yscale("symlog", linthresh=start, linscale=0.7)
    ticks = [0.0, *(10.0**k for k in range(round(log10(start)), 3))]
    axes.set_yticks(ticks, [f"{tick:g} %" for tick in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylim(-0.12 * start, top)


def _title(plan: Plan) -> str:
    parameters = ", ".join(f"{name} = {value:g}" for name, value in plan.rule.parameters.items())
    saved = f"{100 * (1 - plan.uniform_asn / plan.n):.1f} % of the draws saved over the uniform mix"
    return f"{plan.method} plan for {plan.rule.name} ({parameters}), N = {plan.n}: {saved}"


def _statistic_name(rule: Rule, n: int) -> str:
    return f"successes − n · {rule.critical(n)}/{n}" if rule.counts else "|t|" if rule.two_sided else "t"


def _final_boundaries(rule: Rule, n: int) -> tuple[float, float]:
    """What the baseline accepts from, and rejects up to, at N."""
    critical = rule.critical(n)
    return critical, critical - 1 if rule.counts else critical


def _side(at: list[tuple[int, float | None]], size: int, final: float, slope: float) -> tuple[Floats, Floats]:
    """(n, boundary) where there is one, ending at N."""
    points = np.array([(n, value) for n, value in at if value is not None] + [(size, final)], dtype=np.float64)
    return points[:, 0], points[:, 1] - slope * points[:, 0]


def _reach(rule: Rule, sides: list[tuple[Floats, Floats]]) -> tuple[float, float]:
    """The range of the statistic that is shown."""
    values = np.concatenate([at for _, at in sides])
    low, high = float(values.min()), float(values.max())
    room = max(0.35 * (high - low), 2.0)
    return (low - room, high + room) if rule.counts or not rule.two_sided else (0.0, high + room)


def _draw_asn(axes: Axes, plan: Plan) -> None:
    truths = _truths(plan)
    axes.plot(truths, [plan.asn(float(x)) for x in truths], color=SERIES[0], linewidth=2, label="adaptive")
    axes.axhline(plan.n, color=MUTED, linewidth=1.4, linestyle=(0, (4, 2)), label=f"fixed: N = {plan.n}")
    axes.axhline(plan.uniform_asn, color=SERIES[0], linewidth=1, linestyle=":", label=f"mean: {plan.uniform_asn:.1f}")
    axes.set_title("Average draws", pad=_TITLE_PAD)
    axes.set(xlabel=_truth_name(plan), ylabel="draws", ylim=(0, 1.08 * plan.n))
    legend_above(axes)


def _draw_disagreement(axes: Axes, plan: Plan) -> None:
    """Over the truth, with the worst case; for counts also given the total of all N draws, where the worst case is."""
    truths, worst_at = _truths(plan), plan.worst_at
    if isinstance(plan.operating, CountOperating):
        truths, worst_at = _near_threshold(plan.operating), plan.worst_at / plan.n
        _draw_given_totals(axes, plan, plan.operating)
    worst = 100 * plan.worst_disagreement
    axes.plot([worst_at], [worst], color=REJECT, marker="D", linestyle="none", zorder=4, label=_worst_name(plan))
    shares = [100 * plan.disagreement(float(x)) for x in truths]
    axes.plot(truths, shares, color=SERIES[0], linewidth=2, label="given the truth")
    limit_line(axes, plan)
    axes.set_title("Disagreement with the baseline", pad=_TITLE_PAD)
    axes.set(xlabel=_truth_name(plan), ylabel="% of decisions")
    axes.set_ylim(0, 1.15 * max(worst, 100 * plan.budget.largest) or 1.0)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    legend_above(axes, columns=2)


def _draw_given_totals(axes: Axes, plan: Plan, operating: CountOperating) -> None:
    totals = np.unique([*np.round(_near_threshold(operating) * plan.n).astype(int), int(plan.worst_at)])
    given = [100 * operating.disagreement_given(int(total)) for total in totals]
    axes.plot(totals / plan.n, given, color=ACCEPT, linewidth=1, marker="o", markersize=2.5, label="given the total")


def _truths(plan: Plan) -> Floats:
    if isinstance(plan.operating, CountOperating):
        return np.unique(np.concatenate((np.linspace(0, 1, 201), _near_threshold(plan.operating))))
    return np.linspace(0.0 if plan.operating.two_sided else -8.0, 8.0, 161)


def _near_threshold(operating: CountOperating) -> Floats:
    """Probabilities within six standard errors of the threshold, where decisions can differ."""
    share = (operating.threshold - 0.5) / operating.size
    reach = 6 * sqrt(max(share * (1 - share), 1 / operating.size) / operating.size)
    return np.linspace(max(0.0, share - reach), min(1.0, share + reach), 121)


def _truth_name(plan: Plan) -> str:
    counts = isinstance(plan.operating, CountOperating)
    return "probability of success" if counts else "true effect in standard errors (at N)"


def _worst_name(plan: Plan) -> str:
    value = f"worst: {100 * plan.worst_disagreement:.3g} % at"
    if isinstance(plan.operating, CountOperating):
        return f"{value} {plan.worst_at}/{plan.n}"
    return f"{value} {plan.worst_at:.3g} s.e."
