"""The region of a bundle's audits: a sampler that warms up in a part of its features is found there."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from math import comb
from pathlib import Path

import numpy as np
import pytest
from audited import LARGE, audits
from warm_service import built, looks, shadow, warms_up

from suffice.errors import MissingDataError
from suffice.sampling.distributions import Floats
from suffice.serving.served import halves
from suffice.sources.built import Builder
from suffice.store.decision_row import DecisionRow
from suffice.triage.map import CUT, Mapped, by_builder, by_pool, is_marked, map_region

SERVICE = Builder("warm_service:build", Path(__file__).parent)


def overlap(mapped: Mapped) -> float:
    """Intersection over union of the true region and the found one, by points spread over all features."""
    box, rng = mapped.found.box, np.random.default_rng(0)
    if box is None or not mapped.resolved:
        return 0.0
    cases = [looks(rng) for _ in range(40_000)]
    true, found = np.array([warms_up(one) for one in cases]), box.contains(mapped.space.points(cases))
    return float((true & found).sum() / (true | found).sum())


@pytest.mark.parametrize(
    ("seeds", "allowed_misses"),
    [pytest.param(range(2), 0, id="short"), pytest.param(range(20), 2, id="campaign", marks=pytest.mark.campaign)],
)
@pytest.mark.parametrize(("budget", "least"), [(0, 0.85), (300, 0.95)])
def test_where_a_sampler_warms_up_is_found(seeds: range, allowed_misses: int, budget: int, least: float) -> None:
    overlaps = []
    for seed in seeds:
        mapped = map_region(shadow(2_000, seed), by_builder(SERVICE, LARGE, seed, None), budget, seed)
        overlaps.append(overlap(mapped))
        assert mapped.decisions == budget
        assert not {"size", "site"} & {word for rule in mapped.rules for word in rule.split()}
    sys.stdout.write(f"intersection over union, budget {budget}: {sorted(round(one, 3) for one in overlaps)}\n")
    assert sum(one < least for one in overlaps) <= allowed_misses


def test_one_in_a_thousand_is_marked_where_the_order_means_nothing() -> None:
    """For each total of 64 and of 100 draws: how they fall into two halves is hypergeometric."""
    worst = 0.0
    for n in (64, 100):
        for total in range(n + 1):
            half = n // 2
            ways = {early: comb(half, early) * comb(n - half, total - early) for early in range(total + 1)}
            marked = sum(
                count for early, count in ways.items() if count and is_marked(agrees=True, halves=z(n, early, total))
            )
            worst = max(worst, marked / comb(n, total))
    sys.stdout.write(f"marked by chance, at most: {worst:.2%}\n")
    assert worst <= 0.001


def z(n: int, early: int, total: int) -> float | None:
    half, late = n // 2, total - early
    if late > n - half or early > half:
        return None
    return halves([1.0] * early + [0.0] * (half - early) + [1.0] * late + [0.0] * (n - half - late))


def test_a_disagreement_marks_and_so_do_late_draws_that_differ() -> None:
    assert is_marked(agrees=False, halves=0.0)
    assert is_marked(agrees=True, halves=-CUT - 0.01)
    assert not is_marked(agrees=True, halves=CUT - 0.01)
    assert not is_marked(agrees=None, halves=None)


def plain(features: Sequence[str | None]) -> list[DecisionRow]:
    [row] = audits([built("k", {"heat": 30.0, "load": 0.9, "model": "a"})], LARGE, 1)
    return [replace(row, features=text) for text in features]


def test_without_features_there_is_nothing_to_look_for() -> None:
    for features in ([], [None, None], ['{"heat":1}', '{"heat":1}']):
        with pytest.raises(MissingDataError, match=r"^no feature tells the stage's audits apart"):
            map_region(plain(features), None, 300, 1)


def test_few_audits_are_not_resolved_and_have_no_rules() -> None:
    mapped = map_region(shadow(60, 1), None, 300, 1)
    assert (mapped.resolved, mapped.rules, mapped.inside) == (False, (), (0, 0))
    assert mapped.outside[1] == 60


def test_equal_seeds_give_the_same_map() -> None:
    rows = shadow(300, 4)
    one, other = (map_region(rows, by_builder(SERVICE, LARGE, 4, None), 40, 4) for _ in range(2))
    assert points_of(one) == points_of(other)


def points_of(mapped: Mapped) -> str:
    points: Floats = mapped.found.points
    return json.dumps([points.tolist(), mapped.found.labels.tolist()])


def test_of_cases_that_there_are_the_most_alike_is_decided_once() -> None:
    pool = [built(str(heat), {"heat": float(heat), "load": 0.9, "model": "a"}) for heat in (20, 50, 90)]
    decide = by_pool(pool, LARGE, 1)
    asked = [decide({"heat": heat, "load": 0.9, "model": "a"})[0]["heat"] for heat in (60.0, 56.0, 50.0)]
    assert asked == [50.0, 90.0, 20.0]
    with pytest.raises(MissingDataError, match=r"no more than 3 cases; allowed: a smaller --budget"):
        decide({"heat": 60.0})


def test_another_text_is_as_far_as_the_whole_range() -> None:
    pool = [
        built(model, {"heat": heat, "load": 0.9, "model": model})
        for heat, model in ((20.0, "a"), (80.0, "b"), (90.0, "c"))
    ]
    assert by_pool(pool, LARGE, 1)({"heat": 85.0, "load": 0.9, "model": "a"})[0]["model"] == "a"
    assert by_pool(pool, LARGE, 1)({"heat": 81.0, "load": 0.9, "model": "z"})[0]["model"] == "b"
