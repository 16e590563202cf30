"""The e-processes: against numerical integration, the martingale property, and brute force over rates."""

from math import exp, inf, log, log1p, nextafter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import beta, betabinom, binom

from property_examples import examples
from suffice.gates.e_process import (
    ALARM,
    audits_to_prove,
    log_e_above,
    log_e_below,
    log_e_other,
    log_e_risen,
    lower,
    reached,
    upper,
)

rates = st.floats(0.001, 0.999)


@st.composite
def counts(draw: st.DrawFn, most: int = 2000) -> tuple[int, int]:
    n = draw(st.integers(0, most))
    return draw(st.integers(0, n)), n


@pytest.mark.parametrize("k, n", [(0, 367), (1, 657), (2, 881)])
def test_so_many_audits_prove_one_percent_and_one_less_does_not(k: int, n: int) -> None:
    assert reached(log_e_below(k, n, 0.01), 0.95)
    assert not reached(log_e_below(k, n - 1, 0.01), 0.95)
    assert audits_to_prove(k, 0.01, 0.95) == n


def test_a_wider_limit_takes_fewer_targets() -> None:
    """The figures of docs/decisions/0016."""
    assert [audits_to_prove(0, p0, 0.95) for p0 in (0.01, 0.03, 0.1)] == [367, 116, 31]


@pytest.mark.parametrize("k, p0", [(0, 0.0), (5_000, 0.01), (200_000, 0.01)])
def test_what_a_hundred_thousand_agreeing_audits_do_not_prove_is_given_up(k: int, p0: float) -> None:
    assert audits_to_prove(k, p0, 0.95) is None
    assert audits_to_prove(0, 3.78791e-5, 0.95) == 100_000
    assert audits_to_prove(0, 3.78788e-5, 0.95) is None
    assert reached(log_e_below(0, 100_001, 3.78788e-5), 0.95)


@pytest.mark.parametrize("k, n", [(0, 0), (0, 367), (2, 881), (3, 40), (40, 60), (0, 1500), (40, 3000), (1990, 2000)])
@pytest.mark.parametrize("p0", [0.005, 0.01, 0.3])
def test_it_is_the_likelihood_ratio_mixed_over_the_prior_on_one_side(k: int, n: int, p0: float) -> None:
    nodes, weights = np.polynomial.legendre.leggauss(50)
    for log_e, prior, start, end in ((log_e_below, beta(0.5, 50), 0.0, p0), (log_e_above, beta(1, 50), p0, 1.0)):
        # With p = u² the integrand has no singularity; the grid is fine where likelihood or prior is steep.
        edges = np.sqrt(np.linspace(start, end, 41))
        half = np.diff(edges)[:, None] / 2
        u = edges[:-1, None] + half * (nodes + 1)
        log_ratio = binom.logpmf(k, n, u * u) - binom.logpmf(k, n, p0)
        mixed = logsumexp(log_ratio + prior.logpdf(u * u), b=half * weights * 2 * u)
        assert log_e(k, n, p0) == pytest.approx(mixed - log(prior.cdf(end) - prior.cdf(start)), abs=1e-6)


@pytest.mark.parametrize("k, n", [(0, 1), (1, 1), (3, 40), (40, 60), (200, 1500)])
@pytest.mark.parametrize("p0", [0.01, 0.3, 0.95])
def test_against_a_rate_in_both_directions_the_prior_has_its_mean_and_a_hundred_events(
    k: int, n: int, p0: float
) -> None:
    witness = betabinom.logpmf(k, n, 100 * p0, 100 * (1 - p0)) - binom.logpmf(k, n, p0)
    assert log_e_other(k, n, p0) == pytest.approx(witness, abs=1e-6)


@given(counts(), rates)
def test_at_p0_one_more_event_neither_wins_nor_loses_on_average(kn: tuple[int, int], p0: float) -> None:
    """The martingale property: what Ville's inequality needs."""
    k, n = kn
    for log_e in (log_e_below, log_e_above, log_e_other):
        now = log_e(k, n, p0)
        after = (1 - p0) * exp(log_e(k, n + 1, p0) - now) + p0 * exp(log_e(k + 1, n + 1, p0) - now)
        assert after == pytest.approx(1, abs=1e-6)


@given(counts(), rates, st.floats(0, 1))
def test_on_the_hypothesis_side_it_loses_on_average(kn: tuple[int, int], p0: float, share: float) -> None:
    k, n = kn
    for log_e, p in ((log_e_below, p0 + share * (1 - p0)), (log_e_above, p0 * share)):
        now = log_e(k, n, p0)
        assert (1 - p) * exp(log_e(k, n + 1, p0) - now) + p * exp(log_e(k + 1, n + 1, p0) - now) <= 1 + 1e-6


