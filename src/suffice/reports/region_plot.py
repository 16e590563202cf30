"""The picture of a region: how often cases are marked over its two most telling features."""

from collections.abc import Sequence

import numpy as np

from suffice.extras import imported_for
from suffice.reports.plots import GRID, INK, MUTED, PAPER, REJECT, style
from suffice.sampling.distributions import Floats
from suffice.terminal import visible
from suffice.triage.map import Mapped
from suffice.triage.region import Axis, Mask

with imported_for("a plot"):
    import matplotlib.axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

_CELLS = 12
_SIZE = (6.4, 4.8)


def region_figure(mapped: Mapped) -> Figure:
    """The rate of marked cases as colour, each case as a dot (a marked one is larger), and the region as a frame.

    A rule about a third feature is not in the picture: its words are in the title.
    """
    columns = _telling(mapped)
    axes_of = [mapped.space.axes[column] for column in columns]
    points, labels = mapped.found.points[:, columns], mapped.found.labels
    known = ~np.isnan(points).any(axis=1)
    shown = np.column_stack([_spread(axis, points[known, place]) for place, axis in enumerate(axes_of)])
    marks = labels[known] > 0
    with style():
        figure = Figure(figsize=_SIZE)
        axes = figure.subplots()
        axes.grid(visible=False)
        _draw_rates(figure, axes, axes_of, shown, marks)
        for which, colour, size in ((~marks, MUTED, 4), (marks, INK, 16)):
            axes.scatter(shown[which, 0], shown[which, 1], s=size, color=colour, linewidths=0)
        _frame(axes, mapped, columns)
        axes.set_title("\n".join(map(_text, mapped.rules)) or "not resolved")
        _scale(axes.xaxis, axes_of[0])
        _scale(axes.yaxis, axes_of[-1])
    return figure


def _telling(mapped: Mapped) -> list[int]:
    """The columns of the features with the narrowest rules, then the others; two of them, or the only one twice."""
    box = mapped.found.box
    count = len(mapped.space.axes)
    if box is None:
        return [0, min(1, count - 1)]
    low, high = box.edges()
    shares = [float(a.mean()) if len(a) else high[j] - low[j] for j, a in enumerate(box.allowed)]
    order = sorted(range(count), key=shares.__getitem__)
    return [order[0], order[min(1, count - 1)]]


def _spread(axis: Axis, values: Floats) -> Floats:
    """Texts beside each other, with room between them for the cases that share one."""
    if not axis.is_text:
        return axis.low + values * (axis.high - axis.low)
    # Not at random: equal input gives an equal picture.
    return values + 0.7 * ((np.arange(len(values)) * 0.618) % 1 - 0.5)


def _draw_rates(figure: Figure, axes: "matplotlib.axes.Axes", of: Sequence[Axis], shown: Floats, marks: Mask) -> None:
    cells = [np.arange(len(axis.values) + 1) - 0.5 if axis.is_text else _CELLS for axis in of]
    counts, *edges = np.histogram2d(shown[:, 0], shown[:, 1], bins=cells)
    marked, *_ = np.histogram2d(shown[marks, 0], shown[marks, 1], bins=edges)
    rates = np.where(counts > 0, marked / np.maximum(counts, 1), np.nan)
    colours = LinearSegmentedColormap.from_list("rate", [PAPER, REJECT])
    mesh = axes.pcolormesh(*edges, rates.T, cmap=colours, vmin=0, vmax=1, alpha=0.8)
    bar = figure.colorbar(mesh, ax=axes, label="rate of marked cases")
    bar.outline.set_edgecolor(GRID)


def _frame(axes: "matplotlib.axes.Axes", mapped: Mapped, columns: Sequence[int]) -> None:
    box = mapped.found.box
    if box is None or not mapped.resolved:
        return
    sides = []
    for column in columns:
        axis, allowed = mapped.space.axes[column], box.allowed[column]
        if axis.is_text:
            inside = np.flatnonzero(allowed)
            # Values that are not neighbours have no common frame.
            whole = len(inside) == inside[-1] - inside[0] + 1
            sides.append((inside[0] - 0.5, inside[-1] + 0.5) if whole else (-0.5, len(allowed) - 0.5))
        else:
            low, high = box.edges()
            width = axis.high - axis.low
            sides.append((axis.low + low[column] * width, axis.low + high[column] * width))
    (left, right), (bottom, top) = sides
    axes.add_patch(Rectangle((left, bottom), right - left, top - bottom, fill=False, edgecolor=INK, linewidth=1.4))


def _scale(axis: "matplotlib.axis.Axis", feature: Axis) -> None:
    axis.set_label_text(_text(feature.name))
    if feature.is_text:
        axis.set_ticks(range(len(feature.values)), labels=[_text(value[:20]) for value in feature.values])


def _text(text: str) -> str:
    """A name as it is: no formula, and nothing that an SVG cannot hold."""
    return visible(text).replace("$", r"\$")
