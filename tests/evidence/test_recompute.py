"""Decided again by a fresh process: what was recorded otherwise is named, whatever the row holds."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from math import nan

import pytest

import suffice
from suffice.decision.rule import Decision
from suffice.errors import DataError
from suffice.evidence.recompute import differing
from suffice.sources.correction import Correction, Estimate
from suffice.stopping.plan import Plan
from suffice.store.decision_row import DecisionRow, Reason
from suffice.verifier.arm import Arm
from suffice.verifier.loop import decide, decide_fixed, observations

SEED = 42
PLAN = suffice.plan(suffice.Proportion(0.8), 64, 0.01, look_every=8)
Pair = tuple[DecisionRow, Correction]


def pair(i: int, **changes: object) -> Pair:
    """A decision as production records it, audited in force, and what it was about."""
    correction = Correction(f"k{i}", f"t{i}", Estimate(0.0, 1.0, 1.0), Estimate(0.3 * i, 1.0, 0.5))
    case = correction.case()
    adaptive = decide(case, PLAN, SEED)
    baseline = decide_fixed(observations(case, PLAN.rule, PLAN.n, SEED), PLAN.rule)
    row = DecisionRow(
        *(
            case.key,
            case.target,
            Arm.ADAPTIVE,
            adaptive.decision,
            adaptive.n,
            PLAN.n,
            nan,
            Reason[adaptive.reason.name],
        ),
        *(SEED, PLAN.id, 1.0),
        audited=True,
        baseline_decision=baseline.decision,
        baseline_n=baseline.n,
        adaptive_decision=adaptive.decision,
        adaptive_n=adaptive.n,
    )
    return replace(row, **changes), correction  # type: ignore[arg-type]


ALONE = {"audited": False, "baseline_decision": None, "baseline_n": None, "adaptive_decision": None, "adaptive_n": None}


def alone(i: int) -> Pair:
    """An adaptive decision that was not audited."""
    return pair(i, **ALONE)


def fixed(i: int) -> Pair:
    """A fixed decision, with nothing beside it."""
    row, correction = pair(i)
    return replace(row, arm=Arm.FIXED, decision=row.baseline_decision, n=row.fixed_n, **ALONE), correction


def other(decision: Decision | None) -> Decision:
    return Decision.REJECTED if decision is Decision.ACCEPTED else Decision.ACCEPTED


def test_what_was_recorded_as_it_is_decided_differs_nowhere() -> None:
    pairs = [kind(i) for kind in (pair, alone, fixed) for i in range(8)]
    decisions = {row.decision for row, _ in pairs}
    assert decisions == {Decision.ACCEPTED, Decision.REJECTED}
    assert differing(pairs, PLAN) == []


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        *((pair, name) for name in ("adaptive_decision", "adaptive_n", "baseline_decision", "baseline_n")),
        *((kind, name) for kind in (alone, fixed) for name in ("decision", "n")),
    ],
)
def test_a_value_that_was_recorded_otherwise_is_named(kind: Callable[[int], Pair], column: str) -> None:
    pairs = [kind(i) for i in range(4)]
    row, correction = pairs[2]
    was = getattr(row, column)
    pairs[2] = (
        replace(row, **{column: was - 1 if isinstance(was, int) else other(was)}),
        correction,
    )
    assert differing(pairs, PLAN) == ["k2"]


def test_another_plan_is_noticed() -> None:
    hasty = suffice.plan(suffice.Proportion(0.8), 64, 0.2, look_every=8)
    assert differing([pair(i) for i in range(8)], hasty) != []


def test_a_plan_that_the_fresh_process_cannot_read_is_one_sentence() -> None:
    class Broken(Plan):
        def to_dict(self) -> dict[str, object]:
            return {**super().to_dict(), "rule": "of another version"}

    broken = Broken(**{name: getattr(PLAN, name) for name in PLAN.__dataclass_fields__})
    with pytest.raises(DataError, match=r"^recorded decisions cannot be recomputed: .+$"):
        differing([pair(1)], broken)


def test_the_fresh_process_loads_neither_database_nor_solver() -> None:
    code = "import sys, suffice.evidence.recompute; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded
    assert not {"sqlalchemy", "scipy", "numba", "pydantic", "openfeature", "matplotlib", "pyarrow"} & set(loaded)
