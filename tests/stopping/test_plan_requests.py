"""Requests: what is impossible gets one line; what is possible gets the looks that were asked for."""

from fractions import Fraction
from math import inf, nan

import pytest
from scipy import stats

import suffice
from suffice.errors import PlanError
from suffice.stopping.looks import default_looks
from suffice.stopping.request import Margin

P, T = suffice.Proportion(0.8), suffice.PairedMean()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: suffice.plan(P, 10, -0.1), "max_disagreement (accept) is -0.1; allowed: a number from 0 to below 1"),
        (lambda: suffice.plan(P, 10, 1), "max_disagreement (accept) is 1; allowed: a number from 0 to below 1"),
        (lambda: suffice.plan(P, 10, nan), "max_disagreement (accept) is nan; allowed: a number from 0 to below 1"),
        (lambda: suffice.plan(P, 10, "0.1"), "max_disagreement (accept) is '0.1'; allowed: a number from 0 to below 1"),
        (lambda: suffice.plan(P, 10, {"accept": 0.1}), "max_disagreement has the keys ['accept']; allowed: accept and"),
        (
            lambda: suffice.plan(P, 10, {"accept": 0.1, "reject": 1.5}),
            "max_disagreement (reject) is 1.5; allowed: a number from 0 to below 1",
        ),
        (lambda: suffice.plan(0.8, 10), "rule is 0.8; allowed: a decision rule like suffice.Proportion(at_least=0.8)"),
        (lambda: suffice.plan(suffice.Proportion, 10), "rule is <class 'suffice.decision.proportion.Proportion'>; al"),
        (lambda: suffice.PairedMean(alpha=(1, 20)), "alpha is (1, 20); allowed: a number between 0 and 1, like 0.05"),
        (lambda: suffice.PairedMean(alpha="5%"), "alpha is '5%'; allowed: a number between 0 and 1, like 0.05"),
        (lambda: suffice.PairedMean(min_effect="1"), "min_effect is '1'; allowed: a number, 0 or more"),
        (lambda: suffice.Mean(at_least=(1, 2)), "at_least is (1, 2); allowed: a finite number"),
        (lambda: suffice.Mean(at_most="1"), "at_most is '1'; allowed: a finite number"),
        (lambda: suffice.plan(P, 0), "n is 0; allowed: at least 1 draw"),
        (lambda: suffice.plan(P, -5), "n is -5; allowed: at least 1 draw"),
        (lambda: suffice.plan(P, 10.0), "n is 10.0; allowed: a whole number of draws"),
        (lambda: suffice.plan(P, True), "n is True; allowed: a whole number of draws"),
        (lambda: suffice.plan(T, 1, method="margin"), "n is 1; allowed: at least 2 draws, a t-test needs a spread"),
        (lambda: suffice.plan(suffice.Proportion(1.2), 10), "at_least is 1.2; allowed: 0 to 1"),
        (lambda: suffice.plan(P, 10, looks=[5, 10]), "a look is at 10 draws; allowed: whole numbers from 1 to 9"),
        (lambda: suffice.plan(P, 10, looks=[0]), "a look is at 0 draws; allowed: whole numbers from 1 to 9"),
        (lambda: suffice.plan(P, 10, looks=[2.5]), "a look is at 2.5 draws; allowed: whole numbers from 1 to 9"),
        (lambda: suffice.plan(P, 10, looks=[5, 3, 5]), "a look stands twice; each number of draws may be looked at"),
        (lambda: suffice.plan(P, 10, look_every=0), "look_every is 0; allowed: at least 1"),
        (lambda: suffice.plan(P, 10, look_every=11), "the first look is at 11 draws; allowed: 1 to n = 10"),
        (lambda: suffice.plan(P, 10, look_every=1, n_min=0), "the first look is at 0 draws; allowed: 1 to n = 10"),
        (lambda: suffice.plan(P, 10, look_every=1, n_min=11), "the first look is at 11 draws; allowed: 1 to n = 10"),
        (lambda: suffice.plan(P, 10, looks=[5], look_every=2), "looks and look_every are both given; allowed: one"),
        (lambda: suffice.plan(P, 10, method="best"), "method is 'best'; allowed: "),
        (
            lambda: suffice.plan(P, 100, method="margin", margin=Margin(multiplier=1)),
            "margin looks start at n0 = 64 and grow by multiplier = 1; allowed: n0 at least 1, multiplier above 1",
        ),
        (lambda: suffice.plan(P, 100, method="margin", margin=Margin(n0=0)), "margin looks start at n0 = 0 and grow"),
        (lambda: suffice.plan(P, 100, method="margin", margin=Margin(n0=nan)), "margin looks start at n0 = nan and"),
        (
            lambda: suffice.plan(P, 100, method="margin", margin=Margin(multiplier=nan)),
            "margin looks start at n0 = 64 and grow by multiplier = nan",
        ),
        (
            lambda: suffice.plan(P, 100, method="margin", margin=Margin(early_stop_margin=-0.1)),
            "early_stop_margin is -0.1; allowed: from 0 to below 1",
        ),
        (
            lambda: suffice.plan(T, 100, method="curtailed-exact"),
            "method curtailed-exact is not made for rule paired_mean",
        ),
    ],
)
def test_an_impossible_request_gets_one_line(make, message) -> None:
    with pytest.raises(PlanError) as caught:
        make()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_looks_are_those_that_were_asked_for() -> None:
    assert suffice.plan(P, 20, looks=[15, 5, 10]).looks == (5, 10, 15)
    assert suffice.plan(P, 20, look_every=8).looks == (8, 16)
    assert suffice.plan(P, 20, look_every=8, n_min=3).looks == (3, 11, 19)
    assert suffice.plan(P, 20, look_every=20).looks == ()
    assert suffice.plan(P, 20).looks == tuple(range(1, 20))
    assert suffice.plan(P, 20, method="fixed").looks == ()
    assert suffice.plan(P, 256, method="margin").looks == (64, 128)
    assert suffice.plan(P, 100, method="margin", margin=Margin(3, 1.5)).looks == (3, 4, 6, 10, 15, 22, 34, 51, 76)


