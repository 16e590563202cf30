"""The gate of targets: each counts once, and few of them prove nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.evidence.measurements import Evidence
from suffice.gates import disagreement, targets
from suffice.gates.e_process import ALARM, lower, upper
from suffice.gates.outcome import GateResult, Outcome


def judged(k: int, n: int, audits: int, limit: float = 0.01) -> GateResult:
    return targets.judge(
        Evidence(first_disagreements=k, first_audits=n, rollout_audits=audits, audits=0, disagreements=0), limit, 0.95
    )


@pytest.mark.parametrize(
    "k, n, audits, outcome, sentence",
    [
        (0, 0, 0, Outcome.INCONCLUSIVE, "no target audited yet, 0 disagree (limit 1 %)"),
        (
            *(0, 103, 504, Outcome.INCONCLUSIVE),
            "0 of 103 targets disagree in their first audit (of 504 audits), 0 %; proven ≤ 3.34 %; "
            "367 targets without a disagreement prove 1 %, a service that has fewer starts with --waive targets "
            "(limit 1 %)",
        ),
        (
            *(0, 1, 9, Outcome.INCONCLUSIVE),
            "0 of 1 target disagrees in its first audit (of 9 audits), 0 %; proven ≤ 95.1 %; "
            "367 targets without a disagreement prove 1 %, a service that has fewer starts with --waive targets "
            "(limit 1 %)",
        ),
        (
            *(1, 367, 400, Outcome.INCONCLUSIVE),
            "1 of 367 targets disagrees in its first audit (of 400 audits), 0.272 %; proven ≤ 1.78 % (limit 1 %)",
        ),
        (
            *(2, 4_103, 11_159, Outcome.SUCCESSFUL),
            "2 of 4,103 targets disagree in their first audit (of 11,159 audits), 0.0487 %; "
            "proven ≤ 0.216 % (limit 1 %)",
        ),
        (
            *(1, 500, 500, Outcome.INCONCLUSIVE),
            "1 of 500 targets disagrees in its first audit (of 500 audits), 0.2 %; proven ≤ 1.31 % (limit 1 %)",
        ),
        (
            *(17, 300, 9_000, Outcome.FAILED),
            "17 of 300 targets disagree in their first audit (of 9,000 audits), 5.67 %; proven ≥ 2.22 % (limit 1 %)",
        ),
    ],
)
def test_the_sentence_names_targets_and_audits(k: int, n: int, audits: int, outcome: Outcome, sentence: str) -> None:
    result = judged(k, n, audits)
    assert (result.outcome, result.sentence) == (outcome, sentence)
    bounds = {"lower": lower(k, n, ALARM), "upper": upper(k, n, 0.95)}
    assert result.numbers == {"targets": n, "disagreements": k, **bounds}


def test_thirty_targets_prove_nothing_however_many_audits_they_have() -> None:
    """Seen: thirty targets of which 2 % always disagree proved 1 % in half of all rollouts, by their many audits."""
    many = Evidence(audits=9_000, disagreements=0, first_audits=30, first_disagreements=0, rollout_audits=9_000)
    assert disagreement.judge(many, 0.01, 0.95).outcome is Outcome.SUCCESSFUL
    assert targets.judge(many, 0.01, 0.95).outcome is Outcome.INCONCLUSIVE


@given(st.integers(0, 900), st.integers(0, 900))
def test_first_audits_are_judged_as_audits_are(a: int, b: int) -> None:
    k, n = min(a, b), max(a, b)
    as_audits = disagreement.judge(Evidence(audits=n, disagreements=k), 0.01, 0.95)
    assert judged(k, n, n).outcome is as_audits.outcome


def test_two_targets_are_targets() -> None:
    assert judged(0, 2, 9).sentence.startswith("0 of 2 targets disagree in their first audit (of 9 audits)")


def test_a_limit_of_nothing_is_never_proven() -> None:
    assert judged(0, 90_000, 90_000, limit=0.0).outcome is Outcome.INCONCLUSIVE
    assert "without a disagreement" not in judged(0, 90, 90, limit=0.0).sentence


@pytest.mark.parametrize("k, n, audits", [(3, 2, 9), (0, 9, 8)])
def test_counts_that_are_impossible_together_are_an_error(k: int, n: int, audits: int) -> None:
    result = judged(k, n, audits)
    assert result.outcome is Outcome.ERROR
    assert "impossible counts" in result.sentence
