"""What every decision rule offers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from suffice.decision.state import State
from suffice.errors import PlanError
from suffice.sampling.draw import as_number

if TYPE_CHECKING:
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

        Raises DataError, with the draws before it added, when a draw has a value that the rule cannot have.
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


class Rule(ABC):
    """A fixed-sample test: the baseline that adaptive sampling keeps.

    A rule is a `CountRule` or a `MeanRule`. `counts` tells which: whether draws succeed or fail, and the statistic is
    the number that succeeded. `min_effect` and `two_sided` are of mean rules.
    """

    __slots__ = ()
    name: ClassVar[str]
    counts: ClassVar[bool]
    two_sided: ClassVar[bool] = False

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, float]: ...

    @property
    def min_effect(self) -> float:
        return 0.0

    @property
    def ties_within(self) -> float:
        """Up to which relative difference the members of a pair count as equal."""
        return 0.0

    def check_n(self, n: int) -> None:
        """Raises PlanError when the rule cannot be applied to n draws."""
        if n < 1:
            raise PlanError(f"n is {n}; allowed: at least 1 draw")

    @abstractmethod
    def critical(self, n: int) -> float:
        """What the statistic of n draws must reach (a count) or exceed (t) to be ACCEPTED."""

    @abstractmethod
    def tally(self) -> Tally: ...

    def shape_tally(self) -> Tally:
        """A tally that knows the shape of the draws, too, where the rule's plans depend on it."""
        return self.tally()

    def observations(self, draws: "Floats", direction: int) -> list[float]:
        """What the tally is fed: shape (n,) values pass as they are, shape (n, 2) pairs (before, after) become numbers.

        A pair with a NaN or infinite member becomes NaN.
        """
        observed: list[float] = (draws if draws.ndim == 1 else self.of_pairs(draws, direction)).tolist()
        return observed

    @abstractmethod
    def of_pairs(self, pairs: "Floats", direction: int) -> "Floats":
        """The number that each pair is observed as."""

    @abstractmethod
    def decide(self, tally: Tally) -> Decision:
        """The decision when the tally holds all N draws."""

    @abstractmethod
    def effect(self, tally: Tally) -> float:
        """How far the tally's estimate is from the decision boundary, in standard errors at its n; positive accepts."""

    def margin(self, n: int, margin: float) -> tuple[float | None, float | None]:  # noqa: ARG002
        """The statistics at n draws up to which method `margin` rejects, and from which it accepts.

        Outside the running share, or p-value, ± margin. Raises PlanError for a rule that has neither.
        """
        raise PlanError(
            f"method margin is not made for rule {self.name}; allowed: a rule with a running share or p-value"
        )


def check_number(name: str, value: Any, allowed: str) -> None:
    """Raises PlanError, naming what is allowed, when a rule's parameter is no number."""
    if as_number(value) is None:
        raise PlanError(f"{name} is {value!r}; allowed: {allowed}")


def check_level(alpha: float) -> None:
    """Raises PlanError when alpha is not a level."""
    check_number("alpha", alpha, "a number between 0 and 1, like 0.05")
    if not 0 < alpha < 1:
        raise PlanError(f"alpha is {alpha}; allowed: between 0 and 1")
