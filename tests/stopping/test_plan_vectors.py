"""The published test vectors: they are what the command writes, and a small executor after docs/plan-format.md passes
them."""

import json
import subprocess
import sys
from math import isfinite, sqrt
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from scipy import stats

from suffice.stopping.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
VECTORS: dict[str, Any] = json.loads((ROOT / "docs" / "plan-test-vectors.json").read_text(encoding="utf-8"))
CASES = [(name, i) for name, one in VECTORS.items() for i in range(len(one["runs"]))]


def rounded(value: object) -> object:
    """Floats to nine digits: a plan for means is solved in floating point, and libraries differ in the last ones."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items() if key != "id"}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def test_the_file_is_what_the_command_writes(tmp_path: Path) -> None:
    target = tmp_path / "vectors.json"
    subprocess.run([sys.executable, str(ROOT / "tools" / "plan_test_vectors.py"), str(target)], check=True, cwd=ROOT)
    assert rounded(json.loads(target.read_text(encoding="utf-8"))) == rounded(VECTORS)


@pytest.mark.parametrize("name, i", CASES)
def test_our_runs_pass_them(name: str, i: int) -> None:
    expected = VECTORS[name]["runs"][i]
    run = Plan.from_dict(VECTORS[name]["plan"]).start()
    run.observe(float("nan") if draw is None else draw for draw in expected["draws"])
    verdict = run.verdict
    result = (verdict.decision.value, verdict.n, verdict.reason.name)
    assert result == (expected["decision"], expected["n"], expected["reason"])


@pytest.mark.parametrize("name, i", CASES)
def test_an_executor_written_from_the_page_passes_them(name: str, i: int) -> None:
    expected = VECTORS[name]["runs"][i]
    decision, n, reason, estimate = execute(VECTORS[name]["plan"], expected["draws"])
    assert (decision, n, reason) == (expected["decision"], expected["n"], expected["reason"])
    assert (estimate is None) == (expected["estimate"] is None)
    if estimate is not None:
        assert estimate == pytest.approx(expected["estimate"], rel=1e-12, abs=1e-15)


def execute(plan: dict[str, Any], draws: list[float | None]) -> tuple[str, int, str, float | None]:
    table = {b["n"]: b for b in plan["boundaries"] if not (b["reject_at"] is None and b["accept_at"] is None)}
    seen: list[float] = []
    for draw in draws:
        if draw is None or not isfinite(draw):
            return "invalid", len(seen) + 1, "NON_FINITE", None
        seen.append(draw)
        if len(seen) == plan["n"]:
            return final(plan, seen), len(seen), "REACHED_N", estimate(plan, seen)
        b = table.get(len(seen))
        if b is None:
            continue
        t = statistic(plan, seen)
        if b["accept_at"] is not None and t >= b["accept_at"] and allowed(plan, seen, b["accept_at"], 1):
            return "accepted", len(seen), "ACCEPT_BOUNDARY", estimate(plan, seen)
        if b["reject_at"] is not None and t <= b["reject_at"] and allowed(plan, seen, b["reject_at"], -1):
            return "rejected", len(seen), "REJECT_BOUNDARY", estimate(plan, seen)
    raise AssertionError("too few draws")


def mirrored(plan: dict[str, Any]) -> bool:
    return plan["rule"] == "monte_carlo_p" or (plan["rule"] == "binary_mean" and "at_most" in plan["parameters"])


def estimate(plan: dict[str, Any], seen: list[float]) -> float:
    return (1 + sum(seen)) / (len(seen) + 1) if plan["rule"] == "monte_carlo_p" else fmean(seen)


def claim(plan: dict[str, Any]) -> tuple[float, int]:
    parameters = plan["parameters"]
    return (parameters["at_least"], 1) if "at_least" in parameters else (parameters.get("at_most", 0.0), -1)


def statistic(plan: dict[str, Any], seen: list[float]) -> float:
    if plan["rule"] not in ("paired_mean", "mean"):
        return len(seen) - sum(seen) if mirrored(plan) else sum(seen)
    value, sign = claim(plan) if plan["rule"] == "mean" else (0.0, 0)
    above = fmean(seen) - value
    above = abs(above) if sign == 0 else sign * above
    spread = sum((x - fmean(seen)) ** 2 for x in seen)
    if len(set(seen)) == 1:
        return float("inf") if above > 0 else -float("inf") if above < 0 else 0.0
    return above * sqrt(len(seen) * (len(seen) - 1) / spread)


def critical(plan: dict[str, Any]) -> float:
    alpha = plan["parameters"]["alpha"]
    return float(stats.t.isf(alpha / 2 if plan["rule"] == "paired_mean" else alpha, plan["n"] - 1))


def final(plan: dict[str, Any], seen: list[float]) -> str:
    n, t = len(seen), statistic(plan, seen)
    if plan["rule"] in ("paired_mean", "mean"):
        accepts = t > critical(plan) and abs(fmean(seen)) > plan["parameters"].get("min_effect", -1.0)
    elif plan["rule"] == "proportion":
        accepts = sum(seen) / n >= plan["parameters"]["at_least"]
    elif plan["rule"] == "monte_carlo_p":
        accepts = (1 + sum(seen)) / (n + 1) <= plan["parameters"]["alpha"]
    else:
        value, sign = claim(plan)
        witness = stats.ttest_1samp(seen, value, alternative="greater" if sign > 0 else "less")
        accepts = witness.pvalue < plan["parameters"]["alpha"] if len(set(seen)) > 1 else sign * (seen[0] - value) > 0
    return "accepted" if accepts else "rejected"


def allowed(plan: dict[str, Any], seen: list[float], boundary: float, side: int) -> bool:
    if plan["rule"] not in ("paired_mean", "mean"):
        return True
    n, size, mean = len(seen), plan["n"], fmean(seen)
    centred = [x - mean for x in seen]
    sd = sqrt(sum(c * c for c in centred) / (n - 1))
    min_effect = plan["parameters"].get("min_effect", 0.0)
    if side > 0 and min_effect > 0:
        if abs(mean) <= min_effect:
            return False
        if len(set(seen)) > 1 and min_effect * sqrt(size) > 0.5 * critical(plan) * sd:
            return False
    if not plan["guarded"] or (side < 0 and plan["rule"] == "paired_mean"):
        return True
    if len(set(seen)) == 1:
        return False
    second, third, fourth = (sum(c**k for c in centred) / n for k in (2, 3, 4))
    value, sign = claim(plan) if plan["rule"] == "mean" else (0.0, 1 if mean > 0 else -1)
    delta, skewness, kurtosis = (mean - value) / sd, third / second**1.5, fourth / second**2 - 3
    inflation = sqrt(max(1.0, 1 - delta * skewness + delta**2 * max(kurtosis, 0.0) / 4))
    line = critical(plan) * sqrt(n / size)
    required = line + inflation * (boundary - line)
    one_more = [*seen, mean - side * sign * 1.5 * max(abs(c) for c in centred)]
    t = statistic(plan, seen)
    t_then = sign * float(stats.ttest_1samp(one_more, value).statistic)
    return t >= required and t_then >= required if side > 0 else t <= required and t_then <= required
