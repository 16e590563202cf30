"""What the gates do to good and to bad rollouts, measured.

False answers are counted with a look after every audit, right ones with a look every 50 audits: each the harder way.

The campaign tells its figures (`pytest -m campaign -rP`); each has a short form for every day.
"""

import sys
from collections.abc import Callable
from functools import cache
from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import brentq

from suffice.decision.proportion import Proportion
from suffice.evidence.measurements import REDUCTIONS, Evidence, Slice
from suffice.gates import disagreement
from suffice.gates.betting import LOG_WEIGHTS, STAKES, lower
from suffice.gates.e_detector import FAILS, HOLDS, Drift
from suffice.gates.e_process import ALARM, log_e_above, log_e_below, reached
from suffice.gates.escalation import judge
from suffice.gates.outcome import Outcome
from suffice.stopping.make import plan
from suffice.stopping.operating_counts import CountOperating
from suffice.stopping.plan import Plan

LIMIT = 0.01
CYCLE = 50
WATCHED = 288 * CYCLE
"""Audits of a rollout that is watched 288 times, 50 audits apart."""

NEVER = 10**9
Times = NDArray[np.int64]
Shares = NDArray[np.float64]

runs = pytest.mark.parametrize(
    "runs", [pytest.param(2_000, id="short"), pytest.param(20_000, id="campaign", marks=pytest.mark.campaign)]
)


def tell(figure: str) -> None:
    sys.stdout.write(f"{figure}\n")


def first(holds: Callable[[int], bool]) -> int:
    """The least whole number from which on something holds."""
    high = 1
    while not holds(high):
        high *= 2
    low = -1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


@cache
def proof_at(k: int) -> int:
    """Audits from which on k disagreements prove the limit: with more audits the evidence only grows."""
    return k + first(lambda agreeing: reached(log_e_below(k, k + agreeing, LIMIT), 0.95))


@cache
def alarm_until(k: int, times: int = 1) -> int:
    """Audits up to which k disagreements are alarming, `times` as surely: with more audits the evidence only falls."""
    sure = 1 - (1 - ALARM) / times
    return k - 1 + first(lambda agreeing: not reached(log_e_above(k, k + agreeing, LIMIT), sure))


def disagreements(rate: float, runs: int, audits: int, seed: int) -> Times:
    """When each run's disagreements come: audit numbers from 1, a row a run."""
    expected = rate * audits
    most = int(expected + 8 * sqrt(expected) + 10)
    return np.random.default_rng(seed).geometric(rate, (runs, most)).cumsum(axis=1)


def alarmed(times: Times, here: NDArray[np.bool_] | None = None, rarer: int = 1) -> Times:
    """The audit at which each run raises the alarm, or NEVER: it can only come with a disagreement, of those `here`."""
    counts = np.ones(times.shape, dtype=np.int64) if here is None else here.astype(np.int64)
    until = np.array([0, *(alarm_until(k, rarer) for k in range(1, times.shape[1] + 1))])
    return np.where((counts > 0) & (times <= until[counts.cumsum(axis=1)]), times, NEVER).min(axis=1)


def proven(times: Times) -> Times:
    """The audit at which each run proves the limit, or NEVER."""
    begin = np.hstack([np.zeros((len(times), 1), dtype=np.int64), times])[:, :-1]
    at = np.maximum(begin, [proof_at(k) for k in range(times.shape[1])])
    return np.where(at < times, at, NEVER).min(axis=1)


def looked_at(times: Times, audits: int) -> tuple[Times, Times]:
    """The audit numbers of the looks, and the disagreements that each run has by then."""
    looks = np.arange(CYCLE, audits + 1, CYCLE)
    return looks, np.array([np.searchsorted(row, looks, side="right") for row in times])


def earliest(holds: NDArray[np.bool_], looks: Times) -> Times:
    """The first look at which it holds, or NEVER."""
    return np.where(holds, looks, NEVER).min(axis=1)


@runs
def test_a_good_change_is_rolled_back_in_at_most_one_percent(runs: int) -> None:
    times = disagreements(0.005, runs, WATCHED, seed=1)
    share = float((alarmed(times) <= WATCHED).mean())
    tell(f"true rate 0.5 %, {WATCHED:,} audits: {share:.2%} of {runs:,} rollouts rolled back")
    assert share <= 0.01


