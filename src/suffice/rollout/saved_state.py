"""A rollout's state as plain JSON values, and back."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from suffice.config import RolloutConfig
from suffice.gates.outcome import GateResult, Outcome
from suffice.rollout.controller import State
from suffice.rollout.phases import Phase
from suffice.rollout.stage import Limits, Stage


def plain_result(result: GateResult) -> dict[str, Any]:
    """A gate's result as plain JSON values."""
    return {**asdict(result), "outcome": result.outcome.value}


def result_of(plain: Mapping[str, Any]) -> GateResult:
    """The result that `plain_result` described."""
    return GateResult(**{**plain, "outcome": Outcome(plain["outcome"])})


def plain_state(state: State) -> dict[str, Any]:
    """A state as plain JSON values."""
    return {
        **asdict(state),
        "stages": [{**asdict(stage), "regions": list(stage.regions)} for stage in state.stages],
        "phase": state.phase.value,
        "failed": [plain_result(result) for result in state.failed],
    }


def state_of(plain: Mapping[str, Any]) -> State:
    """The state that `plain_state` described."""
    return State(
        **{
            **plain,
            "stages": tuple(Stage(**{**stage, "regions": tuple(stage["regions"])}) for stage in plain["stages"]),
            "limits": Limits(**plain["limits"]),
            "phase": Phase(plain["phase"]),
            "failed": tuple(map(result_of, plain["failed"])),
        }
    )


def stages_of(section: RolloutConfig) -> tuple[Stage, ...]:
    """The stages that a configuration describes."""
    return tuple(
        Stage(
            name=stage.name,
            weight=stage.weight,
            regions=stage.regions,
            shadow=stage.shadow,
            hold=stage.hold.total_seconds() if stage.hold else 0.0,
            audit_fraction=stage.audit_fraction,
            min_audits=stage.min_audits or 0,
            approval=stage.approval,
        )
        for stage in section.stages
    )


def limits_of(section: RolloutConfig) -> Limits:
    """The limits that a configuration describes."""
    return Limits(
        cycle=section.cycle.total_seconds(),
        failure_limit=section.failure_limit,
        inconclusive_limit=section.inconclusive_limit,
        consecutive_error_limit=section.consecutive_error_limit,
    )
