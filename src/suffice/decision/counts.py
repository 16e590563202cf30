"""Count rules, and their tally: how many draws succeeded."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import isfinite, sqrt
from typing import ClassVar

from suffice.decision.rule import Decision, Rule, Tally
from suffice.decision.state import State, counts
from suffice.errors import DataError, RunError


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
        successes = draws.count(1)
        if successes + draws.count(0) == len(draws):
            self.n += len(draws)
            self.successes += successes
            return True
        return self._add_until_invalid(draws)

    def _add_until_invalid(self, draws: Sequence[float]) -> bool:
        position = next(i for i, draw in enumerate(draws) if draw not in (0, 1))
        if isfinite(draws[position]):
            raise DataError(
                f"draw {self.n + position + 1} is {draws[position]!r}; a success is 1 or True, a failure 0 or False"
            )
        self.n += position + 1
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


class ZeroTally(CountTally):
    """A count tally whose statistic is the number of zeros, for claims that many ones speak against."""

    __slots__ = ()

    @property
    def statistic(self) -> float:
        return self.n - self.successes
