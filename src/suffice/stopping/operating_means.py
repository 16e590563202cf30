"""Operating characteristics of any plan for a t rule, by recursion over Brownian motion.

Asymptotic: the t statistic at n of N draws is taken as the score S(n/N)/√(n/N) of a Brownian motion with drift θ, the
effect in standard errors at N (canonical joint distribution; Jennison & Turnbull 2000, ch. 3 and 19). Each t boundary
is read as the z boundary of equal tail probability. The density of S among runs still open is carried from look to look
on Gauss–Legendre nodes at θ = 0 and tilted by exp(θ·s − θ²·t/2) for every other effect. It knows boundaries, N and the
critical value, and nothing of how the plan was made; a `min_effect` is taken as negligible.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import ndtr, ndtri_exp, stdtr

from suffice.sampling.distributions import Floats
from suffice.stopping.run import Boundary

LARGEST_EFFECT = 8.0
_TAIL = 8.5
_POINTS, _PANEL = 10, 1.5


@dataclass(frozen=True, slots=True)
class MeanOperating:
    """Where a plan for a t rule stops. Node i: at n[i] draws with score s[i], weight[i] is the mass (at θ = 0) that
    stops there.

    `critical` is the critical value of the fixed decision, as z (as |z| when `two_sided`); `accepts[i]` tells for which
    side the node stops. Effects run over 0 … 8 standard errors, over −8 … 8 when one-sided.
    """

    size: int
    critical: float
    n: Floats
    s: Floats
    weight: Floats
    accepts: np.typing.NDArray[np.bool_]
    two_sided: bool = True
    exact: ClassVar[bool] = False

    def disagreement(self, effect: float) -> float:
        """P(early decision ≠ baseline) when the true mean is `effect` standard errors (at N) from 0 (one-sided: from
        the value claimed)."""
        return sum(self.disagreement_by_side(effect))

    def disagreement_by_side(self, effect: float) -> tuple[float, float]:
        """P(adaptive accepts, baseline rejects) and P(adaptive rejects, baseline accepts) at an effect."""
        t = self.n / self.size
        final, spread = self.s + effect * (1 - t), np.sqrt(1 - t)
        baseline_rejects = ndtr((self.critical - final) / spread)
        if self.two_sided:
            baseline_rejects -= ndtr((-self.critical - final) / spread)
        mass = self._mass(effect)
        accepted = float((mass * baseline_rejects)[self.accepts].sum())
        return accepted, float((mass * (1 - baseline_rejects))[~self.accepts].sum())

    def asn(self, effect: float) -> float:
        """Expected draws when the true mean is `effect` standard errors (at N) from 0."""
        return float(self.size - (self.size - self.n) @ self._mass(effect))

    def mean_asn(self) -> float:
        """Expected draws with the effect spread evenly over the range of effects."""
        points, weights = np.polynomial.legendre.leggauss(40)
        low, high = self._range
        effects = low + (high - low) * (points + 1) / 2
        return float(weights @ [self.asn(e) for e in effects]) / 2

    def worst(self) -> tuple[float, float]:
        """The largest disagreement over the range of effects and the effect at which it occurs, to 0.001 standard
        errors.

        Beyond 8 nothing more is worst: the baseline accepts surely and a plan's chance to reject only falls.
        """
        return self._largest(self.disagreement)

    def worst_by_side(self) -> tuple[float, float]:
        """The largest P(adaptive accepts, baseline rejects) and the largest P(adaptive rejects, baseline accepts)."""
        accepts, _ = self._largest(lambda effect: self.disagreement_by_side(effect)[0])
        rejects, _ = self._largest(lambda effect: self.disagreement_by_side(effect)[1])
        return accepts, rejects

    def _largest(self, of: Callable[[float], float]) -> tuple[float, float]:
        low, high = self._range
        step = 0.1
        grid = np.arange(low, high + step / 2, step)
        while True:
            values = [of(float(e)) for e in grid]
            best = int(np.argmax(values))
            effect = float(grid[best])
            if step <= 0.001:
                return values[best], round(effect, 6)
            grid = np.clip(effect + np.linspace(-step, step, 21), low, high)
            step /= 10

    @property
    def _range(self) -> tuple[float, float]:
        return (0.0 if self.two_sided else -LARGEST_EFFECT), LARGEST_EFFECT

    def _mass(self, effect: float) -> Floats:
        mass: Floats = self.weight * np.exp(effect * self.s - effect**2 * self.n / self.size / 2)
        return mass


def z_of_t(t: float, n: int) -> float:
    """The z with the tail probability that t has with n − 1 degrees of freedom."""
    tail = stdtr(n - 1, -abs(t))
    z = float(-ndtri_exp(np.log(tail))) if tail > 0 else float(abs(t))
    return z if t > 0 else -z


def mean_operating(
    size: int, critical: float, boundaries: Sequence[Boundary], *, two_sided: bool = True
) -> MeanOperating:
    """Follow the density of open runs from look to look. `critical` and the boundaries are |t| values (t values unless
    `two_sided`); all n below `size`."""
    used = [b for b in boundaries if not (b.reject_at is None and b.accept_at is None)]
    steps = np.sqrt(np.diff([0, *(b.n for b in used), size]) / size)
    stops: list[tuple[Floats, Floats, Floats, np.typing.NDArray[np.bool_]]] = []
    nodes, mass = np.zeros(1), np.ones(1)
    for i, boundary in enumerate(used):
        root = np.sqrt(boundary.n / size)
        step, panel = steps[i], _PANEL * min(steps[i], steps[i + 1])
        reach = LARGEST_EFFECT * step**2 + _TAIL * step
        whole = LARGEST_EFFECT * root**2 + _TAIL * root
        far = min(float(nodes[-1]) + reach, whole) if len(nodes) else 0.0
        bottom = 0.0 if two_sided or not len(nodes) else max(float(nodes[0]) - reach, -whole)
        low = bottom if boundary.reject_at is None else z_of_t(boundary.reject_at, boundary.n) * root
        high = far if boundary.accept_at is None else z_of_t(boundary.accept_at, boundary.n) * root
        low, high = (float(np.clip(edge, bottom, far)) for edge in (low, high))
        for a, b, accepts in ((bottom, low, False), (high, far, True)):
            s, width = _nodes(a, b, panel)
            flow = width * _density(s, nodes, mass, step, mirrored=two_sided)
            stops.append((np.full(len(s), float(boundary.n)), s, flow, np.full(len(s), accepts)))
        s, width = _nodes(low, high, panel)
        nodes, mass = s, width * _density(s, nodes, mass, step, mirrored=two_sided)
    n, s, weight, side = (np.concatenate(column) for column in zip(*(stops or [_NOWHERE]), strict=True))
    if two_sided:
        n, s, weight, side = np.tile(n, 2), np.concatenate((s, -s)), np.tile(weight, 2), np.tile(side, 2)
    return MeanOperating(size, z_of_t(critical, size), n, s, weight, side, two_sided)


_NOWHERE = (np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, np.bool_))


def _nodes(low: float, high: float, panel: float) -> tuple[Floats, Floats]:
    """Gauss–Legendre nodes and weights on low … high, in panels of at most this width."""
    if high <= low:
        return np.zeros(0), np.zeros(0)
    points, weights = np.polynomial.legendre.leggauss(_POINTS)
    edges = np.linspace(low, high, int(np.ceil((high - low) / panel)) + 1)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (points + 1)).ravel(), (half * weights).ravel()


def _density(s: Floats, nodes: Floats, mass: Floats, step: float, *, mirrored: bool) -> Floats:
    """The density at s, one step after the masses at the nodes; `mirrored` when each node stands for −node too (the
    node 0 alone stands for itself)."""

    def kernel(distance: Floats) -> Floats:
        height: Floats = np.exp(-(distance**2) / (2 * step**2)) / (step * np.sqrt(2 * np.pi))
        return height

    density: Floats = kernel(s[:, None] - nodes) @ mass
    if mirrored and not (len(nodes) == 1 and nodes[0] == 0):
        density += kernel(s[:, None] + nodes) @ mass
    return density
