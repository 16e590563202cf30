"""The corrections of the source `pdg`, N = 256: the ratios that the kernels are held to."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import ttest_rel

import suffice
from benchmarks.alternatives import fixed_t
from benchmarks.cases import SEED, corrections
from benchmarks.floor import draw
from benchmarks.timing import least_seconds
from suffice.decision.rule import Rule
from suffice.stopping.plan import Plan
from suffice.verifier.batch import decide_batch, decide_columns
from suffice.verifier.case import Case
from suffice.verifier.columns import AFTER_SPLIT, BEFORE_SPLIT, Columns

N = 256
LOOK_EVERY = 8
"""As the configuration has it that we ship."""

LOOPED = 300
CHUNK = 2000
BULK = 1_000_000


@dataclass(frozen=True)
class Ratio:
    """A time divided by another of the same run, and what was aimed at."""

    name: str
    value: float
    at_most: float | None = None
    at_least: float | None = None

    @property
    def holds(self) -> bool:
        return (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )

    @property
    def aim(self) -> str:
        if self.at_most is None and self.at_least is None:
            return ""
        return f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:g}"


def measure(rounds: int) -> tuple[list[Ratio], dict[str, float]]:
    """The ratios, and the microseconds a case that they are made of."""
    cases = corrections()
    columns = Columns.of(cases, SEED)
    plain = Columns.of([case for case in cases if _is_normal(case)], SEED)
    rules: dict[str, Rule] = {"proportion": suffice.Proportion(0.8), "paired_mean": suffice.PairedMean()}
    adaptive = {name: suffice.plan(rule, N, 0.01, look_every=LOOK_EVERY) for name, rule in rules.items()}
    fixed = {name: suffice.plan(rule, N, method="fixed") for name, rule in rules.items()}
    work: dict[str, Any] = {}
    cases_of: dict[str, int] = {}
    normals: dict[str, int] = {}

    def add(name: str, count: int, do: Any) -> None:
        work[name], cases_of[name] = do, count

    for rule in rules:
        for kind, some in (("all", columns), ("normal", plain)):
            n = decide_columns(some, adaptive[rule]).n
            normals[rule] = int(2 * n.sum())  # of the normal corrections, which come last
            for threads in (1, 2):
                key = f"{rule}, {kind}, {threads} threads"
                add(f"adaptive, {key}", len(some), _decide(some, adaptive[rule], threads))
                add(f"draws, {key}", len(some), lambda some=some, n=n, threads=threads: draw(some, n, threads))
            add(f"fixed, {rule}, {kind}, 1 threads", len(some), _decide(some, fixed[rule], 1))
    add("columns of cases", len(cases), lambda: Columns.of(cases, SEED))
    add("from cases, 2 threads", len(cases), lambda: decide_batch(cases, adaptive["proportion"], SEED, threads=2))
    generator = np.random.Generator(np.random.Philox(SEED))
    add("NumPy, one normal", BULK, lambda: generator.standard_normal(BULK))
    add("NumPy, fixed", CHUNK, _numpy_fixed(columns))
    add("SciPy ttest_rel", LOOPED, _scipy_loop(columns))
    least = least_seconds(work, rounds)
    micro = {name: least[name] / cases_of[name] * 1e6 for name in least}
    return _ratios(micro, {rule: len(plain) * 1000 / count for rule, count in normals.items()}), micro


def _ratios(micro: dict[str, float], nanoseconds_a_normal: dict[str, float]) -> list[Ratio]:
    """`nanoseconds_a_normal` turns µs a case of normal corrections into ns for each normal that was drawn."""

    def a_normal(what: str, rule: str) -> float:
        return micro[f"{what}, {rule}, normal, 1 threads"] * nanoseconds_a_normal[rule]

    ratios = [
        Ratio("ns a bare normal, one thread", a_normal("draws", "paired_mean"), at_most=6.5),
        Ratio("ns a normal of NumPy's Generator(Philox), a million at once", micro["NumPy, one normal"] * 1000),
    ]
    for rule in nanoseconds_a_normal:
        name = f"ns a normal, decided: {rule}, normal corrections, 1 thread"
        ratios.append(Ratio(name, a_normal("adaptive", rule), at_most=1.12 * 6.5))
    for rule in nanoseconds_a_normal:
        for kind in ("all", "normal"):
            for threads, aim in ((1, 1.12), (2, 1.2)):
                key = f"{rule}, {kind}, {threads} threads"
                name = f"adaptive / its draws: {rule}, {kind} corrections, {threads} thread{'s' * (threads > 1)}"
                ratios.append(Ratio(name, micro[f"adaptive, {key}"] / micro[f"draws, {key}"], at_most=aim))
        ours = micro[f"adaptive, {rule}, all, 1 threads"]
        fixed = micro[f"fixed, {rule}, all, 1 threads"]
        ratios.append(Ratio(f"fixed in the kernel / adaptive: {rule}", fixed / ours, at_least=3))
        ratios.append(Ratio(f"NumPy fixed / adaptive: {rule}", micro["NumPy, fixed"] / ours, at_least=6))
        ratios.append(Ratio(f"SciPy ttest_rel / adaptive: {rule}", micro["SciPy ttest_rel"] / ours, at_least=100))
    return ratios


def _decide(columns: Columns, plan: Plan, threads: int) -> Any:
    return lambda: decide_columns(columns, plan, threads=threads)


def _is_normal(case: Case) -> bool:
    sampler = case.sampler
    return isinstance(sampler, suffice.Pair) and not (sampler.before.uses_uniform or sampler.after.uses_uniform)


def _numpy_fixed(columns: Columns) -> Any:
    """All N draws and the t-test with NumPy, vectorised over cases, uniforms only where one is split normal."""
    generator = np.random.default_rng(SEED)
    take = np.linspace(0, len(columns) - 1, CHUNK).astype(int)

    def drawn(shapes: Any, split: Any) -> Any:
        normal = generator.standard_normal((CHUNK, N))
        centre, lower, upper = (column[:, None] for column in shapes.T)
        values = centre + lower * normal
        uniform = generator.random((int(split.sum()), N))
        scale = np.where(uniform * (lower + upper)[split] < lower[split], -lower[split], upper[split])
        values[split] = centre[split] + scale * np.abs(normal[split])
        return values

    def do() -> Any:
        kinds = columns.kinds[take]
        after = drawn(columns.after[take], (kinds & AFTER_SPLIT) > 0)
        return fixed_t(after - drawn(columns.before[take], (kinds & BEFORE_SPLIT) > 0))

    return do


def _scipy_loop(columns: Columns) -> Any:
    """One call of `ttest_rel` a case, on normal draws."""
    generator = np.random.default_rng(SEED)
    take = np.linspace(0, len(columns) - 1, LOOPED).astype(int)
    shapes = list(zip(columns.before[take].tolist(), columns.after[take].tolist(), strict=True))

    def do() -> Any:
        return [
            ttest_rel(generator.normal(b[0], b[1], N), generator.normal(a[0], a[1], N)).pvalue < 0.05 for b, a in shapes
        ]

    return do
