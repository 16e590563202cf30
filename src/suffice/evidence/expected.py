"""How often audits should disagree: what the plan itself says, given what the baseline saw.

An audit sees all N draws. Given how many of them succeeded, the plan says exactly how likely it was to decide otherwise
than the baseline; that holds for whatever truth, as long as the draws come in exchangeable order.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from math import log, log1p
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from suffice.decision.rule import Decision
from suffice.stopping.plan import Plan
from suffice.store.decision_row import DecisionRow

if TYPE_CHECKING:
    from suffice.stopping.operating_counts import CountOperating

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3)
"""Shares of the audits that disagree for another reason than the plan, which the evidence is mixed over."""

MOST = 1e4
"""A log that says "impossible", and yet is a number in JSON."""

ChanceOf: TypeAlias = Callable[[DecisionRow], float | None]
"""How likely the plan was to disagree with what an audit saw; None where it cannot say."""


@dataclass(slots=True)
class Expected:
    """Audits whose chance to disagree is known: how many, how many disagreed, and how many of them should have.

    `logs` are, for each of `SHARES`, the log likelihood ratio of "so many more disagree" against "as the plan says":
    (p + δ(1 − p)) / p for an audit that disagrees, 1 − δ for one that agrees, where the plan says p.
    """

    audits: int = 0
    disagreements: int = 0
    expected: float = 0.0
    logs: list[float] = field(default_factory=lambda: [0.0] * len(SHARES))

    def add(self, chance: float, *, disagrees: bool) -> None:
        self.audits += 1
        self.disagreements += disagrees
        self.expected += chance
        for place, share in enumerate(SHARES):
            self.logs[place] += _log_ratio(chance, share) if disagrees else log1p(-share)


def chance_of(plan_of: Callable[[str], Plan], plan_id: str) -> ChanceOf:
    """What the plan of a row's stage says of an audit, in a rollout of the plan with this id.

    It can tell for count rules, of an audit by that plan whose total is known. A decision that fell back was not the
    plan's, and one that was INVALID saw other draws than numbers.
    """

    def chance(row: DecisionRow) -> float | None:
        total, plan = row.baseline_statistic, plan_of(row.stage)
        if total is None or row.fell_back or row.plan_id != plan_id or not plan.rule.counts:
            return None
        if row.adaptive_decision is Decision.INVALID:
            return None
        return disagreement_given(plan, int(total)) if total == int(total) and 0 <= total <= plan.n else None

    return chance


def disagreement_given(plan: Plan, total: int) -> float:
    """P(the plan disagrees | so many successes among all N draws). Assumes a count rule."""
    operating = plan.operating
    if TYPE_CHECKING:
        assert isinstance(operating, CountOperating)
    return _given(operating, total)


def tail(chances: Iterable[float], count: int) -> float:
    """P(so many of independent events or more), each with its own chance: the Poisson binomial law, by convolution.

    Sums of positive terms only, so that a small probability is as exact as a large one.
    """
    if count <= 0:
        return 1.0
    # The last place is "so many or more", which nothing leaves.
    law = np.zeros(count + 1)
    law[0] = 1.0
    for chance in chances:
        if chance > 0:
            moved = chance * law[:-1]
            law[:-1] -= moved
            law[1:] += moved
    return float(min(law[-1], 1.0))


@lru_cache(maxsize=1 << 16)
def _given(operating: "CountOperating", total: int) -> float:
    return min(operating.disagreement_given(total), 1.0)


def _log_ratio(chance: float, share: float) -> float:
    return min(log(chance + share * (1 - chance)) - log(chance), MOST) if chance > 0 else MOST
