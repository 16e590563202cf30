"""What every decision rule offers."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Protocol

from suffice.decision.state import State
from suffice.sampling.distributions import Floats


class Decision(Enum):
    """The outcome of a decision rule. INVALID: a draw was NaN or infinite; it is never a kind of ACCEPTED."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    INVALID = "invalid"


class Tally(Protocol):
    """What a rule needs to know of the draws seen so far."""

    @property
    def n(self) -> int:
        """Draws seen."""
        ...

    def add(self, draws: Sequence[float]) -> bool:
        """Add draws in order. False when one of them is NaN or infinite: `n` then counts up to that draw.

        Raises DataError, with nothing added, when a draw has a value that the rule cannot have.
        """
        ...

    @property
    def statistic(self) -> float:
        """The number that a plan's boundaries are compared with."""
        ...

    @property
    def may_accept(self) -> bool:
        """Whether anything beside the statistic forbids to accept now."""
        ...

    @property
    def estimate(self) -> float:
        """What a person reads: the share of successes, or the mean."""
        ...

    @property
    def state(self) -> State:
        """All that it knows, as plain JSON values."""
        ...

    def restore(self, state: Mapping[str, object]) -> None:
        """Become the tally that had this state. Raises RunError when it is no such state."""
        ...


class Rule(Protocol):
    """A fixed-sample test: the baseline that adaptive sampling keeps."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, float]: ...

    def check_n(self, n: int) -> None:
        """Raises PlanError when the rule cannot be applied to n draws."""
        ...

    def tally(self) -> Tally: ...

    def observations(self, draws: Floats, direction: int) -> list[float]:
        """What the tally is fed: shape (n,) values pass as they are, shape (n, 2) pairs (before, after) become numbers.

        A pair with a NaN or infinite member becomes NaN.
        """
        ...

    def decide(self, tally: Tally) -> Decision:
        """The decision when the tally holds all N draws."""
        ...

    def effect(self, tally: Tally) -> float:
        """How far the tally's estimate is from the decision boundary, in standard errors at its n; positive accepts."""
        ...
