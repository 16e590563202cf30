"""The count plan of least average sample number under the bound, by two multipliers.

The plans that may randomise at each node (n, k) form a linear program over the flow of orders: arriving share in,
stopped or continued share out; minimise the draws, averaged over the uniform mix, subject to P(stop and accept | K =
threshold − 1) ≤ ε_accept and P(stop and reject | K = threshold) ≤ ε_reject. Pricing these two constraints
(Dantzig–Wolfe) leaves a stopping problem without constraints that backward induction solves; a tiny master program
mixes the policies found, and the least dual value seen is a proof of how close the mixture is. Its randomised nodes are
rounded towards continuing, so that what is left is a plain table of thresholds.

Sources: Wald & Wolfowitz 1948 (optimality by prices), Dantzig & Wolfe 1960 (the master program), Kelley 1960 (cutting
planes).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from suffice.sampling.distributions import Floats
from suffice.stopping.operating_counts import Ints, count_operating, hypergeometric, log_choose, log_factorials
from suffice.stopping.request import Design, Request
from suffice.stopping.run import Boundary

GAP = 1e-5
MAX_POLICIES = 300
_NEGLIGIBLE = 1e-18
_UNUSED = 1e-9


def design_counts(request: Request) -> Design:
    """The table, and the ASN that no plan with these looks and this budget can be below."""
    size, budget = request.n, request.budget
    optimum = optimal_counts(size, int(request.rule.critical(size)), request.looks, budget.accept, budget.reject)
    return Design(optimum.boundaries, optimum.lower_bound)


@dataclass(slots=True)
class _Look:
    """The nodes of one look: successes k, what stopping there saves and risks, and the jump to the next look.

    `unsettled` tells where the baseline may still decide for the other side, however small the risk of it is.

    Only nodes `active` (a slice of k) may continue; at all others stopping is optimal at every multiplier that can be
    optimal. jump[i, j] is the share of orders at the node k[active][i] + jump_from + j of the next look that came
    through k[active][i].
    """

    n: int
    k: Ints
    accepts: NDArray[np.bool_]
    saved: Floats
    risk: Floats
    unsettled: NDArray[np.bool_]
    active: slice
    jump: Floats = field(default_factory=lambda: np.zeros((0, 0)))

    def value_of_continuing(self, next_value: Floats) -> Floats:
        if not len(self.jump):
            return np.zeros(self.active.stop - self.active.start)
        windows = sliding_window_view(next_value, self.jump.shape[1])[: len(self.jump)]
        product: Floats = np.einsum("ij,ij->i", self.jump, windows)
        return product

    def arriving_next(self, continuing: Floats) -> Floats:
        rows, width = self.jump.shape
        arriving = np.zeros(rows + width - 1)
        if width <= rows:
            for j in range(width):
                arriving[j : j + rows] += continuing * self.jump[:, j]
        else:
            for i in range(rows):
                arriving[i : i + width] += continuing[i] * self.jump[i]
        return arriving


@dataclass(frozen=True, slots=True)
class _Policy:
    """A policy, what it saves and the two risks it takes; stop and go hold the flow at each node, look by look."""

    saved: float
    risks: Floats
    stop: list[Floats]
    go: list[Floats]


class _Lattice:
    def __init__(self, size: int, threshold: int, looks: Sequence[int], budgets: Floats) -> None:
        self.size, self.threshold = size, threshold
        self._factorials = log_factorials(size)
        self.looks: list[_Look] = []
        k = np.arange(looks[0] + 1)
        for i, n in enumerate(looks):
            n_next = looks[i + 1] if i + 1 < len(looks) else size
            look = self._look(n, n_next, k, budgets)
            self.looks.append(look)
            if n_next == size or look.active.start == look.active.stop:
                break
            k = self._connect(look, n_next)

    def _look(self, n: int, n_next: int, k: Ints, budgets: Floats) -> _Look:
        accepts = k * self.size >= self.threshold * n
        total = np.where(accepts, self.threshold - 1, self.threshold)
        unsettled = (total >= k) & (self.size - total >= n - k)
        risk = hypergeometric(self._factorials, np.where(unsettled, total, k), k, n, self.size) * unsettled
        saved = np.full(len(k), (self.size - n) / (n + 1))
        # A multiplier λ of a budget ε has λ·ε ≤ size at the optimum (never stopping already has the dual value Σλε, and
        # nothing saves more than size draws), and continuing saves at least n_next − n draws less: below this risk
        # stopping is always best. Without a budget only what is settled is harmless: a risk may underflow to 0.
        budget = np.where(accepts, budgets[0], budgets[1])
        harmless = (budget > 0) & (risk * self.size * (n + 1) <= (n_next - n) * budget)
        wanted = np.flatnonzero(unsettled & ~harmless)
        active = slice(int(wanted[0]), int(wanted[-1]) + 1) if len(wanted) else slice(0, 0)
        return _Look(n, k, accepts, saved, risk, unsettled, active)

    def _connect(self, look: _Look, n_next: int) -> Ints:
        """Fill the jump of `look` and return the nodes that it leads to."""
        k, gained = look.k[look.active], np.arange(n_next - look.n + 1)
        log = log_choose(self._factorials, look.n, k)[:, None] + log_choose(self._factorials, n_next - look.n, gained)
        jump = np.exp(log - log_choose(self._factorials, n_next, k[:, None] + gained))
        kept = np.flatnonzero(jump.max(axis=0) > _NEGLIGIBLE)
        look.jump = np.ascontiguousarray(jump[:, kept[0] : kept[-1] + 1])
        return np.arange(k[0] + kept[0], k[-1] + kept[-1] + 1)

    def best(self, multipliers: Floats, forbidden: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
        """Where to stop when risk costs these multipliers, without any risk on a forbidden side."""
        stops: list[NDArray[np.bool_]] = []
        value = np.zeros(0)
        for look in reversed(self.looks):
            price = np.where(look.accepts, multipliers[0], multipliers[1])
            barred = np.where(look.accepts, forbidden[0], forbidden[1]) & look.unsettled
            gain = np.where(barred, -np.inf, look.saved - price * look.risk)
            going = np.full(len(gain), -np.inf)
            going[look.active] = look.value_of_continuing(value)
            stops.append(gain >= going)
            value = np.maximum(gain, going)
        return stops[::-1]

    def follow(self, stops: list[NDArray[np.bool_]]) -> _Policy:
        saved, risks = 0.0, np.zeros(2)
        stopped, going = [], []
        arriving = np.ones(len(self.looks[0].k))
        for look, stop in zip(self.looks, stops, strict=True):
            here = np.where(stop, arriving, 0.0)
            stopped.append(here)
            going.append(arriving - here)
            saved += float(here @ look.saved)
            risks += (
                float((here * look.risk)[look.accepts].sum()),
                float((here * look.risk)[~look.accepts].sum()),
            )
            if len(look.jump):
                arriving = look.arriving_next(going[-1][look.active])
        return _Policy(saved, risks, stopped, going)


@dataclass(frozen=True, slots=True)
class OptimalCounts:
    """The table, and the average sample number that no plan can be below which has these looks and budgets and whose
    stops decide for the side the sample is on (k/n against threshold/size)."""

    boundaries: tuple[Boundary, ...]
    lower_bound: float


def optimal_counts(
    size: int, threshold: int, looks: Sequence[int], accept_budget: float, reject_budget: float
) -> OptimalCounts:
    """The plan of least ASN (uniform mix) with these looks, each below `size`, and these bounds on the disagreement by
    side.

    A side whose budget is 0 stops only where the baseline is already settled (exact curtailment).
    """
    if not looks:
        return OptimalCounts((), float(size))
    budgets = np.array([accept_budget, reject_budget])
    lattice = _Lattice(size, threshold, looks, budgets)
    policies, mix, dual = _price(lattice, budgets)
    boundaries = _best_table(lattice, policies, mix, budgets)
    unvisited = tuple(Boundary(n, None, None) for n in looks[len(lattice.looks) :])
    return OptimalCounts((*boundaries, *unvisited), size - dual)


def _best_table(lattice: _Lattice, policies: list[_Policy], mix: Floats, budgets: Floats) -> list[Boundary]:
    """The rounded mixture, or the best of the policies within the budgets where that one needs fewer draws.

    Rounding an accept point adds a little to the reject risk (what goes on may be rejected later), and the reverse, so
    that the rounded mixture may exceed a budget; and where the lattice is coarse it may give away more than one policy.
    """
    single = max((p for p in policies if _within(p, budgets)), key=lambda policy: policy.saved)
    tables = _round(lattice, policies, mix), _round(lattice, [single], np.ones(1))

    def loss(table: list[Boundary]) -> tuple[bool, float]:
        computed = count_operating(lattice.size, lattice.threshold, table)
        return bool(np.any(np.array(computed.worst_by_side()) > budgets)), computed.mean_asn()

    return min(tables, key=loss)


def _within(policy: _Policy, budgets: Floats) -> bool:
    """With room for the last digits, in which the table evaluated as written may differ."""
    return bool(np.all(policy.risks <= budgets * (1 - 1e-9)))


def _price(lattice: _Lattice, budgets: Floats) -> tuple[list[_Policy], Floats, float]:
    """Find policies, their best mixture and the least dual value, by cutting planes inside a box around the best
    multipliers."""
    forbidden = budgets == 0
    scaled = np.where(forbidden, 1.0, budgets)
    policies: list[_Policy] = []
    best_dual, best = np.inf, np.zeros(2)

    def ask(multipliers: Floats) -> bool:
        nonlocal best_dual, best
        policy = lattice.follow(lattice.best(multipliers, forbidden))
        policies.append(policy)
        dual = policy.saved + float(multipliers @ (budgets - policy.risks))
        if dual < best_dual:
            best_dual, best = dual, multipliers
            return True
        return False

    # λ·ε is of the order of the draws that the last bit of risk saves: a few thousandths of N.
    multipliers = np.where(forbidden, 0.0, 0.01 * lattice.size / scaled)
    for _ in range(12):
        ask(multipliers)
        ratio = np.clip(np.where(forbidden, 1.0, policies[-1].risks / scaled), 0.25, 4.0)
        multipliers = multipliers * ratio
        if np.all(np.abs(np.log(ratio)) < 0.05):
            break
    # One policy within the budgets is always found: the nodes that must stop risk at most ε·(n_next − n)/size a look.
    while not any(_within(policy, budgets) for policy in policies):
        multipliers = multipliers * 1.25
        ask(multipliers)
    radius, mix = 0.5, np.ones(1)
    while True:
        mix, primal = _mix(policies, budgets)
        if best_dual - primal <= GAP * (lattice.size - best_dual) or len(policies) >= MAX_POLICIES:
            return policies, mix, best_dual
        improved = ask(_next_multipliers(policies, budgets, best, radius))
        radius = min(radius * 1.5, 0.9) if improved else max(radius * 0.7, 1e-4)


def _mix(policies: list[_Policy], budgets: Floats) -> tuple[Floats, float]:
    """The mixture of policies (and of never stopping, which is what is missing to 1) that saves most within the
    budgets."""
    # A plan from the cache needs no solver, and should not wait for one to load.
    from scipy.optimize import linprog

    saved = np.array([p.saved for p in policies])
    limits = np.vstack((_spent(policies, budgets).T, np.ones(len(policies))))
    solved = linprog(-saved, A_ub=limits, b_ub=np.append(budgets > 0, 1.0), method="highs-ds")
    return solved.x, -float(solved.fun)


def _spent(policies: list[_Policy], budgets: Floats) -> Floats:
    """Risks in units of their budgets, shape (policies, 2): a solver of linear programs takes 1e-9 for 0."""
    return np.array([p.risks for p in policies]) / np.where(budgets > 0, budgets, 1.0)


def _next_multipliers(policies: list[_Policy], budgets: Floats, centre: Floats, radius: float) -> Floats:
    """Where the dual function, as far as the policies tell, is least inside the box; never stopping tells that it is ≥
    Σλε."""
    # A plan from the cache needs no solver, and should not wait for one to load.
    from scipy.optimize import linprog

    unit = np.where(budgets > 0, budgets, 1.0)
    slack = np.where(budgets > 0, 1.0, 0.0) - np.vstack((_spent(policies, budgets), np.zeros(2)))
    known = np.append([p.saved for p in policies], 0.0)
    box = [(c * (1 - radius), c * (1 + radius)) for c in centre * unit]
    cuts = np.column_stack((slack, -np.ones(len(known))))
    solved = linprog([0, 0, 1], A_ub=cuts, b_ub=-known, bounds=[*box, (None, None)], method="highs-ds")
    return np.asarray(solved.x[:2]) / unit


def _round(lattice: _Lattice, policies: list[_Policy], mix: Floats) -> list[Boundary]:
    """The thresholds beyond which the mixture surely stops; whatever it randomises goes on."""
    used = [(w, p) for w, p in zip(mix, policies, strict=True) if w > _UNUSED]
    never = max(0.0, 1.0 - sum(w for w, _ in used) - len(mix) * _UNUSED)
    boundaries = []
    for i, look in enumerate(lattice.looks):
        go = never + sum(w * p.go[i] for w, p in used)
        stop = sum((w * p.stop[i] for w, p in used), np.zeros(len(look.k)))
        goes_on = np.asarray(go > _UNUSED * (go + stop))
        boundaries.append(Boundary(look.n, _reject_at(look, goes_on, stop), _accept_at(look, goes_on, stop)))
    return boundaries


def _accept_at(look: _Look, goes_on: NDArray[np.bool_], stop: Floats) -> int | None:
    held = look.k[goes_on | ~look.accepts]
    least = int(held[-1]) + 1 if len(held) else int(look.k[0])
    return least if np.any(stop[look.k >= least] > 0) else None


def _reject_at(look: _Look, goes_on: NDArray[np.bool_], stop: Floats) -> int | None:
    held = look.k[goes_on | look.accepts]
    most = int(held[0]) - 1 if len(held) else int(look.k[-1])
    return most if np.any(stop[look.k <= most] > 0) else None
