"""The cause of a failed gate: the plan, the draws, or unknown."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from math import comb

import pytest
from audited import MARGIN, OPTIMAL, N, audits, spread, traffic, warming_up

import suffice
from suffice.decision.rule import Decision
from suffice.evidence.expected import Expected, chance_of, disagreement_given, tail
from suffice.evidence.measurements import Evidence
from suffice.gates import consistency
from suffice.gates.outcome import GateResult, Outcome
from suffice.stopping.plan import Plan
from suffice.store.decision_row import DecisionRow
from suffice.triage.cause import Cause, Explanation, explain, rolled_back_by

LIMIT = 0.01

seeds = pytest.mark.parametrize(
    ("seeds", "allowed_misses"),
    [pytest.param(range(2), 0, id="short"), pytest.param(range(20), 1, id="campaign", marks=pytest.mark.campaign)],
)


def explained(rows: Sequence[DecisionRow], plan: Plan = OPTIMAL) -> Explanation:
    return explain(rows, [plan], LIMIT)


def told(name: str, seen: list[Explanation], cause: Cause) -> int:
    """How many say something else; prints what is quoted in the docs."""
    misses = sum(one.cause is not cause for one in seen)
    sys.stdout.write(f"{name}: {len(seen) - misses} of {len(seen)} are {cause.word}\n")
    return misses


@seeds
def test_a_plan_that_disagrees_as_it_says_is_to_blame_itself(seeds: range, allowed_misses: int) -> None:
    seen = [explained(audits(traffic(600, seed, spread), MARGIN, seed), MARGIN) for seed in seeds]
    assert told("margin", seen, Cause.PLAN) <= allowed_misses
    assert all(one.audits == 600 and one.expected > LIMIT * 600 for one in seen)


@seeds
def test_draws_that_warm_up_are_to_blame_under_a_sound_plan(seeds: range, allowed_misses: int) -> None:
    """3 % of the traffic, about a third of it wrong: below the limit in all."""
    seen = [explained(audits(traffic(2_000, seed, warming_up), OPTIMAL, seed)) for seed in seeds]
    assert told("warm-up", seen, Cause.DRAWS) <= allowed_misses


@pytest.mark.parametrize("seeds", [range(4), pytest.param(range(200), marks=pytest.mark.campaign)])
def test_the_draws_of_a_good_rollout_are_never_to_blame(seeds: range) -> None:
    seen = [explained(audits(traffic(1_000, seed, spread), OPTIMAL, seed)) for seed in seeds]
    assert told("good", seen, Cause.UNKNOWN) == 0


@pytest.mark.parametrize(("audited", "differ"), [(600, 0), (600, 6), (40, 40)])
def test_the_words_follow_the_cut_offs(audited: int, differ: int) -> None:
    """Totals at the threshold, where the plan says most; agreeing audits first."""
    total = 52
    chance = disagreement_given(OPTIMAL, total)
    rows = at_total(total, audited - differ, agrees=True) + at_total(total, differ, agrees=False)
    seen = explained(rows)
    assert (seen.audits, seen.observed) == (audited, differ)
    assert seen.expected == pytest.approx(audited * chance)
    assert seen.p == pytest.approx(
        sum(comb(audited, k) * chance**k * (1 - chance) ** (audited - k) for k in range(differ, audited + 1)), rel=1e-9
    )
    likely = seen.p >= 0.01 and seen.expected > LIMIT * audited
    assert seen.cause is (Cause.DRAWS if seen.evidence >= 100 else Cause.PLAN if likely else Cause.UNKNOWN)


def at_total(total: int, count: int, *, agrees: bool) -> list[DecisionRow]:
    [row] = audits(traffic(1, 1, spread), OPTIMAL, 1)
    return [replace(row, target=f"{agrees} {i}", baseline_statistic=float(total), agrees=agrees) for i in range(count)]


def test_further_audits_of_a_target_show_no_cause() -> None:
    [repeated] = at_total(52, 1, agrees=False)
    assert explained([repeated] * 40) == explained([repeated])


def test_evidence_that_was_reached_counts_though_later_audits_agree() -> None:
    rows = at_total(10, 1, agrees=False) + at_total(10, 5_000, agrees=True)
    assert disagreement_given(OPTIMAL, 10) < 1e-6
    seen = explained(rows)
    assert seen.cause is Cause.DRAWS
    assert "at its highest, " in seen.sentence
    assert " after the last audit (100 shows it)." in seen.sentence


def test_the_evidence_after_the_last_audit_is_that_of_the_gate() -> None:
    """Seen: 7.65e+03 here, 6.38e+03 in the gate's sentence, and neither said which it was."""
    rows = audits(traffic(2_000, 1, warming_up), OPTIMAL, 1)
    counted, chance = Expected(), chance_of(lambda _: OPTIMAL, OPTIMAL.id)
    for row in {row.target: row for row in reversed(rows)}.values():
        probability = chance(row)
        assert probability is not None
        counted.add(probability, disagrees=row.agrees is False)
    gate = consistency.judge(Evidence(expected=counted))
    assert explained(rows).now == pytest.approx(gate.value)
    assert explained(rows).evidence > 100


