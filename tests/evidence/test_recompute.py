"""Decided again by a fresh process: what was recorded otherwise is named, whatever the row holds."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pytest

import suffice
from suffice.decision.rule import Decision
from suffice.errors import DataError
from suffice.evidence.recompute import Recomputed, recompute
from suffice.sampling.recorded import Recorded
from suffice.serving.ledger_rows import row_of
from suffice.serving.served import serve_adaptive
from suffice.serving.situation import Situation
from suffice.sources.built import Builder
from suffice.sources.correction import Correction, Estimate
from suffice.sources.recipe import Recipe, of_built, of_correction, of_recorded
from suffice.stopping.plan import Plan
from suffice.store.decision_row import DecisionRow, Reason
from suffice.verifier.arm import Arm
from suffice.verifier.loop import decide, decide_fixed, observations

SEED = 42
PLAN = suffice.plan(suffice.Proportion(0.8), 64, 0.01, look_every=8)
Pair = tuple[DecisionRow, Recipe]


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
    return replace(row, **changes), of_correction(correction)  # type: ignore[arg-type]


ALONE = {"audited": False, "baseline_decision": None, "baseline_n": None, "adaptive_decision": None, "adaptive_n": None}


def alone(i: int) -> Pair:
    """An adaptive decision that was not audited."""
    return pair(i, **ALONE)


def fixed(i: int) -> Pair:
    """A fixed decision, with nothing beside it."""
    row, recipe = pair(i)
    return replace(row, arm=Arm.FIXED, decision=row.baseline_decision, n=row.fixed_n, **ALONE), recipe


def other(decision: Decision | None) -> Decision:
    return Decision.REJECTED if decision is Decision.ACCEPTED else Decision.ACCEPTED


def test_what_was_recorded_as_it_is_decided_differs_nowhere() -> None:
    pairs = [kind(i) for kind in (pair, alone, fixed) for i in range(8)]
    decisions = {row.decision for row, _ in pairs}
    assert decisions == {Decision.ACCEPTED, Decision.REJECTED}
    assert recompute(pairs, PLAN) == Recomputed(24, 0)


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        *((pair, name) for name in ("adaptive_decision", "adaptive_n", "baseline_decision", "baseline_n")),
        *((kind, name) for kind in (alone, fixed) for name in ("decision", "n")),
    ],
)
def test_a_value_that_was_recorded_otherwise_is_named(kind: Callable[[int], Pair], column: str) -> None:
    pairs = [kind(i) for i in range(4)]
    row, recipe = pairs[2]
    was = getattr(row, column)
    pairs[2] = (
        replace(row, **{column: was - 1 if isinstance(was, int) else other(was)}),
        recipe,
    )
    assert recompute(pairs, PLAN) == Recomputed(4, 1, "k2")


def test_another_plan_is_noticed() -> None:
    hasty = suffice.plan(suffice.Proportion(0.8), 64, 0.2, look_every=8)
    assert recompute([pair(i) for i in range(8)], hasty).differing > 0


def test_a_plan_that_the_fresh_process_cannot_read_is_one_sentence() -> None:
    class Broken(Plan):
        def to_dict(self) -> dict[str, object]:
            return {**super().to_dict(), "rule": "of another version"}

    broken = Broken(**{name: getattr(PLAN, name) for name in PLAN.__dataclass_fields__})
    with pytest.raises(DataError, match=r"^recorded decisions cannot be recomputed: .+$"):
        recompute([pair(1)], broken)


def test_the_fresh_process_loads_neither_database_nor_solver() -> None:
    code = "import sys, suffice.evidence.recompute; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded
    assert not {"sqlalchemy", "scipy", "numba", "pydantic", "openfeature", "matplotlib", "pyarrow"} & set(loaded)


SERVICE = """
import random, time
from suffice import Case, Normal

print("a service prints what it likes")


class Drifting:
    \"\"\"Its draws depend on how many came before.\"\"\"

    def __init__(self):
        self.drawn = 0

    def __call__(self, rng, n):
        print("drawn", n)
        self.drawn += n
        return rng.random(n) < 0.9 - self.drawn / 200


def build(*, key, target, region, features):
    return Case(key, target, Drifting(), region, features=features)


def build_by_chance(*, key, target, region, features):
    return Case(key, target, lambda rng, n: [random.random() < 0.8 for _ in range(n)], region)


def timed_out(rng, n):
    raise TimeoutError("the simulator\\ndoes not answer")


def build_timed_out(*, key, target, region, features):
    return Case(key, target, timed_out, region)


def build_slowly(*, key, target, region, features):
    time.sleep(0 if key == "k0" else 60)
    return build(key=key, target=target, region=region, features=features)
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module that only its own folder has."""
    folder = tmp_path_factory.mktemp("service")
    (folder / "pumps.py").write_text(SERVICE, encoding="utf-8")
    return folder


def built(service: Path, count: int = 6) -> list[Pair]:
    """Decisions of the service about cases that only it can build, half of them audited in force."""
    builder, pairs = Builder("pumps:build", service), list[Pair]()
    for i in range(count):
        case, audited = builder.case(f"k{i}", "t", None, {}), i % 2 == 0
        served = serve_adaptive(case, PLAN, SEED, audited=audited)
        row = row_of(case, served, Situation(), PLAN.id, SEED, 1.0)
        pairs.append((row, of_built(row.key, row.target, row.region, {})))
    return pairs


def test_what_a_service_builds_is_decided_as_it_was(service: Path) -> None:
    """Also by a sampler whose draws depend on how many came before, and that prints as it draws."""
    assert recompute(built(service), PLAN, Builder("pumps:build", service)) == Recomputed(6, 0)


def test_a_sampler_with_a_chance_of_its_own_is_noticed(service: Path) -> None:
    seen = recompute(built(service), PLAN, Builder("pumps:build_by_chance", service))
    assert seen.decisions == 6
    assert seen.differing > 0


def test_what_the_services_code_raises_is_one_sentence(service: Path) -> None:
    with pytest.raises(DataError) as raised:
        recompute(built(service, 1), PLAN, Builder("pumps:build_timed_out", service))
    assert str(raised.value) == (
        "recorded decisions cannot be recomputed: the sampler of case 'k0' raised TimeoutError: the simulator does not "
        "answer (pumps.py, line 29)"
    )
    with pytest.raises(DataError, match="'pumps:missing': AttributeError: module 'pumps' has no attribute"):
        recompute(built(service, 1), PLAN, Builder("pumps:missing", service))
    with pytest.raises(DataError, match=r"only the service can build its cases: verifier\.cases is null"):
        recompute(built(service, 1), PLAN)


def test_as_many_are_decided_as_are_done_in_time(service: Path) -> None:
    slow = Builder("pumps:build_slowly", service)
    assert recompute(built(service), PLAN, slow, seconds=4.0) == Recomputed(1, 0)
    with pytest.raises(DataError, match=r"^recorded decisions cannot be recomputed: none was in 1 s$"):
        recompute(built(service)[1:], PLAN, slow, seconds=1.0)


def test_draws_that_were_recorded_are_decided_as_they_were_drawn() -> None:
    recorded = Recorded((np.random.default_rng(1).random(PLAN.n) < 0.9).astype(float), given_order=True)
    case = suffice.Case("k0", "t", recorded)
    row = row_of(case, serve_adaptive(case, PLAN, SEED, audited=True), Situation(), PLAN.id, SEED, 1.0)
    turned = Recorded(1 - recorded.values, given_order=True)
    assert recompute([(row, of_recorded(recorded)), (row, of_recorded(turned))], PLAN) == Recomputed(2, 1, "k0")
