"""What each strategy proposes, and what it leaves alone."""

from dataclasses import replace
from math import sqrt

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from suffice.resolution.classify import Kind
from suffice.resolution.strategy import STRATEGIES, Strategy, propose, recompute
from suffice.sampling.distributions import Normal
from suffice.sources.correction import Correction, Estimate
from suffice.store.records import Record

RECORD = Record("t", 10.0, 1.0, 2.0, context="old", time="1990", version=4, consecutive_rollbacks=1)
CORRECTION = Correction(
    "c",
    "t",
    Estimate(10.0, 1.0, 2.0),
    Estimate(13.0, 0.3, 0.4),
    "2001",
    record_context="old",
    measurement_context="new",
)
MEASURED = {"value": 13.0, "u_plus": 0.3, "u_minus": 0.4, "version": 5}


def test_each_kind_has_a_strategy_of_its_own() -> None:
    assert list(STRATEGIES) == list(Kind)
    assert sorted(STRATEGIES.values(), key=lambda s: s.name) == sorted(Strategy, key=lambda s: s.name)


def test_what_each_strategy_changes() -> None:
    expected = {
        Kind.MIS_MEASUREMENT: {**MEASURED, "time": "2001"},
        Kind.MIS_DESCRIPTION: {**MEASURED, "time": "2001"},
        Kind.MIS_ASSOCIATION: {**MEASURED, "time": "2001", "context": "new"},
    }
    for kind, changed in expected.items():
        assert propose(kind, RECORD, CORRECTION, {}) == replace(RECORD, **changed)  # type: ignore[arg-type]


def test_a_recomputed_record_is_as_new_as_its_newest_input_whatever_the_offsets() -> None:
    times = ("2026-11-20T23:30:00-05:00", "2026-11-21T01:00:00+02:00", "")
    inputs = {f"i{i}": Record(f"i{i}", 1.0, 0.1, 0.1, time=time) for i, time in enumerate(times)}
    derived = replace(RECORD, derived_from=tuple((target, 1.0) for target in inputs))
    assert recompute(derived, CORRECTION, inputs).time == times[0]


def test_recompute_asks_the_inputs_and_not_the_measurement() -> None:
    inputs = {"a": Record("a", 5.0, 0.3, 0.3, time="2005"), "b": Record("b", 2.0, 0.4, 0.1, time="1999")}
    derived = replace(RECORD, derived_from=(("a", 2.0), ("b", -1.0)))
    proposed = propose(Kind.MIS_INFERENCE, derived, CORRECTION, inputs)
    assert (proposed.value, proposed.time, proposed.version, proposed.context) == (8.0, "2005", 5, "old")
    assert (proposed.u_plus, proposed.u_minus) == (sqrt(0.36 + 0.01), sqrt(0.36 + 0.16))


@given(st.lists(st.tuples(st.floats(-3, 3).filter(lambda w: abs(w) > 0.1), st.floats(-9, 9), st.floats(0.1, 2))))
def test_recomputed_uncertainty_is_that_of_simulated_inputs(parts: list[tuple[float, float, float]]) -> None:
    parts = [*parts, (1.0, 2.0, 0.5)]
    inputs = {f"i{i}": Record(f"i{i}", value, u, u) for i, (_, value, u) in enumerate(parts)}
    derived = replace(RECORD, derived_from=tuple((f"i{i}", weight) for i, (weight, _, _) in enumerate(parts)))
    recomputed, rng, n = recompute(derived, CORRECTION, inputs), np.random.default_rng(7), 4_000
    draws = sum(w * Normal(value, u).draw(rng.standard_normal(n), np.empty(0)) for w, value, u in parts)
    assert abs(np.mean(draws) - recomputed.value) < 6 * recomputed.u_plus / sqrt(n)
    assert abs(np.std(draws) / recomputed.u_plus - 1) < 6 / sqrt(2 * n)
