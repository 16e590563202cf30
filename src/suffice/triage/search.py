"""A directed search for the region in which decisions differ, with a budget of decisions."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from suffice.sampling.distributions import Floats
from suffice.triage.region import Box, Labels, Space, fit, resolved

_FIRST, _ROUNDS = 0.35, 6
"""The share of the budget that is spread evenly, and the rounds that the rest is spent in."""

_WIDE, _NEAR = 0.30, 0.18
_EDGES = (0.12, 0.12, 0.5)
"""How far around the box it is searched, at first and later, and how far from an edge, in widths of the box.

A third of the decisions at an edge goes far from it: a box that is too small by bad luck would else stay so.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was seen, and the region that it shows: `box` is None where there is none, or none that can be told."""

    points: Floats
    labels: Labels
    box: Box | None
    resolved: bool


def search(
    differs: Callable[[Floats], tuple[Floats, Labels]],
    space: Space,
    budget: int,
    rng: Generator,
    points: Floats,
    labels: Labels,
) -> Found:
    """Look for the region with at most `budget` calls for a point, beside the points that are known.

    `differs` gets points, a row each, and says for each which point was decided about instead (the same, or the nearest
    one that there is), and whether decisions differ there. A third of the budget is spread
    evenly over what was seen of each feature; then half of each round goes around the box that is likeliest so far, and
    half to its faces, where a decision tells most about an edge.
    """
    spread = int(budget * _FIRST)
    per_round = (budget - spread) // _ROUNDS
    plan = [spread, *[per_round] * (_ROUNDS - 1), budget - spread - (_ROUNDS - 1) * per_round]
    for number, count in enumerate(plan if space.axes and budget else ()):
        box = fit(points, labels, space, rng) if number else None
        asked = (
            _even(space, count, rng) if box is None else _around(space, box, count, rng, _WIDE if number < 3 else _NEAR)
        )
        decided, differing = differs(asked)
        points, labels = np.vstack([points, decided]), np.r_[labels, differing]
    box = fit(points, labels, space, rng, starts=12)
    return Found(points, labels, box, box is not None and resolved(points, labels, space, box, rng))


def _even(space: Space, count: int, rng: Generator) -> Floats:
    """Spread evenly and at random, as Latin hypercubes are; texts one value after the other."""
    points = np.empty((count, len(space.axes)))
    for column, axis in enumerate(space.axes):
        places = (rng.permutation(count) + rng.random(count)) / max(count, 1)
        points[:, column] = np.floor(places * len(axis.values)) if axis.is_text else places
    return points


def _around(space: Space, box: Box, count: int, rng: Generator, margin: float) -> Floats:
    points = _even(space, count, rng)
    low, high = box.edges()
    width, numbers = high - low, [column for column, axis in enumerate(space.axes) if not axis.is_text]
    for column in numbers:
        begin, end = max(low[column] - margin * width[column], 0), min(high[column] + margin * width[column], 1)
        points[:, column] = begin + points[:, column] * (end - begin)
    for column, allowed in enumerate(box.allowed):
        if len(allowed):
            # Mostly inside; the rest shows whether the other values do not belong to it.
            inside = rng.choice(np.flatnonzero(allowed), count)
            points[:, column] = np.where(rng.random(count) < 1 - margin, inside, points[:, column])
    faces = [(c, edge) for c in numbers for edge in (low[c], high[c]) if 0 < edge < 1]
    for row in range(count // 2 if faces else 0):
        column, edge = faces[rng.integers(len(faces))]
        points[row, numbers] = low[numbers] + rng.random(len(numbers)) * width[numbers]
        points[row, column] = np.clip(edge + rng.normal(0, _EDGES[row % len(_EDGES)] * width[column]), 0, 1)
    return points
