"""The plan of least average sample number under the bound for a t rule, by multipliers over a grid of effects.

The t statistic at n of N draws is taken as the score of a Brownian motion with drift θ (canonical joint distribution).
Weighting θ by the uniform mix leaves one stopping problem without constraints: a stop at (n, s) costs
Σ_j λ_j·P(θ_j | s)·P(the baseline differs | s, θ_j), going on costs the draws to the next look. Backward induction
solves it for given multipliers λ. They rise where the policy found disagrees more than the bound and fall where it
disagrees less, until they stand on the few effects that bind; a last common factor makes the worst case of the table,
evaluated as written, meet the bound. In a stopping problem with a density nothing has to be randomised, so the value of
the priced problem less Σ_j λ_j·ε is a lower bound for every plan with these looks, up to the spacing of the lattice.

Sources: Wald & Wolfowitz 1948 (optimality by prices); Eales & Jennison 1992 (optimal group sequential tests by backward
induction); Jennison & Turnbull 2000, ch. 3 and 19 (canonical joint distribution, numerical recursion).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from suffice.sampling.distributions import Floats
from suffice.stopping.brownian import allowed_looks, brownian_budget, score_boundary
from suffice.stopping.budget import Budget
from suffice.stopping.calibrate import calibrated, strain
from suffice.stopping.operating_means import LARGEST_EFFECT, mean_operating, z_of_t
from suffice.stopping.request import Design, Request
from suffice.stopping.run import Boundary

_EFFECT_STEP = 0.2
_NODES_PER_SD, _COARSEST = 4.0, 0.03
_WIDTH = 6.0
_LEVELLING, _CUTS = 12, 80
GAP = 1e-4


def design_means(request: Request) -> Design:
    """The table uses a part of the budget, in reserve for real draws; the lower bound is for all of it."""
    size, rule = request.n, request.rule
    critical, looks = rule.critical(size), allowed_looks(request.looks)
    budget = brownian_budget(request.budget, guarded=request.guarded)
    optimum = optimal_means(size, critical, looks, budget, two_sided=rule.two_sided)
    return Design(optimum, least_asn(size, critical, looks, request.budget, two_sided=rule.two_sided))


@dataclass(frozen=True, slots=True)
class _Look:
    """The nodes of one look: scores s (non-negative when two-sided), and what a stop there risks at each effect.

    mixture[i] is the mix's weight of node i relative to θ = 0; risks (accept, reject) have shape (effects, nodes).
    Nodes further from the line through the critical value than `_WIDTH` standard deviations of the bridge are left out
    where a stop is allowed: there it is free of risk.
    """

    n: int
    t: float
    s: Floats
    spacing: float
    width: Floats
    mixture: Floats
    accept_risk: Floats
    reject_risk: Floats


@dataclass(frozen=True, slots=True)
class _Prices:
    """What a wrong stop costs at each effect, in units of N draws: either side, accepting, rejecting. Shape (3,
    effects)."""

    each: Floats

    @property
    def accept(self) -> Floats:
        price: Floats = self.each[0] + self.each[1]
        return price

    @property
    def reject(self) -> Floats:
        price: Floats = self.each[0] + self.each[2]
        return price


@dataclass(frozen=True, slots=True)
class _Policy:
    """The best policy for given prices: its value in units of N, its risks at each effect, and look by look what
    stopping loses against going on (a stop is best where a loss is at most 0)."""

    value: float
    accept_risk: Floats
    reject_risk: Floats
    accept_loss: list[Floats]
    reject_loss: list[Floats]

    @property
    def risks(self) -> Floats:
        return np.stack((self.accept_risk + self.reject_risk, self.accept_risk, self.reject_risk))


class _Lattice:
    """The looks, and the jumps between their nodes under the mix."""

    def __init__(self, size: int, critical: float, looks: Sequence[int], budget: Budget, *, two_sided: bool) -> None:
        self._critical, self._two_sided, self._budget = critical, two_sided, budget
        points, weights = np.polynomial.legendre.leggauss(60)
        self._mix = (LARGEST_EFFECT * points, weights / 2)
        low = 0.0 if two_sided else -LARGEST_EFFECT
        self.effects = np.linspace(low, LARGEST_EFFECT, round((LARGEST_EFFECT - low) / _EFFECT_STEP) + 1)
        times = np.array([0, *looks, size]) / size
        steps = np.diff(times)
        self.looks = [self._look(n, n / size, min(steps[i], steps[i + 1])) for i, n in enumerate(looks)]
        self._first = float(times[1])
        self._extra = steps[1:]
        self._jumps = [self._jump(a, b) for a, b in zip(self.looks, self.looks[1:], strict=False)]

    def _look(self, n: int, t: float, step: float) -> _Look:
        low, high = self._range(t)
        spacing = min(np.sqrt(step) / _NODES_PER_SD, _COARSEST)
        index = np.arange(np.floor(low / spacing), np.ceil(high / spacing) + 1)
        s = spacing * index
        width = np.where((index == 0) & self._two_sided, spacing / 2, spacing)
        mixture = np.exp(np.outer(s, self._mix[0]) - self._mix[0] ** 2 * t / 2) @ self._mix[1]
        accept, reject = np.zeros((2, len(self.effects), len(s)))
        for effect in (self.effects, -self.effects) if self._two_sided else (self.effects,):
            weight = np.exp(effect[:, None] * s - effect[:, None] ** 2 * t / 2) / mixture
            accepts, rejects = self._baseline((s + effect[:, None] * (1 - t)), np.sqrt(1 - t))
            accept += weight * rejects / (1 + self._two_sided)
            reject += weight * accepts / (1 + self._two_sided)
        return _Look(n, t, s, spacing, width, mixture, accept, reject)

    def _range(self, t: float) -> tuple[float, float]:
        half, whole = _WIDTH * np.sqrt(t * (1 - t)), LARGEST_EFFECT * (t + np.sqrt(t))
        low = self._critical * t - half if self._budget.reject > 0 else -whole
        high = self._critical * t + half if self._budget.accept > 0 else whole
        return max(low, 0.0) if self._two_sided else low, high

    def _baseline(self, final: Floats, spread: float) -> tuple[Floats, Floats]:
        """P(baseline accepts) and P(it rejects) when the last score is normal around `final`."""
        above, below = ndtr((final - self._critical) / spread), ndtr((self._critical - final) / spread)
        if not self._two_sided:
            return above, below
        beyond = ndtr((-self._critical - final) / spread)
        return above + beyond, below - beyond

    def _jump(self, look: _Look, after: _Look) -> Floats:
        density = self._kernel(look.s[:, None], after.s, after.t - look.t)
        jump: Floats = density * after.width * after.mixture / look.mixture[:, None]
        return jump

    def _kernel(self, start: Floats, end: Floats, variance: float) -> Floats:
        density: Floats = np.exp(-((end - start) ** 2) / (2 * variance))
        if self._two_sided:
            density += np.exp(-((end + start) ** 2) / (2 * variance))
        density /= np.sqrt(2 * np.pi * variance)
        return density

    def best(self, prices: _Prices) -> _Policy:
        """Backward for the stops that cost least, forward for the risks that they take."""
        cost = np.zeros(0)
        losses: list[tuple[Floats, Floats]] = []
        for i in range(len(self.looks) - 1, -1, -1):
            look = self.looks[i]
            going = self._extra[i] + (self._jumps[i] @ cost if i < len(self._jumps) else np.zeros(len(look.s)))
            accept = prices.accept @ look.accept_risk if self._budget.accept > 0 else np.full(len(look.s), np.inf)
            reject = prices.reject @ look.reject_risk if self._budget.reject > 0 else np.full(len(look.s), np.inf)
            losses.append((accept - np.minimum(going, reject), reject - np.minimum(going, accept)))
            cost = np.minimum(np.minimum(accept, reject), going)
        losses.reverse()
        first = self.looks[0]
        mass = (self._kernel(np.zeros((1, 1)), first.s, first.t) * first.width * first.mixture)[0]
        value = self._first + float(mass @ cost)
        accept_risk, reject_risk = np.zeros((2, len(self.effects)))
        for i, (look, (accept_loss, reject_loss)) in enumerate(zip(self.looks, losses, strict=True)):
            accepts, rejects = accept_loss <= 0, (reject_loss <= 0) & (accept_loss > 0)
            accept_risk += look.accept_risk @ (mass * accepts)
            reject_risk += look.reject_risk @ (mass * rejects)
            if i < len(self._jumps):
                mass = (mass * ~(accepts | rejects)) @ self._jumps[i]
        return _Policy(value, accept_risk, reject_risk, [a for a, _ in losses], [r for _, r in losses])


def _boundaries(lattice: _Lattice, policy: _Policy) -> tuple[Boundary, ...]:
    """The policy's thresholds, between nodes by linear interpolation, as t values."""
    losses = zip(lattice.looks, policy.accept_loss, policy.reject_loss, strict=True)
    return tuple(
        score_boundary(look.n, look.t, _stops_below(look, reject), _stops_above(look, accept))
        for look, accept, reject in losses
    )


