"""The plots of a comparison that a person looks at first."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite, nan
from typing import Any

import numpy as np

from suffice.comparison.compare import CELL, Comparison, MethodResult
from suffice.comparison.intervals import clopper_pearson
from suffice.decision.rule import Decision
from suffice.extras import imported_for
from suffice.reports.plots import (
    ACCEPT,
    INK,
    MUTED,
    PAPER,
    REJECT,
    SERIES,
    draw_boundaries,
    legend_above,
    limit_line,
    pace,
    scale_percent,
    style,
)

with imported_for("a report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
from suffice.verifier.loop import observations
from suffice.verifier.many import CaseResult

PATHS = 10
_MARKERS = "osD^v"
_SIZE = (5.7, 4.0)
_X = "distance from the decision boundary, in standard errors"
_PATH_POINTS = 128
_SIDES = {Decision.ACCEPTED: (ACCEPT, "^"), Decision.REJECTED: (REJECT, "v")}


def draws_figure(comparison: Comparison) -> Figure:
    """Average draws in each effect cell, fixed against each method, above how many cases each cell has."""
    with style():
        figure = Figure(figsize=_SIZE)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(6, 1))
        top.axhline(comparison.n, color=MUTED, linewidth=1.6, linestyle=(0, (4, 2)), label=f"fixed: N = {comparison.n}")
        for i, method in enumerate(comparison.methods):
            cells = sorted(method.cells)
            means = [method.cells[c].adaptive_draws / method.cells[c].cases for c in cells]
            if i == 0:
                top.fill_between(_middles(cells), means, comparison.n, color=SERIES[0], alpha=0.10, linewidth=0)
            top.plot(_middles(cells), means, **_line(i), label=method.plan.method)
        top.set(ylabel="average draws", ylim=(0, 1.07 * comparison.n))
        _draw_case_counts(bottom, comparison)
        legend_above(top)
    return figure


def disagreement_figure(comparison: Comparison) -> Figure:
    """The share of decisions that differ in each effect cell, with exact 95 % intervals, on a scale that shows 0 and
    100 %."""
    with style():
        figure = Figure(figsize=_SIZE)
        axes = figure.subplots()
        for i, method in enumerate(comparison.methods):
            _draw_rates(axes, method, i, len(comparison.methods))
        limit_line(axes, comparison.methods[0].plan)
        _scale_rates(axes, comparison.methods)
        axes.set(xlabel=_X, ylabel="decisions that differ")
        _lay_out_cells(axes, comparison)
        legend_above(axes)
    return figure


def paths_figure(comparison: Comparison) -> Figure:
    """The first method's boundaries with the sample paths of some cases: solid to the stop, faint from there to N."""
    with style():
        figure = Figure(figsize=_SIZE)
        axes = figure.subplots()
        plan = comparison.methods[0].plan
        draw_boundaries(axes, plan)
        for result in chosen_examples(comparison.whole.examples):
            _draw_path(axes, comparison, result)
        legend_above(axes)
    return figure


def chosen_examples(examples: Mapping[int, CaseResult], count: int = PATHS) -> list[CaseResult]:
    """Up to `count` of the examples, spread evenly over the effect cells that have one."""
    cells = sorted(examples)
    picked = sorted({round(x) for x in np.linspace(0, len(cells) - 1, min(count, len(cells)))}) if cells else []
    return [examples[cells[i]] for i in picked]


def path_of(comparison: Comparison, result: CaseResult) -> list[tuple[int, float]]:
    """(n, statistic) of a case's own draws as the first method saw them: at each look, and between looks where there is
    room. Counts are taken off the pace that just accepts."""
    plan = comparison.methods[0].plan
    observed = observations(result.case, comparison.rule, comparison.n, comparison.seed)
    every = max(1, comparison.n // _PATH_POINTS)
    stops = sorted({*plan.looks, *range(every, comparison.n, every), result.verdicts[0].n, comparison.n})
    tally, slope, path = comparison.rule.tally(), pace(comparison.rule, comparison.n), []
    for before, n in pairwise((0, *stops)):
        tally.add(observed[before:n])
        path.append((n, tally.statistic - slope * n if isfinite(tally.statistic) else nan))
    return path


def _draw_path(axes: Axes, comparison: Comparison, result: CaseResult) -> None:
    verdict = result.verdicts[0]
    colour, marker = _SIDES[verdict.decision]
    path = path_of(comparison, result)
    taken = [point for point in path if point[0] <= verdict.n]
    rest = [point for point in path if point[0] >= verdict.n]
    axes.plot(*zip(*rest, strict=True), color=colour, alpha=0.28, linewidth=0.9, gid="rest")
    axes.plot(*zip(*taken, strict=True), color=colour, linewidth=1.5, gid="path")
    axes.plot(*taken[-1], color=colour, marker=marker, markersize=7, markeredgecolor=PAPER, gid="stop", zorder=4)


def _draw_case_counts(axes: Axes, comparison: Comparison) -> None:
    cells = comparison.methods[0].cells
    order = sorted(cells)
    axes.bar(_middles(order), [cells[c].cases for c in order], width=0.86 * CELL, color=MUTED, alpha=0.5, linewidth=0)
    axes.set(xlabel=_X, ylabel="cases", yticks=[])
    axes.grid(visible=False)
    _lay_out_cells(axes, comparison)


def _draw_rates(axes: Axes, method: MethodResult, i: int, methods: int) -> None:
    """Bars of all cells for the first method; for the others only where decisions differ, else they hide it."""
    cells = sorted(method.cells)
    rates = 100 * np.array([method.cells[c].rate for c in cells])
    x = np.array(_middles(cells)) + (i - (methods - 1) / 2) * 0.16 * CELL
    for at, cell in zip(x, cells, strict=True):
        part = method.cells[cell]
        if i == 0 or part.disagreements:
            low, high = clopper_pearson(part.disagreements, part.cases)
            axes.plot([at, at], [100 * low, 100 * high], color=SERIES[i % len(SERIES)], alpha=0.4, linewidth=1.2)
    axes.plot(x, rates, color=SERIES[i % len(SERIES)], linewidth=1, alpha=0.35)
    axes.plot(x, rates, **{**_line(i), "linestyle": "none"}, label=method.plan.method)


def _scale_rates(axes: Axes, methods: Sequence[MethodResult]) -> None:
    rates = [100 * part.rate for method in methods for part in method.cells.values() if part.disagreements]
    limits = [100 * method.plan.budget.largest for method in methods]
    scale_percent(axes, [*rates, *limits], 115)


def _lay_out_cells(axes: Axes, comparison: Comparison) -> None:
    """The range of cells that hold a case, and the decision boundary at 0."""
    cells = comparison.methods[0].cells
    axes.set_xlim(CELL * (min(cells, default=-2) - 0.5), CELL * (max(cells, default=1) + 1.5))
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    if cells:
        axes.axvline(0, color=INK, linewidth=0.8, alpha=0.5)
    else:
        axes.text(0.5, 0.5, "no case with a valid baseline", transform=axes.transAxes, ha="center", color=MUTED)


def _middles(cells: Sequence[int]) -> list[float]:
    return [(cell + 0.5) * CELL for cell in cells]


def _line(i: int) -> dict[str, Any]:
    return {
        "color": SERIES[i % len(SERIES)],
        "linewidth": 2.2 if i == 0 else 1.6,
        "marker": _MARKERS[i % len(_MARKERS)],
        "markersize": 4.0,
        "zorder": 3.5 - i / 10,
    }
