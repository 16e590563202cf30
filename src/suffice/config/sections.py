"""The sections of config.json that are ours, as the frozen models that the program uses.

A value that gets past here is possible, and of the type that it says.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticUndefined

from suffice.config.types import (
    DURATION,
    Allowed,
    Count,
    Cycles,
    Distance,
    Duration,
    Factor,
    Function,
    Level,
    Limit,
    Margin,
    MaxDisagreement,
    Method,
    Names,
    OptionalDuration,
    OptionalText,
    Percent,
    Reaction,
    Rule,
    RunbookCheckName,
    RunbookChecks,
    SeedNumber,
    Share,
    Switch,
    Text,
    Timestamp,
    format_duration,
    listed,
    refused,
)


class Section(BaseModel):
    """Knows every key it has, and takes nothing for what it is not: "256" and true are no numbers."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class DeterminismConfig(Section):
    """Reproducibility. `deterministic_mode` and `fixed_timestamp` are for reports, never for the rollout's clock."""

    deterministic_mode: Switch = True
    seed: SeedNumber = 42
    fixed_timestamp: Timestamp = datetime(2025, 1, 1, tzinfo=UTC)


class RegressionGateConfig(Section):
    """What `compare` is judged by: not at all when it is not `enabled`. A promotion is judged by it in any case."""

    enabled: Switch = True
    max_disagreement_rate: Share = 0.01
    min_cases: Count = 1000


class AdaptiveSamplingConfig(Section):
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
                raise refused((key,), value, f"at most n_max = {self.n_max}")
        return self


class VerifierConfig(Section):
    """The decision rule and how it is sampled. No `rule` means `paired_mean`: switching to adaptive must never switch
    the baseline, and that is the rule of deployments whose file is older than the key. `cases` names the function that
    builds the service's cases again (see `sources.built`)."""

    rule: Rule = "paired_mean"
    n_samples: Count = 256
    confidence_threshold: Share = 0.8
    p_threshold: Level = 0.05
    min_effect_size: Distance = 1e-6
    cases: Function = None
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
        n_max = self.adaptive_sampling.n_max
        if n_max != self.n_samples:
            raise refused(("adaptive_sampling", "n_max"), n_max, f"n_samples = {self.n_samples}, or no n_max")
        return self


class CiGateConfig(Section):
    """What the escalation gate judges."""

    enabled: Switch = True
    max_escalations: Limit = 0


class RollbackStormPolicyConfig(Section):
    """When repeated rollbacks for one target give it to a person."""

    enabled: Switch = True
    max_rollbacks: Count = 3
    ci_gate: CiGateConfig = CiGateConfig()


class ErrorResolutionConfig(Section):
    """How corrections are carried out."""

    rollback_storm_policy: RollbackStormPolicyConfig = RollbackStormPolicyConfig()


class AcceptanceConfig(Section):
    """What the gates of the rollout demand."""

    min_sample_reduction: Share = 0.30
    max_disagreement_rate: Share = 0.01
    max_excess_escalations: Share = 0.0
    confidence: Level = 0.95


class HealthLimits(Section):
    """What the health gate takes for healthy, and what each sign that it is not does: hold the stage or fail it.

    No sign of life for `max_age` is an Error, whatever the numbers say. Each of the others has its reaction.
    """

    max_age: Duration = timedelta(hours=1)
    max_silence: Duration = timedelta(hours=6)
    max_fallback_rate: Share = 0.01
    silence: Reaction = "hold"
    fallbacks: Reaction = "fail"
    mismatch: Reaction = "hold"


class ChecksConfig(Section):
    """The runbook's checks that run beside the cycles of a rollout, in one process that no cycle waits for.

    They `run` in this order, in the first cycle after their last answer is older than `every`; each pass has the
    `deadline`. None of them runs where the list is empty.
    """

    run: RunbookChecks = get_args(RunbookCheckName)
    every: Duration = timedelta(minutes=10)
    deadline: Duration = timedelta(minutes=30)


class Stage(Section):
    """One step of the rollout: who is adaptive, how long at least, and how many audits at least.

    `weight` is the percentage of targets in `regions` (all regions when empty); a shadow stage computes adaptive
    decisions beside the fixed ones and never uses them. A stage without hold and audits needs no proof of its own: the
    last one, which is watched for good.
    """

    name: Text
    weight: Percent
    shadow: Switch = False
    regions: Names = ()
    hold: OptionalDuration = None
    audit_fraction: Share = 1.0
    min_audits: Limit = 0
    approval: Switch = False

    @property
    def hold_seconds(self) -> float:
        """The hold; 0 for a stage without one."""
        return self.hold.total_seconds() if self.hold else 0.0

    @property
    def needs_proof(self) -> bool:
        return self.hold is not None or self.min_audits > 0


