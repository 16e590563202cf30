"""A map as a person reads it, and as plain JSON values."""

from math import inf
from typing import Any

import numpy as np

from suffice.terminal import percent
from suffice.triage.map import CUT, Mapped
from suffice.triage.region import Axis, Box

_MARKED = (
    "A case is marked when its two decisions differ, or its early and late draws do by more than "
    f"{CUT:g} standard errors."
)


def lines_of(mapped: Mapped) -> list[str]:
    """The region in words, with rate, interval and support."""
    seen = f"From {mapped.audits:,} audits and {mapped.decisions:,} directed decisions. {_MARKED}"
    marked, cases = mapped.inside
    others, outside = mapped.outside
    if not mapped.resolved:
        return [
            f"Not resolved: {others:,} of {outside:,} cases are marked, and they do not show a region.",
            seen,
        ]
    low, high = (percent(edge, 1) for edge in mapped.interval)
    elsewhere = f"{others:,} of {outside:,}, {percent(others / outside)}" if outside else "there is none"
    return [
        f"The region: {' and '.join(mapped.rules)}.",
        f"In it {marked:,} of {cases:,} cases are marked, {percent(marked / cases, 1)} (95 %: {low} to {high}); "
        f"outside {elsewhere}.",
        seen,
    ]


def plain_map(mapped: Mapped, seed: int) -> dict[str, Any]:
    """The values of `--json`."""
    marked, cases = mapped.inside
    others, outside = mapped.outside
    low, high = mapped.interval if mapped.resolved else (None, None)
    box = mapped.found.box
    return {
        "resolved": mapped.resolved,
        "rules": list(mapped.rules),
        "region": _plain_box(mapped.space.axes, box) if box is not None and mapped.resolved else [],
        "cases": cases,
        "marked": marked,
        "rate": marked / cases if cases else None,
        "low": low,
        "high": high,
        "outside": {"cases": outside, "marked": others},
        "features": [axis.name for axis in mapped.space.axes],
        "audits": mapped.audits,
        "decisions": mapped.decisions,
        "seed": seed,
    }


def _plain_box(axes: tuple[Axis, ...], box: Box) -> list[dict[str, Any]]:
    """Each rule: a feature's values, or its interval, where None is no bound."""
    rules: list[dict[str, Any]] = []
    for column, axis in enumerate(axes):
        allowed = box.allowed[column]
        if axis.is_text:
            if not allowed.all():
                rules.append({"feature": axis.name, "values": [axis.values[j] for j in np.flatnonzero(allowed)]})
            continue
        low, high = box.low[column], box.high[column]
        if low > -inf or high < inf:
            width = axis.high - axis.low
            bounds = [None if abs(edge) == inf else float(axis.low + edge * width) for edge in (low, high)]
            rules.append({"feature": axis.name, "low": bounds[0], "high": bounds[1]})
    return rules
