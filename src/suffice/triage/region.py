"""The region of cases in which decisions differ: rules over features, found by their likelihood.

A region is a box: an interval of each number, a set of values of each text, with one rate of differences inside and
another one outside. The box of greatest likelihood is climbed to one feature at a time, from several starts (PRIM of
Friedman & Fisher 1999, Statistics and Computing 9, with a likelihood in place of the peeled mean). Whether the box can
be believed is asked of the data once more: boxes of bootstrap samples must look like it (`resolved`).

Everything here is a function of cases and labels: who decides, and what it costs, is in `map`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy.special import xlogy

from suffice.sampling.distributions import Floats

Labels: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
Features: TypeAlias = Mapping[str, float | str]

_STARTS, _SWEEPS = 6, 12
_RESAMPLES = 20
_EDGES = 300
_NEEDED = 3
"""Differences below which no region is looked for."""

_WORTH = 3.0
"""Log likelihood that a rule must bring to be kept: about p = 0.014 for an edge that is none."""

_ALIKE, _MOSTLY = 0.8, 0.15
"""Bootstrap boxes overlap the box by at least so much, but for a share of them: then it is resolved."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One feature: a number between `low` and `high`, or a text that is one of `values`."""

    name: str
    low: float = 0.0
    high: float = 1.0
    values: tuple[str, ...] = ()

    @property
    def is_text(self) -> bool:
        return bool(self.values)


@dataclass(frozen=True, slots=True)
class Space:
    """The features that cases are described by, and the ranges that were seen of them."""

    axes: tuple[Axis, ...]

    @classmethod
    def of(cls, cases: Sequence[Features]) -> "Space":
        """Every feature of these cases: text where any value is one, and left out where all are alike."""
        names = dict.fromkeys(name for case in cases for name in case)
        axes = (_axis(name, [case[name] for case in cases if name in case]) for name in names)
        return cls(tuple(axis for axis in axes if axis is not None))

    def points(self, cases: Iterable[Features]) -> Floats:
        """A row a case, a column an axis: numbers scaled so that the range is 0 … 1, texts as places among the values.

        NaN where a case lacks the feature, or has a text that is not among the values.
        """
        rows = [[_place(axis, case.get(axis.name)) for axis in self.axes] for case in cases]
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self.axes))

    def features(self, point: Floats) -> dict[str, float | str]:
        """The features that a point stands for."""
        return {
            axis.name: axis.values[int(value)] if axis.is_text else float(axis.low + value * (axis.high - axis.low))
            for axis, value in zip(self.axes, point, strict=True)
            if not isnan(value)
        }


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """Points with low ≤ x ≤ high in each column of a number (±∞ for no rule), and one of `allowed` in each of a text.

    `allowed[j]` has a place for each value of a text axis, and is empty for a number.
    """

    low: Floats
    high: Floats
    allowed: tuple[Mask, ...]

    def contains(self, points: Floats) -> Mask:
        """Whether each point is inside. One that lacks a feature which a rule is about is not."""
        inside = np.ones(len(points), dtype=np.bool_)
        for column in range(len(self.low)):
            inside &= self._within(points[:, column], column)
        return inside

    def _within(self, values: Floats, column: int) -> Mask:
        allowed = self.allowed[column]
        if len(allowed):
            known = ~np.isnan(values)
            return np.where(known, allowed[np.where(known, values, 0).astype(np.int64)], allowed.all())
        if self.low[column] == -inf and self.high[column] == inf:
            return np.ones(len(values), dtype=np.bool_)
        within: Mask = (values >= self.low[column]) & (values <= self.high[column])
        return within

    def rules(self, space: Space) -> tuple[str, ...]:
        """What makes a case belong to the region, a sentence's part for each feature."""
        return tuple(filter(None, (self._rule(axis, column) for column, axis in enumerate(space.axes))))

    def _rule(self, axis: Axis, column: int) -> str:
        allowed = self.allowed[column]
        if len(allowed):
            names = [value for value, inside in zip(axis.values, allowed, strict=True) if inside]
            return "" if allowed.all() else f"{axis.name} is {' or '.join(names)}"
        low, high = (axis.low + edge * (axis.high - axis.low) for edge in (self.low[column], self.high[column]))
        if low == -inf:
            return "" if high == inf else f"{axis.name} ≤ {high:.4g}"
        return f"{axis.name} ≥ {low:.4g}" if high == inf else f"{low:.4g} ≤ {axis.name} ≤ {high:.4g}"

    def edges(self) -> tuple[Floats, Floats]:
        """The interval of each column, cut to what was seen: 0 … 1."""
        return np.clip(self.low, 0, 1), np.clip(self.high, 0, 1)


