"""`python -m benchmarks.plans`: what the plans reach, computed, and simulated with draws of many shapes."""

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from math import sqrt
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np

import suffice
from benchmarks.looks import LOOKS, Share, measure
from benchmarks.simulated_runs import OUTSIDE, TESTED_FAMILY, Shape, simulate
from suffice.decision.mean import Mean
from suffice.stopping.looks import geometric_looks
from suffice.stopping.plan import Plan

RESULTS = Path(__file__).parent / "results"
SEED = 20261123
N = 256
COARSE, FINE, ROUGH, HARDEST = 2_000, 100_000, 20_000, 4
"""Runs of an effect: where the worst is looked for first; of each of the `HARDEST` for what is promised; of each of
those for what is shown beside it."""

PROMISED = {("1 %", "normal"), ("0.1 %", "normal"), *(("1 %, guarded", shape) for shape in TESTED_FAMILY)}


@dataclass(frozen=True)
class Computed:
    """A count plan, and the least that any plan with its bound can expect."""

    plan: str
    asn: float
    lower_bound: float
    worst: float
    seconds: float


@dataclass(frozen=True)
class Simulated:
    """A t plan's runs on draws of one shape: the worst effect, its rate and standard error; shares of N saved."""

    plan: str
    draws: str
    runs: int
    effect: float
    worst: float
    error: float
    saved: float
    saved_both: float


def counts() -> Iterator[Computed]:
    """The count plans of every size, at a uniform mix of truths."""
    wanted = [(100, 0.8, 1, e) for e in (0.01, 0.001, 0.0)] + [(100, 0.5, 1, e) for e in (0.01, 0.001)]
    wanted += [(256, 0.8, 8, 0.01), (256, 0.8, 1, 0.01), (1000, 0.8, 10, 0.01)]
    for n, at_least, every, bound in wanted:
        yield _computed(f"N = {n:,}, at least {at_least}, a look every {every}, {bound:.1%}", n, at_least, bound, every)
    for at_least in (0.8, 0.95, 0.5):
        name = f"N = 10,000, at least {at_least}, 60 geometric looks, 1.0%"
        yield _computed(name, 10_000, at_least, 0.01, None)


def _computed(name: str, n: int, at_least: float, bound: float, every: int | None) -> Computed:
    looks = geometric_looks(n, 60) if every is None else None
    start = perf_counter()
    plan = suffice.plan(suffice.Proportion(at_least), n, bound, looks=looks, look_every=every)
    seconds = perf_counter() - start
    return Computed(name, plan.uniform_asn, plan.lower_bound or 0.0, plan.worst_disagreement, seconds)


def _plans() -> dict[str, Plan]:
    paired, one_sided = suffice.PairedMean(alpha=0.05, min_effect=0.0), Mean(at_least=0.0)
    return {
        "1 %": suffice.plan(paired, N, 0.01, look_every=8),
        "0.1 %": suffice.plan(paired, N, 0.001, look_every=8),
        "1 %, guarded": suffice.plan(paired, N, 0.01, look_every=8, guarded=True),
        "1 %, guarded, one-sided": suffice.plan(one_sided, N, 0.01, look_every=8, guarded=True),
    }


def _shapes() -> dict[str, Shape]:
    return {**TESTED_FAMILY, **OUTSIDE}


def simulated(plan_name: str, shape_name: str) -> Simulated:
    """The worst effect of −8 … 8 standard errors, found coarsely and then simulated; and the saving over all."""
    plan, shape, rng = _plans()[plan_name], _shapes()[shape_name], np.random.default_rng(SEED)
    effects = np.arange(-8, 8.1, 0.5)
    simulated = {effect: simulate(plan, shape, effect, COARSE, rng) for effect in effects}
    hardest = sorted(effects, key=lambda effect: simulated[effect].wrong)[-HARDEST:]
    runs = FINE if (plan_name, shape_name) in PROMISED else ROUGH
    worst, effect = max((simulate(plan, shape, effect, runs, rng).wrong, effect) for effect in hardest)
    asn = np.array([simulated[effect].asn for effect in effects]) / N
    return Simulated(
        plan_name,
        shape_name,
        runs,
        float(effect),
        worst,
        sqrt(worst * (1 - worst) / runs),
        float(1 - np.trapezoid(asn[effects >= 0], dx=0.5) / 8),
        float(1 - np.trapezoid(asn, dx=0.5) / 16),
    )


def main() -> int:
    start = perf_counter()
    shares, computed, plans = measure(), list(counts()), _plans()
    tasks = [(plan, "normal") for plan in ("1 %", "0.1 %")]
    tasks += [(plan, shape) for shape in _shapes() for plan in ("1 %", "1 %, guarded", "1 %, guarded, one-sided")]
    tasks = list(dict.fromkeys(tasks))
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(simulated, *zip(*tasks, strict=True)))
    text = report(shares, computed, plans, rows)
    RESULTS.mkdir(exist_ok=True)
    results = {
        "counts": [asdict(row) for row in computed],
        "designed": {name: plan.uniform_asn / N for name, plan in plans.items()},
        "simulated": [asdict(row) for row in rows],
        "ask_tell": [asdict(share) for share in shares],
    }
    (RESULTS / "plans.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "plans.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text + f"\nmeasured in {perf_counter() - start:.0f} s\n")
    return 0


def report(shares: list[Share], computed: list[Computed], plans: dict[str, Plan], rows: list[Simulated]) -> str:
    lines = [
        "# Plans",
        "",
        "Printed by `python -m benchmarks.plans`, which `make bench` runs, too.",
        "",
        "## Counts: computed, exact",
        "",
        "| plan | expected draws | no plan below | worst disagreement | solved in |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {plan.plan} | {plan.asn:.2f} | {plan.lower_bound:.2f} | {plan.worst:.4%} | {plan.seconds:.2f} s |"
            for plan in computed
        ),
        "",
        f"## Means: paired t, N = {N}, α = 0.05, looks every 8, effects 0–8",
        "",
        *(f"- {name}: designed for {plan.uniform_asn / N:.4f} N" for name, plan in plans.items()),
        "",
        f"Simulated, effects −8 … 8 standard errors; the worst of the {HARDEST} found hardest:",
        "",
        "| plan | draws | worst | at | runs an effect | saved, 0 … 8 | saved, −8 … 8 |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {row.plan} | {row.draws} | {row.worst:.2%} ± {row.error:.2%} | {row.effect:g} | {row.runs:,} | "
            f"{row.saved:.1%} | {row.saved_both:.1%} |"
            for row in rows
        ),
        "",
        f"Outside the tested family: {', '.join(OUTSIDE)}.",
        "",
        "## Ask/tell",
        "",
        "The Run's own share of a look of 8 draws (`need`, `observe`), the least of many rounds; starting one with "
        f"{LOOKS} looks beside it:",
        "",
        *(f"- {share.rule}: {share.look:.2f} µs a look, started in {share.start:.0f} µs" for share in shares),
        "",
        f"The margin heuristic (0.01, looks 64, 128, 256) has a computed worst case of {margin():.1%}.",
    ]
    return "\n".join(lines) + "\n"


def margin() -> float:
    rule = suffice.PairedMean(alpha=0.05, min_effect=0.0)
    return suffice.plan(rule, N, method="margin").worst_disagreement


if __name__ == "__main__":
    sys.exit(main())
