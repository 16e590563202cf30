"""`python -m benchmarks.run`: measure everything in one run, and write table, plot and JSON."""

import json
import os
import platform
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from benchmarks import counts, means, real
from benchmarks.cases import CASES_A_DELTA, DELTAS
from benchmarks.plot import plot
from benchmarks.tables import Row, computed, markdown

RESULTS = Path(__file__).parent / "results"
ROUNDS, ROUNDS_OF_RATIOS = 15, 60
"""The more, the less it matters what else the machine does."""


def main() -> int:
    start = perf_counter()
    ratios, micro = real.measure(ROUNDS_OF_RATIOS)
    for_means, for_counts = means.measure(ROUNDS), counts.measure(ROUNDS)
    optima = counts.optima()
    machine = describe_machine()
    measured = {
        "machine": machine,
        "ratios": [{**asdict(ratio), "holds": ratio.holds} for ratio in ratios],
        "microseconds_on_pdg": micro,
        "means": [asdict(row) for row in for_means],
        "counts": [asdict(row) for row in for_counts],
        "optima": [asdict(optimum) for optimum in optima],
        "deltas": DELTAS,
        "rates": counts.TRUTHS,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "benchmark.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    text = report(machine, ratios, for_means, for_counts, optima)
    (RESULTS / "benchmark.md").write_text(text, encoding="utf-8")
    plot(for_means, for_counts, RESULTS / "benchmark.svg")
    sys.stdout.write(text + f"\nmeasured in {perf_counter() - start:.0f} s\n")
    return 0


def describe_machine() -> dict[str, str | int]:
    info = Path("/proc/cpuinfo")
    models = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    parts = ("numpy", "scipy", "numba", "statsmodels")
    return {
        "processor": models[0] if models else platform.processor(),
        "processors": os.cpu_count() or 1,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{part: version(part) for part in parts},
    }


def report(
    machine: dict[str, str | int],
    ratios: list[real.Ratio],
    for_means: list[Row],
    for_counts: list[Row],
    optima: list[counts.Optimum],
) -> str:
    lines = [
        "# Benchmark",
        "",
        "Printed by `make bench`: " + ", ".join(f"{key} {value}" for key, value in machine.items()) + ".",
        "",
        f"## Means: N(0, 1) against N(δ, 1), δ from 0 to 1.2, N = {means.N}, {len(DELTAS) * CASES_A_DELTA:,} cases",
        "",
        markdown(for_means, "δ", "at δ = 0"),
        "",
        computed(means.plans()),
        "",
        f"## Counts: at least 80 of {counts.N}, pass rates from {counts.TRUTHS[0]} to {counts.TRUTHS[-1]}",
        "",
        markdown(for_counts, "rate", "at rate 0.8"),
        "",
        computed(counts.plans()),
        "",
    ]
    for optimum in optima:
        lines.append(
            f"Over the uniform mix the plan for {100 * optimum.max_disagreement:g} % expects {optimum.plan:.2f} draws; "
            f"no plan with that bound can expect fewer than {optimum.limit:.2f}."
        )
    lines += ["", "## Ratios on the pdg corrections", "", "| ratio | measured | aim | |", "| --- | ---: | ---: | --- |"]
    for ratio in ratios:
        verdict = ("holds" if ratio.holds else "missed") if ratio.aim else ""
        lines.append(f"| {ratio.name} | {ratio.value:.2f} | {ratio.aim} | {verdict} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
