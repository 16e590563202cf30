"""What the store keeps of rollouts: their states as plain JSON values and back, and which of them counts."""

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from suffice.config import RolloutConfig
from suffice.errors import StoreError
from suffice.gates.outcome import GateResult, Outcome
from suffice.rollout.controller import State
from suffice.rollout.phases import Phase
from suffice.store.journal import journal_knows
from suffice.store.rollouts import StoredRollout, newest_rollout


def plain_result(result: GateResult) -> dict[str, Any]:
    """A gate's result as plain JSON values."""
    parts = [plain_result(part) for part in result.parts]
    return {**asdict(replace(result, parts=())), "outcome": result.outcome.value, "parts": parts}


def result_of(plain: Mapping[str, Any]) -> GateResult:
    """The result that `plain_result` described, in this version or in one that kept no parts."""
    parts = tuple(map(result_of, plain.get("parts", ())))
    return GateResult(**{**plain, "outcome": Outcome(plain["outcome"]), "parts": parts})


def parts_of(gate: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The checks of a gate that `plain_result` described, each with the gate's name before its own."""
    return [(f"{gate['gate']}: {part['gate']}", part) for part in gate.get("parts", ())]


def plain_state(state: State) -> dict[str, Any]:
    """A state as plain JSON values: the rollout's section of the configuration, and how far it has come."""
    return {
        **state.rollout.model_dump(mode="json"),
        **{item.name: getattr(state, item.name) for item in fields(state) if item.name != "rollout"},
        "phase": state.phase.value,
        "failed": [plain_result(result) for result in state.failed],
    }


def state_of(plain: Mapping[str, Any]) -> State:
    """The state that `plain_state` described, in this version or in the earlier ones: one stored seconds and `limits`,
    and called a stage that waits for approval paused.

    Raises StoreError for one that cannot be understood, as a newer version may have written it.
    """
    try:
        return _state(plain)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise StoreError(f"the rollout's state in the store cannot be understood ({what})") from error


def phase_of(text: str) -> Phase:
    """The phase of this name. Raises StoreError for one that this version does not know."""
    try:
        return Phase(text)
    except ValueError as error:
        raise StoreError(f"a rollout in the store is {text!r}, a phase that this version does not know") from error


def _state(plain: Mapping[str, Any]) -> State:
    phase, waits = Phase(plain["phase"]), plain.get("awaits_approval", False)
    progress = {item.name: plain[item.name] for item in fields(State) if item.name in plain}
    section = {key: plain[key] for key in RolloutConfig.model_fields if key in plain}
    if "limits" in plain:
        section |= {**plain["limits"], "cycle": timedelta(seconds=plain["limits"]["cycle"])}
        section["stages"] = [_stage_in_seconds(stage) for stage in plain["stages"]]
    return State(
        **{
            **progress,
            "rollout": RolloutConfig.model_validate(section),
            "phase": Phase.AWAITING_APPROVAL if waits and phase is Phase.PAUSED else phase,
            "failed": tuple(map(result_of, plain["failed"])),
        }
    )


def _stage_in_seconds(stage: Mapping[str, Any]) -> dict[str, Any]:
    return {**stage, "hold": timedelta(seconds=stage["hold"]) if stage["hold"] else None}


def rollout_id(service: str, number: int) -> str:
    """The id of a service's rollout of this number, from 1."""
    return f"{service}-{number:06d}"


def next_id(connection: Connection, service: str) -> str:
    """An id that no rollout of the service ever had: what the store has of a deleted one is no evidence of another."""
    newest = newest_rollout(connection, service)
    return rollout_id(service, _newest_number(connection, service, newest) + 1)


def current_rollout(connection: Connection, service: str) -> StoredRollout | None:
    """The rollout that counts, None when there never was one, or the newest was deleted from the store."""
    newest = newest_rollout(connection, service)
    return newest if _newest_number(connection, service, newest) == _number(newest) else None


def deleted_rollout(connection: Connection, service: str) -> str | None:
    """The service's newest rollout by its journal, if the store has it no more."""
    newest = newest_rollout(connection, service)
    number = _newest_number(connection, service, newest)
    return rollout_id(service, number) if number > _number(newest) else None


def _newest_number(connection: Connection, service: str, stored: StoredRollout | None) -> int:
    number = _number(stored)
    while journal_knows(connection, rollout_id(service, number + 1)):
        number += 1
    return number


def _number(rollout: StoredRollout | None) -> int:
    digits = rollout.id.rpartition("-")[2] if rollout else ""
    return int(digits) if digits.isdecimal() else 0