_DAY = timedelta(days=1)
_STAGES = (
    Stage(name="staging", weight=0, shadow=True, hold=_DAY, audit_fraction=1.0, min_audits=1000),
    Stage(name="canary", weight=5, regions=("eu-west-1",), hold=_DAY, audit_fraction=1.0, min_audits=500),
    Stage(name="expand", weight=50, hold=2 * _DAY, audit_fraction=0.1, min_audits=500),
    Stage(name="full", weight=100, audit_fraction=0.02),
)
Stages = Annotated[
    tuple[Stage, ...], BeforeValidator(listed), Field(min_length=1), Allowed("a list of at least one stage")
]


class RolloutConfig(Section):
    """The staged switch: what is demanded, how often it is judged, and the stages.

    Failures, inconclusive cycles and consecutive errors beyond their limit act: failures roll back, the others pause.
    A stage whose hold and exposure have passed without proof is extended once, by its hold; a cycle counts as
    inconclusive only after that. One that makes no progress for `progress_deadline` pauses.
    """

    acceptance: AcceptanceConfig = AcceptanceConfig()
    health: HealthLimits = HealthLimits()
    checks: ChecksConfig = ChecksConfig()
    cycle: Duration = timedelta(minutes=15)
    failure_limit: Limit = 0
    inconclusive_limit: Limit = 4
    consecutive_error_limit: Limit = 4
    lapse_cycles: Cycles = 2
    progress_deadline: Duration = timedelta(days=3)
    cost_unit: Text = "cost"
    stages: Stages = _STAGES

    @property
    def cycle_seconds(self) -> float:
        return self.cycle.total_seconds()

    @property
    def unnoticed(self) -> tuple[str, ...]:
        """A sentence for each limit of the gate health that is longer than a stage is held: it cannot be reached there,
        however silent production is. A stage without a hold has none that would be shorter."""
        holds = [(stage.name, stage.hold) for stage in self.stages if stage.hold]
        limits = (("max_age", self.health.max_age), ("max_silence", self.health.max_silence))
        shorter = [(name, limit, [held for held in holds if held[1] < limit]) for name, limit in limits]
        return tuple(_unnoticed(name, limit, stages) for name, limit, stages in shorter if stages)

    @model_validator(mode="after")
    def _stages_lead_on(self) -> "RolloutConfig":
        names: set[str] = set()
        for i, stage in enumerate(self.stages):
            if stage.name in names:
                raise refused((f"stages[{i}]", "name"), stage.name, "a name that no other stage has")
            names.add(stage.name)
        for i, (before, after) in enumerate(pairwise(self.stages)):
            if after.weight < before.weight:
                allowed = f"{before.weight} to 100, weights do not fall from stage to stage"
                raise refused((f"stages[{i + 1}]", "weight"), after.weight, allowed)
            _check_can_end(f"stages[{i}]", before)
        return self


def _unnoticed(name: str, limit: timedelta, stages: Sequence[tuple[str, timedelta]]) -> str:
    holds = ", ".join(f"{stage} ({format_duration(hold)})" for stage, hold in stages)
    return (
        f"rollout.health.{name} is {format_duration(limit)}, longer than the hold of stage {holds}: "
        "production may be silent for all of it, and the gate health does not notice"
    )


def _check_can_end(path: str, stage: Stage) -> None:
    """A stage that is followed by another must be able to prove itself, or the rollout would wait for ever."""
    if stage.hold is None:
        raise refused((path, "hold"), _given(stage, "hold"), f"{DURATION}; only the last stage may be without")
    if stage.min_audits < 1:
        allowed = "at least 1; only the last stage may be without"
        raise refused((path, "min_audits"), _given(stage, "min_audits"), allowed)
    if not stage.audit_fraction:
        raise refused((path, "audit_fraction"), stage.audit_fraction, "above 0, or its audits never come")
    if not stage.weight and not stage.shadow:
        raise refused((path, "weight"), stage.weight, "above 0 unless shadow is true, or its audits never come")


def _given(section: Section, key: str) -> Any:
    """What stands under the key; not its default, which nobody wrote."""
    return getattr(section, key) if key in section.model_fields_set else PydanticUndefined


class Config(Section):
    """The sections that are ours. `Config()` holds the defaults. Built by hand, an impossible value raises pydantic's
    ValidationError; read by `load` or `parse`, ConfigError."""

    determinism: DeterminismConfig = DeterminismConfig()
    verifier: VerifierConfig = VerifierConfig()
    error_resolution: ErrorResolutionConfig = ErrorResolutionConfig()
    rollout: RolloutConfig = RolloutConfig()


def shipped() -> Config:
    """The configuration that we ship: the defaults with rule proportion."""
    return Config(verifier=VerifierConfig(rule="proportion"))
