"""config.json, validated at the boundary: what gets past here is possible, and of the type that it says.

Here: the sections `determinism`, `verifier`, `error_resolution` and `rollout` as frozen models, reading them, and
switching `enabled` in the file. Not here: anything that acts on them. Everything else in the file belongs to the host
application and is neither read nor changed.
"""

from suffice.config.reading import CONFIG, NEAR_MISS, config_file, load, parse
from suffice.config.sections import (
    AcceptanceConfig,
    AdaptiveSamplingConfig,
    ChecksConfig,
    CiGateConfig,
    Config,
    DeterminismConfig,
    ErrorResolutionConfig,
    HealthLimits,
    RegressionGateConfig,
    RollbackStormPolicyConfig,
    RolloutConfig,
    Stage,
    VerifierConfig,
    shipped,
)
from suffice.config.switch import check_enable, set_enabled
from suffice.config.types import Allowed, MethodName, Reaction, RuleName, format_duration, parse_duration

__all__ = [
    "CONFIG",
    "NEAR_MISS",
    "AcceptanceConfig",
    "AdaptiveSamplingConfig",
    "Allowed",
    "ChecksConfig",
    "CiGateConfig",
    "Config",
    "DeterminismConfig",
    "ErrorResolutionConfig",
    "HealthLimits",
    "MethodName",
    "Reaction",
    "RegressionGateConfig",
    "RollbackStormPolicyConfig",
    "RolloutConfig",
    "RuleName",
    "Stage",
    "VerifierConfig",
    "check_enable",
    "config_file",
    "format_duration",
    "load",
    "parse",
    "parse_duration",
    "set_enabled",
    "shipped",
]
