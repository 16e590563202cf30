"""The health gate: fallbacks, freshness, silence and the shares of the arms."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from suffice.config import HealthLimits
from suffice.evidence.measurements import Evidence
from suffice.gates.e_process import log_e_other, reached
from suffice.gates.health import MISMATCH, judge
from suffice.gates.outcome import GateResult, Outcome

WELL = Evidence(
    decisions=10_000,
    adaptive=500,
    invalid=0,
    stopped=500,
    fallbacks=0,
    adaptive_targets=50,
    fixed_targets=950,
    age=60.0,
    silence=30.0,
)


def judged(limits: HealthLimits | None = None, weight: int = 5, **changed: float | None) -> GateResult:
    return judge(replace(WELL, **changed), weight, limits)


def test_all_is_well() -> None:
    result = judged()
    assert result.outcome is Outcome.SUCCESSFUL
    assert result.sentence == "0 of 500 adaptive decisions fell back, 0 % (limit 1 %)"


def test_the_sentence_names_the_most_frequent_message_of_fallbacks() -> None:
    evidence = replace(WELL, fallbacks=40, failures={"KeyError: 'a'": 1, "no answer within 30 s": 39})
    assert judge(evidence, 5).sentence == (
        "40 of 540 adaptive decisions fell back, 7.41 % (limit 1 %), most often: 39 × no answer within 30 s"
    )


@pytest.mark.parametrize(
    "changed, outcome, sentence",
    [
        ({"fallbacks": 4}, Outcome.SUCCESSFUL, "4 of 504 adaptive decisions fell back, 0.794 % (limit 1 %)"),
        ({"fallbacks": 9}, Outcome.INCONCLUSIVE, "9 of 509 adaptive decisions fell back, 1.77 % (limit 1 %)"),
        ({"fallbacks": 40}, Outcome.FAILED, "40 of 540 adaptive decisions fell back, 7.41 % (limit 1 %)"),
        ({"age": 3601.0}, Outcome.ERROR, "no sign of life of production for 3,601 s (limit 3,600 s)"),
        ({"silence": 21601.0}, Outcome.INCONCLUSIVE, "no decision for 21,601 s (limit 21,600 s), 10,000 before that"),
        (
            {"refused": 3, "refused_age": 3600.0},
            Outcome.ERROR,
            "3 ledger rows were refused or lost, the newest 3,600 s ago (an Error for 3,600 s)",
        ),
        (
            {"refused": 3, "refused_age": 3601.0},
            Outcome.SUCCESSFUL,
            "0 of 500 adaptive decisions fell back, 0 % (limit 1 %)",
        ),
        (
            {"reused": 270},
            Outcome.SUCCESSFUL,
            "0 of 500 adaptive decisions fell back, 0 % (limit 1 %); 270 decisions had keys of earlier ones",
        ),
        (
            {"invalid": 3},
            Outcome.SUCCESSFUL,
            "0 of 500 adaptive decisions fell back, 0 % (limit 1 %); 3 decisions were INVALID",
        ),
        (
            {"invalid": 400, "shadow_decisions": 1_000, "shadow_invalid": 1},
            Outcome.ERROR,
            "400 of 10,000 decisions are INVALID, 4 %; in the shadow 1 of 1,000; evidence of a rise 3.9e+12, "
            "100 is an Error",
        ),
        (
            {"decisions": 11, "adaptive": 11, "stopped": 11, "reused": 2_051},
            Outcome.INCONCLUSIVE,
            "2,051 of 2,062 decisions had keys of earlier ones, 99.5 % (limit 10 %): a restart with the same "
            "keys leaves the evidence at 11; give each case a key of its own",
        ),
        (
            {"processes": 4, "disabled": 1, "foreign": 2},
            Outcome.INCONCLUSIVE,
            "3 of 4 processes cannot be adaptive (limit 0): 1 has adaptive sampling disabled, or the baseline forced "
            "and 2 have another plan; restart them with the rollout's configuration",
        ),
        (
            {"processes": 2, "rows_waiting": 1, "silence": 61.0},
            Outcome.INCONCLUSIVE,
            "1 row waits in the spools of 2 processes (limit 1,000; 10,000 have come); the log of the service says why "
            "they are not written",
        ),
        ({"adaptive_targets": 0}, Outcome.INCONCLUSIVE, "0 of 950 targets are adaptive, 0 % (weight 5 %)"),
        ({"adaptive_targets": 500}, Outcome.INCONCLUSIVE, "500 of 1,450 targets are adaptive, 34.5 % (weight 5 %)"),
    ],
)
def test_each_sign_has_its_sentence(changed: dict[str, float], outcome: Outcome, sentence: str) -> None:
    result = judged(**changed)
    assert (result.outcome, result.sentence) == (outcome, sentence)


@pytest.mark.parametrize(
    "changed, value, limit, numbers",
    [
        ({"age": 3601.0}, 3601.0, 3600.0, {}),
        ({"silence": 21601.0}, 21601.0, 21600.0, {}),
        ({"refused": 3, "refused_age": 60.0}, 3, 3600.0, {"refused": 3}),
        ({"adaptive_targets": 500}, 500 / 1450, 0.05, {"targets": 1450, "adaptive": 500}),
    ],
)
def test_each_sign_has_its_numbers(
    changed: dict[str, float], value: float, limit: float, numbers: dict[str, float]
) -> None:
    result = judged(**changed)
    assert (result.value, result.limit, result.numbers) == (value, limit, numbers)


@pytest.mark.parametrize(
    "changed",
    [
        {"age": 3600.0},
        {"silence": 21600.0},
        {"adaptive": 495, "fallbacks": 5},
        {"adaptive": 10_000},
    ],
)
def test_what_is_just_at_its_limit_is_well(changed: dict[str, float]) -> None:
    assert judged(**changed).outcome is Outcome.SUCCESSFUL


def part(name: str, result: GateResult) -> GateResult:
    return next(part for part in result.parts if part.gate == name)


def test_every_check_is_a_part_and_the_gate_is_the_worst_of_them() -> None:
    result = judged(silence=1e9, refused=3, refused_age=60.0)
    outcomes = {part.gate: part.outcome.value for part in result.parts}
    assert outcomes == {
        **dict.fromkeys(("fallbacks", "signs of life", "keys", "processes", "spools", "arms", "INVALID"), "Successful"),
        "silence": "Inconclusive",
        "rows": "Error",
    }
    assert (result.gate, result.outcome, result.sentence) == ("health", Outcome.ERROR, part("rows", result).sentence)


@pytest.mark.parametrize("reused, outcome", [(1_111, Outcome.SUCCESSFUL), (1_112, Outcome.INCONCLUSIVE)])
def test_keys_hold_the_stage_when_one_of_ten_is_of_an_earlier_decision(reused: int, outcome: Outcome) -> None:
    """Seen: one of two processes began its keys anew and disagreed in half of its audits; the rollout completed."""
    assert judged(reused=reused).outcome is outcome


@pytest.mark.parametrize(
    "decisions, reused, outcome",
    [
        (20, 20, Outcome.SUCCESSFUL),
        (19, 20, Outcome.INCONCLUSIVE),
        (0, 19, Outcome.SUCCESSFUL),
        (0, 20, Outcome.INCONCLUSIVE),
    ],
)
def test_keys_hold_a_long_stage_when_most_of_the_latest_are_of_earlier_decisions(
    decisions: int, reused: int, outcome: Outcome
) -> None:
    recent = {"decisions": decisions, "reused": reused}
    sign = part("keys", judge(replace(WELL, reused=20, recent=recent), 5))
    assert sign.outcome is outcome
    assert sign.sentence.startswith(
        "20 of 10,020 decisions had keys of earlier ones, 0.2 % (limit 10 %)"
        if outcome is Outcome.SUCCESSFUL
        else f"20 of {decisions + 20} recent decisions had keys of earlier ones, "
    )


def test_who_is_disabled_is_audited_in_the_shadow_and_who_has_another_plan_is_not() -> None:
    shadow = {"weight": 0, "adaptive_targets": 0, "processes": 2}
    assert judged(**shadow, disabled=2).outcome is Outcome.SUCCESSFUL
    assert part("processes", judged(**shadow, disabled=1, foreign=1)).sentence.startswith(
        "1 of 2 processes cannot be adaptive (limit 0): 1 has another plan;"
    )


@pytest.mark.parametrize(
    "waiting, silence, recent, decisions, outcome",
    [
        (500, 60.0, 0, 10_000, Outcome.SUCCESSFUL),
        (501, 60.0, 0, 500, Outcome.INCONCLUSIVE),
        (1_000, 60.0, 1_999, 10_000, Outcome.SUCCESSFUL),
        (1_001, 60.0, 1_999, 10_000, Outcome.INCONCLUSIVE),
        (4_000, 60.0, 8_000, 10_000, Outcome.SUCCESSFUL),
        (4_001, 60.0, 8_000, 10_000, Outcome.INCONCLUSIVE),
        (1, 60.5, 8_000, 10_000, Outcome.INCONCLUSIVE),
        (0, 60.5, 0, 10_000, Outcome.SUCCESSFUL),
    ],
)
def test_rows_that_wait_are_a_sign_when_none_come_or_fewer_than_wait(
    waiting: int, silence: float, recent: int, decisions: int, outcome: Outcome
) -> None:
    """Seen: 99,999 rows waited behind 100,000 that another process had delivered, and all was well."""
    counts = {"decisions": recent}
    evidence = replace(WELL, rows_waiting=waiting, silence=silence, decisions=decisions, recent=counts)
    assert part("spools", judge(evidence, 5)).outcome is outcome


@pytest.mark.parametrize(
    "weight, fraction, targets, outcome",
    [
        (0, 1.0, 1, Outcome.INCONCLUSIVE),
        (0, 1.0, 0, Outcome.SUCCESSFUL),
        (20, 0.1, 65, Outcome.SUCCESSFUL),
        (20, 0.1, 66, Outcome.INCONCLUSIVE),
    ],
)
def test_no_audits_are_a_sign_where_chance_cannot_explain_it(
    weight: int, fraction: float, targets: int, outcome: Outcome
) -> None:
    # 0.9^65 is 0.00106, 0.9^66 is 0.00096.
    arms = {"adaptive_targets": 0, "fixed_targets": targets}
    if weight:
        arms = {"adaptive_targets": targets, "fixed_targets": 4 * targets}
    evidence = replace(WELL, audits=0, **arms)
    assert part("audits", judge(evidence, weight, audit_fraction=fraction)).outcome is outcome
    audited = judge(replace(evidence, audits=1), weight, audit_fraction=fraction)
    assert part("audits", audited).outcome is Outcome.SUCCESSFUL


@pytest.mark.parametrize(
    "fraction, targets, audits, outcome",
    [
        (1.0, 5_000, 499, Outcome.INCONCLUSIVE),
        (1.0, 5_000, 500, Outcome.SUCCESSFUL),
        (0.1, 200, 1, Outcome.INCONCLUSIVE),
        (0.1, 199, 1, Outcome.SUCCESSFUL),
    ],
)
def test_far_fewer_audits_than_targets_let_expect_are_a_sign(
    fraction: float, targets: int, audits: int, outcome: Outcome
) -> None:
    """Seen: 1 audit of 100,000 decisions about 5,000 targets, all of which were to be audited."""
    evidence = replace(WELL, adaptive_targets=targets, fixed_targets=0, audits=audits)
    sign = part("audits", judge(evidence, 100, audit_fraction=fraction))
    assert sign.outcome is outcome
    told = f"{audits} audits of 10,000 decisions about {targets:,} targets (audited: {100 * fraction:.0f} %)"
    expected = f", of which about {targets * fraction:,.0f} were to be audited"
    assert sign.sentence == told + (expected if outcome is Outcome.INCONCLUSIVE else "")


@pytest.mark.parametrize(
    "weight, recent, outcome",
    [
        (20, {"decisions": 1_000, "adaptive": 200}, Outcome.INCONCLUSIVE),
        (20, {"decisions": 1_000, "adaptive": 199}, Outcome.SUCCESSFUL),
        (20, {"decisions": 1_000, "adaptive": 200, "audits": 1}, Outcome.SUCCESSFUL),
        (20, {"decisions": 1_000, "adaptive": 200, "invalid": 1}, Outcome.SUCCESSFUL),
        (0, {"decisions": 200}, Outcome.INCONCLUSIVE),
        (0, {"decisions": 200, "ineligible": 1}, Outcome.SUCCESSFUL),
    ],
)
def test_audits_that_end_in_the_middle_of_a_stage_are_a_sign(
    weight: int, recent: dict[str, int], outcome: Outcome
) -> None:
    """Seen: audits ended after 24, and for a day of traffic all was well."""
    arms = {"adaptive_targets": 100 if weight else 0, "fixed_targets": 400}
    evidence = replace(WELL, audits=24, recent=recent, **arms)
    sign = part("audits", judge(evidence, weight, audit_fraction=0.1))
    assert sign.outcome is outcome
    if outcome is Outcome.INCONCLUSIVE:
        assert sign.sentence == (
            f"no new audit although {recent['decisions']:,} decisions came lately, where about 20 were to be expected; "
            "24 before that (audited: 10 %)"
        )


@pytest.mark.parametrize("ineligible, outcome", [(900, Outcome.INCONCLUSIVE), (899, Outcome.SUCCESSFUL)])
def test_cases_that_are_all_ineligible_leave_no_audits(ineligible: int, outcome: Outcome) -> None:
    counts = {"decisions": 900, "adaptive": 0, "stopped": 0, "adaptive_targets": 0, "fixed_targets": 0}
    evidence = replace(WELL, audits=0, ineligible=ineligible, **counts)
    sign = part("audits", judge(evidence, 20, audit_fraction=1.0))
    assert (sign.outcome, sign.sentence) == (
        outcome,
        "0 audits of 900 decisions about 0 targets (audited: 100 %); "
        f"{ineligible} decisions are never to be adaptive: Case(eligible=False), or draws unfit for the plan",
    )


def test_what_is_on_the_fixed_arm_for_ever_is_told_with_its_number() -> None:
    """Seen: 9,683 targets at weight 20 %, told as "0 of 0 fell back"."""
    none = {"adaptive": 0, "stopped": 0, "audits": 0, "adaptive_targets": 0, "fixed_targets": 9_683}
    result = judge(replace(WELL, **none), 20, audit_fraction=1.0)
    assert (result.outcome, result.sentence) == (
        Outcome.INCONCLUSIVE,
        "0 of 9,683 targets are adaptive, 0 % (weight 20 %)",
    )


def test_more_adaptive_decisions_than_decisions_are_impossible() -> None:
    result = judged(decisions=499)
    assert result.outcome is Outcome.ERROR
    assert "500 adaptive of 499 decisions" in result.sentence


def test_one_lost_row_is_told_in_the_singular() -> None:
    sentence = judged(refused=1, refused_age=60.0).sentence
    assert sentence.startswith("1 ledger row was refused or lost, the newest 60 s ago")


def test_one_reused_key_is_told_in_the_singular() -> None:
    assert judged(reused=1).sentence.endswith("; 1 decision had keys of earlier ones")


def test_no_decision_is_told_and_so_is_none_that_was_adaptive() -> None:
    silent, fixed = judged(decisions=0, adaptive=0), judged(adaptive=0, stopped=0)
    assert (silent.outcome, fixed.outcome) == (Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE)
    assert silent.sentence == "no decision for 30 s (limit 21,600 s), 0 before that"
    assert fixed.sentence == "no adaptive decision yet, 0 fell back (limit 1 %)"


@pytest.mark.parametrize("weight", [1, 99])
def test_a_mismatch_is_seen_at_every_weight_in_between(weight: int) -> None:
    assert judged(weight=weight, adaptive_targets=500, fixed_targets=500).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    "limits, changed",
    [
        (HealthLimits(fallbacks="hold"), {"fallbacks": 40}),
        (HealthLimits(silence="hold"), {"silence": 1e6}),
        (HealthLimits(mismatch="hold"), {"adaptive_targets": 500}),
    ],
)
def test_it_holds_or_fails_as_configured(limits: HealthLimits, changed: dict[str, float]) -> None:
    failing = HealthLimits(fallbacks="fail", silence="fail", mismatch="fail")
    assert judged(limits, **changed).outcome is Outcome.INCONCLUSIVE
    assert judged(failing, **changed).outcome is Outcome.FAILED


def test_the_worst_sign_is_told() -> None:
    assert "no sign of life" in judged(age=1e9, silence=1e9, fallbacks=9).sentence


def test_that_nothing_lives_is_told_before_lost_rows() -> None:
    assert "no sign of life" in judged(age=1e9, refused=3, refused_age=60.0).sentence


@pytest.mark.parametrize(
    "changed",
    [
        {"age": 3600.0},
        {"silence": 21600.0},
        {"decisions": 500, "adaptive": 500},
        {"adaptive": 99, "stopped": 100, "fallbacks": 1},
    ],
)
def test_exactly_at_a_limit_is_within_it(changed: dict[str, float]) -> None:
    assert judged(**changed).outcome is Outcome.SUCCESSFUL


@pytest.mark.parametrize("weight", [1, 50, 99])
def test_shares_are_compared_at_every_weight_between(weight: int) -> None:
    assert judged(weight=weight, adaptive_targets=10_000 - 100 * weight, fixed_targets=100 * weight).outcome is (
        Outcome.SUCCESSFUL if weight == 50 else Outcome.INCONCLUSIVE
    )


def test_no_decision_yet_is_not_health() -> None:
    nothing = dict.fromkeys(("decisions", "adaptive", "stopped", "adaptive_targets", "fixed_targets"), 0.0)
    assert judged(**nothing).outcome is Outcome.INCONCLUSIVE


def test_every_adaptive_decision_falling_back_is_seen_at_once() -> None:
    # A NaN is noticed after the stopping time, an exception before: the first counts as stopped, the second does not.
    assert judged(adaptive=0, stopped=4, fallbacks=4).outcome is Outcome.FAILED
    assert judged(adaptive=0, stopped=0, fallbacks=4).outcome is Outcome.FAILED


def test_an_adaptive_target_at_weight_0_fails_whatever_is_configured() -> None:
    assert judged(HealthLimits(mismatch="hold"), weight=0, adaptive_targets=1).outcome is Outcome.FAILED
    assert judged(weight=0, adaptive_targets=0).outcome is Outcome.SUCCESSFUL


def test_at_weight_100_there_are_no_two_arms_to_compare() -> None:
    assert judged(weight=100, adaptive_targets=990, fixed_targets=10).outcome is Outcome.SUCCESSFUL


@pytest.mark.parametrize("weight", [0.05, 0.5, 0.99])
def test_honest_shares_are_alarmed_about_in_at_most_one_of_a_thousand_rollouts(weight: float) -> None:
    """Exactly, by recursion: the chance that 1,000 targets, looked at one by one, ever raise the alarm."""
    quiet, alarm = {0: 1.0}, 0.0
    for n in range(1, 1001):
        after: dict[int, float] = {}
        for k, p in quiet.items():
            for to, chance in ((k, p * (1 - weight)), (k + 1, p * weight)):
                after[to] = after.get(to, 0.0) + chance
        quiet = {k: p for k, p in after.items() if p > 1e-15}
        alarms = [k for k in quiet if reached(log_e_other(k, n, weight), MISMATCH)]
        alarm += sum(quiet.pop(k) for k in alarms)
    assert alarm <= 0.001


def test_a_gross_mismatch_is_seen_and_the_witness_agrees() -> None:
    # Half of the traffic reaches an instance that never got the flag.
    assert reached(log_e_other(50, 2000, 0.05), MISMATCH)
    assert binom.cdf(50, 2000, 0.05) < 1e-6


def test_of_equal_answers_the_one_with_data_is_given() -> None:
    """Seen: 0 of 0 fell back hid that 0 of 9,683 targets are adaptive at weight 20 %."""
    result = judged(weight=20, adaptive=0, fallbacks=0, stopped=0, adaptive_targets=0, fixed_targets=9_683)
    assert result.outcome is Outcome.INCONCLUSIVE
    assert result.sentence.startswith("0 of 9,683 targets are adaptive")


def test_a_rate_of_invalid_decisions_that_is_the_shadows_alarms_hardly_ever_and_a_higher_one_does() -> None:
    rng, runs, looks = np.random.default_rng(16), 200, np.arange(200, 6_001, 200)

    def alarms(rate: float, rate_before: float) -> tuple[int, int]:
        by_gate = by_raw_rates = 0
        for _ in range(runs):
            before = int(rng.binomial(1_000, rate_before))
            seen = np.cumsum(rng.random(looks[-1]) < rate)[looks - 1].tolist()
            raised = (
                judged(decisions=int(n), adaptive=9, invalid=k, shadow_decisions=1_000, shadow_invalid=before).outcome
                for n, k in zip(looks, seen, strict=True)
            )
            by_gate += Outcome.ERROR in raised
            by_raw_rates += any(k / n > before / 1_000 for n, k in zip(looks, seen, strict=True))
        return by_gate, by_raw_rates

    false, control = alarms(0.02, 0.02)
    # Three standard errors above the 1 % that are allowed.
    assert false <= runs * 0.01 + 3 * (runs * 0.01 * 0.99) ** 0.5
    assert control > runs / 4, "rates compared as they are would alarm often"
    assert alarms(0.10, 0.02)[0] == runs
    assert judged(decisions=6_000, invalid=600).outcome is Outcome.SUCCESSFUL, "without a shadow nothing is above it"


def test_fifteen_invalid_decisions_in_a_thousand_are_a_rise_from_none() -> None:
    before = {"shadow_decisions": 1_000, "shadow_invalid": 0, "decisions": 1_000}
    first = next(k for k in range(1_000) if judged(**before, invalid=k).outcome is Outcome.ERROR)
    assert first == 13


def test_without_a_shadow_it_is_told_first_that_most_decisions_are_invalid() -> None:
    """Seen: all decisions were INVALID, and what was told is that there are 0 audits of them."""
    none = {"audits": 0, "adaptive_targets": 100, "fixed_targets": 0}
    everything = replace(WELL, decisions=1_000, invalid=1_000, adaptive=1_000, stopped=0, **none)
    result = judge(everything, 100, audit_fraction=1.0)
    assert (result.outcome, result.sentence) == (
        Outcome.INCONCLUSIVE,
        "1,000 of 1,000 decisions are INVALID, 100 % (limit 50 %, without a shadow to compare with)",
    )
    assert part("audits", result).outcome is Outcome.INCONCLUSIVE
    half = judge(replace(everything, invalid=500, audits=500), 100, audit_fraction=1.0)
    assert part("INVALID", half).outcome is Outcome.SUCCESSFUL


def test_more_invalid_decisions_than_decisions_are_impossible() -> None:
    assert judged(invalid=10_001).outcome is judged(shadow_decisions=3, shadow_invalid=4).outcome is Outcome.ERROR
