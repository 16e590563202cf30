"""A rollout's state in the store: read back as it was, also where an older version wrote it."""

import json
from dataclasses import replace
from datetime import timedelta

from suffice.config import Config, RolloutConfig, Stage
from suffice.gates.outcome import GateResult, Outcome
from suffice.rollout.controller import State
from suffice.rollout.phases import Phase
from suffice.rollout.saved_state import plain_state, state_of

FAILED = GateResult("health", Outcome.FAILED, "40 of 540 adaptive decisions fell back", 0.0741, 0.01, {"fallbacks": 40})

OLD = """{"stages": [
    {"name": "staging", "weight": 0, "regions": [], "shadow": true, "hold": 86400.0,
     "audit_fraction": 1.0, "min_audits": 1000, "approval": false},
    {"name": "canary", "weight": 5, "regions": ["eu-west-1"], "shadow": false, "hold": 90.0,
     "audit_fraction": 0.5, "min_audits": 500, "approval": true},
    {"name": "full", "weight": 100, "regions": [], "shadow": false, "hold": 0.0,
     "audit_fraction": 0.02, "min_audits": 0, "approval": false}],
  "limits": {"cycle": 600.0, "failure_limit": 1, "inconclusive_limit": 2, "consecutive_error_limit": 3},
  "phase": "Paused", "stage": 1, "held": 42.5, "last_cycle": 1700000000.0, "failures": 1, "inconclusive": 2,
  "extended_to": 180.0, "errors": 1, "awaits_approval": true, "approved": false, "why": "waits for approval",
  "failed": [{"gate": "health", "outcome": "Failed", "sentence": "40 of 540 adaptive decisions fell back",
    "value": 0.0741, "limit": 0.01, "numbers": {"fallbacks": 40}}]}"""
"""As version 0.1 stored it: seconds, and the limits apart."""

STAGES = (
    Stage(name="staging", weight=0, shadow=True, hold=timedelta(days=1), min_audits=1000),
    Stage(
        name="canary",
        weight=5,
        regions=("eu-west-1",),
        hold=timedelta(seconds=90),
        audit_fraction=0.5,
        min_audits=500,
        approval=True,
    ),
    Stage(name="full", weight=100, audit_fraction=0.02),
)
STATE = State(
    RolloutConfig(
        stages=STAGES,
        cycle=timedelta(minutes=10),
        failure_limit=1,
        inconclusive_limit=2,
        consecutive_error_limit=3,
    ),
    phase=Phase.AWAITING_APPROVAL,
    stage=1,
    held=42.5,
    last_cycle=1700000000.0,
    failures=1,
    inconclusive=2,
    extended_to=180.0,
    errors=1,
    why="waits for approval",
    failed=(FAILED,),
)


def test_a_state_is_read_back_as_it_was() -> None:
    for state in (State(Config().rollout), STATE, replace(STATE, phase=Phase.ROLLED_BACK)):
        assert state_of(json.loads(json.dumps(plain_state(state)))) == state


def test_the_parts_of_a_gate_are_read_back_too() -> None:
    whole = replace(FAILED, parts=(replace(FAILED, gate="fallbacks"), replace(FAILED, outcome=Outcome.ERROR)))
    state = replace(STATE, failed=(whole,))
    assert state_of(json.loads(json.dumps(plain_state(state)))) == state


def test_a_state_that_version_0_1_stored_is_read_and_written_anew() -> None:
    assert state_of(json.loads(OLD)) == STATE
    rolled_back = {**json.loads(OLD), "phase": "RolledBack"}
    assert state_of(rolled_back) == replace(STATE, phase=Phase.ROLLED_BACK), "it kept the mark for ever"
    assert state_of(json.loads(json.dumps(plain_state(state_of(json.loads(OLD)))))) == STATE