@runs
def test_judging_the_raw_rate_rolls_all_of_them_back(runs: int) -> None:
    """The negative control: the same runs, each cycle of 50 audits judged by its own rate."""
    _, counts = looked_at(disagreements(0.005, runs, WATCHED, seed=1), WATCHED)
    share = (np.diff(counts, prepend=0) > LIMIT * CYCLE).any(axis=1).mean()
    tell(f"true rate 0.5 %, each cycle's raw rate judged: {share:.2%} rolled back")
    assert share > 0.99


@runs
@pytest.mark.parametrize("rate, within", [(0.02, 2000), (0.05, 300)])
def test_a_bad_change_is_caught(runs: int, rate: float, within: int) -> None:
    looks, counts = looked_at(disagreements(rate, runs, 8_000, seed=2), 8_000)
    until = np.array([0, *(alarm_until(k) for k in range(1, counts.max() + 1))])
    caught = earliest(looks <= until[counts], looks)
    median, late = np.quantile(caught, [0.5, 0.9])
    tell(f"true rate {rate:.0%}: caught after {median:.0f} audits (median), {late:.0f} (90 %)")
    assert median <= within


@runs
def test_a_sound_plan_is_proven_soon(runs: int) -> None:
    looks, counts = looked_at(disagreements(0.0006, runs, 8_000, seed=3), 8_000)
    needed = np.array([proof_at(k) for k in range(counts.max() + 1)])
    median, late = np.quantile(earliest(looks >= needed[counts], looks), [0.5, 0.9])
    tell(f"true rate 0.06 %: proven after {median:.0f} audits (median), {late:.0f} (90 %)")
    assert late <= 700


@runs
@pytest.mark.parametrize("rate", [0.01, 0.012, 0.015, 0.02])
def test_a_rate_above_the_limit_is_promoted_in_at_most_five_percent(runs: int, rate: float) -> None:
    share = float((proven(disagreements(rate, runs, 20_000, seed=4)) <= 20_000).mean())
    tell(f"true rate {rate:.1%}, 20,000 audits: {share:.2%} of {runs:,} runs ever prove 1 %")
    # At the limit itself the bound is nearly reached: four standard errors of the simulation.
    assert share <= 0.05 + 4 * sqrt(0.05 * 0.95 / runs)


def risen(times: Times, clean: int, level: float, here: NDArray[np.bool_] | None = None) -> Times:
    """The audit at which the evidence of each run that its rate has risen reaches a level, after so many clean ones;
    of the disagreements `here`."""
    rates = np.array([1.5, 2, 3, 5, 10, 20, 50]) * LIMIT
    up, down = rates / LIMIT, (1 - rates) / (1 - LIMIT)
    evidence, at = np.zeros((len(times), len(rates))), np.full(len(times), NEVER)
    last, here = np.full(len(times), -clean), np.ones(times.shape, dtype=bool) if here is None else here
    for column in range(times.shape[1]):
        now, time = here[:, column], times[:, column]
        faded = down ** np.where(now, time - last - 1, 0)[:, None]
        after = np.minimum((evidence * faded + down * (1 - faded) / (1 - down) + 1) * up, 1e280)
        evidence, last = np.where(now[:, None], after, evidence), np.where(now, time, last)
        reached_now = now & (evidence.mean(axis=1) >= level) & (at == NEVER)
        at[reached_now] = time[reached_now]
    return at


@runs
@pytest.mark.parametrize("clean", [10_000, 100_000])
@pytest.mark.parametrize("rate, to_hold, to_fail", [(0.05, 300, 400), (0.02, 1_700, 2_500)])
def test_a_rate_that_rises_is_caught_however_long_it_was_good(
    runs: int, clean: int, rate: float, to_hold: int, to_fail: int
) -> None:
    times = disagreements(rate, runs, 12_000, seed=6)
    held, failed = (float(np.median(risen(times, clean, level))) for level in (HOLDS, FAILS))
    tell(f"true rate {rate:.0%} after {clean:,} clean audits: held after {held:,.0f}, failed after {failed:,.0f}")
    assert held <= to_hold and failed <= to_fail
    # The negative control: the stage's whole history says nothing yet.
    until = np.array([alarm_until(k) for k in range(1, times.shape[1] + 1)])
    alone = np.where(times + clean <= until, times, NEVER).min(axis=1)
    assert np.median(alone) > 2 * failed