def overlap(one: Box, other: Box) -> float:
    """Volume of the intersection over that of the union, of what was seen of each feature."""
    shared = _volume(one, other)
    return shared / (_volume(one, one) + _volume(other, other) - shared) if shared else 0.0


def fit(points: Floats, labels: Labels, space: Space, rng: Generator, starts: int = _STARTS) -> Box | None:
    """The box of greatest likelihood whose rate inside is the higher one; None where nothing is worth a rule.

    `labels` are 1 where decisions differ. An edge lies half way between the outermost point inside and the next one.
    """
    positive = points[labels > 0]
    if len(positive) < _NEEDED or not space.axes:
        return None
    best, best_score = _whole(space), 0.0
    for start in range(starts):
        box = _climbed(points, labels, space, _started(positive, space, rng, start), rng)
        score = _gain(labels, box.contains(points))
        if score > best_score:
            best, best_score = box, score
    pruned = _pruned(points, labels, space, best)
    return pruned if pruned.rules(space) else None


def resolved(points: Floats, labels: Labels, space: Space, box: Box, rng: Generator) -> bool:
    """Whether boxes of bootstrap samples look like this one: only then is it told as a region."""
    if _gain(labels, box.contains(points)) < _WORTH * 2 * len(space.axes):
        return False
    overlaps = []
    for _ in range(_RESAMPLES):
        chosen = rng.integers(len(points), size=len(points))
        again = fit(points[chosen], labels[chosen], space, rng, starts=2)
        overlaps.append(0.0 if again is None else overlap(box, again))
    return bool(np.quantile(overlaps, _MOSTLY) >= _ALIKE)


def _axis(name: str, values: Sequence[float | str]) -> Axis | None:
    if any(isinstance(value, str) for value in values):
        texts = tuple(sorted({str(value) for value in values}))
        return Axis(name, values=texts) if len(texts) > 1 else None
    low, high = min(map(float, values)), max(map(float, values))
    return Axis(name, low, high) if low < high else None


def _place(axis: Axis, value: float | str | None) -> float:
    if value is None:
        return np.nan
    if axis.is_text:
        return float(axis.values.index(str(value))) if str(value) in axis.values else np.nan
    return np.nan if isinstance(value, str) else (value - axis.low) / (axis.high - axis.low)


def _whole(space: Space) -> Box:
    count = len(space.axes)
    allowed = tuple(np.ones(len(axis.values), dtype=np.bool_) for axis in space.axes)
    return Box(np.full(count, -inf), np.full(count, inf), allowed)


def _started(positive: Floats, space: Space, rng: Generator, start: int) -> Box:
    """Around most differences first, then around one of them at random."""
    box = _whole(space)
    numbers = np.array([not axis.is_text for axis in space.axes])
    if start == 0:
        with np.errstate(invalid="ignore"):
            low, high = np.nanquantile(positive, 0.1, axis=0), np.nanquantile(positive, 0.9, axis=0)
    else:
        middle, width = positive[rng.integers(len(positive))], rng.uniform(0.15, 0.5)
        low, high = middle - width, middle + width
    known = numbers & ~np.isnan(low)
    return Box(np.where(known, low, -inf), np.where(known, high, inf), box.allowed)


def _climbed(points: Floats, labels: Labels, space: Space, box: Box, rng: Generator) -> Box:
    """Each feature's rule replaced by the best one given all others, until nothing changes."""
    score = -inf
    for _ in range(_SWEEPS):
        for column in rng.permutation(len(space.axes)):
            box = _improved(points, labels, space, box, int(column))
        after = _gain(labels, box.contains(points))
        if after <= score + 1e-9:
            break
        score = after
    return box


def _improved(points: Floats, labels: Labels, space: Space, box: Box, column: int) -> Box:
    others = _without(box, space, column)
    among = others.contains(points) & ~np.isnan(points[:, column])
    if not labels[among].any():
        return box
    values, marks = points[among, column], labels[among]
    if space.axes[column].is_text:
        allowed = _best_values(values, marks, labels, len(space.axes[column].values))
        return Box(box.low, box.high, (*box.allowed[:column], allowed, *box.allowed[column + 1 :]))
    low, high = _best_interval(values, marks, labels)
    lows, highs = box.low.copy(), box.high.copy()
    lows[column], highs[column] = low, high
    return Box(lows, highs, box.allowed)


