"""What a decision counts, from its row alone."""

from dataclasses import replace

import pytest

from store_places import ROW
from suffice.decision.rule import Decision
from suffice.serving.counted import count, counters_of
from suffice.store.decision_row import DecisionRow, Reason
from suffice.telemetry.counters import Counter, Counters
from suffice.verifier.arm import Arm

ADAPTIVE = replace(ROW, arm=Arm.ADAPTIVE, n=16)
AUDIT = replace(ADAPTIVE, audited=True, agrees=True)


@pytest.mark.parametrize(
    "row, counted",
    [
        (ROW, {Counter.FIXED_SAMPLES: 64}),
        (ADAPTIVE, {Counter.ADAPTIVE_USED: 1, Counter.ADAPTIVE_SAMPLES: 16, Counter.ADAPTIVE_EARLY_STOP: 1}),
        (replace(ADAPTIVE, n=64), {Counter.ADAPTIVE_USED: 1, Counter.ADAPTIVE_SAMPLES: 64}),
        (
            replace(ADAPTIVE, decision=Decision.INVALID, invalid=True),
            {Counter.ADAPTIVE_USED: 1, Counter.ADAPTIVE_SAMPLES: 16, Counter.INVALID: 1},
        ),
        (replace(ROW, reason=Reason.FALLBACK), {Counter.FIXED_SAMPLES: 64, Counter.FALLBACKS: 1}),
        (
            replace(ROW, audited=True, agrees=False),
            {Counter.FIXED_SAMPLES: 64, Counter.AUDITS: 1, Counter.DISAGREEMENTS: 1},
        ),
        (replace(ROW, audited=True, agrees=True), {Counter.FIXED_SAMPLES: 64, Counter.AUDITS: 1}),
        (replace(ROW, audited=True, agrees=None), {Counter.FIXED_SAMPLES: 64}),
    ],
)
def test_each_decision_counts_for_its_arm_and_its_audit(row: DecisionRow, counted: dict[Counter, int]) -> None:
    counts = counters_of([row]).snapshot()
    assert counts.decisions == 1
    assert {name: value for name, value in counts.counters.items() if value} == counted


def test_decisions_add_up() -> None:
    one_by_one = Counters()
    for row in (ROW, ADAPTIVE, AUDIT):
        count(row, one_by_one)
    assert counters_of([ROW, ADAPTIVE, AUDIT]).snapshot() == one_by_one.snapshot()
    assert one_by_one.snapshot().decisions == 3
