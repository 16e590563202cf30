"""The rule and the plan that a configuration names."""

from pathlib import Path

from suffice.config import VerifierConfig
from suffice.decision.rule import Rule
from suffice.decision.rules import rule_of
from suffice.errors import PlanError
from suffice.stopping.cache import PlanCache
from suffice.stopping.design import plan
from suffice.stopping.plan import Plan
from suffice.stopping.request import Margin


def configured_rule(section: VerifierConfig) -> Rule:
    """The baseline that the configuration describes."""
    parameters = {
        "proportion": {"at_least": section.confidence_threshold},
        "paired_mean": {"alpha": section.p_threshold, "min_effect": section.min_effect_size},
    }
    return rule_of(section.rule, parameters[section.rule])


def configured_plan(section: VerifierConfig, cache: PlanCache | None, folder: Path) -> Plan:
    """The plan that production runs: the pinned `plan_file` (relative to `folder`), else the one that the section
    describes.

    A pinned plan is read, never solved. Raises PlanError when it was edited, or made for another rule, threshold or N.
    """
    rule, sampling = configured_rule(section), section.adaptive_sampling
    if sampling.plan_file is not None:
        path = folder / sampling.plan_file
        return fitting(Plan.load(path), rule, section.n_samples, str(path))
    return plan(
        rule,
        section.n_samples,
        sampling.max_disagreement,
        method=sampling.method,
        look_every=sampling.look_every,
        n_min=sampling.n_min,
        margin=Margin(sampling.n0, sampling.multiplier, sampling.early_stop_margin),
        cache=cache,
    )


def fitting(found: Plan, rule: Rule, n: int, where: str) -> Plan:
    """The plan, when it was made for this rule and N. Raises PlanError otherwise."""
    if found.rule != rule:
        raise PlanError(f"{where}: the plan is for {found.rule}; the configuration has {rule}")
    if found.n != n:
        raise PlanError(f"{where}: the plan is for N = {found.n}; the configuration has n_samples = {n}")
    return found
