"""What every gate must do, whatever it judges."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from math import inf, nan
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.evidence.measurements import NOTHING_MEASURED, Evidence, Measured
from suffice.gates import determinism, disagreement, escalation, health, plan, sample_reduction, targets
from suffice.gates.outcome import GateResult, Outcome

Gate = Callable[[Evidence], GateResult]
PLAN = "a" * 64

GATES: dict[str, tuple[Gate, tuple[str, ...], str, Callable[[float], str]]] = {
    # gate, the evidence that it judges, its limit in words, its value in words
    "disagreement": (
        lambda evidence: disagreement.judge(evidence, 0.01, 0.95),
        ("audits", "disagreements"),
        "limit 1 %",
        lambda value: f"{value:.3g} %",
    ),
    "targets": (
        lambda evidence: targets.judge(evidence, 0.01, 0.95),
        ("first_audits", "first_disagreements", "rollout_audits"),
        "limit 1 %",
        lambda value: f"{value:.3g} %",
    ),
    "sample_reduction": (
        lambda evidence: sample_reduction.judge(evidence, 0.30, 0.95),
        ("adaptive", "stopped", "stopping_draws", "fixed_draws", "reductions", "audit_draws"),
        "limit 30 %",
        lambda value: f"{value:.3g} %",
    ),
    "excess_escalations": (
        lambda evidence: escalation.judge(evidence, 0.0, 0.95),
        ("audited_targets", "excess", "spared"),
        "limit 0 %",
        lambda value: f"{value:.3g} %",
    ),
    "determinism": (
        lambda evidence: determinism.judge(evidence, 20),
        ("stopped", "recomputed", "differing"),
        "limit 0",
        lambda value: f"{value / 100:.0f} of",
    ),
    "plan": (
        lambda evidence: plan.judge(evidence, PLAN),
        ("plans",),
        "limit 0",
        lambda value: f"{value / 100:.0f} of",
    ),
    "health": (
        lambda evidence: health.judge(evidence, 5),
        (
            *("decisions", "adaptive", "invalid", "stopped", "fallbacks"),
            *("adaptive_targets", "fixed_targets", "age", "silence"),
        ),
        "limit 1 %",
        lambda value: f"{value:.3g} %",
    ),
}

WELL = Evidence(
    decisions=10_000,
    adaptive=500,
    invalid=3,
    audits=500,
    disagreements=0,
    stopped=500,
    stopping_draws=10_000,
    fixed_draws=50_000,
    reductions={"8000": 500},
    audit_draws=40_000,
    fallbacks=0,
    audited_targets=50,
    excess=0,
    spared=0,
    adaptive_targets=50,
    fixed_targets=950,
    recomputed=20,
    differing=0,
    age=60.0,
    silence=30.0,
    plans={PLAN: 10_000},
    rollout_audits=1_500,
    first_audits=400,
    first_disagreements=0,
)
BY_NAME = {"plans": PLAN, "reductions": "8000"}
"""Counts of one name each, where the other ones are a number."""
COUNTS = [name for name, kind in get_type_hints(Evidence).items() if kind == Measured]
ZERO = Evidence(**dict.fromkeys(COUNTS, 0), plans={}, reductions={})
NEEDS = [(name, field) for name, (_, needed, _, _) in GATES.items() for field in needed]

measured = st.one_of(st.none(), st.integers(-5, 2000), st.floats(), st.sampled_from([0, 1, 100]))
by_plan = st.none() | st.dictionaries(st.sampled_from([PLAN, "b" * 64]), measured)
by_share = st.none() | st.dictionaries(st.sampled_from(["0", "2999", "8000", "10000", "10001", "x"]), measured)
evidences = st.builds(Evidence, **dict.fromkeys(COUNTS, measured), plans=by_plan, reductions=by_share)
every_gate = pytest.mark.parametrize("name", GATES)


def well_but(field: str, value: float | None) -> Evidence:
    """Good evidence with one measurement changed; of those by name, the count of one."""
    changed = {BY_NAME[field]: value} if field in BY_NAME and value is not None else value
    return replace(WELL, **{field: changed})


def limit_of(name: str) -> float:
    """The number in the gate's words for its limit."""
    words = GATES[name][2].removeprefix("limit ")
    return float(words.removesuffix(" %")) / 100 if words.endswith("%") else float(words)


