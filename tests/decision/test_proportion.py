"""Proportion: k of N are accepted when k/N, as the nearest double, is at least the given share."""

from decimal import ROUND_CEILING, Decimal
from fractions import Fraction
from math import ceil, inf, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.decision.counts import CountTally
from suffice.decision.proportion import Proportion
from suffice.decision.rule import Decision
from suffice.decision.share import share_in
from suffice.errors import DataError, PlanError


def test_twenty_eight_of_a_hundred() -> None:
    assert Proportion(0.28).threshold(100) == 28
    assert Proportion(0.07).threshold(100) == 7
    assert Proportion(0.8).threshold(256) == 205


def test_the_threshold_is_the_ceiling_of_the_decimal_product() -> None:
    for thousandths in range(1001):
        digits = Decimal(thousandths) / 1000
        for n in (1, 2, 3, 7, 10, 64, 100, 256, 999, 1000, 10_000):
            expected = int((digits * n).to_integral_value(ROUND_CEILING))
            assert Proportion(float(digits)).threshold(n) == expected


def test_every_share_of_n_is_reached_by_its_own_count() -> None:
    """Seen: 2,002 of these 5,050 shares asked for one more."""
    for n in range(1, 101):
        for k in range(1, n + 1):
            assert Proportion(k / n).threshold(n) == Proportion((k, n)).threshold(n) == k
            assert Proportion(Fraction(k, n)).threshold(n) == k
    assert Proportion((5, 6)).threshold(6) == 5
    assert Proportion((5, 6)).threshold(6_000_000) == 5_000_000


@given(st.floats(0, 1), st.integers(1, 300))
def test_the_threshold_is_the_least_count_whose_share_reaches_the_given_one(share: float, n: int) -> None:
    assert Proportion(share).threshold(n) == next(k for k in range(n + 2) if k / n >= share)


@given(st.integers(1, 10**8).flatmap(lambda b: st.tuples(st.integers(0, b), st.just(b))), st.integers(1, 10**7))
def test_a_fraction_asks_for_the_count_that_exact_arithmetic_gives(pair: tuple[int, int], n: int) -> None:
    assert Proportion(pair).threshold(n) == ceil(Fraction(*pair) * n)


def test_a_share_of_32_bits_is_what_it_is_written_as() -> None:
    assert Proportion(np.float32(0.8)).threshold(100) == 80


@pytest.mark.parametrize(
    ("share", "sentence"),
    [
        (80, "at_least is 80; allowed: 0 to 1; 80 % is 0.8"),
        (-0.1, "at_least is -0.1; allowed: 0 to 1"),
        (nan, "at_least is nan; allowed: 0 to 1"),
        ("0.8", "at_least is '0.8'; allowed: a number like 0.8, or a fraction like (5, 6); 0.8 is 0.8"),
        ("80%", "at_least is '80%'; allowed: a number like 0.8, or a fraction like (5, 6); 80% is 0.8"),
        ("5/6", "allowed: a number like 0.8, or a fraction like (5, 6); 5/6 is 0.833333"),
        ("many", "at_least is 'many'; allowed: a number like 0.8, or a fraction like (5, 6)"),
        (None, "at_least is None; allowed: a number like 0.8"),
        ([5, 6], "at_least is [5, 6]; allowed: a number like 0.8, or a fraction like (5, 6)"),
        ((5, 0), "allowed: a number, or (k, n) with n from 1 to 100000000"),
        ((1, 10**9), "allowed: a number, or (k, n) with n from 1 to 100000000"),
        ((5.0, 6), "allowed: a number, or (k, n)"),
        ((7, 6), "at_least is (7, 6); allowed: 0 to 1"),
    ],
)
def test_what_is_no_share_is_refused(share: Any, sentence: str) -> None:
    with pytest.raises(PlanError) as refused:
        Proportion(share)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("text", "share"), [("5/6", 5 / 6), ("80%", 0.8), ("80 %", 0.8), (" 0.8 ", 0.8), ("99.5%", 0.995), ("1", 1.0)]
)
def test_what_a_person_writes_is_read_as_a_share(text: str, share: float) -> None:
    assert share_in(text) == share


@pytest.mark.parametrize(("text", "share"), [("1e-999999999%", 0.0), ("1e-9%", 1e-11), ("1/3%", 1 / 300)])
def test_a_percentage_takes_no_time_however_it_is_written(text: str, share: float) -> None:
    """Seen: a hang."""
    assert share_in(text) == share


@pytest.mark.parametrize(
    "text", ["\u0661/\u0662", "1_0/2_0", "0.\u0665", "1_0%", "0_1", "\uff18\uff10%", "%", "5//6", "a%"]
)
def test_what_json_takes_for_no_number_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no number|could not convert|Invalid literal"):
        share_in(text)


def test_all_and_none() -> None:
    assert (Proportion(0).threshold(10), Proportion(1).threshold(10), Proportion(1e-9).threshold(10)) == (0, 10, 1)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 100))
def test_accepts_iff_the_count_reaches_the_threshold(outcomes: list[bool], percent: int) -> None:
    rule, tally = Proportion(percent / 100), CountTally()
    assert tally.add(outcomes)
    enough = Decimal(sum(outcomes)) >= Decimal(percent) / 100 * len(outcomes)
    assert rule.decide(tally) is (Decision.ACCEPTED if enough else Decision.REJECTED)
    assert tally.estimate == sum(outcomes) / len(outcomes)
    assert (rule.effect(tally) > 0) == enough


@pytest.mark.parametrize("draw", [2, -1, 0.5, 1.0000001, "1", "True", b"1", None, [1], (), {}, np.array([1, 0])])
def test_a_draw_that_is_no_outcome_is_refused_with_those_before_it_added(draw) -> None:
    tally = CountTally()
    tally.add([1, 0])
    with pytest.raises(DataError, match=r"^draw 4 is .*; a success is 1 or True, a failure 0 or False$"):
        tally.add([1, draw, 0])
    assert (tally.n, tally.successes) == (3, 2)


def test_the_refusal_names_the_draw() -> None:
    tally = CountTally()
    tally.add([1, 0])
    with pytest.raises(DataError, match=r"^draw 4 is 0\.5; a success is 1 or True, a failure 0 or False$"):
        tally.add([1, 0.5])


@pytest.mark.parametrize("bad", [nan, inf, -inf, np.float64(nan)])
def test_a_draw_that_is_not_finite_ends_the_count_there(bad: float) -> None:
    tally = CountTally()
    assert not tally.add([1, 0, bad, 1])
    assert tally.n == 3


@pytest.mark.parametrize("at_least", [-0.01, 1.01, nan, inf])
def test_an_impossible_share_is_refused(at_least: float) -> None:
    with pytest.raises(PlanError, match=r"^at_least is .*; allowed: 0 to 1$"):
        Proportion(at_least)


def test_pairs_succeed_when_they_move_strictly_in_the_claimed_direction() -> None:
    pairs = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    rule = Proportion(0.5)
    assert rule.observations(pairs, 1) == [1, 0, 0]
    assert rule.observations(pairs, -1) == [0, 1, 0]
    assert rule.observations(pairs, 0) == [0, 0, 0]


def test_a_pair_with_a_member_that_is_not_finite_is_invalid() -> None:
    pairs = np.array([[nan, 1.0], [0.0, inf], [inf, inf], [-inf, 0.0], [-1.7e308, 1.7e308]])
    assert np.isnan(Proportion(0.5).observations(pairs, 1)).all()


def test_values_pass_as_they_are() -> None:
    assert Proportion(0.5).observations(np.array([1.0, 0.0]), -1) == [1.0, 0.0]
