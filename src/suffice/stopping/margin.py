"""Method `margin`: the usual heuristic, kept for comparison and for old configurations.

Look at n0, n0·multiplier, …; stop when the p-value is outside alpha ± margin, or the running share outside at_least ±
margin. It has no bound by design; its plan carries the true worst case, which is large. (An accept stop also waits for
|mean| > min_effect.)
"""

from fractions import Fraction
from math import ceil, floor

from suffice.decision.counts import CountRule
from suffice.decision.means import MeanRule, critical_t
from suffice.decision.proportion import Proportion
from suffice.errors import PlanError
from suffice.stopping.request import Design, Margin, Request
from suffice.stopping.run import Boundary


def looks(n: int, margin: Margin) -> tuple[int, ...]:
    """n0, n0·multiplier, … below n. Raises PlanError when they would not rise."""
    if not (margin.n0 >= 1 and margin.multiplier > 1):
        raise PlanError(
            f"margin looks start at n0 = {margin.n0} and grow by multiplier = {margin.multiplier}; "
            "allowed: n0 at least 1, multiplier above 1"
        )
    if not 0 <= margin.early_stop_margin < 1:
        raise PlanError(f"early_stop_margin is {margin.early_stop_margin}; allowed: from 0 to below 1")
    at, found = float(margin.n0), []
    while at < n:
        found.append(int(at))
        at = max(at * margin.multiplier, int(at) + 1)
    return tuple(found)


def design_counts(request: Request, rule: CountRule) -> Design:
    """Stop when successes/n is strictly outside the threshold's share ± margin."""
    if not isinstance(rule, Proportion):
        raise PlanError(
            f"method margin is not made for rule {rule.name}; allowed: a rule with a running share or p-value"
        )
    share = Fraction(str(rule.at_least))
    half = Fraction(str(request.margin.early_stop_margin))

    def boundary(n: int) -> Boundary:
        reject_at, accept_at = ceil((share - half) * n) - 1, floor((share + half) * n) + 1
        return Boundary(n, reject_at if reject_at >= 0 else None, accept_at if accept_at <= n else None)

    return Design(tuple(boundary(n) for n in request.looks))


def design_means(request: Request, rule: MeanRule) -> Design:
    """Stop when the p-value is outside alpha ± margin."""

    def t_of(p: float, n: int) -> float | None:
        return critical_t(p, n, two_sided=rule.two_sided) if 0 < p < 1 else None

    half = request.margin.early_stop_margin
    bounds = ((n, t_of(rule.alpha + half, n), t_of(rule.alpha - half, n)) for n in request.looks if n > 1)
    return Design(tuple(Boundary(n, reject_at, accept_at) for n, reject_at, accept_at in bounds))