@every_gate
def test_good_evidence_is_successful_and_names_its_gate(name: str) -> None:
    result = GATES[name][0](WELL)
    assert (result.gate, result.outcome, result.limit) == (name, Outcome.SUCCESSFUL, limit_of(name))


@pytest.mark.parametrize(
    "name, counts, computed",
    [
        ("disagreement", {"audits": 500, "disagreements": 0}, {"lower", "upper", "drift"}),
        ("targets", {"targets": 400, "disagreements": 0}, {"lower", "upper"}),
        ("sample_reduction", {"decisions": 500}, {"lower", "upper", "net"}),
        ("excess_escalations", {"targets": 50, "excess": 0, "spared": 0}, {"evidence"}),
        ("determinism", {"recomputed": 20}, set()),
        ("plan", {"decisions": 10_000}, set()),
        ("health", {"fallbacks": 0, "tried": 500, "reused": 0, "invalid": 3}, set()),
    ],
)
def test_what_was_counted_stands_in_its_numbers(name: str, counts: dict[str, int], computed: set[str]) -> None:
    numbers = GATES[name][0](WELL).numbers
    assert {key: value for key, value in numbers.items() if key not in computed} == counts
    assert computed <= set(numbers)


@every_gate
def test_nothing_measured_is_an_error(name: str) -> None:
    result = GATES[name][0](NOTHING_MEASURED)
    assert (result.gate, result.outcome, result.value, result.limit) == (name, Outcome.ERROR, None, limit_of(name))


@pytest.mark.parametrize("name, needed", NEEDS)
@pytest.mark.parametrize("value", [None, nan, inf, -inf, -1, -0.5])
def test_missing_not_finite_and_negative_evidence_is_an_error_that_names_it(
    name: str, needed: str, value: float | None
) -> None:
    result = GATES[name][0](well_but(needed, value))
    assert (result.gate, result.outcome) == (name, Outcome.ERROR)
    assert needed.replace("_", " ") in result.sentence
    assert GATES[name][2] in result.sentence


@pytest.mark.parametrize("name, needed", [pair for pair in NEEDS if pair[1] not in ("age", "silence")])
def test_half_a_count_is_an_error(name: str, needed: str) -> None:
    assert GATES[name][0](well_but(needed, 0.5)).outcome is Outcome.ERROR


@every_gate
def test_zero_evidence_is_never_successful(name: str) -> None:
    assert GATES[name][0](ZERO).outcome in (Outcome.INCONCLUSIVE, Outcome.ERROR)


@every_gate
def test_it_needs_nothing_but_what_it_names(name: str) -> None:
    gate, needed, _, _ = GATES[name]
    assert gate(Evidence(**{field: getattr(WELL, field) for field in needed})) == gate(WELL)


@every_gate
@pytest.mark.parametrize(
    "evidence",
    [
        WELL,
        replace(
            WELL,
            disagreements=2,
            first_disagreements=1,
            stopping_draws=40_000,
            audit_draws=0,
            excess=3,
            spared=1,
            differing=2,
            fallbacks=7,
            plans={PLAN: 9, "b" * 64: 1},
        ),
        replace(
            WELL,
            disagreements=60,
            first_disagreements=40,
            stopping_draws=49_000,
            audit_draws=9,
            excess=40,
            differing=20,
            fallbacks=99,
        ),
    ],
)
def test_the_sentence_holds_value_and_limit(name: str, evidence: Evidence) -> None:
    gate, _, limit, in_words = GATES[name]
    result = gate(evidence)
    assert result.value is not None and result.limit is not None
    assert limit in result.sentence
    assert in_words(100 * result.value) in result.sentence


@every_gate
@given(evidence=evidences)
def test_any_evidence_gets_one_answer_always_the_same_in_plain_json(name: str, evidence: Evidence) -> None:
    gate, needed, _, _ = GATES[name]
    before = repr(evidence)
    first, second = gate(evidence), gate(evidence)
    assert first == second
    assert repr(evidence) == before
    assert first.outcome is not Outcome.SUCCESSFUL or all(getattr(evidence, field) is not None for field in needed)
    assert first.sentence and "\n" not in first.sentence
    json.dumps({**asdict(first), "outcome": first.outcome.value}, allow_nan=False)
