"""config.json, validated at the boundary: what gets past here is possible, and of the type that it says.

Here: the sections `determinism`, `verifier`, `error_resolution` and `rollout` as frozen models, reading them, and
switching `enabled` in the file. Not here: anything that acts on them. Everything else in the file belongs to the host
application and is neither read nor changed.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path
from stat import S_IMODE
from sys import get_int_max_str_digits
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError, PydanticUndefined

from suffice.errors import ConfigError
from suffice.files import write_atomically

RuleName = Literal["proportion", "paired_mean"]
MethodName = Literal["optimal", "curtailed", "curtailed-exact", "margin", "fixed"]
ReactionName = Literal["hold", "fail"]

NEAR_MISS = 0.85
"""How like one of our names (difflib's ratio) a foreign name must be to be taken for a slip of the pen.

Catches one wrong, doubled, lost or swapped letter in a section's name (`rolluot` is 0.857) and leaves alone what hosts
do have: `verification` is 0.6, `rollback` 0.53, `deterministic` 0.83.
"""

_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}
_BETWEEN = re.compile(r"[ \t\r\n:,]*")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a key accepts, in the words of the error message and of docs/configuration.md."""

    text: str


def parse_duration(text: str) -> timedelta:
    """The duration that "90s", "15m", "24h" or "2d" means. Raises ValueError for any other text."""
    found = re.fullmatch(r"([1-9][0-9]{0,8})([smhd])", text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration")
    return int(found[1]) * _UNITS[found[2]]


def format_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back. Raises ValueError unless it is whole seconds above 0."""
    for letter, unit in _UNITS.items():
        if duration > timedelta() and not duration % unit:
            return f"{duration // unit}{letter}"
    raise ValueError(f"{duration!r} is not whole seconds above 0")


def _refused(keys: Sequence[str], found: Any, allowed: str) -> PydanticCustomError:
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
            raise _refused((), value, "accept and reject, both")
    return {side: _bound(value[side], (side,)) for side in ("accept", "reject")}


def _bound(value: Any, keys: Sequence[str]) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1:
        raise _refused(keys, value, "a number from 0 to below 1" if keys else _MAX_DISAGREEMENT)
    return float(value)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _names(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        if not all(isinstance(name, str) and name for name in value) or len(set(value)) < len(value):
            raise ValueError("not different names")
        return tuple(value)
    return value


_MOST = 1_000_000_000
_DURATION = 'a duration like "90s", "15m", "24h" or "2d", at most 365 days'
_MAX_DISAGREEMENT = 'a number from 0 to below 1, or {"accept": number, "reject": number}'

Switch = Annotated[bool, Allowed("true or false")]
Text = Annotated[str, Field(min_length=1), Allowed("a text that is not empty")]
OptionalText = Annotated[str | None, Field(min_length=1), Allowed("a text that is not empty, or null")]
Names = Annotated[tuple[str, ...], BeforeValidator(_names), Allowed("a list of different names")]
SeedNumber = Annotated[int, Field(ge=-(2**63), lt=2**63), Allowed("a whole number of at most 63 bits")]
"""What the ledger can hold beside each decision."""
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
    Allowed(_DURATION),
]
OptionalDuration = Annotated[Duration | None, Allowed(f"{_DURATION}, or null")]
Timestamp = Annotated[
    AwareDatetime, BeforeValidator(_timestamp), Allowed('a timestamp like "2025-01-01T00:00:00Z", in UTC')
]
Rule = Annotated[RuleName, Allowed(" or ".join(get_args(RuleName)))]
Method = Annotated[MethodName, Allowed(", ".join(get_args(MethodName)))]
Reaction = Annotated[ReactionName, Allowed(" or ".join(get_args(ReactionName)))]


class _Section(BaseModel):
    """Knows every key it has, and takes nothing for what it is not: "256" and true are no numbers."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class DeterminismConfig(_Section):
    """Reproducibility. `deterministic_mode` and `fixed_timestamp` are for reports, never for the rollout's clock."""

    deterministic_mode: Switch = True
    seed: SeedNumber = 42
    fixed_timestamp: Timestamp = datetime(2025, 1, 1, tzinfo=UTC)


class RegressionGateConfig(_Section):
    """What `compare --use-config` judges."""

    enabled: Switch = True
    max_disagreement_rate: Share = 0.01
    min_cases: Count = 1000


class AdaptiveSamplingConfig(_Section):
    """The stopping plan. `n0`, `multiplier` and `early_stop_margin` belong to `margin`, `n_min` and `look_every` to the
    others."""

    enabled: Switch = False
    method: Method = "optimal"
    max_disagreement: MaxDisagreement = 0.01
    n_min: Count = 8
    look_every: Count = 8
    n_max: Count = 256
    n0: Count = 64
    multiplier: Factor = 2.0
    early_stop_margin: Margin = 0.01
    plan_file: OptionalText = None
    regression_gate: RegressionGateConfig = RegressionGateConfig()

    @model_validator(mode="before")
    @classmethod
    def _first_looks_fit(cls, data: Any) -> Any:
        """A first look that was not asked for is not a reason to refuse a small n_max."""
        n_max = data.get("n_max") if isinstance(data, dict) else None
        if type(n_max) is not int:
            return data
        return {"n_min": max(1, min(8, n_max)), "n0": max(1, min(64, n_max)), **data}

    @model_validator(mode="after")
    def _looks_within_n_max(self) -> "AdaptiveSamplingConfig":
        for key, value in (("n_min", self.n_min), ("n0", self.n0)):
            if value > self.n_max:
                raise _refused((key,), value, f"at most n_max = {self.n_max}")
        return self


class VerifierConfig(_Section):
    """The decision rule and how it is sampled. No `rule` means `paired_mean`: switching to adaptive must never switch
    the baseline, and that is the rule of deployments whose file is older than the key."""

    rule: Rule = "paired_mean"
    n_samples: Count = 256
    confidence_threshold: Share = 0.8
    p_threshold: Level = 0.05
    min_effect_size: Distance = 1e-6
    adaptive_sampling: AdaptiveSamplingConfig = AdaptiveSamplingConfig()

    @model_validator(mode="before")
    @classmethod
    def _n_max_follows(cls, data: Any) -> Any:
        """An n_max that was not asked for is n_samples."""
        if not isinstance(data, dict) or "n_samples" not in data:
            return data
        sampling = data.get("adaptive_sampling", {})
        if not isinstance(sampling, dict):
            return data
        return {**data, "adaptive_sampling": {"n_max": data["n_samples"], **sampling}}

    @model_validator(mode="after")
    def _guarantee_is_about_n(self) -> "VerifierConfig":
        sampling = self.adaptive_sampling
        if sampling.method in ("optimal", "curtailed", "curtailed-exact") and sampling.n_max != self.n_samples:
            allowed = f"n_samples = {self.n_samples}, with method {sampling.method}"
            raise _refused(("adaptive_sampling", "n_max"), sampling.n_max, allowed)
        return self


class CiGateConfig(_Section):
    """What the escalation gate judges."""

    enabled: Switch = True
    max_escalations: Limit = 0


class RollbackStormPolicyConfig(_Section):
    """When repeated rollbacks for one target give it to a person."""

    enabled: Switch = True
    max_rollbacks: Count = 3
    ci_gate: CiGateConfig = CiGateConfig()


class ErrorResolutionConfig(_Section):
    """How corrections are carried out."""

    rollback_storm_policy: RollbackStormPolicyConfig = RollbackStormPolicyConfig()


class AcceptanceConfig(_Section):
    """What the gates of the rollout demand."""

    min_sample_reduction: Share = 0.30
    max_disagreement_rate: Share = 0.01
    max_excess_escalations: Share = 0.0
    confidence: Level = 0.95


class HealthConfig(_Section):
    """What the health gate takes for healthy, and what each sign that it is not does: hold the stage or fail it."""

    max_age: Duration = timedelta(hours=1)
    max_silence: Duration = timedelta(hours=6)
    max_fallback_rate: Share = 0.01
    silence: Reaction = "hold"
    fallbacks: Reaction = "fail"
    mismatch: Reaction = "hold"


class StageConfig(_Section):
    """One step of the rollout. No regions means all of them."""

    name: Text
    weight: Percent
    shadow: Switch = False
    regions: Names = ()
    hold: OptionalDuration = None
    audit_fraction: Share = 1.0
    min_audits: Limit = 0
    approval: Switch = False


_DAY = timedelta(days=1)
_STAGES = (
    StageConfig(name="staging", weight=0, shadow=True, hold=_DAY, audit_fraction=1.0, min_audits=1000),
    StageConfig(name="canary", weight=5, regions=("eu-west-1",), hold=_DAY, audit_fraction=1.0, min_audits=500),
    StageConfig(name="expand", weight=50, hold=2 * _DAY, audit_fraction=0.1, min_audits=500),
    StageConfig(name="full", weight=100, audit_fraction=0.02),
)
Stages = Annotated[
    tuple[StageConfig, ...], BeforeValidator(_tuple), Field(min_length=1), Allowed("a list of at least one stage")
]


class RolloutConfig(_Section):
    """The staged switch: what is demanded, how often it is judged, and the stages."""

    acceptance: AcceptanceConfig = AcceptanceConfig()
    health: HealthConfig = HealthConfig()
    cycle: Duration = timedelta(minutes=15)
    failure_limit: Limit = 0
    inconclusive_limit: Limit = 4
    consecutive_error_limit: Limit = 4
    stages: Stages = _STAGES

    @model_validator(mode="after")
    def _stages_lead_on(self) -> "RolloutConfig":
        names: set[str] = set()
        for i, stage in enumerate(self.stages):
            if stage.name in names:
                raise _refused((f"stages[{i}]", "name"), stage.name, "a name that no other stage has")
            names.add(stage.name)
        for i, (before, after) in enumerate(pairwise(self.stages)):
            if after.weight < before.weight:
                allowed = f"{before.weight} to 100, weights do not fall from stage to stage"
                raise _refused((f"stages[{i + 1}]", "weight"), after.weight, allowed)
            _check_can_end(f"stages[{i}]", before)
        return self


def _check_can_end(path: str, stage: StageConfig) -> None:
    """A stage that is followed by another must be able to prove itself, or the rollout would wait for ever."""
    if stage.hold is None:
        raise _refused((path, "hold"), _given(stage, "hold"), f"{_DURATION}; only the last stage may be without")
    if stage.min_audits < 1:
        allowed = "at least 1; only the last stage may be without"
        raise _refused((path, "min_audits"), _given(stage, "min_audits"), allowed)
    if not stage.audit_fraction:
        raise _refused((path, "audit_fraction"), stage.audit_fraction, "above 0, or its audits never come")
    if not stage.weight and not stage.shadow:
        raise _refused((path, "weight"), stage.weight, "above 0 unless shadow is true, or its audits never come")


def _given(section: _Section, key: str) -> Any:
    """What stands under the key; not its default, which nobody wrote."""
    return getattr(section, key) if key in section.model_fields_set else PydanticUndefined


class Config(_Section):
    """The sections that are ours. `Config()` holds the defaults. Built by hand, an impossible value raises pydantic's
    ValidationError; read by `load` or `parse`, ConfigError."""

    determinism: DeterminismConfig = DeterminismConfig()
    verifier: VerifierConfig = VerifierConfig()
    error_resolution: ErrorResolutionConfig = ErrorResolutionConfig()
    rollout: RolloutConfig = RolloutConfig()


def shipped() -> Config:
    """The configuration that we ship: the defaults with rule proportion."""
    return Config(verifier=VerifierConfig(rule="proportion"))


def load(path: Path) -> Config:
    """The configuration in this file.

    Raises ConfigError, one line, when there is no such file, it cannot be read, or anything in it is refused.
    """
    return parse(_read(path), str(path))


def parse(text: str, where: str) -> Config:
    """The configuration in this JSON text; `where` says in errors what was read.

    Guarantees that no key of ours is misspelt, twice, of another type than asked for, or impossible. Raises ConfigError
    with one line: `where`, the path of the key, what was found, what is allowed.
    """
    try:
        return _validated(_decoded(text, where), where)
    except RecursionError:
        raise ConfigError(f"{where}: nested too deeply to be read") from None


def set_enabled(path: Path, enabled: bool) -> None:  # noqa: FBT001
    """Set verifier.adaptive_sampling.enabled in this file and leave every other character of it as it is.

    The file is replaced as a whole or not at all, and not touched when it says so already; a link stays a link, and its
    permissions stay. Assumes that nobody else writes the file at the same time. Raises ConfigError when `load` would
    refuse the file, OutputError when it cannot be written.
    """
    text = _read(path)
    if parse(text, str(path)).verifier.adaptive_sampling.enabled is enabled:
        return
    target = path.resolve()
    mode = S_IMODE(target.stat().st_mode)
    write_atomically(target, _with_enabled(text, "true" if enabled else "false"))
    target.chmod(mode)


def _read(path: Path) -> str:
    try:
        # Not read_text: it would turn CRLF into LF, and set_enabled could not give back what it was given.
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start + 1} is not UTF-8; allowed: JSON in UTF-8") from None


@dataclass(frozen=True, slots=True)
class _Flaw:
    """Stands in the decoded data where JSON says something that it must not."""

    keys: tuple[str, ...]
    sentence: str


def _decoded(text: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(
            text.removeprefix("\ufeff"), object_pairs_hook=_object, parse_constant=_constant, parse_int=_whole
        )
        flaw = next(_flaws(data, ()), None)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{where}: line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from None
    if flaw is not None:
        raise ConfigError(f"{where}: {flaw}")
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: the file holds {_shown(data)}; allowed: an object")
    return data


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Flaw:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            return _Flaw((key,), f"stands twice, the second time as {_shown(value)}; allowed: each key once")
        found[key] = value
    return found


def _constant(name: str) -> _Flaw:
    return _Flaw((), f"is {name}, which JSON does not have; allowed: finite numbers")


def _whole(digits: str) -> int | _Flaw:
    try:
        return int(digits)
    except ValueError:
        return _Flaw((), f"has {len(digits)} digits; allowed: at most {get_int_max_str_digits()}")


def _flaws(value: Any, path: tuple[str | int, ...]) -> Iterator[str]:
    if isinstance(value, _Flaw):
        yield f"{_dotted((*path, *value.keys)) or 'the file'} {value.sentence}"
    elif isinstance(value, (dict, list)):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flaws(part, (*path, key))


def _validated(data: dict[str, Any], where: str) -> Config:
    sections = _ours(data, Config, (), where)
    if isinstance(sections.get("determinism"), dict):
        sections["determinism"] = _ours(sections["determinism"], DeterminismConfig, ("determinism",), where)
    try:
        return Config.model_validate(sections)
    except ValidationError as error:
        raise ConfigError(f"{where}: {_sentence(error.errors(include_url=False)[0])}") from None


def _ours(data: dict[str, Any], model: type[BaseModel], path: tuple[str, ...], where: str) -> dict[str, Any]:
    """Only our keys: the others are the host's business, unless they look like one of ours with a slip of the pen."""
    known = list(model.model_fields)
    for key in data:
        if key not in known and _meant(key, known, NEAR_MISS):
            raise ConfigError(f"{where}: {_unknown_key((*path, key), data[key], known)}")
    return {key: data[key] for key in known if key in data}


def _sentence(error: ErrorDetails) -> str:
    loc, context = error["loc"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return _unknown_key(loc, error["input"], _known_keys(loc[:-1]))
        case "unknown":
            return _unknown_key((*loc, context["key"]), error["input"][context["key"]], context["known"])
        case "refused":
            return f"{_dotted((*loc, *context['keys']))} is {_shown(context['found'])}; allowed: {context['allowed']}"
    field = _field(loc)
    found = "missing" if error["type"] == "missing" else _shown(error["input"])
    return f"{_dotted(loc)} is {found}; {_did_you_mean(error['input'], field)}allowed: {_allowed(field)}"


def _unknown_key(loc: Sequence[str | int], found: Any, known: Sequence[str]) -> str:
    meant = _meant(str(loc[-1]), known, 0.6)
    hint = f"did you mean {meant}? " if meant else ""
    return f"{_dotted(loc)} is {_shown(found)}, but there is no such key; {hint}allowed: {', '.join(known)}"


def _did_you_mean(found: Any, field: FieldInfo | None) -> str:
    choices = [choice for choice in get_args(field.annotation) if isinstance(choice, str)] if field else []
    meant = _meant(found, choices, 0.6) if isinstance(found, str) else None
    return f"did you mean {meant}? " if meant else ""


def _meant(name: str, names: Sequence[str], cutoff: float) -> str | None:
    plain = name.casefold().replace("-", "_").replace(" ", "_")
    spelt = {known.replace("-", "_"): known for known in names}
    return next((spelt[close] for close in get_close_matches(plain, spelt, n=1, cutoff=cutoff)), None)


def _field(loc: Sequence[str | int]) -> FieldInfo | None:
    """The field at this place; None for an element of a list."""
    model: type[BaseModel] = Config
    field = None
    for part in loc:
        field = model.model_fields[part] if isinstance(part, str) else None
        if field is not None:
            model = _model(field) or model
    return field


def _model(field: FieldInfo) -> type[BaseModel] | None:
    """The model that a field holds, itself or in a tuple."""
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _known_keys(loc: Sequence[str | int]) -> list[str]:
    field = _field([part for part in loc if isinstance(part, str)])
    model = _model(field) if field else None
    return list((model or Config).model_fields)


def _allowed(field: FieldInfo | None) -> str:
    texts = (note.text for note in (field.metadata if field else ()) if isinstance(note, Allowed))
    return next(texts, "an object")


def _dotted(loc: Sequence[str | int]) -> str:
    dotted = ""
    for part in loc:
        dotted += f"[{part}]" if isinstance(part, int) else f".{part if part.isprintable() else json.dumps(part)}"
    return dotted.removeprefix(".")


def _shown(value: Any) -> str:
    """A value as the file spells it, on one line and not long."""
    if value is PydanticUndefined:
        return "missing"
    if isinstance(value, (dict, list)) and len(str(value)) > 60:
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = text if text.isprintable() else json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _with_enabled(text: str, value: str) -> str:
    """Edits the text itself: decoding and encoding again would respell numbers and text that belong to the host."""
    keys = ("verifier", "adaptive_sampling", "enabled")
    at = end = text.index("{")
    for depth, key in enumerate(keys):
        found = _members(text, at).get(key)
        if found is None:
            return _with_member(text, at, keys[depth:], value)
        at, end = found
    return text[:at] + value + text[end:]


def _members(text: str, at: int) -> dict[str, tuple[int, int]]:
    """Where the values of the object that begins at `at` start and end. Assumes valid JSON."""
    decode = json.JSONDecoder().raw_decode
    spans = {}
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, at = decode(text, at)
        start = _skip(text, at)
        _, end = decode(text, start)
        spans[key] = start, end
        at = _skip(text, end)
    return spans


def _skip(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return found.end() if found else at


def _with_member(text: str, at: int, keys: Sequence[str], value: str) -> str:
    """The value under nested new keys, as first member of the object that begins at `at`, spaced like the next one."""
    space = text[at + 1 : _skip(text, at + 1)]
    member = "".join(f'"{key}": {{' for key in keys[:-1]) + f'"{keys[-1]}": {value}' + "}" * (len(keys) - 1)
    empty = text[_skip(text, at + 1)] == "}"
    rest = text[at + 1 :] if space or empty else " " + text[at + 1 :]
    return text[: at + 1] + ("" if empty else space) + member + ("" if empty else ",") + rest
