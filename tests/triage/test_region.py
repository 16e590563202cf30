"""The region in which decisions differ: planted ones are found, others are not told."""

import sys
from collections.abc import Callable
from math import inf

import numpy as np
import pytest
from numpy.random import Generator

from suffice.sampling.distributions import Floats
from suffice.triage.region import Axis, Box, Labels, Space, fit, overlap
from suffice.triage.search import Found, search

NUMBERS = Space(tuple(Axis(f"x{number}") for number in range(4)))
NOTHING: tuple[Floats, Labels] = np.empty((0, 4)), np.empty(0, dtype=np.int64)
NO_TEXTS = tuple(np.zeros(0, dtype=np.bool_) for _ in range(4))


def planted(rng: Generator, volume: float, relevant: int) -> Box:
    """A box at random that takes a share of the space, with rules about so many of the features."""
    side, low, high = volume ** (1 / relevant), np.full(4, -inf), np.full(4, inf)
    for column in rng.permutation(4)[:relevant]:
        low[column] = rng.uniform(0, 1 - side)
        high[column] = low[column] + side
    return Box(low, high, NO_TEXTS)


def differs(box: Box, inside: float, outside: float, rng: Generator) -> Callable[[Floats], tuple[Floats, Labels]]:
    def decided(points: Floats) -> tuple[Floats, Labels]:
        return points, (rng.random(len(points)) < np.where(box.contains(points), inside, outside)).astype(np.int64)

    return decided


def searched(seed: int, inside: float, relevant: int = 4) -> tuple[Box, Found]:
    rng = np.random.default_rng(seed)
    box = planted(rng, 0.05, relevant)
    return box, search(differs(box, inside, 0.001, rng), NUMBERS, 1_500, rng, *NOTHING)


seeds = pytest.mark.parametrize(
    ("seeds", "allowed_misses"),
    [pytest.param(range(2), 0, id="short"), pytest.param(range(20), 2, id="campaign", marks=pytest.mark.campaign)],
)


@seeds
@pytest.mark.parametrize("relevant", [4, 2])
def test_a_planted_box_is_found_with_1500_decisions(seeds: range, allowed_misses: int, relevant: int) -> None:
    """5 % of a space of four features, 30 % differ inside and 0.1 % outside."""
    overlaps = []
    for seed in seeds:
        box, found = searched(seed, 0.3, relevant)
        overlaps.append(overlap(box, found.box) if found.box and found.resolved else 0.0)
    sys.stdout.write(f"intersection over union, {relevant} features: {sorted(round(one, 2) for one in overlaps)}\n")
    assert sum(one < 0.8 for one in overlaps) <= allowed_misses


@seeds
def test_a_faint_box_is_not_told_wrongly(seeds: range, allowed_misses: int) -> None:
    """10 % differ inside: it is found, or not resolved."""
    for seed in seeds:
        box, found = searched(seed, 0.1)
        assert not found.resolved or (found.box is not None and overlap(box, found.box) >= 0.8)


@seeds
def test_where_there_is_no_region_none_is_told(seeds: range, allowed_misses: int) -> None:
    for seed in seeds:
        _, found = searched(seed, 0.001)
        assert not found.resolved


def test_no_more_is_decided_than_the_budget() -> None:
    asked = []

    def count(points: Floats) -> tuple[Floats, Labels]:
        asked.append(len(points))
        return points, (points[:, 0] > 0.9).astype(np.int64)

    search(count, NUMBERS, 200, np.random.default_rng(1), *NOTHING)
    assert sum(asked) == 200


def test_texts_and_numbers_make_a_rule_together() -> None:
    rng = np.random.default_rng(5)
    cases = [
        {"model": str(rng.choice(["a", "b", "c"])), "heat": float(rng.uniform(20, 90)), "site": "one"}
        for _ in range(1_500)
    ]
    wrong = np.array([case["model"] == "b" and float(case["heat"]) > 70 for case in cases])
    labels = (wrong & (rng.random(len(cases)) < 0.5)).astype(np.int64)
    space = Space.of(cases)
    assert [axis.name for axis in space.axes] == ["model", "heat"], "what is the same in all cases tells nothing"
    box = fit(space.points(cases), labels, space, rng)
    assert box is not None
    model, heat = box.rules(space)
    assert model == "model is b"
    low = float(heat.removeprefix("heat ≥ "))
    assert 69 <= low <= 72


def test_a_case_without_the_feature_is_outside() -> None:
    space = Space((Axis("heat", 0, 10), Axis("model", values=("a", "b"))))
    points = space.points([{"heat": 5, "model": "a"}, {"model": "a"}, {"heat": 5}, {"heat": "hot", "model": "z"}])
    box = Box(np.array([0.2, -inf]), np.array([inf, inf]), (np.zeros(0, dtype=np.bool_), np.array([True, False])))
    assert box.contains(points).tolist() == [True, False, False, False]
    assert box.rules(space) == ("heat ≥ 2", "model is a")
    everywhere = Box(np.full(2, -inf), np.full(2, inf), (np.zeros(0, dtype=np.bool_), np.ones(2, dtype=np.bool_)))
    assert everywhere.contains(points).all()
    assert everywhere.rules(space) == ()


def test_features_come_back_from_their_points() -> None:
    space = Space((Axis("heat", 20, 30), Axis("model", values=("a", "b"))))
    case = {"heat": 22.5, "model": "b"}
    assert space.features(space.points([case])[0]) == case
    assert space.features(space.points([{"model": "b"}])[0]) == {"model": "b"}


@pytest.mark.parametrize("differing", [0, 1, 2])
def test_fewer_than_three_differences_are_no_region(differing: int) -> None:
    rng = np.random.default_rng(2)
    labels = np.zeros(100, dtype=np.int64)
    labels[:differing] = 1
    assert fit(rng.random((100, 4)), labels, NUMBERS, rng) is None