@runs
@pytest.mark.parametrize("rate, allowed", [(0.005, 0.001), (LIMIT, WATCHED / FAILS)])
def test_a_rate_that_has_not_risen_alarms_as_rarely_as_is_promised(runs: int, rate: float, allowed: float) -> None:
    share = float((risen(disagreements(rate, runs, WATCHED, seed=7), 0, FAILS) <= WATCHED).mean())
    tell(f"true rate {rate:.1%}, {WATCHED:,} audits: {share:.2%} of {runs:,} rollouts fail by drift")
    assert share <= allowed + 4 * sqrt(allowed * (1 - allowed) / runs)


REGIONS = (0.4, 0.3, 0.2, 0.1)
"""The shares of the audits that four regions have, in the order in which they appear."""

TARGETS = 4_000


def failed_by_a_region(times: Times, region: Times) -> Times:
    """The audit at which a region fails each run, or NEVER; `region` has each audit's, for all runs alike."""
    at = np.full(len(times), NEVER)
    within, of = times <= len(region), region[np.minimum(times, len(region)) - 1]
    for number in range(1, len(REGIONS) + 1):
        here, rarer = within & (of == number), number * (number + 1)
        audits = np.flatnonzero(region == number) + 1
        places = np.where(here, np.searchsorted(audits, times, side="right"), NEVER)
        failed = np.minimum(alarmed(places, here, rarer), risen(places, 0, rarer * FAILS, here))
        at = np.minimum(at, np.where(failed < NEVER, audits[np.minimum(failed, len(audits)) - 1], NEVER))
    return at


@runs
def test_a_good_change_is_rolled_back_in_at_most_one_percent_by_all_evidence_together(runs: int) -> None:
    """Rows, their drift, four regions with theirs, and the first audits of targets that come again and again."""
    rng = np.random.default_rng(10)
    region = rng.choice(len(REGIONS), WATCHED, p=REGIONS) + 1
    _, firsts = np.unique(rng.integers(TARGETS, size=WATCHED), return_index=True)
    times = disagreements(0.005, runs, WATCHED, seed=10)
    is_first = np.isin(times, np.sort(firsts) + 1)
    targets = np.where(is_first, np.searchsorted(np.sort(firsts) + 1, times, side="right"), NEVER)
    failed = {
        "rows": np.minimum(alarmed(times), risen(times, 0, FAILS)),
        "regions": failed_by_a_region(times, region),
        "targets": alarmed(targets, is_first),
    }
    shares = {name: float((at <= WATCHED).mean()) for name, at in failed.items()}
    any_of = float((np.min(list(failed.values()), axis=0) <= WATCHED).mean())
    alone = ", ".join(f"{name} {share:.2%}" for name, share in shares.items())
    tell(f"true rate 0.5 %, {WATCHED:,} audits: {any_of:.2%} of {runs:,} rollouts rolled back ({alone})")
    assert any_of <= 0.01


