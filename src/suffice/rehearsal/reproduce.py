"""A disagreeing decision of a triage bundle, decided again."""

import json
from math import isfinite
from pathlib import Path
from typing import Any

from suffice.errors import DataError
from suffice.rehearsal.faults import Kind, faulty_feed, faulty_plan
from suffice.rollout.triage import check
from suffice.sources.correction import Correction, Estimate
from suffice.stopping.plan import Plan
from suffice.stopping.request import Margin
from suffice.stopping.run import Run
from suffice.verifier.loop import observations


def reproduce(bundle: Path, key: str | None = None) -> dict[str, Any]:
    """Both paths of a decision, look by look, as plain JSON values; `key` None takes the first that disagreed.

    The fault of the rehearsal, if there was one, is put in again. Raises DataError when the bundle was changed, or has
    no such decision.
    """
    check(bundle)
    asked = _asked(bundle, key)
    sound = Plan.load(bundle / "plan.json")
    kind = next((k for k in Kind if k.spelling == asked["fault"]), None)
    plan = faulty_plan(kind, sound, _margin(bundle)) if kind else sound
    feed = faulty_feed(kind) if kind else None
    correction = Correction(
        asked["key"], asked["target"], Estimate(**asked["record"]), Estimate(**asked["measurement"])
    )
    case = correction.case()
    observed = observations(case, plan.rule, plan.n, asked["seed"])
    baseline, adaptive = Run(plan.rule, plan.n, ()), plan.start()
    fed: list[float] = []
    while adaptive.open:
        more = observed[adaptive.n : adaptive.n + adaptive.need]
        fed += feed(more) if feed else more
        adaptive.observe(fed[adaptive.n :])
    baseline.observe(observed)
    looks = [
        {
            "n": n,
            "baseline": _statistic(plan, observed[:n]),
            "adaptive": _statistic(plan, fed[:n]) if n <= adaptive.n else None,
        }
        for n in (*(look for look in plan.looks if look <= adaptive.n), plan.n)
    ]
    return {
        "key": asked["key"],
        "seed": asked["seed"],
        "fault": asked["fault"],
        "baseline": baseline.verdict.decision.value,
        "baseline_n": baseline.verdict.n,
        "adaptive": adaptive.verdict.decision.value,
        "adaptive_n": adaptive.verdict.n,
        "differs": baseline.verdict.decision is not adaptive.verdict.decision,
        "looks": looks,
    }


def _statistic(plan: Plan, observed: list[float]) -> float | None:
    tally = plan.rule.tally()
    if not tally.add(observed):
        return None
    return tally.statistic if isfinite(tally.statistic) else None


def _asked(bundle: Path, key: str | None) -> dict[str, Any]:
    try:
        lines = (bundle / "disagreements.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{bundle}: is no triage bundle with decisions: {error.strerror}") from error
    for asked in map(json.loads, lines):
        if key is None or asked["key"] == key:
            return dict(asked)
    if key is None:
        raise DataError(f"{bundle}: has no disagreeing decision that can be decided again; a --source at the start can")
    raise DataError(f"{bundle}: has no disagreeing decision {key}; it holds {len(lines)}")


def _margin(bundle: Path) -> Margin:
    sampling = json.loads((bundle / "config.json").read_text(encoding="utf-8"))["verifier"]["adaptive_sampling"]
    return Margin(sampling["n0"], sampling["multiplier"], sampling["early_stop_margin"])
