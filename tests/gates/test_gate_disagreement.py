"""The disagreement gate: proof, alarm, and what lies between."""

from dataclasses import replace
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.evidence.measurements import EarlierStage, Evidence, Slice
from suffice.gates import disagreement
from suffice.gates.e_detector import Drift
from suffice.gates.e_process import log_e_above
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


@pytest.mark.parametrize(
    ("n", "at"), [(0, ()), (367, ()), (2_000, (5, 1_990)), (50, (1, 2)), (10**5, ()), (10**5, (99_998, 99_999, 10**5))]
)
def test_so_many_more_disagreements_and_no_fewer_fail_it(n: int, at: tuple[int, ...]) -> None:
    """Seen: status counted to the pooled alarm alone, and a rate that rises is noticed sooner."""

    def after(more: int) -> Evidence:
        positions = (*at, *range(n + 1, n + more + 1))
        return Evidence(audits=n + more, disagreements=len(positions), watched=n + more, disagreed_at=positions)

    more = disagreement.until_failed(after(0), 0.01)
    assert more is not None
    outcomes = [disagreement.judge(after(count), 0.01, 0.95).outcome for count in (more - 1, more)]
    assert (outcomes[0] is Outcome.FAILED, outcomes[1] is Outcome.FAILED) == (False, True)
    assert disagreement.until_failed(after(0), 0.01, most=more) == more
    assert disagreement.until_failed(after(0), 0.01, most=more - 1) is None
    assert disagreement.until_failed(Evidence(audits=None), 0.01) is None


def test_what_two_hundred_more_would_not_do_is_not_told() -> None:
    nothing, limit = Evidence(audits=0, disagreements=0), 0.748437
    assert (disagreement.until_failed(nothing, limit, most=201), disagreement.until_failed(nothing, limit)) == (
        201,
        None,
    )


def sliced(*slices: Slice, clean: int = 0) -> Evidence:
    """Audits of slices, whose disagreements come last, and so many of no slice that agree."""
    return Evidence(
        audits=clean + sum(part.audits for part in slices),
        disagreements=sum(part.disagreements for part in slices),
        slices={f"region {'abcdefgh'[part.number - 1]}": part for part in slices},
    )


def part(number: int, k: int, n: int) -> Slice:
    return Slice(number, n, k, list(range(n - k + 1, n + 1)))


def test_a_region_that_fails_fails_the_stage() -> None:
    result = disagreement.judge(sliced(part(1, 0, 5_000), part(2, 17, 300)), 0.01, 0.95)
    assert result.outcome is Outcome.FAILED
    assert result.sentence == (
        "region b: 17 of 300 audits disagree, 5.67 %; proven ≥ 1.86 % (limit 1 %); "
        "of all: 17 of 5,300 audits disagree, 0.321 %; proven ≤ 0.617 % (limit 1 %)"
    )


def test_regions_in_which_audits_disagree_are_parts_of_the_answer() -> None:
    result = disagreement.judge(sliced(part(1, 1, 5_000), part(2, 17, 300), part(3, 0, 90)), 0.01, 0.95)
    assert [(one.gate, one.outcome, one.numbers) for one in result.parts] == [
        ("region a", Outcome.SUCCESSFUL, {"audits": 5_000, "disagreements": 1}),
        ("region b", Outcome.FAILED, {"audits": 300, "disagreements": 17}),
    ]
    assert result.parts[0].sentence == "1 of 5,000 audits disagrees, 0.02 % (limit 1 %)"
    assert (result.parts[0].value, result.parts[0].limit) == (1 / 5_000, 0.01)


def test_the_only_region_of_a_stage_is_no_part() -> None:
    assert len(disagreement.judge(sliced(part(1, 1, 500), part(2, 1, 500)), 0.01, 0.95).parts) == 2
    assert disagreement.judge(sliced(part(1, 1, 500)), 0.01, 0.95).parts == ()


def test_a_region_whose_rate_has_risen_fails_the_stage_however_good_its_past() -> None:
    result = disagreement.judge(sliced(part(1, 0, 90_000), part(2, 8, 20_000)), 0.01, 0.95)
    assert result.outcome is Outcome.FAILED
    assert "region b: 8 of 20,000 audits disagree, 0.04 %; the latest prove that the rate has risen" in result.sentence


def test_regions_that_fail_are_counted() -> None:
    result = disagreement.judge(sliced(part(1, 0, 9_000), part(2, 17, 300), part(3, 18, 300)), 0.01, 0.95)
    assert (
        "region b: 17 of 300 audits disagree, 5.67 %; proven ≥ 1.86 % (limit 1 %); slices that fail: 2; of all: "
        in result.sentence
    )


