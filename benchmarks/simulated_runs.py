"""Many runs of a t plan at once, in NumPy: a second implementation of the t statistic, the run and the guard."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np

from suffice.stopping.plan import Plan

Shape = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def standardised(draw: Shape, mean: float, sd: float) -> Shape:
    return lambda rng, shape: (draw(rng, shape) - mean) / sd


def spiked(share: float, sd: float) -> Shape:
    """Normal draws of which a share has another standard deviation."""
    return standardised(
        lambda rng, shape: rng.standard_normal(shape) * np.where(rng.random(shape) < share, sd, 1.0),
        0.0,
        sqrt(1 - share + share * sd**2),
    )


def shifted(share: float, by: float) -> Shape:
    """Normal draws of which a share is shifted to one side."""
    return standardised(
        lambda rng, shape: rng.standard_normal(shape) + np.where(rng.random(shape) < share, by, 0.0),
        share * by,
        sqrt(1 + share * (1 - share) * by**2),
    )


def bernoulli(p: float) -> Shape:
    return standardised(lambda rng, shape: (rng.random(shape) < p).astype(np.float64), p, sqrt(p * (1 - p)))


def lognormal(sigma: float) -> Shape:
    v = sigma**2
    return standardised(
        lambda rng, shape: np.exp(sigma * rng.standard_normal(shape)), np.exp(v / 2), sqrt(np.expm1(v) * np.exp(v))
    )


NORMAL: Shape = lambda rng, shape: rng.standard_normal(shape)  # noqa: E731
EXPONENTIAL = standardised(lambda rng, shape: rng.standard_exponential(shape), 1.0, 1.0)
T3 = standardised(lambda rng, shape: rng.standard_t(3, shape), 0.0, sqrt(3))

TESTED_FAMILY: dict[str, Shape] = {
    "normal": NORMAL,
    "exponential": EXPONENTIAL,
    "t(3)": T3,
    "lognormal(0, 1)": lognormal(1.0),
    "Bernoulli(0.1)": bernoulli(0.1),
    "Bernoulli(0.02)": bernoulli(0.02),
    "2 % at 10 sd": spiked(0.02, 10.0),
}
OUTSIDE: dict[str, Shape] = {
    "1 % at 20 sd": spiked(0.01, 20.0),
    "lognormal(0, 1.5)": lognormal(1.5),
    "2 % shifted by 10 sd": shifted(0.02, 10.0),
}


@dataclass(frozen=True)
class Simulated:
    """Rates over the runs of one effect: wrong accepts, wrong rejects; and the draws used on average."""

    accepts: float
    rejects: float
    asn: float

    @property
    def wrong(self) -> float:
        return self.accepts + self.rejects


def simulate(plan: Plan, shape: Shape, effect: float, runs: int, rng: np.random.Generator) -> Simulated:
    """`effect` is in standard errors of the mean of N draws, of standard deviation 1."""
    totals = np.zeros(3)
    for start in range(0, runs, 10_000):
        rows = min(10_000, runs - start)
        accepts, used, baseline = execute(plan, shape(rng, (rows, plan.n)) + effect / sqrt(plan.n))
        totals += (accepts & ~baseline).sum(), (~accepts & baseline).sum(), used.sum()
    return Simulated(*(float(total) for total in totals / runs))


def execute(plan: Plan, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Decisions, draws used and baseline decisions of a row of draws each. min_effect is not looked at."""
    looks = [b for b in plan.boundaries if not (b.reject_at is None and b.accept_at is None)]
    at = np.array([b.n for b in looks])
    low = np.array([-np.inf if b.reject_at is None else b.reject_at for b in looks])
    high = np.array([np.inf if b.accept_at is None else b.accept_at for b in looks])
    edges, n = np.concatenate(([0], at)), np.concatenate((at, [plan.n]))

    def up_to(values: np.ndarray) -> np.ndarray:
        return np.cumsum(np.add.reduceat(values, edges, axis=1), axis=1)

    mean = up_to(draws) / n
    spread = np.maximum(up_to(draws**2) - n * mean**2, 1e-12)
    t = mean * np.sqrt(n * (n - 1) / spread)
    t = np.abs(t) if plan.rule.two_sided else t
    baseline = t[:, -1] > plan.rule.critical(plan.n)
    accept, reject = t[:, :-1] >= high, t[:, :-1] <= low
    if plan.guarded:
        accept &= confirmed(plan, draws, edges, at, high, mean[:, :-1], spread[:, :-1], t[:, :-1], 1)
        if not plan.rule.two_sided:
            reject &= confirmed(plan, draws, edges, at, low, mean[:, :-1], spread[:, :-1], t[:, :-1], -1)
    stops = accept | reject
    first, early = stops.argmax(axis=1), stops.any(axis=1)
    accepts = np.where(early, accept[np.arange(len(draws)), first], baseline)
    return accepts, np.where(early, at[first], plan.n), baseline


def confirmed(plan, draws, edges, at, edge, mean, spread, t, side) -> np.ndarray:
    """The guard, from sums of powers (the draws have a standard deviation of 1, so that these lose few digits)."""

    def raw(power: int) -> np.ndarray:
        return np.cumsum(np.add.reduceat(draws**power, edges, axis=1), axis=1)[:, :-1] / at

    highest = np.maximum.accumulate(np.maximum.reduceat(draws, edges, axis=1), axis=1)[:, :-1]
    lowest = np.minimum.accumulate(np.minimum.reduceat(draws, edges, axis=1), axis=1)[:, :-1]
    equal, furthest = highest == lowest, np.maximum(highest - mean, mean - lowest)
    second, square, cube = np.where(equal, 1.0, spread / at), raw(2), raw(3)
    third = cube - 3 * mean * square + 2 * mean**3
    fourth = raw(4) - 4 * mean * cube + 6 * mean**2 * square - 3 * mean**4
    delta = mean / np.sqrt(second * at / (at - 1))
    kurtosis = np.maximum(fourth / second**2 - 3, 0)
    inflation = np.sqrt(np.maximum(1.0, 1 - delta * third / second**1.5 + delta**2 * kurtosis / 4))
    line = plan.rule.critical(plan.n) * np.sqrt(at / plan.n)
    required = line + inflation * (edge - line)
    sign = np.sign(mean) if plan.rule.two_sided else 1.0
    one_more = mean - side * sign * 1.5 * furthest
    mean_then = (at * mean + one_more) / (at + 1)
    square_then = (at * square + one_more**2) / (at + 1)
    variance_then = np.where(equal, 1.0, square_then - mean_then**2) * (at + 1) / at
    t_then = sign * mean_then / np.sqrt(variance_then / (at + 1))
    return ~equal & (side * t >= side * required) & (side * t_then >= side * required)
