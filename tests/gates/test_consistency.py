"""The gate that compares disagreements with what the plan itself says of them."""

import sys
from dataclasses import replace
from math import inf, log, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import hypergeom

import suffice
from suffice.evidence.expected import SHARES, Expected, chance_of, disagreement_given
from suffice.evidence.measurements import Evidence
from suffice.evidence.tally import Tally
from suffice.gates.consistency import in_words, judge, log_e_more
from suffice.gates.outcome import Outcome
from suffice.resolution.storm import StormPolicy
from suffice.stopping.make import METHODS
from suffice.store.decision_row import DecisionRow, Reason
from suffice.verifier.arm import Arm

N = 100
PLAN = suffice.plan(suffice.Proportion(at_least=0.8), n=N, max_disagreement=0.01)
ALARM = log(100)
AUDIT = DecisionRow(
    "k", "t", Arm.ADAPTIVE, suffice.Decision.ACCEPTED, 8, N, 0.9, Reason.ACCEPT_BOUNDARY, 1, PLAN.id, 0.0, audited=True
)


def evidence_of(pairs: list[tuple[int, bool]]) -> Evidence:
    expected = Expected()
    for total, disagrees in pairs:
        expected.add(disagreement_given(PLAN, total), disagrees=disagrees)
    return Evidence(expected=expected)


def log_e_of(pairs: list[tuple[int, bool]]) -> float:
    return log_e_more(evidence_of(pairs).expectation().logs)


def brute_force(total: int, runs: int, rng: np.random.Generator) -> float:
    """How often the plan decides otherwise than all N draws, over random orders of so many successes."""
    draws = np.zeros(N)
    draws[:total] = 1
    differ = 0
    for _ in range(runs):
        run = PLAN.start()
        run.observe(rng.permutation(draws).tolist())
        differ += (run.verdict.decision is suffice.Decision.ACCEPTED) != (total >= 80)
    return differ / runs


def test_what_the_plan_says_is_what_random_orders_give() -> None:
    rng, runs = np.random.default_rng(3), 2_000
    for total in (77, 79, 80, 83):
        p = disagreement_given(PLAN, total)
        assert abs(brute_force(total, runs, rng) - p) < 5 * sqrt(p * (1 - p) / runs) + 1e-9


def test_the_evidence_is_the_product_of_single_steps() -> None:
    """Against the mixture, audit by audit, in another order of sums."""
    pairs = [(79, True), (80, False), (95, False), (80, True), (60, False)] * 7
    shares = SHARES
    wealth = np.ones(len(shares))
    for total, disagrees in pairs:
        p = disagreement_given(PLAN, total)
        for place, share in enumerate(shares):
            q = p + share * (1 - p)
            wealth[place] *= q / p if disagrees else (1 - q) / (1 - p)
    assert log_e_of(pairs) == pytest.approx(log(wealth.mean()), rel=1e-9)


def test_what_the_plan_says_is_impossible_is_proof() -> None:
    assert disagreement_given(PLAN, 0) == 0
    failed = judge(evidence_of([(0, True)]))
    assert failed.outcome is Outcome.FAILED
    assert failed.sentence.startswith(
        "1 of 1 first audits disagrees, where the plan expects 0; evidence that this is more than the plan says"
    )
    assert failed.sentence.endswith(" says 1,000,000 and more now (fails at 100)")
    assert [in_words(evidence) for evidence in (0.1234, 1.0, 6384.0, 1e6)] == ["0.123", "1", "6,380", "1,000,000"]
    assert judge(evidence_of([(0, False)] * 1_000)).outcome is Outcome.SUCCESSFUL


def test_nothing_is_proven_of_no_audit() -> None:
    unproven = judge(evidence_of([]))
    assert unproven.outcome is Outcome.INCONCLUSIVE
    assert unproven.sentence.startswith("no audit yet that can be compared with the plan: it takes all draws")
    assert judge(Evidence()).outcome is Outcome.ERROR


def simulated(  # type: ignore[no-untyped-def]
    runs: int,
    audits: int,
    seed: int,
    truth: NDArray[np.float64],
    wrong: float = 0.0,
    lie: float = 1.0,
    plan: suffice.Plan = PLAN,
):
    """The highest log evidence of each run and the audit at which it first alarms: totals drawn at random truths,
    disagreements as the plan says times `lie`, and a share `wrong` of the audits that disagree whatever it says."""
    rng = np.random.default_rng(seed)
    table = np.array([disagreement_given(plan, total) for total in range(plan.n + 1)])
    shares = np.array(SHARES)
    peaks, alarms = [], []
    for _ in range(runs):
        p = table[rng.binomial(plan.n, rng.choice(truth, audits))]
        disagrees = (rng.random(audits) < lie * p) | (rng.random(audits) < wrong)
        with np.errstate(divide="ignore"):
            ratio = np.log((p[:, None] + shares * (1 - p[:, None])) / p[:, None])
        steps = np.where(disagrees[:, None], ratio, np.log1p(-shares))
        paths = np.logaddexp.reduce(steps.cumsum(axis=0), axis=1) - log(len(shares))
        peaks.append(paths.max())
        reached = np.flatnonzero(paths >= ALARM)
        alarms.append(reached[0] + 1 if len(reached) else inf)
    return np.array(peaks), np.array(alarms)


