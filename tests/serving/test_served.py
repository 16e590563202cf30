"""One production decision, without the world around it: who decides, what is compared, and what each draw costs."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
from serving_world import PLAN, SEED, N, Trials, case

from suffice.decision.paired_mean import PairedMean
from suffice.decision.proportion import Proportion
from suffice.decision.rule import Decision
from suffice.sampling.distributions import Normal
from suffice.sampling.recorded import Recorded
from suffice.sampling.sampler import BLOCK
from suffice.serving.served import Served, halves, serve_adaptive, serve_fixed, serve_shadow
from suffice.stopping.make import plan
from suffice.stopping.run import StopReason, Verdict
from suffice.store.decision_row import WhyFixed
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case
from suffice.verifier.loop import decide, decide_fixed, observations


def clear() -> Case:
    return case(1, 0.97)


def drawn(decided: Case) -> int:
    assert isinstance(decided.sampler, Trials)
    return decided.sampler.drawn


ADAPTIVE = decide(clear(), PLAN, SEED)
OBSERVED = observations(clear(), PLAN.rule, N, SEED)
BASELINE = decide_fixed(OBSERVED, PLAN.rule)
SEEN = {"baseline_statistic": sum(OBSERVED), "halves": halves(OBSERVED)}


def to_nan(observed: list[float]) -> list[float]:
    return [float("nan")] * len(observed)


def test_the_fixed_arm_is_the_baseline() -> None:
    decided = clear()
    served = serve_fixed(decided, PLAN, SEED)
    assert served == Served(BASELINE, Arm.FIXED)
    assert not served.audited and not served.shadow
    assert drawn(decided) == BASELINE.n == N


def test_the_adaptive_arm_stops_where_the_plan_does() -> None:
    decided = clear()
    served = serve_adaptive(decided, PLAN, SEED, audited=False)
    assert served == Served(ADAPTIVE, Arm.ADAPTIVE, drawn=ADAPTIVE.n)
    assert (served.decision, served.n, served.fixed_n) == (Decision.ACCEPTED, ADAPTIVE.n, N)
    assert drawn(decided) == ADAPTIVE.n < N


def test_an_audit_goes_on_to_n_and_keeps_both() -> None:
    decided = clear()
    assert serve_adaptive(decided, PLAN, SEED, audited=True) == Served(
        ADAPTIVE, Arm.ADAPTIVE, audited=True, baseline=BASELINE, adaptive=ADAPTIVE, drawn=ADAPTIVE.n, **SEEN
    )
    assert drawn(decided) == N


def test_the_shadow_decides_fixed_and_keeps_both() -> None:
    decided = clear()
    assert serve_shadow(decided, PLAN, SEED) == Served(
        BASELINE, Arm.FIXED, audited=True, shadow=True, baseline=BASELINE, adaptive=ADAPTIVE, drawn=ADAPTIVE.n, **SEEN
    )
    assert drawn(decided) == N
    faulty = serve_shadow(clear(), PLAN, SEED, to_nan)
    assert (faulty.verdict, faulty.adaptive and faulty.adaptive.decision) == (BASELINE, Decision.INVALID)


def test_the_draws_up_to_the_stopping_time_are_counted_as_they_were_made_in_blocks() -> None:
    every = plan(PLAN.rule, N, 0.01, look_every=1)
    stopped = decide(clear(), every, SEED).n
    assert stopped % BLOCK
    made = -(-stopped // BLOCK) * BLOCK
    for served in (
        serve_adaptive(clear(), every, SEED, audited=False),
        serve_adaptive(clear(), every, SEED, audited=True),
        serve_shadow(clear(), every, SEED),
    ):
        assert served.drawn == made and served.draw_seconds is not None and served.draw_seconds > 0
    known = replace(clear(), sampler=Normal(1.0, 1.0))
    mean = plan(PairedMean(0.05), N, 0.01, look_every=3)
    assert serve_adaptive(known, mean, SEED, audited=True).drawn == decide(known, mean, SEED).n
    assert serve_fixed(clear(), every, SEED).drawn is None


@pytest.mark.parametrize("audited", [False, True])
def test_who_is_not_permitted_any_more_goes_on_to_the_baseline_on_the_same_draws(audited: bool) -> None:
    decided = clear()
    served = serve_adaptive(decided, PLAN, SEED, audited=audited, permitted=lambda: False)
    assert served == Served(BASELINE, Arm.FIXED, why_fixed=WhyFixed.FENCED)
    assert drawn(decided) == N


def test_permission_is_asked_after_the_last_draw_of_all() -> None:
    decided, draws = clear(), list[int]()

    def permitted() -> bool:
        draws.append(drawn(decided))
        return True

    serve_adaptive(decided, PLAN, SEED, audited=True, permitted=permitted)
    assert draws == [N]


@pytest.mark.parametrize("audited", [False, True])
def test_the_baseline_takes_over_from_an_invalid_adaptive_decision(audited: bool) -> None:
    served = serve_adaptive(clear(), PLAN, SEED, audited=audited, feed=to_nan)
    assert (served.verdict, served.arm, served.baseline, served.audited) == (BASELINE, Arm.FIXED, BASELINE, audited)
    assert (served.fallback, served.why_fixed) == ("the adaptive decision was INVALID", WhyFixed.FALLBACK)
    assert served.adaptive is not None and served.adaptive.decision is Decision.INVALID


def test_where_both_are_invalid_nothing_failed_and_no_draw_is_spent_beyond() -> None:
    decided = case(1, 0.97, nans=1.0)
    served = serve_adaptive(decided, PLAN, SEED, audited=False)
    assert (served.arm, served.decision, served.fallback) == (Arm.ADAPTIVE, Decision.INVALID, None)
    assert served.baseline is not None and served.baseline.decision is Decision.INVALID
    assert drawn(decided) == PLAN.boundaries[0].n


def verdict(decision: Decision) -> Verdict:
    return Verdict(decision, 8, N, 0.9, StopReason.REACHED_N)


ACCEPTED, REJECTED, INVALID = (verdict(decision) for decision in Decision)


@pytest.mark.parametrize(
    "baseline, adaptive, agrees",
    [
        (ACCEPTED, ACCEPTED, True),
        (ACCEPTED, REJECTED, False),
        (ACCEPTED, INVALID, False),
        (INVALID, INVALID, None),
        (INVALID, ACCEPTED, False),
        (None, ACCEPTED, None),
        (ACCEPTED, None, None),
    ],
)
def test_both_agree_when_they_decide_alike(
    baseline: Verdict | None, adaptive: Verdict | None, agrees: bool | None
) -> None:
    assert replace(Served(ACCEPTED, Arm.FIXED), baseline=baseline, adaptive=adaptive).agrees is agrees


def test_an_audit_keeps_the_total_and_how_early_and_late_draws_differ() -> None:
    for_counts = plan(Proportion(at_least=0.8), 100, max_disagreement=0.01)
    draws = [0.0] * 20 + [1.0] * 80
    served = serve_adaptive(Case("k", "t", Recorded(np.array(draws), given_order=True)), for_counts, 1, audited=True)
    assert served.baseline_statistic == 80
    assert served.halves == pytest.approx((1 - 0.6) / sqrt(0.16 * 100 / 99 * (1 / 50 + 1 / 50)))


def test_halves_of_exchangeable_draws_are_standard_normal() -> None:
    rng = np.random.default_rng(4)
    seen = np.array([halves(rng.random(64).tolist()) for _ in range(2_000)])
    assert abs(seen.mean()) < 4 / sqrt(2_000)
    assert abs(seen.std() - 1) < 4 / sqrt(4_000)


@pytest.mark.parametrize(("draws", "z"), [([], None), ([1.0], None), ([1.0, 1.0], 0.0), ([1e308, -1e308, 1e308], None)])
def test_halves_of_few_equal_or_huge_draws(draws: list[float], z: float | None) -> None:
    assert halves(draws) == z