@runs
def test_a_region_that_is_bad_is_caught_where_the_stage_is_good(runs: int) -> None:
    """The last region to appear, with a tenth of the audits, at 5 %; the others at 0.06 %."""
    rng = np.random.default_rng(11)
    region = rng.choice(len(REGIONS), 20_000, p=REGIONS) + 1
    rates = np.where(region == len(REGIONS), 0.05, 0.0006)
    hits = [np.flatnonzero(rng.random(region.size) < rates) + 1 for _ in range(runs // 10)]
    times = np.full((len(hits), max(map(len, hits))), NEVER)
    for row, hit in zip(times, hits, strict=True):
        row[: len(hit)] = hit
    caught = failed_by_a_region(times, region)
    of_the_region = np.searchsorted(np.flatnonzero(region == len(REGIONS)) + 1, caught, side="right")
    together = float((np.minimum(alarmed(times), risen(times, 0, FAILS, times < NEVER)) <= region.size).mean())
    tell(
        f"5 % in a tenth of the audits, 0.06 % in the others: failed after {np.median(of_the_region):.0f} audits of "
        f"the region (median), {np.quantile(of_the_region, 0.9):.0f} (90 %); by the rows alone in {together:.0%} of "
        f"rollouts within {region.size:,} audits"
    )
    assert np.median(of_the_region) <= 600 and together < 0.5


@runs
@pytest.mark.parametrize("targets", [30, 100, 1_000])
@pytest.mark.parametrize("rate", [0.01, 0.02])
def test_few_targets_prove_nothing_falsely(runs: int, targets: int, rate: float) -> None:
    """Each target disagrees always or never, so that its audits say the same again and again; the negative control are
    the rows alone, at 20 audits of each."""
    rng = np.random.default_rng(12)
    audits, bad = 20 * targets, rng.random((runs, targets)) < rate
    firsts = bad.cumsum(axis=1)
    fewest = np.array([proof_at(k) for k in range(firsts.max() + 1)])
    share = float((np.arange(1, targets + 1) >= fewest[firsts]).any(axis=1).mean())
    most, chances = 40 + int(1.5 * rate * audits), np.maximum(bad.mean(axis=1), 1e-9)
    rows = float((proven(rng.geometric(chances[:, None], (runs, most)).cumsum(axis=1)) <= audits).mean())
    tell(
        f"{targets:,} targets, each always disagrees with {rate:.0%}: {share:.2%} of {runs:,} rollouts ever prove 1 % "
        f"of targets, by the rows alone {rows:.2%}"
    )
    assert share <= 0.05 + 4 * sqrt(0.05 * 0.95 / runs)
    assert targets == 1_000 or rows > 0.1


def test_the_drift_that_is_simulated_is_the_gates_own() -> None:
    times = disagreements(0.03, 30, 3_000, seed=8)
    for row, failed in zip(times, risen(times, 500, FAILS), strict=True):
        alarms = (
            int(at)
            for k, at in enumerate(row, 1)
            if Drift.of(500 + int(at), [500 + int(one) for one in row[:k]], LIMIT).peak >= FAILS
        )
        assert next(alarms, NEVER) == failed


def test_the_regions_that_are_simulated_are_the_gates_own() -> None:
    region = np.random.default_rng(13).choice(len(REGIONS), 2_000, p=REGIONS) + 1
    times = disagreements(0.02, 12, 2_000, seed=13)
    for row, failed in zip(times, failed_by_a_region(times, region), strict=True):
        hits = np.isin(np.arange(1, region.size + 1), row)
        judged = NEVER
        for at in (int(at) for at in row if at <= region.size and judged == NEVER):
            slices = {}
            for number in range(1, len(REGIONS) + 1):
                places = np.flatnonzero(hits[:at][region[:at] == number]) + 1
                slices[f"{number}"] = Slice(number, int((region[:at] == number).sum()), len(places), places.tolist())
            if (
                disagreement.judge(Evidence(audits=10**6, disagreements=0, slices=slices), LIMIT, 0.95).outcome
                is Outcome.FAILED
            ):
                judged = at
        assert judged == failed


def test_the_tables_are_the_gates_own_thresholds() -> None:
    assert [proof_at(k) for k in range(3)] == [367, 657, 881]
    for k in (1, 5, 40):
        assert reached(log_e_above(k, alarm_until(k), LIMIT), ALARM) or alarm_until(k) == k - 1
        assert not reached(log_e_above(k, alarm_until(k) + 1, LIMIT), ALARM)


def test_the_simulation_is_what_judging_audit_by_audit_gives() -> None:
    times = disagreements(0.02, 40, 3_000, seed=5)
    for row, alarm, proof in zip(times, alarmed(times), proven(times), strict=True):
        k = np.searchsorted(row, np.arange(1, 1501), side="right")
        alarms = [n for n in range(1, 1501) if reached(log_e_above(int(k[n - 1]), n, LIMIT), ALARM)]
        proofs = [n for n in range(1, 1501) if reached(log_e_below(int(k[n - 1]), n, LIMIT), 0.95)]
        assert (alarms[0] if alarms else NEVER) == (alarm if alarm <= 1500 else NEVER)
        assert (proofs[0] if proofs else NEVER) == (proof if proof <= 1500 else NEVER)


def storms(
    rng: np.random.Generator, targets: int, rejected: float, noise: float, contrary: float, cycles: int
) -> list[tuple[int, int, int]]:
    """The counts of the escalation gate, cycle by cycle: targets, adaptive only, baseline only.

    In a cycle a tenth of the targets is decided. Both worlds reject with the same probability; `noise` of the decisions
    are turned in one world, chosen by a coin, and `contrary` of the adaptive ones are rejected whatever they are.
    """
    row, escalated, seen = np.zeros((2, targets), int), np.zeros((2, targets), bool), np.zeros(targets, bool)
    history = []
    for _ in range(cycles):
        now = rng.random(targets) < 0.1
        rejects = np.tile(rng.random(targets) < rejected, (2, 1))
        turned = rng.random(targets) < noise
        world = rng.integers(0, 2, targets)
        rejects[world[turned], np.flatnonzero(turned)] ^= True
        rejects[0] |= rng.random(targets) < contrary
        row = np.where(now, np.where(rejects, row + 1, 0), row)
        escalated |= row >= 3
        seen |= now
        more, fewer = (int((escalated[i] & ~escalated[1 - i]).sum()) for i in (0, 1))
        history.append((int(seen.sum()), more, fewer))
    return history


def outcomes(history: list[tuple[int, int, int]]) -> list[Outcome]:
    judged = cache(lambda *counts: judge(Evidence(**dict(zip(_COUNTED, counts, strict=True))), 0.0, 0.95).outcome)
    return [judged(*counts) for counts in history]


_COUNTED = ("audited_targets", "excess", "spared")


@pytest.mark.parametrize(
    "runs", [pytest.param(20, id="short"), pytest.param(2_000, id="campaign", marks=pytest.mark.campaign)]
)
@pytest.mark.parametrize("rejected, noise", [(0.1, 0.001), (0.2, 0.01), (0.5, 0.01)])
def test_equal_worlds_are_rolled_back_in_at_most_one_percent(runs: int, rejected: float, noise: float) -> None:
    """Also where targets that escalated in one world soon do in the other, which the proof does not cover; and with as
    much disagreement as the other gate allows."""
    rng = np.random.default_rng(6)
    failed = waiting = 0
    for _ in range(runs):
        judged = outcomes(storms(rng, 300, rejected, noise, 0.0, 288))
        failed += Outcome.FAILED in judged
        waiting += judged[-1] is Outcome.INCONCLUSIVE
    what = f"{rejected:.0%} rejected, {noise:.1%} turned"
    tell(f"{what}: {failed / runs:.2%} of {runs:,} rollouts failed, {waiting / runs:.0%} Inconclusive at the end")
    assert failed <= 0.01 * runs


def test_a_storm_because_of_us_fails_within_a_day() -> None:
    judged = outcomes(storms(np.random.default_rng(8), 300, 0.1, 0.0, 0.5, 96))
    tell(f"half of the adaptive decisions rejected: failed in cycle {judged.index(Outcome.FAILED)}")
    assert Outcome.FAILED in judged


some_runs = pytest.mark.parametrize(
    "runs", [pytest.param(50, id="short"), pytest.param(4_000, id="campaign", marks=pytest.mark.campaign)]
)
MINIMUM = 0.30


@cache
def hard_cases() -> tuple[Plan, CountOperating]:
    """The default plan for N = 256, at least 80 %; it saves little where the truth is near the rule's boundary."""
    made = plan(Proportion(0.8), 256, 0.01)
    assert isinstance(made.operating, CountOperating)
    return made, made.operating


def shares_saved(reduction: float, runs: int, decisions: int, seed: int) -> Shares:
    """What each decision of each run saves, of cases at the truth where so much is saved in the mean."""
    made, operating = hard_cases()
    truth = brentq(lambda p: made.asn(p) - (1 - reduction) * made.n, 0.5, 0.8)
    chances = np.bincount(operating.n, operating.stop_chances(truth), minlength=made.n + 1)
    chances[made.n] = 1 - chances.sum()
    drawn = np.random.default_rng(seed).choice(made.n + 1, (runs, decisions), p=chances)
    return np.floor(REDUCTIONS * (1 - drawn / made.n)) / REDUCTIONS


def evidence_above(shares: Shares, mean: float | Shares) -> Shares:
    """Log evidence after each decision that they save more than so much in the mean."""
    after, each = np.full(shares.shape, -np.inf), np.arange(1, shares.shape[1] + 1)
    for stake, log_weight in zip(STAKES, LOG_WEIGHTS, strict=True):
        won = np.log1p(stake * shares).cumsum(axis=1) - each * np.log1p(stake * np.asarray(mean))
        np.logaddexp(after, log_weight + won, out=after)
    return after


def all_or_nothing(reduction: float, runs: int, decisions: int, seed: int) -> Shares:
    """The widest that there is: 95 % of the draws are saved, or none."""
    return np.where(np.random.default_rng(seed).random((runs, decisions)) < reduction / 0.95, 0.95, 0.0)


@some_runs
@pytest.mark.parametrize(
    ("saved", "reduction", "within"),
    [(shares_saved, 0.40, 57), (shares_saved, 0.33, 731), (all_or_nothing, 0.40, 240), (all_or_nothing, 0.33, 2_781)],
)
def test_a_benefit_is_proven_soon(
    runs: int, saved: Callable[[float, int, int, int], Shares], reduction: float, within: int
) -> None:
    """A bound that does not learn the variance takes 240 and 2,781 decisions, whatever they save."""
    needed = [
        first_reached(evidence_above(saved(reduction, some, 3 * within, seed), MINIMUM), 0.95)
        for seed, some in parts(min(runs, 1_000))
    ]
    median, late = np.quantile(np.concatenate(needed), [0.5, 0.9])
    tell(
        f"{saved.__name__}, true reduction {reduction:.0%}: proven ≥ 30 % after {median:.0f} decisions (median), "
        f"{late:.0f} (90 %)"
    )
    assert median <= within


@some_runs
def test_a_benefit_at_the_limit_is_proven_or_failed_as_rarely_as_is_promised(runs: int) -> None:
    proven_, failed = 0, 0
    for seed, some in parts(runs):
        shares = shares_saved(MINIMUM, some, 3_000, seed)
        left = np.maximum(1 - shares - 1 / REDUCTIONS, 0.0)
        proven_ += int((first_reached(evidence_above(shares, MINIMUM), 0.95) < NEVER).sum())
        failed += int((first_reached(evidence_above(left, 1 - MINIMUM), ALARM) < NEVER).sum())
    tell(
        f"true reduction 30 %, a look after each of 3,000 decisions: {proven_ / runs:.2%} of {runs:,} runs prove it, "
        f"{failed / runs:.2%} fail"
    )
    for share, allowed in ((proven_ / runs, 0.05), (failed / runs, 0.01)):
        assert share <= allowed + 4 * sqrt(allowed * (1 - allowed) / runs)


@some_runs
def test_the_bounds_of_the_reduction_hold_at_every_decision_at_once(runs: int) -> None:
    """On draws of 8 or 100 of 100, whose chances wander with what came before."""
    rng, missed = np.random.default_rng(9), np.zeros(2)
    for _, some in parts(runs):
        chance = 0.5 + 0.45 * np.sin(rng.normal(0, 0.05, (some, 3_000)).cumsum(axis=1))
        shares = np.where(rng.random(chance.shape) < chance, 0.92, 0.0)
        expected = (0.92 * chance).cumsum(axis=1) / np.arange(1, 3_001)
        for side, evidence in enumerate((evidence_above(shares, expected), evidence_above(1 - shares, 1 - expected))):
            missed[side] += int((first_reached(evidence, 0.95) < NEVER).sum())
    wrong = " and ".join(f"{share:.2%}" for share in missed / runs)
    tell(f"reduction that wanders: lower and upper bound wrong at some decision in {wrong} of {runs:,} runs")
    assert (missed <= 0.05 * runs).all()


def test_the_evidence_of_a_reduction_that_is_simulated_is_the_gates_own() -> None:
    (shares,) = shares_saved(0.40, 1, 150, seed=10)
    proven_at = first_reached(evidence_above(shares[None], MINIMUM), 0.95)
    by_gate = (n for n in range(1, 151) if lower(list(shares[:n]), [1] * n, 0.95) >= MINIMUM)
    assert next(by_gate, NEVER) == proven_at


def parts(runs: int) -> list[tuple[int, int]]:
    """So many runs, some at a time, each part with its seed."""
    return [(11 + i, min(250, runs - start)) for i, start in enumerate(range(0, runs, 250))]


def first_reached(evidence: Shares, confidence: float) -> Times:
    """The decision at which each run's evidence is enough, or NEVER."""
    return np.where(evidence >= -np.log1p(-confidence), np.arange(1, evidence.shape[1] + 1), NEVER).min(axis=1)
