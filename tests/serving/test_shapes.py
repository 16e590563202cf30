"""Draws of unknown shape under a t rule: the bound of an unguarded plan is not for them, so they take the fixed arm."""

from pathlib import Path

import numpy as np
import pytest
from serving_world import Flags

import suffice
from suffice.sampling.distributions import Normal
from suffice.sampling.sampler import Pair
from suffice.serving.verifier import Verifier
from suffice.store.database import open_store
from suffice.store.decision_row import WhyFixed
from suffice.store.ledger import Ledger
from suffice.telemetry.counters import Counters
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case

N = 64
PLAIN = suffice.plan(suffice.PairedMean(), N, 0.01, look_every=16)
GUARDED = suffice.plan(suffice.PairedMean(), N, 0.01, look_every=16, guarded=True)
COUNTS = suffice.plan(suffice.Proportion(0.8), N, 0.01, look_every=16)


def unknown(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(3.0, 1.0, n)


NORMAL_CASE = Case("normal", "t", Pair(Normal(0, 1), Normal(3, 1)))
UNKNOWN_CASE = Case("unknown", "t", unknown)
COUNT_CASE = Case("counts", "t", lambda rng, n: rng.random(n) < 0.99)


@pytest.mark.parametrize(
    ("plan", "case", "arm", "guarded"),
    [
        (PLAIN, NORMAL_CASE, Arm.ADAPTIVE, False),
        (PLAIN, UNKNOWN_CASE, Arm.FIXED, None),
        (GUARDED, UNKNOWN_CASE, Arm.ADAPTIVE, True),
        (COUNTS, COUNT_CASE, Arm.ADAPTIVE, False),
    ],
)
def test_the_arm_and_what_the_ledger_says_of_the_guard(
    tmp_path: Path, plan: suffice.Plan, case: Case, arm: Arm, guarded: bool | None
) -> None:
    with open_store(tmp_path / "store.db") as store:
        ledger = Ledger(store)
        flag = Flags(lambda _: True)
        with Verifier(plan, 1, flag, enabled=True, counters=Counters(), clock=lambda: 0.0, ledger=ledger) as verifier:
            served = verifier.verify(case)
        assert served.arm is arm
        assert (served.n < N) is (arm is Arm.ADAPTIVE)
        assert [row.guarded for row in ledger.rows("")] == [guarded]
        assert [row.why_fixed for row in ledger.rows("")] == [None if arm is Arm.ADAPTIVE else WhyFixed.UNFIT]


@pytest.mark.parametrize("enabled", [False, True])
def test_what_can_never_be_adaptive_says_so_whatever_the_word_and_before_any_rollout(
    tmp_path: Path, enabled: bool
) -> None:
    with open_store(tmp_path / "store.db") as store:
        ledger, flag = Ledger(store), Flags(lambda _: False)
        with Verifier(
            PLAIN, 1, flag, enabled=enabled, counters=Counters(), clock=lambda: 0.0, ledger=ledger
        ) as process:
            for case in (UNKNOWN_CASE, NORMAL_CASE):
                process.verify(case)
            assert process.arm(UNKNOWN_CASE) is Arm.FIXED
        assert {row.key: row.why_fixed for row in ledger.rows("")} == {
            "unknown": WhyFixed.UNFIT,
            "normal": WhyFixed.EXPOSURE if enabled else WhyFixed.DISABLED,
        }
