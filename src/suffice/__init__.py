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
    from suffice.decision.rule import Decision
    from suffice.sampling.distributions import Empirical, Normal, SplitNormal
    from suffice.sampling.sampler import Pair
    from suffice.serving.verifier import Verifier
    from suffice.stopping.make import plan
    from suffice.stopping.plan import Plan
    from suffice.stopping.run import Run, StopReason, Verdict
    from suffice.verifier.case import Case

__version__ = "0.1.0"

_HOMES = {
    "BinaryMean": "suffice.decision.binary_mean",
    "Case": "suffice.verifier.case",
    "Decision": "suffice.decision.rule",
    "Empirical": "suffice.sampling.distributions",
    "Mean": "suffice.decision.mean",
    "MonteCarloP": "suffice.decision.monte_carlo_p",
    "Normal": "suffice.sampling.distributions",
    "Pair": "suffice.sampling.sampler",
    "PairedMean": "suffice.decision.paired_mean",
    "Plan": "suffice.stopping.plan",
    "Proportion": "suffice.decision.proportion",
    "Run": "suffice.stopping.run",
    "SplitNormal": "suffice.sampling.distributions",
    "StopReason": "suffice.stopping.run",
    "Verdict": "suffice.stopping.run",
    "Verifier": "suffice.serving.verifier",
    "plan": "suffice.stopping.make",
}

__all__ = [
    "BinaryMean",
    "Case",
    "Decision",
    "Empirical",
    "Mean",
    "MonteCarloP",
    "Normal",
    "Pair",
    "PairedMean",
    "Plan",
    "Proportion",
    "Run",
    "SplitNormal",
    "StopReason",
    "Verdict",
    "Verifier",
    "plan",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'suffice' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