NEAR, SPREAD = np.array([0.79, 0.795, 0.8]), np.linspace(0, 1, 201)


@pytest.mark.parametrize("truth", [NEAR, SPREAD], ids=["near", "spread"])
@pytest.mark.parametrize(
    ("method", "n", "runs", "audits"),
    [
        pytest.param("optimal", 100, 300, 2_000, id="short"),
        *(
            pytest.param(method, n, 2_000, 14_400, id=f"{method}-{n}", marks=pytest.mark.campaign)
            for method in METHODS
            if method != "fixed"
            for n in (100, 256)
        ),
    ],
)
def test_a_plan_that_does_as_it_says_is_hardly_ever_accused(
    method: str, n: int, runs: int, audits: int, truth: NDArray[np.float64]
) -> None:
    plan = suffice.plan(suffice.Proportion(at_least=0.8), n=n, max_disagreement=0.01, method=method)
    _, alarms = simulated(runs, audits, 11, truth, plan=plan)
    rate = np.isfinite(alarms).mean()
    sys.stdout.write(f"{method}, N = {n}: false alarms within {audits:,} audits in {rate:.2%} of {runs:,} runs\n")
    assert rate <= 0.01 + 3 * sqrt(0.01 * 0.99 / runs)


def test_a_small_region_that_is_wrong_is_seen_below_the_limit() -> None:
    """2 % of the audits, a third of them wrong: 0.67 % in all."""
    _, alarms = simulated(200, 3_000, 12, SPREAD, wrong=0.02 / 3)
    sys.stdout.write(
        f"audits until a region is seen: {np.median(alarms):.0f} (median), {np.quantile(alarms, 0.9):.0f} (90 %)\n"
    )
    assert np.median(alarms) <= 600


def test_a_plan_that_says_half_of_what_it_does_is_accused() -> None:
    """The negative control: twice as many disagreements as the gate is told to expect."""
    _, alarms = simulated(100, 14_400, 13, NEAR, lie=2.0)
    assert np.isfinite(alarms).mean() > 0.9


TARGETS, AUDITS_OF_EACH = 1_000, 20


def accused(rng: np.random.Generator, *, once: bool) -> bool:
    """Whether a rollout is ever accused whose draws belong to the target: each of its audits repeats the first one.

    Counted as the ledger is, or, unless each target counts `once`, audit by audit.
    """
    totals = rng.binomial(N, rng.choice(NEAR, TARGETS))
    chances = np.array([disagreement_given(PLAN, total) for total in totals])
    disagrees = rng.random(TARGETS) < chances
    rows = [
        replace(AUDIT, target=f"t{i}", baseline_statistic=float(totals[i]), agrees=not disagrees[i])
        for i in range(TARGETS)
    ]
    tally = Tally(StormPolicy(3), {}, {}, {}, set(), chance_of(lambda _: PLAN, PLAN.id))
    every = Expected()
    for _ in range(AUDITS_OF_EACH):
        for row, chance in zip(rows, chances, strict=True):
            tally.meet(row)
            every.add(chance, disagrees=not row.agrees)
        if judge(Evidence(expected=tally.stages[""].expected if once else every)).outcome is Outcome.FAILED:
            return True
    return False


@pytest.mark.parametrize("runs", [pytest.param(40, id="short"), pytest.param(300, marks=pytest.mark.campaign)])
def test_targets_whose_draws_repeat_are_hardly_ever_accused(runs: int) -> None:
    rng = np.random.default_rng(14)
    rate = np.mean([accused(rng, once=True) for _ in range(runs)])
    sys.stdout.write(
        f"{TARGETS:,} targets x {AUDITS_OF_EACH} repeated audits: accused in {rate:.2%} of {runs} rollouts\n"
    )
    assert rate <= 0.01 + 3 * sqrt(0.01 * 0.99 / runs)


def test_counted_audit_by_audit_they_would_be_accused() -> None:
    """The negative control: more often than the bound of the test above allows."""
    rng, runs = np.random.default_rng(14), 20
    rate = np.mean([accused(rng, once=False) for _ in range(runs)])
    sys.stdout.write(f"counted audit by audit: {rate:.0%} of {runs} rollouts\n")
    assert rate > 0.01 + 3 * sqrt(0.01 * 0.99 / runs)


def test_the_law_is_that_of_hypergeometric_stops() -> None:
    """For a plan with one look the chance is a tail of the hypergeometric law."""
    plan = suffice.plan(suffice.Proportion(at_least=0.8), n=N, max_disagreement=0.05, looks=[50])
    [boundary] = plan.boundaries
    total = 79
    accepted = 0.0 if boundary.accept_at is None else hypergeom.sf(boundary.accept_at - 1, N, total, 50)
    assert disagreement_given(plan, total) == pytest.approx(accepted, abs=1e-12)
