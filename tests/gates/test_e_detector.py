"""The e-detector equals its definition, trial by trial, and forgets a good past."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from suffice.evidence.measurements import Evidence
from suffice.gates import disagreement
from suffice.gates.e_detector import FAILS, HOLDS, Drift
from suffice.gates.outcome import GateResult, Outcome

TIMES = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)


def by_definition(outcomes: list[bool], p0: float) -> Drift:
    """M ← (M + 1) · likelihood ratio, for every trial and every higher rate."""
    rates = [times * p0 for times in TIMES if times * p0 < 1]
    evidence, means = [0.0] * len(rates), [0.0]
    for outcome in outcomes:
        evidence = [
            (m + 1) * (rate / p0 if outcome else (1 - rate) / (1 - p0)) for m, rate in zip(evidence, rates, strict=True)
        ]
        means.append(sum(evidence) / len(evidence))
    at_events = [mean for mean, outcome in zip(means[1:], outcomes, strict=True) if outcome]
    return Drift(means[-1], max(at_events, default=0.0))


def positions(outcomes: list[bool]) -> list[int]:
    return [number for number, outcome in enumerate(outcomes, 1) if outcome]


@given(st.lists(st.sampled_from([False] * 9 + [True]), max_size=200), st.sampled_from([0.001, 0.01, 0.05, 0.3, 0.6]))
@example([], 0.01)
def test_it_is_what_its_definition_gives(outcomes: list[bool], p0: float) -> None:
    drift, expected = Drift.of(len(outcomes), positions(outcomes), p0), by_definition(outcomes, p0)
    assert (drift.now, drift.peak) == pytest.approx((expected.now, expected.peak), rel=1e-9)


@given(st.lists(st.integers(1, 5_000), unique=True, max_size=60).map(sorted), st.integers(0, 59))
def test_what_forgets_older_events_has_less_evidence(events: list[int], kept: int) -> None:
    whole, latest = Drift.of(5_000, events, 0.01), Drift.of(5_000, events[-kept:] if kept else [], 0.01)
    assert latest.now <= whole.now * (1 + 1e-12) and latest.peak <= whole.peak * (1 + 1e-12)


@pytest.mark.parametrize("p0", [0.0, 1.0])
def test_where_nothing_can_rise_there_is_no_evidence(p0: float) -> None:
    assert Drift.of(10, [1, 2, 3], p0) == Drift()


def test_however_many_trials_are_events_it_stays_a_number() -> None:
    drift = Drift.of(10_000, range(1, 10_001), 0.01)
    assert FAILS < drift.now <= drift.peak < float("inf")


@pytest.mark.parametrize("clean", [1_000, 10_000, 100_000, 1_000_000])
def test_a_hundred_thousand_clean_audits_do_not_hide_what_comes_after(clean: int) -> None:
    """Seen: after 100,000 clean audits a rate of 5 % needed 29,000 more to be noticed."""

    def judged(more: int) -> Outcome:
        places = tuple(range(clean + 20, clean + more + 1, 20))
        evidence = Evidence(audits=clean + more, disagreements=len(places), watched=clean + more, disagreed_at=places)
        return disagreement.judge(evidence, 0.01, 0.95).outcome

    assert judged(0) is Outcome.SUCCESSFUL
    assert judged(40) is Outcome.SUCCESSFUL
    assert judged(400) is Outcome.FAILED
    first = next(more for more in range(20, 420, 20) if judged(more) is not Outcome.SUCCESSFUL)
    assert judged(first) is Outcome.INCONCLUSIVE, "it holds before it fails"


def test_an_alarm_that_was_reached_between_two_looks_counts_and_a_hold_ends_with_its_cause() -> None:
    burst = tuple(range(5_001, 5_009))
    drift = Drift.of(40_000, burst, 0.01)
    assert drift.peak >= FAILS and drift.now < HOLDS
    evidence = Evidence(audits=40_000, disagreements=8, watched=40_000, disagreed_at=burst)
    result = disagreement.judge(evidence, 0.01, 0.95)
    assert (result.outcome, "the latest prove" in result.sentence) == (Outcome.FAILED, True)
    spread = (5_001, 5_002, 5_003, 5_008)

    def at(audits: int) -> GateResult:
        evidence = Evidence(audits=audits, disagreements=4, watched=audits, disagreed_at=spread)
        return disagreement.judge(evidence, 0.01, 0.95)

    assert HOLDS <= Drift.of(5_008, spread, 0.01).now < FAILS
    held = at(5_008)
    assert (held.outcome, "the latest speak" in held.sentence) == (Outcome.INCONCLUSIVE, True)
    assert at(6_000).outcome is Outcome.SUCCESSFUL


@pytest.mark.parametrize("limit", [1e-3, 1e-5, 1e-6, 1e-7])
def test_at_a_small_limit_no_event_or_one_of_many_is_no_evidence(limit: float) -> None:
    """Seen: at 1e-6 none of 4,000,000 audits held the stage, and one of 10,000,000 failed it."""
    audits = int(100 / limit)
    for places in ((), (audits,), (audits // 2, audits)):
        evidence = Evidence(audits=audits, disagreements=len(places), watched=audits, disagreed_at=places)
        result = disagreement.judge(evidence, limit, 0.95)
        assert result.outcome is Outcome.SUCCESSFUL, result.sentence
    burst = tuple(range(audits, audits + 12))
    evidence = Evidence(audits=burst[-1], disagreements=12, watched=burst[-1], disagreed_at=burst)
    assert disagreement.judge(evidence, limit, 0.95).outcome is Outcome.FAILED
