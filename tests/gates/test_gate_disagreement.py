"""The disagreement gate: proof, alarm, and what lies between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.evidence.measurements import Evidence
from suffice.gates import disagreement
from suffice.gates.outcome import GateResult, Outcome


def judged(k: float | None, n: float | None) -> GateResult:
    return disagreement.judge(Evidence(audits=n, disagreements=k), 0.01, 0.95)


@pytest.mark.parametrize(
    "k, n, outcome, sentence",
    [
        (0, 0, Outcome.INCONCLUSIVE, "no audit yet, 0 disagree (limit 1 %)"),
        (0, 366, Outcome.INCONCLUSIVE, "0 of 366 audits disagree, 0 %; proven ≤ 1.01 % (limit 1 %)"),
        (0, 367, Outcome.SUCCESSFUL, "0 of 367 audits disagree, 0 %; proven ≤ 0.998 % (limit 1 %)"),
        (1, 657, Outcome.SUCCESSFUL, "1 of 657 audits disagrees, 0.152 %; proven ≤ 1 % (limit 1 %)"),
        (3, 1204, Outcome.SUCCESSFUL, "3 of 1,204 audits disagree, 0.249 %; proven ≤ 0.897 % (limit 1 %)"),
        (4, 400, Outcome.INCONCLUSIVE, "4 of 400 audits disagree, 1 %; proven ≤ 3.17 % (limit 1 %)"),
        (17, 300, Outcome.FAILED, "17 of 300 audits disagree, 5.67 %; proven ≥ 2.22 % (limit 1 %)"),
    ],
)
def test_proven_alarming_or_neither(k: int, n: int, outcome: Outcome, sentence: str) -> None:
    result = judged(k, n)
    assert (result.outcome, result.sentence) == (outcome, sentence)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_the_answer_is_what_its_bounds_say(a: int, b: int) -> None:
    k, n = min(a, b), max(a, b)
    result = judged(k, n)
    proven, alarming = result.numbers["upper"], result.numbers["lower"]
    assert proven is not None and alarming is not None
    expected = Outcome.FAILED if alarming >= 0.01 else Outcome.SUCCESSFUL if proven <= 0.01 else Outcome.INCONCLUSIVE
    assert result.outcome is expected


def test_a_bare_rate_proves_nothing() -> None:
    assert judged(0, 1).outcome is judged(0, 100).outcome is judged(1, 200).outcome is Outcome.INCONCLUSIVE


def test_a_proof_is_lost_when_later_audits_disagree() -> None:
    assert judged(0, 367).outcome is Outcome.SUCCESSFUL
    assert judged(3, 370).outcome is Outcome.INCONCLUSIVE


def test_audits_that_all_disagree_are_possible() -> None:
    assert judged(5, 5).outcome is Outcome.FAILED


def test_one_audit_can_prove_a_high_limit() -> None:
    assert disagreement.judge(Evidence(audits=1, disagreements=0), 0.99, 0.95).outcome is Outcome.SUCCESSFUL


def test_no_audit_has_no_rate() -> None:
    assert judged(0, 0).value is None


def test_more_disagreements_than_audits_are_impossible() -> None:
    assert judged(5, 4).sentence == "impossible counts: 5 disagreements in 4 audits (limit 1 %)"


def test_a_limit_of_zero_is_never_proven_and_one_disagreement_breaks_it() -> None:
    none, one = Evidence(audits=10**6, disagreements=0), Evidence(audits=10**6, disagreements=1)
    assert disagreement.judge(none, 0.0, 0.95).outcome is Outcome.INCONCLUSIVE
    assert disagreement.judge(one, 0.0, 0.95).outcome is Outcome.FAILED


@pytest.mark.parametrize(("n", "at"), [(0, ()), (367, ()), (2_000, (5, 1_990)), (50, (1, 2))])
def test_so_many_more_disagreements_and_no_fewer_fail_it(n: int, at: tuple[int, ...]) -> None:
    """Seen: status counted to the pooled alarm alone, and a rate that rises is noticed sooner."""

    def after(more: int) -> Evidence:
        positions = (*at, *range(n + 1, n + more + 1))
        return Evidence(audits=n + more, disagreements=len(positions), watched=n + more, disagreed_at=positions)

    more = disagreement.until_failed(after(0), 0.01)
    assert more is not None
    outcomes = [disagreement.judge(after(count), 0.01, 0.95).outcome for count in (more - 1, more)]
    assert (outcomes[0] is Outcome.FAILED, outcomes[1] is Outcome.FAILED) == (False, True)
    assert disagreement.until_failed(after(0), 0.01, most=more - 1) is None
    assert disagreement.until_failed(Evidence(audits=None), 0.01) is None
