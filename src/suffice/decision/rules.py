"""Rules by name, as configurations and plan files spell them."""

from collections.abc import Callable, Mapping
from typing import Any

from suffice.decision.binary_mean import BinaryMean
from suffice.decision.mean import Mean
from suffice.decision.monte_carlo_p import MonteCarloP
from suffice.decision.paired_mean import PairedMean
from suffice.decision.proportion import Proportion
from suffice.decision.rule import Rule
from suffice.errors import PlanError, name_shown, shown

RULES: Mapping[str, Callable[..., Rule]] = {
    rule.name: rule for rule in (Proportion, PairedMean, MonteCarloP, Mean, BinaryMean)
}


def rule_of(name: str, parameters: Mapping[str, Any]) -> Rule:
    """The rule of this name with these parameters. Raises PlanError for an unknown name or parameters that do not
    fit."""
    if not isinstance(name, str) or name not in RULES:
        raise PlanError(f"rule is {shown(name)}; allowed: {', '.join(RULES)}")
    try:
        return RULES[name](**parameters)
    except (OverflowError, TypeError, ValueError) as error:
        raise PlanError(
            f"rule {name}: the parameters {shown(parameters)} do not fit: {name_shown(str(error), most=200)}"
        ) from error
