"""A disagreeing decision decided again, from a bundle that was written by hand."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import suffice
from suffice.errors import DataError
from suffice.sampling.recorded import Recorded
from suffice.sources.built import Builder
from suffice.sources.correction import Correction, Estimate
from suffice.stopping.plan import Plan
from suffice.stopping.request import Margin
from suffice.triage.manifest import freeze
from suffice.triage.reproduce import reproduce
from suffice.verifier.loop import observations

SEED, N = 3, 64
RULE = suffice.Proportion(0.8)
SOUND = suffice.plan(RULE, N, 0.01, look_every=8)
MARGIN = suffice.plan(RULE, N, 0.01, method="margin", margin=Margin(8, 2, 0.01))


def observed(key: str) -> list[float]:
    return observations(correction(key).case(), RULE, N, SEED)


def correction(key: str) -> Correction:
    """Its share of successes lies at the threshold, where a hasty plan goes wrong often."""
    return Correction(key, "t", Estimate(0.0, 1.0, 1.0), Estimate(1.19, 1.0, 1.0))


def decided(plan: Plan, key: str) -> suffice.Verdict:
    run = plan.start()
    run.observe(observed(key))
    return run.verdict


DIFFERING = next(
    key
    for key in map("c{}".format, range(1000))
    if decided(MARGIN, key).decision.value != ("accepted" if sum(observed(key)) / N >= 0.8 else "rejected")
)


def bundle(
    folder: Path,
    fault: str | None = None,
    plans: tuple[Plan, ...] = (MARGIN,),
    used: Plan = MARGIN,
    recipe: Mapping[str, Any] | None = None,
) -> Path:
    case = correction(DIFFERING)
    recipe = recipe or {"record": asdict(case.record), "measurement": asdict(case.measurement)}
    asked: Mapping[str, Any] = {
        "key": case.key, "target": case.target, **recipe, "seed": SEED, "plan_id": used.id, "fault": fault,
    }  # fmt: skip
    files = {f"plans/{plan.id}.json": json.dumps(plan.to_dict()) for plan in plans}
    return freeze(
        folder / "bundle",
        {**files, "plan.json": json.dumps(SOUND.to_dict()), "disagreements.jsonl": json.dumps(asked) + "\n"},
    )


def test_both_paths_are_seen_look_by_look_with_the_plan_that_decided(tmp_path: Path) -> None:
    seen = reproduce(bundle(tmp_path))
    draws, hasty = observed(DIFFERING), decided(MARGIN, DIFFERING)
    assert (seen["key"], seen["differs"], seen["baseline_n"]) == (DIFFERING, True, N)
    assert (seen["adaptive"], seen["adaptive_n"]) == (hasty.decision.value, hasty.n)
    assert [look["n"] for look in seen["looks"]] == [*(n for n in MARGIN.looks if n <= hasty.n), N]
    assert [look["baseline"] for look in seen["looks"]] == [sum(draws[: look["n"]]) for look in seen["looks"]]
    assert seen["looks"][-1]["adaptive"] is None


def test_a_case_that_only_the_service_builds_is_built_by_its_function(tmp_path: Path) -> None:
    """Which function that is, its own configuration says, and never the bundle."""
    (tmp_path / "taps.py").write_text(
        "from suffice import Case, Normal, Pair\n"
        "def build(*, key, target, region, features):\n"
        "    assert (key, target, region) == ('as-it-was', 'tap', 'eu')\n"
        "    return Case(key, target, Pair(Normal(0.0, 1.0), Normal(features['shift'], 1.0)), region)\n",
        encoding="utf-8",
    )
    given = {"key": "as-it-was", "target": "tap", "region": "eu", "features": {"shift": 1.19}}
    there = bundle(tmp_path, recipe={"given": given})
    seen = reproduce(there, builder=lambda: Builder("taps:build", tmp_path))
    assert seen == reproduce(bundle(tmp_path / "of-a-correction"))
    with pytest.raises(DataError, match=r"^only the service can build its cases: verifier\.cases is null"):
        reproduce(there)


def test_recorded_draws_of_a_bundle_are_decided_as_they_were_drawn(tmp_path: Path) -> None:
    seen = reproduce(bundle(tmp_path, recipe={"draws": observed(DIFFERING), "given_order": True}))
    assert seen == reproduce(bundle(tmp_path / "of-a-correction"))


def test_draws_that_the_service_recorded_are_taken_for_a_decision_of_the_ledger(tmp_path: Path) -> None:
    draws = Recorded(np.array(observed(DIFFERING)), given_order=True)
    row = {"key": DIFFERING, "target": "t", "seed": SEED, "plan_id": MARGIN.id, "agrees": False}
    rows = [row | {"key": "c-agrees", "agrees": True}, row]
    files = {
        "plan.json": json.dumps(MARGIN.to_dict()),
        "disagreements.jsonl": "",
        "ledger.jsonl": "".join(f"{json.dumps(row)}\n" for row in rows),
    }
    there = freeze(tmp_path / "frozen", files)
    recorded = [
        suffice.Case("c-agrees", "t", draws),
        suffice.Case(DIFFERING, "t", Recorded(draws.values[:-1], given_order=True)),
        suffice.Case(DIFFERING, "t", draws),
    ]
    assert reproduce(there, recorded=lambda _: recorded) == reproduce(bundle(tmp_path / "of-a-correction"))
    with pytest.raises(DataError, match=r"no case of any of 1 disagreeing decisions with the 64 draws"):
        reproduce(there, recorded=lambda _: recorded[:2])
    with pytest.raises(DataError, match=r"no case of disagreeing decision c-agrees with the 64 draws"):
        reproduce(there, "c-agrees", recorded=lambda _: recorded)
    with pytest.raises(DataError, match=r"ledger\.jsonl: lacks or garbles 'agrees'"):
        garbled = {**files, "ledger.jsonl": '{"key": "k"}\n'}
        reproduce(freeze(tmp_path / "garbled", garbled), recorded=lambda _: recorded)


@pytest.mark.parametrize(
    "recipe",
    [
        {"given": {"key": "k", "target": "t", "region": 3, "features": {}}},
        {"given": {"key": "k", "target": "t", "features": {}}},
        {"draws": ["1", "0"], "given_order": True},
        {"draws": [True], "given_order": True},
        {"draws": [[1.0, 2.0], 3.0], "given_order": True},
        {"draws": None, "given_order": True},
        {"draws": [1.0], "given_order": 1},
        {"draws": [1.0]},
    ],
)
def test_what_is_no_recipe_is_refused_with_its_line(tmp_path: Path, recipe: Mapping[str, Any]) -> None:
    with pytest.raises(DataError, match=r"disagreements\.jsonl, line 1: lacks or garbles"):
        reproduce(bundle(tmp_path, recipe=recipe))


def test_a_fault_is_put_in_again(tmp_path: Path) -> None:
    faults = {"nan": lambda draws: [nan] * len(draws)}
    seen = reproduce(bundle(tmp_path, "nan", (), SOUND), feed_of=faults.get)
    assert (seen["fault"], seen["adaptive"], seen["differs"]) == ("nan", "invalid", True)
    assert all(look["adaptive"] is None for look in seen["looks"])
    json.dumps(seen, allow_nan=False)


def test_a_decision_whose_plan_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"made with plan {MARGIN.id[:12]}, which the bundle does not have"):
        reproduce(bundle(tmp_path, plans=()))


def test_a_decision_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no disagreeing decision nobody; it holds 1"):
        reproduce(bundle(tmp_path), "nobody")


def test_a_bundle_without_decisions_says_what_would_have_helped(tmp_path: Path) -> None:
    files = {"plan.json": json.dumps(SOUND.to_dict()), "disagreements.jsonl": ""}
    with pytest.raises(
        DataError,
        match=r"\(verifier.cases\), draws that it recorded \(--samples\), a rollout that was started with",
    ):
        reproduce(freeze(tmp_path / "bundle", files))
