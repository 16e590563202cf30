"""From a Brownian motion to plans for the t statistic: boundaries, looks, and how much of a budget a table may use."""

from collections.abc import Sequence
from math import sqrt

from scipy.special import ndtr, stdtrit

from suffice.errors import PlanError
from suffice.stopping.budget import Budget
from suffice.stopping.run import Boundary

FIRST_LOOK = 16
"""Before it the t statistic has too few degrees of freedom to be taken for a Brownian motion, and nearly nothing would
stop."""

MOST_LOOKS = 1000

NORMAL_SHARE = 0.9
"""The t statistic of normal draws, under tables made for a Brownian motion, disagrees up to 1.06 times as often at 1 %
and 1.12 times at 0.1 % (N = 64 … 256, a million simulated runs an effect)."""

GUARDED_SHARE = 0.4
"""What is left to the table for draws of unknown shape; the guard holds the rest."""


def brownian_budget(budget: Budget, *, guarded: bool) -> Budget:
    """The part of a budget that a table may use as a Brownian motion; the rest is in reserve for real draws."""
    share = GUARDED_SHARE if guarded else NORMAL_SHARE
    return Budget(share * budget.accept, share * budget.reject)


def allowed_looks(looks: Sequence[int]) -> tuple[int, ...]:
    """The looks at which a t rule may stop. Raises PlanError when they are too many to design for."""
    if len(looks) > MOST_LOOKS:
        raise PlanError(f"there are {len(looks)} looks; allowed for a rule on means: at most {MOST_LOOKS}")
    return tuple(n for n in looks if n >= FIRST_LOOK)


def t_of_z(z: float, n: int) -> float:
    """The t that has, with n − 1 degrees of freedom, the tail probability of z."""
    t = -float(stdtrit(n - 1, ndtr(-abs(z))))
    return t if z > 0 else -t


def score_boundary(n: int, t: float, reject: float | None, accept: float | None) -> Boundary:
    """The boundary at n draws that stops at these scores S(t); None for never."""
    reject_at, accept_at = (None if s is None else t_of_z(s / sqrt(t), n) for s in (reject, accept))
    return Boundary(n, reject_at, accept_at)
