"""What a line of a service in another language becomes: both decisions from its draws, or one sentence of what is
wrong."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import suffice
from permitted import WORD
from suffice.config import Stage
from suffice.decision.rule import Decision
from suffice.errors import DataError
from suffice.flag.bucketing import audited
from suffice.serving.foreign_rows import ForeignRows, Terms
from suffice.serving.ledger_rows import row_of
from suffice.serving.served import serve_adaptive
from suffice.serving.situation import Salts, Situation
from suffice.store.decision_row import DecisionRow, Reason, WhyFixed
from suffice.store.words import Word
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case
from suffice.verifier.loop import observations

NOW = 1_800_000_000.0
ID = WORD.rollout
PLAN = suffice.plan(suffice.Proportion(at_least=0.8), n=32, max_disagreement=0.01, look_every=8)
MEANS = suffice.plan(suffice.PairedMean(alpha=0.05), n=32, look_every=8, guarded=True)
STAGES = {
    "staging": Stage(name="staging", weight=0, shadow=True),
    "canary": Stage(name="canary", weight=50, audit_fraction=0.5),
}
TARGETS = [f"pump-{number}" for number in range(40)]
AUDITED = next(target for target in TARGETS if audited(target, Salts.of(ID).audit, 0.5))
OTHER = next(target for target in TARGETS if not audited(target, Salts.of(ID).audit, 0.5))
IN_FORCE = replace(WORD, epoch=7, rollout=ID, stage="canary", plan_id=PLAN.id)
OPEN = [1, 1, 1, 1, 1, 1, 0, 0]
"""Draws after which the plan goes on."""


def plain(**changes: Any) -> dict[str, Any]:
    """An adaptive decision about a target that is not audited; a change to ... leaves a key out."""
    row = {
        "key": "case-1",
        "target": OTHER,
        "arm": "adaptive",
        "at": NOW,
        "rollout": ID,
        "stage": "canary",
        "epoch": 7,
        "plan_id": PLAN.id,
        "process": "lease:pump@host",
        "fixed_n": 32,
        "draws": [1] * 32,
        **changes,
    }
    return {name: value for name, value in row.items() if value is not ...}


def made(word: Word | None = IN_FORCE, plan: suffice.Plan = PLAN, **changes: Any) -> DecisionRow:
    line = json.dumps(plain(**changes)).encode()
    return ForeignRows(lambda rollout: Terms(plan, STAGES) if rollout == ID else None, word, NOW).row(line)


def test_an_adaptive_decision_is_the_plans_at_its_stopping_time() -> None:
    row = made(region="eu", features={"size": 3}, cost=0.5, draw_seconds=2.0)
    run = PLAN.start()
    run.observe([1] * 32)
    assert (row.arm, row.decision, row.n, row.fixed_n) == (Arm.ADAPTIVE, Decision.ACCEPTED, run.n, 32)
    assert (row.reason, row.audited, row.baseline_decision, row.drawn) == (Reason.ACCEPT_BOUNDARY, False, None, 32)
    assert (row.rollout, row.stage, row.epoch, row.process) == (ID, "canary", 7, "lease:pump@host")
    assert (row.at, row.region, row.features, row.cost, row.draw_seconds) == (NOW, "eu", '{"size":3}', 0.5, 2.0)


def test_an_audited_target_has_both_decisions_from_all_draws() -> None:
    draws = [1] * 24 + [0] * 8
    row = made(target=AUDITED, draws=draws)
    assert (row.adaptive_decision, row.baseline_decision, row.baseline_n) == (
        Decision.ACCEPTED,
        Decision.REJECTED,
        32,
    )
    assert (row.audited, row.agrees, row.decision) == (True, False, Decision.ACCEPTED)
    assert row.n == row.adaptive_n < 32


def test_in_the_shadow_the_fixed_decision_is_in_force_and_the_plans_is_beside_it() -> None:
    shadow = replace(IN_FORCE, stage="staging", shadow=True)
    row = made(shadow, arm="fixed", stage="staging", draws=[1] * 24 + [0] * 8)
    assert (row.arm, row.shadow, row.audited) == (Arm.FIXED, True, True)
    assert (row.decision, row.baseline_decision, row.adaptive_decision, row.agrees) == (
        Decision.REJECTED,
        Decision.REJECTED,
        Decision.ACCEPTED,
        False,
    )


@pytest.mark.parametrize("why", [None, "EXPOSURE", "LAPSED", "FENCED", "FALLBACK"])
def test_a_fixed_decision_says_why_it_is_fixed(why: str | None) -> None:
    row = made(arm="fixed", target=AUDITED, why_fixed=why)
    assert (row.arm, row.decision, row.n, row.audited) == (Arm.FIXED, Decision.ACCEPTED, 32, False)
    assert row.why_fixed is WhyFixed[why or "EXPOSURE"]
    assert row.fell_back is (why == "FALLBACK")


def test_counts_at_each_look_say_as_much_as_draws_but_for_their_order() -> None:
    draws = [1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1] + [1] * 16
    counts = [[n, sum(draws[:n])] for n in range(8, 33, 8)]
    by_draws, by_counts = made(target=AUDITED, draws=draws), made(target=AUDITED, draws=..., counts=counts)
    assert by_draws.halves is not None
    assert by_counts == replace(by_draws, halves=None) and by_draws.agrees


@pytest.mark.parametrize("draw", [10**400, -(10**400)])
def test_a_draw_beyond_all_doubles_is_infinite(draw: int) -> None:
    row = made(draws=[1, 1, draw])
    assert (row.decision, row.n) == (Decision.INVALID, 3)


@pytest.mark.parametrize("wrong", [-1.0, -(10**400), 10**400, 1e16])
@pytest.mark.parametrize("name", ["cost", "draw_seconds"])
def test_what_cannot_be_added_up_is_refused(name: str, wrong: float) -> None:
    with pytest.raises(DataError, match=r"; allowed: a number from 0 to 1e\+15"):
        made(**{name: wrong})


def test_null_is_a_draw_that_is_none() -> None:
    row = made(draws=[1, 1, None])
    assert (row.decision, row.n, row.invalid, row.baseline_decision) == (Decision.INVALID, 3, True, Decision.INVALID)


@pytest.mark.parametrize("plan", [PLAN, MEANS], ids=["proportion", "paired_mean"])
@pytest.mark.parametrize("target", [AUDITED, OTHER], ids=["audited", "not audited"])
def test_it_is_the_row_that_a_process_of_ours_would_have_written(plan: suffice.Plan, target: str) -> None:
    """The same draws, by the way of `Verifier` and by a line, over truths from clear to clear."""
    word, decisions = replace(IN_FORCE, plan_id=plan.id), set[Decision]()
    for number in range(40):
        truth = number / 39

        def sampler(rng: np.random.Generator, n: int, truth: float = truth) -> Any:
            return rng.random(n) < truth if plan is PLAN else rng.normal(2 * truth, 1.0, n)

        case = Case(f"case-{number}", target, sampler)
        served = serve_adaptive(case, plan, 5, audited=target == AUDITED)
        ours = row_of(case, replace(served, epoch=7), Situation(ID, "canary"), plan.id, 0, NOW, "lease:pump@host")
        drawn = [*map(float, observations(case, plan.rule, plan.n, 5))]
        line = {"key": case.key, "target": target, "plan_id": plan.id, "draws": drawn, "drawn": served.drawn}
        assert replace(made(word, plan, **line), draw_seconds=None) == replace(ours, draw_seconds=None)
        decisions.add(ours.decision)
    assert decisions == {Decision.ACCEPTED, Decision.REJECTED}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown key": ({"colour": "red"}, "'colour' is not known; allowed: key, target,"),
    "no target": ({"target": ...}, "target is missing; needed: key, target,"),
    "a number for a key": ({"key": 3}, "key is 3; allowed: a text"),
    "true for an epoch": ({"epoch": True}, "epoch is True; allowed: a whole number"),
    "NUL": ({"region": "e\0"}, "allowed: text without NUL"),
    "a key that is too long": ({"key": "k" * 1025}, "its key is longer than 1,024 bytes"),
    "another arm": ({"arm": "both"}, "arm is 'both'; allowed: fixed, adaptive"),
    "another rollout": ({"rollout": "x-000001"}, "rollout is 'x-000001'; allowed: a rollout of this service"),
    "another plan": ({"plan_id": "abc"}, "plan_id is 'abc'; allowed: "),
    "another N": ({"fixed_n": 64}, "fixed_n is 64; allowed: 32, the N of the plan"),
    "another stage": ({"stage": "full"}, "stage is 'full'; allowed: '', 'staging', 'canary'"),
    "a stage that is not that of the word": ({"stage": "staging"}, "allowed: 'canary', as the word of this epoch says"),
    "an epoch that nobody wrote": ({"epoch": 8}, "epoch is 8; allowed: 1 to 7, that of the word in the store"),
    "a process of ours": ({"process": "abc"}, "process is 'abc'; allowed: the one that the word was lent to"),
    "the future": ({"at": NOW + 60}, "allowed: seconds since the epoch, not later than now"),
    "no draws": ({"draws": ...}, "allowed: either draws or counts"),
    "draws and counts": ({"counts": [[8, 8]]}, "allowed: either draws or counts"),
    "an empty list": ({"draws": []}, "0 draws are given; allowed: 1 to 32"),
    "more than N": ({"draws": [1] * 33}, "33 draws are given; allowed: 1 to 32"),
    "a draw that is text": ({"draws": [1, "1"]}, "draw 2 is '1'; allowed: a number, or null"),
    "a draw that the rule has not": ({"draws": [1, 2]}, "draw 2 is 2.0; a success is 1 or True"),
    "a decision before the plan stops": ({"draws": OPEN}, "the plan goes on after 8 draws"),
    "an audited target without all draws": (
        {"target": AUDITED, "draws": [1] * 16},
        "16 draws are given; allowed: all 32, for an audited target goes on to N",
    ),
    "a fixed decision without all draws": (
        {"arm": "fixed", "draws": [1] * 16},
        "16 draws are given; allowed: all 32, for the fixed arm goes on to N",
    ),
    "a claim of another decision": (
        {"decision": "rejected"},
        "decision is 'rejected'; by the plan it is 'accepted' of these draws",
    ),
    "a claim of another stop": ({"n": 24}, "n is 24; by the plan it is 16 of these draws"),
    "a reason to be fixed that is none": ({"arm": "fixed", "why_fixed": "MOOD"}, "why_fixed is 'MOOD'; allowed: "),
    "an adaptive decision that is fixed": ({"why_fixed": "LAPSED"}, "allowed: null on the adaptive arm"),
    "fewer draws made than used": ({"drawn": 8}, "drawn is 8; allowed: at least 16, where the plan stopped"),
    "counts that leave out a look": (
        {"draws": ..., "counts": [[16, 16]]},
        "counts: the plan looks at 8 draws; allowed: a count at each look",
    ),
    "counts that go back": ({"draws": ..., "counts": [[8, 8], [16, 7]]}, "counts go from [8, 8] to [16, 7]"),
    "counts that are none": ({"draws": ..., "counts": [[8, 9]]}, "counts hold [8, 9]; allowed: [n, ones]"),
    "a feature that is none": ({"features": {"size": None}}, "feature size is None; allowed: a finite number"),
    "a cost that is none": ({"cost": -1}, "a draw costs -1; allowed: a number from 0 to 1e+15"),
}


@pytest.mark.parametrize(("changes", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_refused_in_a_line(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(DataError) as refused:
        made(**changes)
    assert why in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("line", "why"),
    [(b"[1]", "the line is [1]; allowed: an object"), (b"{", "not JSON"), (b'{"key": NaN}', "NaN"), (b"\xff", "utf-8")],
)
def test_what_is_no_row_at_all_is_refused_in_a_line(line: bytes, why: str) -> None:
    with pytest.raises(DataError) as refused:
        ForeignRows(lambda _: None, None, NOW).row(line)
    assert why in str(refused.value)


def test_a_plan_for_normal_draws_decides_no_draws_of_unknown_shape() -> None:
    plan = suffice.plan(suffice.PairedMean(alpha=0.05), n=32, look_every=8)
    with pytest.raises(DataError, match="for this plan is for normal draws"):
        made(replace(IN_FORCE, plan_id=plan.id), plan, plan_id=plan.id)


def test_counts_are_for_rules_that_count() -> None:
    with pytest.raises(DataError, match="allowed: draws, for rule paired_mean does not count"):
        made(replace(IN_FORCE, plan_id=MEANS.id), MEANS, plan_id=MEANS.id, draws=..., counts=[[8, 8]])


def test_a_row_under_an_earlier_word_belongs_where_that_word_said() -> None:
    row = made(epoch=3, stage="staging", arm="fixed")
    assert (row.epoch, row.stage) == (3, "staging")