def _stops_above(look: _Look, loss: Floats) -> float | None:
    """The least score from which on stopping never loses."""
    if np.isinf(loss).all():
        return None
    losing = np.flatnonzero(loss > 0)
    if not len(losing) or losing[-1] == len(loss) - 1:
        return float(look.s[-1] if len(losing) else look.s[0])
    i = losing[-1]
    return float(look.s[i] + look.spacing * loss[i] / (loss[i] - loss[i + 1]))


def _stops_below(look: _Look, loss: Floats) -> float | None:
    """The largest score up to which stopping never loses; None when there is no score below the first node."""
    if np.isinf(loss).all():
        return None
    losing = np.flatnonzero(loss > 0)
    if not len(losing) or losing[0] == 0:
        edge = float(look.s[0] if len(losing) else look.s[-1])
        return edge if edge != 0 else None
    i = losing[0]
    return float(look.s[i] - look.spacing * loss[i] / (loss[i] - loss[i - 1]))


def optimal_means(
    size: int, critical: float, looks: Sequence[int], budget: Budget, *, two_sided: bool = True
) -> tuple[Boundary, ...]:
    """The table, as t values, of least ASN (uniform mix) with these looks, each below `size`, that keeps the budget.

    `critical` is the t value of the fixed decision at N (|t| when two-sided). A side whose budget is 0 never stops:
    with a density no early decision is certain.
    """
    if not looks or budget.largest == 0:
        return ()
    lattice = _Lattice(size, z_of_t(critical, size), looks, budget, two_sided=two_sided)
    prices, _ = _price(lattice, budget)

    def table(factor: float) -> tuple[Boundary, ...]:
        return _boundaries(lattice, lattice.best(_Prices(factor * prices.each)))

    def strain_of(boundaries: tuple[Boundary, ...]) -> float:
        return strain(mean_operating(size, critical, boundaries, two_sided=two_sided), budget)

    return calibrated(table, strain_of)