@given(counts(), rates)
def test_a_disagreement_speaks_against_and_an_agreement_for(kn: tuple[int, int], p0: float) -> None:
    k, n = kn
    assert log_e_below(k + 1, n + 1, p0) <= log_e_below(k, n, p0) + 1e-9 <= log_e_below(k, n + 1, p0) + 2e-9
    assert log_e_above(k, n + 1, p0) <= log_e_above(k, n, p0) + 1e-9 <= log_e_above(k + 1, n + 1, p0) + 2e-9


@settings(max_examples=examples(40))
@given(counts(), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_what_is_proven_of_a_rate_is_proven_of_every_easier_one(kn: tuple[int, int], confidence: float) -> None:
    k, n = kn
    # Squares, so that it is fine where rates are small.
    grid = [(i / 60) ** 2 for i in range(61)]
    proven_below = [reached(log_e_below(k, n, p), confidence) for p in grid]
    proven_above = [reached(log_e_above(k, n, p), confidence) for p in grid]
    assert proven_below == sorted(proven_below)
    assert proven_above == sorted(proven_above, reverse=True)
    # At k = n the bound is 1, which holds without evidence.
    assert k == n or proven_below == [p >= upper(k, n, confidence) for p in grid]
    assert proven_above == [k > 0 and p <= lower(k, n, confidence) for p in grid]


@given(counts())
def test_the_bounds_enclose_the_observed_rate(kn: tuple[int, int]) -> None:
    k, n = kn
    assert 0 <= lower(k, n, 0.99) <= (k / n if n else 0) <= upper(k, n, 0.95) <= 1


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_evidence_exactly_at_the_limit_is_enough(confidence: float) -> None:
    limit = -log1p(-confidence)
    assert reached(limit, confidence)
    assert not reached(nextafter(limit, 0), confidence)


def test_an_alarm_takes_evidence_of_a_hundred() -> None:
    assert reached(log(100.001), ALARM)
    assert not reached(log(99.999), ALARM)


def test_nothing_observed_says_nothing() -> None:
    assert (lower(0, 0, 0.99), upper(0, 0, 0.95)) == (0.0, 1.0)
    assert log_e_below(0, 0, 0.01) == log_e_above(0, 0, 0.01) == log_e_other(0, 0, 0.01) == 0


def test_certain_and_impossible_rates() -> None:
    assert log_e_below(0, 10**6, 0.0) == 0, "no number of audits proves a rate below 0"
    assert log_e_above(10, 10, 1.0) == 0, "nor one above 1"
    assert log_e_above(1, 10, 0.0) == log_e_below(9, 10, 1.0) == inf, "a single event settles it"


@pytest.mark.parametrize("p0", [1e-300, 1e-9, 1 - 1e-9, 1 - 2**-53])
@pytest.mark.parametrize("k, n", [(0, 10**6), (10**6, 10**6), (5, 10**6), (10**6 - 5, 10**6)])
def test_far_out_it_neither_overflows_nor_turns_into_nan(k: int, n: int, p0: float) -> None:
    for log_e in (log_e_below, log_e_above):
        assert abs(log_e(k, n, p0)) < inf


@pytest.mark.parametrize("p0", [1 - 1e-3, 1 - 1e-9, 1 - 1e-12])
def test_the_far_tail_is_right_where_it_has_a_closed_form(p0: float) -> None:
    """Above p0 a Beta(1, 50) prior is again one: (1 − p) / (1 − p0) has the density 50 w^49."""
    k, n = 5, 40
    mixed, _ = quad(lambda w: ((1 - (1 - p0) * w) / p0) ** k * w ** (n - k) * 50 * w**49, 0, 1)
    assert log_e_above(k, n, p0) == pytest.approx(log(mixed), abs=1e-5)


def test_the_evidence_of_a_rise_loses_on_average_wherever_the_rate_is_no_higher() -> None:
    """The mean of E over all outcomes of two samples is at most 1 under each pair of rates that has not risen."""
    n_before, n = 40, 30
    evidence = np.array(
        [[exp(log_e_risen(k, n, before, n_before)) for k in range(n + 1)] for before in range(n_before + 1)]
    )
    for rate_before in (0.0, 0.01, 0.1, 0.5, 0.9):
        for rate in (0.0, 0.01, 0.1, 0.5, 0.9):
            mean = binom.pmf(range(n_before + 1), n_before, rate_before) @ evidence @ binom.pmf(range(n + 1), n, rate)
            if rate <= rate_before:
                assert mean <= 1 + 1e-9
    risen = binom.pmf(range(n_before + 1), n_before, 0.01) @ evidence @ binom.pmf(range(n + 1), n, 0.5)
    assert risen > 100, "the negative control"


def test_without_other_events_nothing_has_risen() -> None:
    assert log_e_risen(30, 30, 0, 0) <= 0
