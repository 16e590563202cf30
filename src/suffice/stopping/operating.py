"""Operating characteristics of any plan: disagreement and expected draws as functions of the truth.

The witness for every method: knows a rule, N and a table of boundaries, and nothing of how the table was made.
"""

from collections.abc import Sequence
from typing import TypeAlias

from suffice.decision.rule import Rule
from suffice.stopping.operating_counts import CountOperating, count_operating
from suffice.stopping.operating_means import MeanOperating, mean_operating
from suffice.stopping.run import Boundary

Operating: TypeAlias = CountOperating | MeanOperating


def operating(rule: Rule, n: int, boundaries: Sequence[Boundary]) -> Operating:
    """Exact for count rules, asymptotic for mean rules."""
    if rule.counts:
        return count_operating(n, int(rule.critical(n)), boundaries)
    return mean_operating(n, rule.critical(n), boundaries, two_sided=rule.two_sided)