def least_asn(size: int, critical: float, looks: Sequence[int], budget: Budget, *, two_sided: bool = True) -> float:
    """The ASN that no plan with these looks and this budget can be below, for a Brownian motion, up to the spacing of
    the lattice."""
    if not looks or budget.largest == 0:
        return float(size)
    _, dual = _price(_Lattice(size, z_of_t(critical, size), looks, budget, two_sided=two_sided), budget)
    return size * dual


def _price(lattice: _Lattice, budget: Budget) -> tuple[_Prices, float]:
    """The prices with the largest lower bound, and that bound.

    First every price is multiplied, again and again, by its disagreement relative to the bound, which finds the level;
    then cutting planes (the prices of the best mixture of the policies found so far) find the few effects that bind.
    """
    bounds = np.array([budget.largest, budget.accept, budget.reject])[:, None]
    priced = np.array([True, 0 < budget.accept < budget.largest, 0 < budget.reject < budget.largest])
    shape = (int(priced.sum()), len(lattice.effects))
    limits = np.broadcast_to(bounds[priced], shape)
    policies: list[tuple[float, Floats]] = []
    best, best_dual = np.zeros(shape), -np.inf

    def ask(each: Floats) -> Floats:
        nonlocal best, best_dual
        whole = np.zeros((3, shape[1]))
        whole[priced] = each
        policy = lattice.best(_Prices(whole))
        ratio: Floats = policy.risks[priced] / limits
        policies.append((policy.value - float((policy.risks[priced] * each).sum()), ratio))
        dual = policy.value - float((limits * each).sum())
        if dual > best_dual:
            best, best_dual = each, dual
        return ratio

    each = 0.05 / limits / shape[1]
    for _ in range(_LEVELLING):
        each = each * np.clip(ask(each), 0.3, 3.0)
    for _ in range(_CUTS):
        asn, prices = _mix(policies)
        if asn - best_dual <= GAP * asn:
            break
        ask((best + prices / limits) / 2)
    whole = np.zeros((3, shape[1]))
    whole[priced] = best
    return _Prices(whole), best_dual


def _mix(policies: list[tuple[float, Floats]]) -> tuple[float, Floats]:
    """The least ASN of a mixture of policies (and of never stopping) that keeps every bound, and the price of each
    bound."""
    # A plan from the cache needs no solver, and should not wait for one to load.
    from scipy.optimize import linprog

    asn = np.array([1.0, *(asn for asn, _ in policies)])
    ratios = np.stack([np.zeros(policies[0][1].size), *(ratio.ravel() for _, ratio in policies)], axis=1)
    solved = linprog(
        asn, A_ub=ratios, b_ub=np.ones(len(ratios)), A_eq=np.ones((1, len(asn))), b_eq=[1.0], method="highs-ds"
    )
    return float(solved.fun), -solved.ineqlin.marginals.reshape(policies[0][1].shape)