@given(st.integers(1, 101), st.integers(1, 40), st.integers(40, 400))
def test_a_region_fails_by_its_share_of_the_errors_of_one_alarm(number: int, k: int, n: int) -> None:
    """The j-th to appear has the share 1 / j(j + 1); the witnesses are the evidence itself and a detector alone."""
    places = list(range(7, n, n // k))[:k]
    judged = disagreement.judge(
        Evidence(audits=10**6, disagreements=len(places), slices={"x": Slice(number, n, len(places), places)}),
        0.01,
        0.95,
    )
    times = number * (number + 1)
    alarming = log_e_above(len(places), n, 0.01) >= log(100 * times)
    risen = Drift.of(n, places, 0.01).peak >= 1.5e6 * times
    assert (judged.outcome is Outcome.FAILED) == (alarming or risen)


@given(st.integers(0, 60), st.integers(1, 900))
def test_the_only_region_of_a_stage_says_no_more_than_the_stage(k: int, n: int) -> None:
    only = part(1, min(k, n), n)
    with_region = replace(sliced(only), watched=n, disagreed_at=only.disagreed_at)
    without = replace(with_region, slices={})
    assert disagreement.judge(with_region, 0.01, 0.95) == disagreement.judge(without, 0.01, 0.95)


@pytest.mark.parametrize(
    ("targets", "named"), [(0, ""), (1, " of 1 target"), (2, " of 2 targets"), (103, " of 103 targets")]
)
def test_the_sentence_names_the_targets_where_they_were_counted(targets: int, named: str) -> None:
    result = disagreement.judge(Evidence(audits=504, disagreements=0, targets=targets), 0.01, 0.95)
    assert result.sentence == f"0 of 504 audits{named} disagree, 0 %; proven ≤ 0.733 % (limit 1 %)"


@pytest.mark.parametrize(
    ("k", "n", "at", "shown"),
    [
        (80, 160, range(81, 161), "80 of 160 audits disagree, 50 %; proven ≥ 30.5 % (limit 1 %)"),
        (
            12,
            10_040,
            range(10_029, 10_041),
            "12 of 10,040 audits disagree, 0.12 %; the latest prove that the rate has risen (limit 1 %)",
        ),
    ],
)
def test_an_earlier_stage_goes_on_with_the_audits_that_reach_the_ledger_late(
    k: int, n: int, at: range, shown: str
) -> None:
    late = Evidence(audits=400, disagreements=0, earlier={"canary": EarlierStage(n, k, n, list(at))})
    result = disagreement.judge(late, 0.01, 0.95)
    assert result.outcome is Outcome.FAILED
    own = judged(0, 400)
    assert result.sentence == f"canary, passed: {shown}; of this stage: {own.sentence}"
    assert [(part.gate, part.outcome) for part in result.parts] == [("canary, passed", Outcome.FAILED)]


def test_an_earlier_stage_that_does_not_fail_changes_nothing() -> None:
    """It proves nothing about this one, and keeps none."""
    good = Evidence(audits=400, disagreements=0, earlier={"canary": EarlierStage(400, 4, 400, [7, 90, 200, 390])})
    assert disagreement.judge(good, 0.01, 0.95) == judged(0, 400)
    none = Evidence(audits=3, disagreements=0, earlier={"canary": EarlierStage(10**4, 0, 10**4)})
    assert disagreement.judge(none, 0.01, 0.95) == judged(0, 3)


def test_an_earlier_stage_with_impossible_counts_is_an_error() -> None:
    impossible = Evidence(audits=400, disagreements=0, earlier={"canary": EarlierStage(4, 5, 4)})
    assert disagreement.judge(impossible, 0.01, 0.95).outcome is Outcome.ERROR


def test_unfinished_audits_count_as_disagreements_for_the_proof_and_not_for_the_alarm() -> None:
    result = disagreement.judge(Evidence(audits=2_000, disagreements=0, unfinished=192), 0.01, 0.95)
    assert result.outcome is Outcome.INCONCLUSIVE
    told = "; 192 audits were not finished, since their sampler raised (set Case(retries=…))"
    assert result.sentence.startswith("0 of 2,000 audits disagree, 0 %; proven ≤ ") and result.sentence.endswith(told)
    assert result.numbers["upper"] == judged(192, 2_192).numbers["upper"]
    one_of_them = disagreement.judge(Evidence(audits=656, disagreements=0, unfinished=1), 0.01, 0.95)
    assert one_of_them.outcome is judged(1, 657).outcome is Outcome.SUCCESSFUL
    assert disagreement.judge(Evidence(audits=655, disagreements=0, unfinished=1), 0.01, 0.95).value == 0
    assert disagreement.judge(Evidence(audits=655, disagreements=0, unfinished=1), 0.01, 0.95).outcome is (
        Outcome.INCONCLUSIVE
    )
