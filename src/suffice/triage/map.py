"""Where decisions differ: the region that a stage's audits show, made sharper by directed decisions."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from suffice.comparison.intervals import clopper_pearson
from suffice.errors import DataError, MissingDataError, SufficeError
from suffice.evidence.rebuild import features_of
from suffice.sampling.distributions import Floats
from suffice.serving.served import Feed, Served, serve_shadow
from suffice.sources.built import Builder, one_line
from suffice.stopping.plan import Plan
from suffice.store.decision_row import DecisionRow
from suffice.triage.region import Features, Labels, Mask, Space
from suffice.triage.search import Found, search
from suffice.verifier.case import Case

CUT = 3.5
"""Standard errors between early and late draws beyond which a case is marked: at most one in a thousand is, where their
order means nothing."""

Decide: TypeAlias = Callable[[Features], tuple[Features, bool]]
"""Decides a case that looks like this both ways: what it really looks like, and whether it is marked."""


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """What was found out, from so many `audits` and so many directed `decisions`.

    A case is marked when its two decisions differ, or its early and late draws do by more than `CUT` standard errors.
    """

    space: Space
    found: Found
    audits: int
    decisions: int

    @property
    def resolved(self) -> bool:
        """Whether there is a region that can be believed."""
        return self.found.resolved

    @property
    def rules(self) -> tuple[str, ...]:
        """What makes a case belong to the region, none where it is not resolved."""
        box = self.found.box
        return box.rules(self.space) if box is not None and self.resolved else ()

    @property
    def inside(self) -> tuple[int, int]:
        """Of the cases in the region, how many are marked, and how many there are."""
        return self._count(self._within())

    @property
    def outside(self) -> tuple[int, int]:
        """The same of all others."""
        return self._count(~self._within())

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval (Clopper–Pearson) of the rate in the region, which it takes as given."""
        return clopper_pearson(*self.inside)

    def _within(self) -> Mask:
        box, points = self.found.box, self.found.points
        return box.contains(points) if box is not None and self.resolved else np.zeros(len(points), dtype=np.bool_)

    def _count(self, which: Mask) -> tuple[int, int]:
        return int(self.found.labels[which].sum()), int(which.sum())


def map_region(
    audits: Sequence[DecisionRow],
    decide: Decide | None,
    budget: int,
    seed: int,
    done: Callable[[int], object] = lambda _: None,
) -> Mapped:
    """The region in which audits of a stage are marked, with at most `budget` calls of `decide` (none where that is
    None); `done` is told how many were made.

    Without features there is nothing to look for: raises MissingDataError. What `decide` raises passes through.
    """
    cases = [features_of(row) for row in audits]
    space = Space.of(cases)
    if not space.axes:
        raise MissingDataError(
            "no feature tells the stage's audits apart; a region needs those that the service gives: Case(features=…)"
        )
    marks = [is_marked(agrees=row.agrees, halves=row.halves) for row in audits]
    shared, whole = _shared(cases), _whole_numbers(cases)
    made = 0

    def differs(points: Floats) -> tuple[Floats, Labels]:
        nonlocal made
        if TYPE_CHECKING:
            assert decide is not None
        seen, labels = list[Features](), list[bool]()
        for point in points:
            asked = {name: round(value) if name in whole else value for name, value in space.features(point).items()}  # type: ignore[arg-type]
            features, marked = decide({**shared, **asked})
            seen.append(features)
            labels.append(marked)
            made += 1
            done(made)
        return space.points(seen), np.array(labels, dtype=np.int64)

    known = space.points(cases), np.array(marks, dtype=np.int64)
    found = search(differs, space, budget if decide else 0, np.random.default_rng(seed), *known)
    return Mapped(space, found, len(audits), made)


def by_builder(builder: Builder, plan: Plan, seed: int, region: str | None, feed: Feed | None = None) -> Decide:
    """Decides cases that the service builds from their features, which also make key and target.

    `feed` is what a rehearsed fault makes of the draws. Raises DataError when a case cannot be built or drawn.
    """

    def decide(features: Features) -> tuple[Features, bool]:
        text = json.dumps(dict(features), sort_keys=True)
        name = f"map-{sha256(text.encode()).hexdigest()[:16]}"
        served = _decided(builder.case(name, name, region, features), plan, seed, feed)
        return features, is_marked(agrees=served.agrees, halves=served.halves)

    return decide


def by_pool(cases: Sequence[Case], plan: Plan, seed: int, feed: Feed | None = None) -> Decide:
    """Decides, of cases that there are, the one that is most like what is asked for, each once at most.

    Likeness is the distance over the features, each scaled to the range that the cases have; another text, or none,
    counts as the whole range. Raises MissingDataError when all were decided, DataError when one cannot be drawn.
    """
    space = Space.of([case.features for case in cases])
    points = space.points([case.features for case in cases])
    texts = np.array([axis.is_text for axis in space.axes])
    left = np.ones(len(cases), dtype=np.bool_)

    def decide(features: Features) -> tuple[Features, bool]:
        if not left.any():
            raise MissingDataError(f"the source has no more than {len(cases):,} cases; allowed: a smaller --budget")
        apart = np.abs(points - space.points([features]))
        apart = np.where(np.isnan(apart) | (texts & (apart > 0)), 1.0, apart)
        place = int(np.where(left, (apart**2).sum(axis=1), np.inf).argmin())
        left[place] = False
        served = _decided(cases[place], plan, seed, feed)
        return cases[place].features, is_marked(agrees=served.agrees, halves=served.halves)

    return decide


def is_marked(*, agrees: bool | None, halves: float | None) -> bool:
    """Whether both decisions differ, or early and late draws do."""
    return agrees is False or (halves is not None and abs(halves) > CUT)


def _decided(case: Case, plan: Plan, seed: int, feed: Feed | None) -> Served:
    try:
        return serve_shadow(case, plan, seed, feed)
    except SufficeError:
        raise
    except Exception as error:
        raise DataError(f"the sampler of case {case.key!r} raised {one_line(error)}") from error


def _shared(cases: Sequence[Features]) -> Mapping[str, float | str]:
    """What all cases have alike."""
    first = cases[0] if cases else {}
    return {name: value for name, value in first.items() if all(case.get(name) == value for case in cases)}


def _whole_numbers(cases: Iterable[Features]) -> set[str]:
    """Features that are whole numbers wherever there is one."""
    values: dict[str, bool] = {}
    for case in cases:
        for name, value in case.items():
            values[name] = values.get(name, True) and isinstance(value, int)
    return {name for name, whole in values.items() if whole}
