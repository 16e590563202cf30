"""Suffice: Monte Carlo decisions with no more samples than they need, and the fixed-sample decision kept.

The public names. They are imported when first used, so that `import suffice` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from suffice.decision.binary_mean import BinaryMean
    from suffice.decision.mean import Mean
    from suffice.decision.monte_carlo_p import MonteCarloP
    from suffice.decision.paired_mean import PairedMean
    from suffice.decision.proportion import Proportion
    from suffice.decision.rule import Decision, Rule
    from suffice.errors import (
        ConfigError,
        DataError,
        ExecutionError,
        ExitCode,
        MissingDataError,
        MissingPackage,
        OutputError,
        PlanError,
        RolloutError,
        RunError,
        StoreAddressError,
        StoreConflict,
        StoreError,
        StoreRefusal,
        StoreTimeout,
        SufficeError,
    )
    from suffice.sampling.distributions import Distribution, Empirical, Normal, SplitNormal
    from suffice.sampling.recorded import Recorded
    from suffice.sampling.sampler import Pair
    from suffice.serving.begin import ServedRun
    from suffice.serving.served import Served
    from suffice.serving.verifier import Verifier
    from suffice.stopping.budget import Budget
    from suffice.stopping.cache import PlanCache
    from suffice.stopping.make import plan
    from suffice.stopping.plan import Plan
    from suffice.stopping.request import Margin
    from suffice.stopping.run import Boundary, Run, StopReason, Verdict
    from suffice.store.decision_row import WhyFixed
    from suffice.verifier.arm import Arm
    from suffice.verifier.case import Case

__version__ = "0.1.0"

_HOMES = {
    "Arm": "suffice.verifier.arm",
    "BinaryMean": "suffice.decision.binary_mean",
    "Boundary": "suffice.stopping.run",
    "Budget": "suffice.stopping.budget",
    "Case": "suffice.verifier.case",
    "ConfigError": "suffice.errors",
    "DataError": "suffice.errors",
    "Decision": "suffice.decision.rule",
    "Distribution": "suffice.sampling.distributions",
    "Empirical": "suffice.sampling.distributions",
    "ExecutionError": "suffice.errors",
    "ExitCode": "suffice.errors",
    "Margin": "suffice.stopping.request",
    "Mean": "suffice.decision.mean",
    "MissingDataError": "suffice.errors",
    "MissingPackage": "suffice.errors",
    "MonteCarloP": "suffice.decision.monte_carlo_p",
    "Normal": "suffice.sampling.distributions",
    "OutputError": "suffice.errors",
    "Pair": "suffice.sampling.sampler",
    "PairedMean": "suffice.decision.paired_mean",
    "Plan": "suffice.stopping.plan",
    "PlanCache": "suffice.stopping.cache",
    "PlanError": "suffice.errors",
    "Proportion": "suffice.decision.proportion",
    "Recorded": "suffice.sampling.recorded",
    "RolloutError": "suffice.errors",
    "Rule": "suffice.decision.rule",
    "Run": "suffice.stopping.run",
    "RunError": "suffice.errors",
    "Served": "suffice.serving.served",
    "ServedRun": "suffice.serving.begin",
    "WhyFixed": "suffice.store.decision_row",
    "SplitNormal": "suffice.sampling.distributions",
    "StopReason": "suffice.stopping.run",
    "StoreConflict": "suffice.errors",
    "StoreAddressError": "suffice.errors",
    "StoreError": "suffice.errors",
    "StoreRefusal": "suffice.errors",
    "StoreTimeout": "suffice.errors",
    "SufficeError": "suffice.errors",
    "Verdict": "suffice.stopping.run",
    "Verifier": "suffice.serving.verifier",
    "plan": "suffice.stopping.make",
}

__all__ = [
    "Arm",
    "BinaryMean",
    "Boundary",
    "Budget",
    "Case",
    "ConfigError",
    "DataError",
    "Decision",
    "Distribution",
    "Empirical",
    "ExecutionError",
    "ExitCode",
    "Margin",
    "Mean",
    "MissingDataError",
    "MissingPackage",
    "MonteCarloP",
    "Normal",
    "OutputError",
    "Pair",
    "PairedMean",
    "Plan",
    "PlanCache",
    "PlanError",
    "Proportion",
    "Recorded",
    "RolloutError",
    "Rule",
    "Run",
    "RunError",
    "Served",
    "ServedRun",
    "SplitNormal",
    "StopReason",
    "StoreAddressError",
    "StoreConflict",
    "StoreError",
    "StoreRefusal",
    "StoreTimeout",
    "SufficeError",
    "Verdict",
    "Verifier",
    "WhyFixed",
    "plan",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'suffice' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
