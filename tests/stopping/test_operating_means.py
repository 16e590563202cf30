"""Brownian operating characteristics: published constants and simulation as witnesses."""

from math import sqrt

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import brentq

import suffice
from suffice.stopping.operating_means import mean_operating
from suffice.stopping.run import Boundary

LARGE = 5_000_000
"""So many draws that t and z are the same to six digits."""


def two_sided_error(critical: float, at_look: list[float]) -> float:
    """P(|Z_k| ≥ c_k at some of five equally spaced looks), no effect.

    A plan that stops only to accept accepts whenever the baseline does: P(baseline accepts) + P(accepts early, and the
    baseline rejects).
    """
    early = [Boundary(LARGE * (k + 1) // 5, None, c) for k, c in enumerate(at_look)]
    return 2 * float(stats.norm.sf(critical)) + mean_operating(LARGE, critical, early).disagreement(0.0)


def test_pocock() -> None:
    """Jennison & Turnbull 2000, table 2.1: K = 5, two-sided 5 %: 2.413."""
    constant = brentq(lambda c: two_sided_error(c, [c] * 4) - 0.05, 2.0, 3.0)
    assert constant == pytest.approx(2.413, abs=1e-3)


def test_obrien_fleming() -> None:
    """Jennison & Turnbull 2000, table 2.3: K = 5, two-sided 5 %: 2.040·√(K/k)."""
    constant = brentq(lambda c: two_sided_error(c, [c * sqrt(5 / k) for k in range(1, 5)]) - 0.05, 1.9, 2.5)
    assert constant == pytest.approx(2.040, abs=1e-3)


def test_other_constants_do_not_give_five_percent() -> None:
    assert two_sided_error(1.96, [1.96] * 4) == pytest.approx(0.142, abs=5e-4)
    assert abs(two_sided_error(2.40, [2.40] * 4) - 0.05) > 1e-3


def test_the_margin_heuristic() -> None:
    plan = suffice.plan(suffice.PairedMean(), 256, 0.01, method="margin")
    assert plan.looks == (64, 128)
    assert plan.worst_disagreement == pytest.approx(0.535, abs=0.01)
    assert plan.guarantee == "none"
    assert plan.disagreement(-plan.worst_at) == pytest.approx(plan.worst_disagreement, rel=1e-9)
    assert all(plan.disagreement(e) <= plan.worst_disagreement for e in np.linspace(0, 8, 33))


def t_statistics(draws: np.ndarray, n: int) -> np.ndarray:
    return np.abs(draws[:, :n].mean(axis=1)) / (draws[:, :n].std(axis=1, ddof=1) / sqrt(n))


@pytest.mark.parametrize("effect, asymptotic", [(0.0, 0.001), (1.5, 0.001), (3.035, 0.006), (5.0, 0.012)])
def test_simulated_normal_draws_agree(effect: float, asymptotic: float) -> None:
    """To four standard errors and what a Brownian motion neglects.

    In 200,000 runs the disagreement was 0.0002, 0.0001, 0.0053 and 0.0115 from the computed one at these effects, with
    standard errors of 0.0006, 0.0010, 0.0011 and 0.0010: at early looks large effects spread t more than z.
    """
    runs, n = 20_000, 256
    plan = suffice.plan(suffice.PairedMean(min_effect=0.0), n, 0.01, method="margin")
    draws = np.random.default_rng(42).standard_normal((runs, n)) + effect / sqrt(n)
    baseline = t_statistics(draws, n) > plan.rule.critical(n)
    accepts, used, going = baseline.copy(), np.full(runs, n), np.ones(runs, dtype=bool)
    for b in plan.boundaries:
        t = t_statistics(draws, b.n)
        for stops, side in ((t >= b.accept_at, True), (t <= b.reject_at, False)):
            accepts[going & stops], used[going & stops] = side, b.n
        going &= (t < b.accept_at) & (t > b.reject_at)
    wrong, expected = (accepts != baseline).mean(), plan.disagreement(effect)
    assert abs(wrong - expected) <= 4 * sqrt(expected * (1 - expected) / runs) + asymptotic
    assert abs(used.mean() - plan.asn(effect)) <= 4 * used.std() / sqrt(runs) + 0.005 * n


def test_a_plan_that_never_stops_is_the_baseline() -> None:
    computed = mean_operating(256, 1.97, ())
    assert (computed.worst()[0], computed.asn(3.0), computed.mean_asn()) == (0.0, 256.0, pytest.approx(256.0))


def test_a_moved_boundary_changes_the_figures() -> None:
    one, other = (mean_operating(256, 1.97, [Boundary(64, low, 2.9)]) for low in (0.5, 0.6))
    assert other.worst()[0] > one.worst()[0]
    assert other.asn(0.0) < one.asn(0.0)
