"""A rollout's state as plain JSON values, and back."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import timedelta
from typing import Any

from suffice.config import RolloutConfig
from suffice.gates.outcome import GateResult, Outcome
from suffice.rollout.controller import State
from suffice.rollout.phases import Phase


def plain_result(result: GateResult) -> dict[str, Any]:
    """A gate's result as plain JSON values."""
    return {**asdict(result), "outcome": result.outcome.value}


def result_of(plain: Mapping[str, Any]) -> GateResult:
    """The result that `plain_result` described."""
    return GateResult(**{**plain, "outcome": Outcome(plain["outcome"])})


def plain_state(state: State) -> dict[str, Any]:
    """A state as plain JSON values: the rollout's section of the configuration, and how far it has come."""
    return {
        **state.rollout.model_dump(mode="json"),
        **{item.name: getattr(state, item.name) for item in fields(state) if item.name != "rollout"},
        "phase": state.phase.value,
        "failed": [plain_result(result) for result in state.failed],
    }


def state_of(plain: Mapping[str, Any]) -> State:
    """The state that `plain_state` described, in this version or in the one that stored seconds and `limits`."""
    progress = {item.name: plain[item.name] for item in fields(State) if item.name in plain}
    section = {key: plain[key] for key in RolloutConfig.model_fields if key in plain}
    if "limits" in plain:
        section |= {**plain["limits"], "cycle": timedelta(seconds=plain["limits"]["cycle"])}
        section["stages"] = [_stage_in_seconds(stage) for stage in plain["stages"]]
    return State(
        **{
            **progress,
            "rollout": RolloutConfig.model_validate(section),
            "phase": Phase(plain["phase"]),
            "failed": tuple(map(result_of, plain["failed"])),
        }
    )


def _stage_in_seconds(stage: Mapping[str, Any]) -> dict[str, Any]:
    return {**stage, "hold": timedelta(seconds=stage["hold"]) if stage["hold"] else None}