def test_what_nobody_can_tell_is_unknown_with_the_reason() -> None:
    rows = audits(traffic(5, 2, spread), OPTIMAL, 2)
    assert explained([]).sentence == "The stage has no audit."
    assert (explained([]).cause, explained([]).p) == (Cause.UNKNOWN, None)
    foreign = explained(rows, MARGIN)
    assert (foreign.cause, foreign.audits, foreign.left_out) == (Cause.UNKNOWN, 0, 5)
    assert foreign.sentence.startswith("Of none of 5 audits a plan of the bundle says how likely")
    older = [replace(row, baseline_statistic=None) for row in rows[:2]] + rows[2:]
    assert (explained(older).audits, explained(older).left_out) == (3, 2)
    assert "2 more audits are left out" in explained(older).sentence
    assert explain(rows, [OPTIMAL], None).cause is Cause.UNKNOWN


@pytest.mark.parametrize(
    ("failed", "cause", "told"),
    [
        (["determinism"], Cause.OTHER, "The gate determinism: 1 of 9. Look at what changed since: a dependency"),
        (["health"], Cause.OTHER, "The gate health: 1 of 9. Look at what the adaptive path failed with"),
        (["flag"], Cause.OTHER, "The gate flag: 1 of 9. Look at what it saw"),
        ([], Cause.OTHER, "No gate did: a person asked for it"),
        (["determinism", "disagreement"], Cause.UNKNOWN, "It may be the plan, the draws or neither"),
    ],
)
def test_what_another_gate_or_a_person_rolled_back_is_not_unknown(failed: list[str], cause: Cause, told: str) -> None:
    gates = [GateResult(name, Outcome.FAILED, "1 of 9", 1.0, 0.0) for name in failed]
    seen = rolled_back_by(explained(audits(traffic(5, 2, spread), OPTIMAL, 2)), gates)
    assert seen.cause is cause
    assert told in seen.text
    assert "of 5 audits" in seen.text


def test_draws_that_show_themselves_are_the_cause_whoever_rolled_back() -> None:
    seen = explained(at_total(10, 1, agrees=False))
    assert (seen.cause, rolled_back_by(seen, [])) == (Cause.DRAWS, seen)


def test_no_plan_says_how_often_means_disagree() -> None:
    means = suffice.plan(suffice.PairedMean(), N, 0.01, look_every=8)
    rows = [replace(row, plan_id=means.id) for row in audits(traffic(5, 2, spread), OPTIMAL, 2)]
    assert explained(rows, means).cause is Cause.UNKNOWN


def test_a_decision_that_was_invalid_is_not_the_plans() -> None:
    [row] = audits(traffic(1, 1, spread), OPTIMAL, 1)
    chance = chance_of(lambda _: OPTIMAL, OPTIMAL.id)
    assert chance(row) is not None
    assert chance(replace(row, adaptive_decision=Decision.INVALID, agrees=False)) is None


def test_the_tail_is_that_of_the_poisson_binomial_law() -> None:
    chances = [0.0, 0.1, 0.5, 0.25]
    assert tail(chances, 0) == 1
    assert tail(chances, 1) == pytest.approx(1 - 0.9 * 0.5 * 0.75)
    assert tail(chances, 3) == pytest.approx(0.1 * 0.5 * 0.25)
    assert tail(chances, 4) == 0
    assert tail([1e-9] * 10, 2) == pytest.approx(45e-18, rel=1e-6)
    assert tail([1.0] * 3, 3) == 1
