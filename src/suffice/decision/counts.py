"""Count rules, and their tally: how many draws succeeded."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import isfinite, sqrt
from typing import Any, ClassVar

from suffice.decision.rule import Decision, Rule, Tally
from suffice.decision.state import State, counts
from suffice.errors import DataError, RunError, shown
from suffice.sampling.draw import as_number


class CountRule(Rule):
    """A rule that accepts iff at least `threshold(n)` of n draws succeed.

    Which draws succeed is the rule's matter: the tally's statistic is the number of them.
    """

    __slots__ = ()
    counts: ClassVar[bool] = True

    @abstractmethod
    def threshold(self, n: int) -> int:
        """The least number of successes among n draws that is ACCEPTED; n + 1 when none is."""

    def critical(self, n: int) -> int:
        return self.threshold(n)

    def decide(self, tally: Tally) -> Decision:
        return Decision.ACCEPTED if tally.statistic >= self.threshold(tally.n) else Decision.REJECTED

    def effect(self, tally: Tally) -> float:
        """In binomial standard errors at the boundary, half a success below the threshold."""
        n = tally.n
        boundary = self.threshold(n) - 0.5
        variance = boundary * (n - boundary) / n
        return (tally.statistic - boundary) / sqrt(variance) if variance > 0 else n


class CountTally:
    """Counts the draws that are 1 or True; the others are 0 or False, and anything else that is finite is refused.

    Here the ones are the successes; `ZeroTally` takes the zeros.
    """

    __slots__ = ("n", "successes")
    may_accept = True

    def __init__(self) -> None:
        self.n = 0
        self.successes = 0

    def add(self, draws: Sequence[float]) -> bool:
        try:
            successes = draws.count(1)
            failures = draws.count(0)
        except ValueError:
            # An array does not say whether it equals a number.
            return self._add_until_invalid(draws)
        if successes + failures == len(draws):
            self.n += len(draws)
            self.successes += successes
            return True
        return self._add_until_invalid(draws)

    def _add_until_invalid(self, draws: Sequence[float]) -> bool:
        position = next(i for i, draw in enumerate(draws) if not _is_binary(draw))
        self.n += position
        self.successes += draws[:position].count(1)
        number = as_number(draws[position])
        if number is None or isfinite(number):
            raise DataError(
                f"draw {self.n + 1} is {shown(draws[position])}; a success is 1 or True, a failure 0 or False"
            )
        self.n += 1
        return False

    @property
    def statistic(self) -> float:
        return self.successes

    @property
    def estimate(self) -> float:
        return self.successes / self.n

    @property
    def state(self) -> State:
        return {"n": self.n, "successes": self.successes}

    def restore(self, state: Mapping[str, object]) -> None:
        n, successes = counts(state, "n", "successes")
        if successes > n:
            raise RunError(f"the state has {successes} successes of {n} draws; allowed: at most {n}")
        self.n, self.successes = n, successes


def _is_binary(draw: Any) -> bool:
    return not getattr(draw, "ndim", 0) and draw in (0, 1)


class ZeroTally(CountTally):
    """A count tally whose statistic is the number of zeros, for claims that many ones speak against."""

    __slots__ = ()

    @property
    def statistic(self) -> float:
        return self.n - self.successes
