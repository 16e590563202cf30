"""Paired comparisons of N(0, 1) and N(δ, 1), N = 256, two-sided 5 %: every method on the same draws."""

from itertools import cycle
from typing import Any

import numpy as np
from scipy.stats import ttest_rel
from statsmodels.stats.weightstats import DescrStatsW

import suffice
from benchmarks.alternatives import confidence_sequence, fixed_t, obrien_fleming, t_paths
from benchmarks.cases import DELTAS, SEED, grid
from benchmarks.floor import draw
from benchmarks.tables import Measured, Row
from benchmarks.timing import least_seconds
from suffice.stopping.plan import Plan
from suffice.verifier.batch import decide_columns
from suffice.verifier.columns import Columns
from suffice.verifier.loop import decide

N = 256
RULE = suffice.PairedMean(alpha=0.05, min_effect=0.0)
LOOPED = 500
"""Cases of the methods that are called one by one."""

CHUNK = 2000
"""Cases that the vectorised methods take at once; more do not fit the processor's caches."""


def plans() -> dict[str, Plan]:
    return {
        "suffice, optimal, 1 %": suffice.plan(RULE, N, 0.01, look_every=8),
        "suffice, optimal, 0.1 %": suffice.plan(RULE, N, 0.001, look_every=8),
        "predictive curtailment, 1 %": suffice.plan(RULE, N, 0.01, method="curtailed", look_every=8),
        "margin heuristic": suffice.plan(RULE, N, method="margin"),
        "suffice, fixed": suffice.plan(RULE, N, method="fixed"),
    }


def measure(rounds: int) -> list[Row]:
    """The table for means. The last row but the floors is the fixed decision as SciPy makes it, case by case."""
    cases = grid(N)
    columns = Columns.of(cases.cases, SEED)
    designed = plans()
    results = {name: decide_columns(columns, plan, threads=1) for name, plan in designed.items()}
    fixed = results["suffice, fixed"].decisions == 1
    measured = Measured(N, cases.deltas, 0.0, fixed)
    seconds = _seconds(cases.cases, columns, designed, results, rounds)
    t = t_paths(cases.differences)
    every = np.full(len(columns), N)
    answers: dict[str, Any] = {name: (result.decisions == 1, result.n) for name, result in results.items()}
    answers["suffice, optimal, 1 %, ask/tell"] = answers["suffice, optimal, 1 %"]
    answers["confidence sequence"] = confidence_sequence(t)
    answers["O'Brien–Fleming, 4 looks"] = obrien_fleming(t)
    for name in ("NumPy, fixed, vectorised", "SciPy ttest_rel", "statsmodels DescrStatsW"):
        answers[name] = (fixed_t(cases.differences), every)
    answers["bare draws, as many as optimal, 1 %"] = answers["suffice, optimal, 1 %"]
    answers["bare draws, all"] = (fixed, every)
    return [measured.row(name, seconds[name], answer) for name, answer in answers.items()]


def _seconds(
    cases: list[suffice.Case], columns: Columns, designed: dict[str, Plan], results: dict[str, Any], rounds: int
) -> dict[str, float]:
    """Seconds a case. The vectorised and the looped methods draw from a generator of NumPy's default kind."""
    generator = np.random.default_rng(SEED)
    deltas = np.resize(np.array(DELTAS), CHUNK)
    some = cases[:: len(cases) // LOOPED][:LOOPED]
    looped = list(zip(range(LOOPED), cycle(DELTAS), strict=False))
    fewer, all_ = results["suffice, optimal, 1 %"].n, np.full(len(columns), N)

    def drawn() -> Any:
        before, after = generator.standard_normal((2, CHUNK, N))
        after += deltas[:, None]
        return after - before

    work: dict[str, Any] = {
        name: (lambda plan=plan: decide_columns(columns, plan, threads=1)) for name, plan in designed.items()
    }
    work["bare draws, as many as optimal, 1 %"] = lambda: draw(columns, fewer, 1)
    work["bare draws, all"] = lambda: draw(columns, all_, 1)
    counts = dict.fromkeys(work, len(columns))
    vectorised = {
        "NumPy, fixed, vectorised": lambda: fixed_t(drawn()),
        "confidence sequence": lambda: confidence_sequence(t_paths(drawn())),
        "O'Brien–Fleming, 4 looks": lambda: obrien_fleming(t_paths(drawn())),
    }
    one_by_one = {
        "suffice, optimal, 1 %, ask/tell": lambda: [
            decide(case, designed["suffice, optimal, 1 %"], SEED) for case in some
        ],
        "SciPy ttest_rel": lambda: [
            ttest_rel(generator.standard_normal(N) + delta, generator.standard_normal(N)).pvalue < 0.05
            for _, delta in looped
        ],
        "statsmodels DescrStatsW": lambda: [
            DescrStatsW(generator.standard_normal(N) + delta - generator.standard_normal(N)).ttest_mean(0)[1] < 0.05
            for _, delta in looped
        ],
    }
    counts |= dict.fromkeys(vectorised, CHUNK) | dict.fromkeys(one_by_one, LOOPED)
    least = least_seconds(work | vectorised | one_by_one, rounds)
    return {name: least[name] / counts[name] for name in least}
