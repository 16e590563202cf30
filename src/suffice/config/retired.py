"""Keys that configurations of older systems have, and what took their place."""

from typing import Any

RETIRED = {
    ("verifier", "adaptive_sampling", "ci_gate"): "verifier.adaptive_sampling.regression_gate judges disagreement",
    ("verifier", "adaptive_sampling", "decision_multiplier"): (
        "the plan has its boundaries from max_disagreement, and method margin its growth from multiplier"
    ),
    ("error_resolution", "adaptive_sampling"): "verifier.adaptive_sampling decides about corrections too",
    ("error_resolution", "ci_gate"): "error_resolution.rollback_storm_policy.ci_gate counts escalations",
    ("adaptive_sampling",): "verifier.adaptive_sampling holds the plan",
}
"""By path, what is read instead. Nothing of a retired key is used, whatever stands there."""


def without_retired(data: dict[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The configuration without its retired keys, and of each its dotted path and what is read instead."""
    left = []
    for path, instead in RETIRED.items():
        without = _without(data, path)
        if without is not data:
            left.append((".".join(path), instead))
            data = without
    return data, left


def _without(data: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """A copy without this key; the same object where there is none."""
    name, *rest = path
    if name not in data:
        return data
    if not rest:
        return {key: value for key, value in data.items() if key != name}
    if not isinstance(data[name], dict):
        return data
    inner = _without(data[name], tuple(rest))
    return data if inner is data[name] else {**data, name: inner}