def _best_interval(values: Floats, marks: Labels, labels: Labels) -> tuple[float, float]:
    order = np.argsort(values, kind="stable")
    values, marks = values[order], marks[order]
    # A cut between equal values is none.
    begins = np.flatnonzero(np.r_[True, values[1:] > values[:-1]])
    count = np.r_[0, np.cumsum(marks)]
    # The best interval begins and ends at a difference, or is unbounded.
    last = np.r_[begins[1:], len(values)]
    has = count[last] > count[begins]
    first, end = begins[has | (begins == 0)], last[has | (last == len(values))]
    first, end = _thinned(first), _thinned(end)
    a, b = np.meshgrid(first, end, indexing="ij")
    inside = b > a
    a, b = a[inside], b[inside]
    gains = _gains(count[b] - count[a], b - a, int(labels.sum()), len(labels))
    place = int(gains.argmax())
    low, high = a[place], b[place]
    return (
        -inf if low == 0 else (values[low] + values[low - 1]) / 2,
        inf if high == len(values) else (values[high - 1] + values[high]) / 2,
    )


def _best_values(values: Floats, marks: Labels, labels: Labels, count: int) -> Mask:
    """The values of highest rates, so many as are likeliest: no other choice is likelier (Breiman et al. 1984)."""
    sizes = np.bincount(values.astype(np.int64), minlength=count)
    differing = np.bincount(values.astype(np.int64), weights=marks, minlength=count)
    order = np.argsort(-differing / np.maximum(sizes, 1), kind="stable")
    gains = _gains(np.cumsum(differing[order]), np.cumsum(sizes[order]), int(labels.sum()), len(labels))
    allowed = np.zeros(count, dtype=np.bool_)
    allowed[order[: int(gains.argmax()) + 1]] = True
    return allowed


def _thinned(edges: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(edges) <= _EDGES:
        return edges
    return edges[np.unique(np.linspace(0, len(edges) - 1, _EDGES).round().astype(np.int64))]


def _gains(k: Floats | Labels, n: Floats | Labels, total: int, size: int) -> Floats:
    """Log likelihood of two rates above that of one, where the rate inside is the higher one; −∞ elsewhere."""
    inside, outside = _log_likelihood(k, n), _log_likelihood(total - k, size - n)
    higher = k * (size - n) > (total - k) * n
    return np.where(higher, inside + outside - _log_likelihood(np.array(total), np.array(size)), -inf)


def _gain(labels: Labels, inside: Mask) -> float:
    n, k = np.array(int(inside.sum())), np.array(int(labels[inside].sum()))
    return float(_gains(k, n, int(labels.sum()), len(labels)))


def _log_likelihood(k: Floats | Labels, n: Floats | Labels) -> Floats:
    likelihood: Floats = xlogy(k, k) + xlogy(n - k, n - k) - xlogy(n, n)
    return likelihood


def _without(box: Box, space: Space, column: int) -> Box:
    low, high = box.low.copy(), box.high.copy()
    low[column], high[column] = -inf, inf
    every = np.ones(len(space.axes[column].values), dtype=np.bool_)
    return Box(low, high, (*box.allowed[:column], every, *box.allowed[column + 1 :]))


def _pruned(points: Floats, labels: Labels, space: Space, box: Box) -> Box:
    """Without the rules, side by side, that bring next to nothing."""
    score, changed = _gain(labels, box.contains(points)), True
    while changed:
        changed = False
        for simpler in _simpler(box, space):
            after = _gain(labels, simpler.contains(points))
            if after > score - _WORTH:
                box, score, changed = simpler, after, True
                break
    return box


def _simpler(box: Box, space: Space) -> Iterable[Box]:
    for column, axis in enumerate(space.axes):
        if axis.is_text and not box.allowed[column].all():
            yield _without(box, space, column)
        if box.low[column] > -inf:
            yield Box(np.where(np.arange(len(box.low)) == column, -inf, box.low), box.high, box.allowed)
        if box.high[column] < inf:
            yield Box(box.low, np.where(np.arange(len(box.low)) == column, inf, box.high), box.allowed)


def _volume(one: Box, other: Box) -> float:
    (low, high), (low_, high_) = one.edges(), other.edges()
    sides = np.clip(np.minimum(high, high_) - np.maximum(low, low_), 0, None)
    texts = [
        float((a & b).mean()) if len(a) else side for a, b, side in zip(one.allowed, other.allowed, sides, strict=True)
    ]
    return float(np.prod(texts))