def test_default_looks_of_large_plans_are_geometric() -> None:
    looks = default_looks(10_000)
    ratios = [b / a for a, b in zip(looks[-20:], looks[-19:], strict=False)]
    assert (looks[0], looks[-1] < 10_000, len(looks)) == (8, True, len(set(looks)))
    assert max(ratios) / min(ratios) < 1.01


def test_a_plan_without_looks_is_the_baseline() -> None:
    plan = suffice.plan(P, 20, look_every=20)
    assert (plan.uniform_asn, plan.worst_disagreement, plan.guarantee, plan.lower_bound) == (20.0, 0.0, "exact", 20.0)


def test_one_draw() -> None:
    for at_least in (0, 0.5, 1):
        plan = suffice.plan(suffice.Proportion(at_least), 1)
        assert (plan.boundaries, plan.uniform_asn, plan.worst_disagreement) == ((), 1.0, 0.0)


def test_the_margin_of_counts_is_strict_and_decimal() -> None:
    plan = suffice.plan(P, 256, method="margin", margin=Margin(early_stop_margin=0.05))
    for b in plan.boundaries:
        low, high = Fraction(75, 100), Fraction(85, 100)
        assert max(k for k in range(b.n + 1) if Fraction(k, b.n) < low) == b.reject_at
        assert next(k for k in range(b.n + 1) if Fraction(k, b.n) > high) == b.accept_at


def test_the_margin_of_means_is_about_the_p_value() -> None:
    for b in suffice.plan(T, 256, method="margin").boundaries:
        assert 2 * stats.t.sf(b.reject_at, b.n - 1) == pytest.approx(0.06, rel=1e-12)
        assert 2 * stats.t.sf(b.accept_at, b.n - 1) == pytest.approx(0.04, rel=1e-12)


def test_a_margin_wider_than_alpha_never_accepts_early() -> None:
    plan = suffice.plan(suffice.PairedMean(alpha=0.01), 256, method="margin", margin=Margin(early_stop_margin=0.02))
    assert [b.accept_at for b in plan.boundaries] == [None, None]


def test_a_margin_beyond_all_shares_never_stops() -> None:
    plan = suffice.plan(P, 256, method="margin", margin=Margin(early_stop_margin=0.9))
    assert [(b.reject_at, b.accept_at) for b in plan.boundaries] == [(None, None)] * 2
    assert (plan.uniform_asn, plan.worst_disagreement) == (256.0, 0.0)


def test_an_infinite_multiplier_looks_once() -> None:
    assert suffice.plan(P, 256, method="margin", margin=Margin(multiplier=inf)).looks == (64,)
