"""Exact operating characteristics of any count plan.

Knows a table of boundaries, N and the threshold, and nothing of how the table was made. Given K successes among the N
draws, in exchangeable order, the first n successes are hypergeometric, and every order of the first n outcomes with k
successes is equally likely: the share of those orders that a plan has not stopped before, φ(n, k), does not depend on
K. One forward recursion for φ therefore gives the disagreement for every K and, as mixtures over K, for every
probability of success.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, bdtrc, gammaln, xlog1py, xlogy

from suffice.sampling.distributions import Floats
from suffice.stopping.run import Boundary

Ints = NDArray[np.int64]


def log_factorials(n: int) -> Floats:
    """log 0! … log n!, shape (n + 1,)."""
    factorials: Floats = gammaln(np.arange(n + 1) + 1.0)
    return factorials


def log_choose(factorials: Floats, n: Ints | int, k: Ints) -> Floats:
    """log C(n, k); −∞ where k is not in 0 … n."""
    inside = (k >= 0) & (k <= n)
    n_, k_ = np.broadcast_arrays(n, np.where(inside, k, 0))
    return np.where(inside, factorials[n_] - factorials[k_] - factorials[n_ - k_], -np.inf)


def hypergeometric(factorials: Floats, total: Ints | int, k: Ints, n: Ints | int, size: Ints | int) -> Floats:
    """P(k successes among the first n of `size` outcomes, given `total` successes in all of them)."""
    log = log_choose(factorials, n, k) + log_choose(factorials, size - n, total - k)
    return np.exp(log - log_choose(factorials, size, np.asarray(total)))


@dataclass(frozen=True, slots=True, eq=False)
class CountOperating:
    """Where a count plan stops. Entry i: at n[i] draws with k[i] successes, share[i] of the orders that lead there stop
    there.

    `accepts[i]` tells for which side. Draws that never stop reach N and decide as the baseline does.
    """

    size: int
    threshold: int
    n: Ints
    k: Ints
    share: Floats
    accepts: NDArray[np.bool_]
    exact: ClassVar[bool] = True

    def disagreement_given(self, total: int) -> float:
        """P(early decision ≠ baseline | `total` successes among all N draws)."""
        wrong = self.accepts != (total >= self.threshold)
        factorials = log_factorials(self.size)
        reached = hypergeometric(factorials, total, self.k[wrong], self.n[wrong], self.size)
        return float(reached @ self.share[wrong])

    def worst(self) -> tuple[float, int]:
        """The largest disagreement over every truth, and the total at which it occurs.

        Only the totals beside the threshold can be worst: one more success among the N outcomes can only bring an
        accept stop forward and put a reject stop off (couple the two samples by changing one outcome), so P(stop and
        accept | K) rises with K and P(stop and reject | K) falls; every probability of success is a mixture over K.
        """
        beside = [k for k in (self.threshold - 1, self.threshold) if 0 <= k <= self.size]
        return max((self.disagreement_given(total), total) for total in beside)

    def worst_by_side(self) -> tuple[float, float]:
        """The largest P(adaptive accepts, baseline rejects) and the largest P(adaptive rejects, baseline accepts)."""
        accepts = self.disagreement_given(self.threshold - 1) if self.threshold > 0 else 0.0
        return accepts, self.disagreement_given(self.threshold) if self.threshold <= self.size else 0.0

    def disagreement(self, p: float) -> float:
        """P(early decision ≠ baseline) when draws succeed independently with probability p."""
        rest, missing = self.size - self.n, self.threshold - self.k
        short = np.clip(missing - 1, 0, rest)
        below = np.where(missing > 0, bdtr(short, rest, p), 0.0)
        reaches = np.where(missing > 0, bdtrc(short, rest, p), 1.0)
        return float((self._reached(p) * np.where(self.accepts, below, reaches)) @ self.share)

    def asn(self, p: float) -> float:
        """Expected draws when draws succeed independently with probability p."""
        return float(self.size - self.stop_chances(p) @ (self.size - self.n))

    def mean_asn(self) -> float:
        """Expected draws when every probability of success is equally likely (then every count of successes is,
        too)."""
        return float(self.size - ((self.size - self.n) / (self.n + 1)) @ self.share)

    def stop_chances(self, p: float) -> Floats:
        """P(stop there) for each stopping point `n`, `k`, when draws succeed independently with probability p; the rest
        goes on to N."""
        return self._reached(p) * self.share

    def _reached(self, p: float) -> Floats:
        log = log_choose(log_factorials(self.size), self.n, self.k)
        probability: Floats = np.exp(log + xlogy(self.k, p) + xlog1py(self.n - self.k, -p))
        return probability


def count_operating(size: int, threshold: int, boundaries: Sequence[Boundary]) -> CountOperating:
    """Follow the share of orders not yet stopped from look to look. Boundaries in rising order of n, all below
    `size`."""
    factorials = log_factorials(size)
    stops: list[tuple[Ints, Ints, Floats, NDArray[np.bool_]]] = []
    n, k, open_share = 0, np.zeros(1, dtype=np.int64), np.ones(1)
    for boundary in boundaries:
        if (boundary.reject_at is None and boundary.accept_at is None) or not len(k):
            continue
        k, arriving = _advance(factorials, n, k, open_share, boundary.n)
        n = boundary.n
        accepts = k >= (size + 1 if boundary.accept_at is None else boundary.accept_at)
        rejects = k <= (-1 if boundary.reject_at is None else boundary.reject_at)
        stopped = accepts | rejects
        stops.append((np.full(int(stopped.sum()), n), k[stopped], arriving[stopped], accepts[stopped]))
        k, open_share = k[~stopped], arriving[~stopped]
    n_, k_, share, side = (np.concatenate(column) for column in zip(*(stops or [_NOWHERE]), strict=True))
    return CountOperating(size, threshold, n_, k_, share, side)


_NOWHERE = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.bool_))


def _advance(factorials: Floats, n: int, k: Ints, share: Floats, n_next: int) -> tuple[Ints, Floats]:
    """φ at the next look: each order of n_next outcomes is an order of its first n, which is hypergeometric given the
    total."""
    jump = n_next - n
    k_next = np.arange(k[0], k[-1] + jump + 1)
    orders, orders_next = log_choose(factorials, n, k), log_choose(factorials, n_next, k_next)
    between = log_choose(factorials, jump, np.arange(jump + 1))
    arriving = np.zeros(len(k_next))
    for step in range(jump + 1):
        at = k - k[0] + step
        arriving[at] += share * np.exp(orders + between[step] - orders_next[at])
    return k_next, arriving
