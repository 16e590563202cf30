"""What only shows where something is broken beside the decisions: another evaluator, and clocks that differ."""

from dataclasses import replace

import pytest

from store_places import ROW
from suffice.flag.bucketing import buckets as buckets_of
from suffice.flag.document import Exposure
from suffice.gates import buckets, clocks
from suffice.gates.outcome import Outcome
from suffice.store.decision_row import DecisionRow
from suffice.verifier.arm import Arm

EXPOSURE = Exposure(20, "r1", ("eu",))
PLACED = buckets_of("r1", [f"t{number}" for number in range(1000)])
INSIDE = next(target for target, bucket in PLACED.items() if bucket < 20)
OUTSIDE = next(target for target, bucket in PLACED.items() if bucket == 20)
"""The first bucket that a weight of 20 leaves out."""


def row(target: str, region: str | None = "eu", epoch: int | None = 3) -> DecisionRow:
    return replace(ROW, target=target, region=region, arm=Arm.ADAPTIVE, epoch=epoch, process="n1")


def test_adaptive_decisions_inside_their_buckets_are_nothing_to_tell() -> None:
    assert buckets.judge([row(INSIDE), replace(row(OUTSIDE), arm=Arm.FIXED)], EXPOSURE) is None
    assert buckets.judge([], EXPOSURE) is None


@pytest.mark.parametrize("outside", [row(OUTSIDE), row(INSIDE, "us"), row(INSIDE, None)])
def test_an_adaptive_decision_outside_its_bucket_or_region_is_an_error(outside: DecisionRow) -> None:
    result = buckets.judge([row(INSIDE), outside], EXPOSURE)
    assert result is not None
    assert result.outcome is Outcome.ERROR
    assert result.sentence.startswith(
        "1 of 2 adaptive decisions were outside their bucket (20 % adaptive in eu; limit 0)"
    )
    assert "by process n1" in result.sentence


def test_how_many_were_outside_is_told_in_numbers_too() -> None:
    result = buckets.judge([row(INSIDE), row(OUTSIDE), row(OUTSIDE, "us")], EXPOSURE)
    assert result is not None
    assert (result.value, result.limit, result.numbers) == (2.0, 0.0, {"adaptive": 3})


def test_an_exposure_without_regions_is_one_for_all_of_them() -> None:
    everywhere = replace(EXPOSURE, regions=())
    assert buckets.judge([row(INSIDE, "eu"), row(INSIDE, "us"), row(INSIDE, None)], everywhere) is None
    outside = buckets.judge([row(INSIDE, None), row(OUTSIDE, None)], everywhere)
    assert outside is not None and outside.value == 1.0


def test_under_the_baseline_each_adaptive_decision_is_outside() -> None:
    result = buckets.judge([row(INSIDE)], None)
    assert result is not None and result.value == 1.0


def test_rows_of_versions_that_followed_a_file_say_nothing_about_buckets() -> None:
    assert buckets.judge([row(OUTSIDE, epoch=None)], EXPOSURE) is None


@pytest.mark.parametrize(
    ("ahead", "sentence"),
    [
        ({"a": 61.0, "b": -10.0}, "the clock of host a is 61 s ahead of the store's (limit 60 s)"),
        ({"a": 61.0, "b": -1800.0}, "the clock of host b is 1,800 s behind the store's (limit 60 s)"),
        ({"a": 60.0, "b": -60.0}, None),
        ({}, None),
    ],
)
def test_a_host_whose_clock_differs_by_more_than_a_minute_is_an_error_with_its_name(
    ahead: dict[str, float], sentence: str | None
) -> None:
    result = clocks.judge(ahead)
    assert (result.sentence if result else None) == sentence
    assert result is None or result.outcome is Outcome.ERROR
