"""Method `margin`: the usual heuristic, kept for comparison and for old configurations.

Look at n0, n0·multiplier, …; stop when the p-value is outside alpha ± margin, or the running share outside at_least ±
margin. It has no bound by design; its plan carries the true worst case, which is large. (An accept stop also waits for
|mean| > min_effect.)
"""

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
    at, looks = float(margin.n0), []
    while at < n:
        looks.append(int(at))
        at = max(at * margin.multiplier, int(at) + 1)
    return tuple(looks)


def design(request: Request) -> Design:
    """Stop outside the margin, wherever the rule has a statistic (t has none of one draw)."""
    rule, half = request.rule, request.margin.early_stop_margin
    # Of N, too: a rule without margin is refused also where there is no look.
    *boundaries, _ = (Boundary(n, *rule.margin(n, half)) for n in (*request.looks, request.n) if rule.counts or n > 1)
    return Design(tuple(boundaries))
