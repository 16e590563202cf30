"""The kinds of values that keys have: how each is read, and what it accepts, in words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import AwareDatetime, BeforeValidator, Field, PlainSerializer, PlainValidator
from pydantic_core import PydanticCustomError

RuleName = Literal["proportion", "paired_mean"]
MethodName = Literal["optimal", "curtailed", "curtailed-exact", "margin", "fixed"]
ReactionName = Literal["hold", "fail"]
RunbookCheckName = Literal["pytest_adversarial", "run_eval", "metrics_summary", "verify_sweep"]

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a key accepts, in the words of the error message and of docs/configuration.md."""

    text: str


def parse_duration(text: str) -> timedelta:
    """The duration that "90s", "15m", "24h" or "2d" means. Raises ValueError for any other text."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration")
    return int(match[1]) * _UNITS[match[2]]


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back. Raises ValueError unless it is whole seconds above 0."""
    for letter, unit in _UNITS.items():
        if duration > timedelta() and not duration % unit:
            return f"{duration // unit}{letter}"
    raise ValueError(f"{duration!r} is not whole seconds above 0")


def refused(keys: Sequence[str], found: Any, allowed: str) -> PydanticCustomError:
    """The error of a check that knows its own sentence; `keys` lead from the checked value to the key at fault."""
    context = {"keys": tuple(keys), "path": ".".join(keys), "found": found, "allowed": allowed}
    return PydanticCustomError("refused", "{path} is {found}; allowed: {allowed}", context)


def _duration(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def _timestamp(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if _TIMESTAMP.fullmatch(value) is None:
        raise ValueError("not a timestamp")
    return datetime.fromisoformat(value)


def _max_disagreement(value: Any) -> float | dict[str, float]:
    if not isinstance(value, dict):
        return _bound(value, ())
    for side in value:
        if side not in ("accept", "reject"):
            raise PydanticCustomError("unknown", "unknown key", {"key": side, "known": ("accept", "reject")})
    for side in ("accept", "reject"):
        if side not in value:
            raise refused((), value, "accept and reject, both")
    return {side: _bound(value[side], (side,)) for side in ("accept", "reject")}


def _bound(value: Any, keys: Sequence[str]) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise refused(keys, value, "a number from 0 to below 1" if keys else _MAX_DISAGREEMENT)
    return float(value)


def listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _names(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        if not all(isinstance(name, str) and name for name in value) or len(set(value)) < len(value):
            raise ValueError("not different names")
        return tuple(value)
    return value


def _runbook_checks(value: Any) -> Any:
    names = _names(value)
    if not isinstance(names, tuple) or not set(names) <= set(get_args(RunbookCheckName)):
        raise ValueError("not a list of checks")
    return names


_MOST = 1_000_000_000
DURATION = 'a duration like "90s", "15m", "24h" or "2d", at most 365 days'
_MAX_DISAGREEMENT = 'a number from 0 to below 1, or {"accept": number, "reject": number}'

Switch = Annotated[bool, Allowed("true or false")]
Text = Annotated[str, Field(min_length=1), Allowed("a text that is not empty")]
OptionalText = Annotated[str | None, Field(min_length=1), Allowed("a text that is not empty, or null")]
Function = Annotated[
    str | None,
    Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"),
    Allowed('"module:function", or null'),
]
Names = Annotated[tuple[str, ...], BeforeValidator(_names), Allowed("a list of different names")]
RunbookChecks = Annotated[
    tuple[RunbookCheckName, ...],
    BeforeValidator(_runbook_checks),
    Allowed(f"a list of different names out of {', '.join(get_args(RunbookCheckName))}"),
]
SeedNumber = Annotated[int, Field(ge=-(2**63), lt=2**63), Allowed("a whole number of at most 63 bits")]
"""What the ledger can hold beside each decision."""
Cycles = Annotated[int, Field(ge=1, le=1000), Allowed("a whole number from 1 to 1000")]
Limit = Annotated[int, Field(ge=0, le=_MOST), Allowed(f"a whole number from 0 to {_MOST}")]
Count = Annotated[int, Field(ge=1, le=_MOST), Allowed(f"a whole number from 1 to {_MOST}")]
Percent = Annotated[int, Field(ge=0, le=100), Allowed("a whole number from 0 to 100")]
Share = Annotated[float, Field(ge=0, le=1), Allowed("a number from 0 to 1")]
Level = Annotated[float, Field(gt=0, lt=1), Allowed("a number above 0 and below 1")]
Distance = Annotated[float, Field(ge=0), Allowed("a number, at least 0")]
Factor = Annotated[float, Field(gt=1), Allowed("a number above 1")]
Margin = Annotated[float, Field(ge=0, lt=1), Allowed("a number from 0 to below 1")]
MaxDisagreement = Annotated[float | dict[str, float], PlainValidator(_max_disagreement), Allowed(_MAX_DISAGREEMENT)]
Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    Field(gt=timedelta(), le=timedelta(days=365)),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    Allowed(DURATION),
]
OptionalDuration = Annotated[Duration | None, Allowed(f"{DURATION}, or null")]
Timestamp = Annotated[
    AwareDatetime, BeforeValidator(_timestamp), Allowed('a timestamp like "2025-01-01T00:00:00Z", in UTC')
]
Rule = Annotated[RuleName, Allowed(" or ".join(get_args(RuleName)))]
Method = Annotated[MethodName, Allowed(", ".join(get_args(MethodName)))]
Reaction = Annotated[ReactionName, Allowed(" or ".join(get_args(ReactionName)))]
