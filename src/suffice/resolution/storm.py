"""The rollback-storm policy: a target whose corrections are rolled back again and again is given to a person."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from suffice.errors import ConfigError

if TYPE_CHECKING:
    from suffice.config import Config


@dataclass(frozen=True, slots=True)
class StormState:
    """What the policy knows of one target."""

    consecutive_rollbacks: int = 0
    needs_review: bool = False


@dataclass(frozen=True, slots=True)
class StormPolicy:
    """Promote a target to needs_review at its `max_rollbacks`-th consecutive rollback; None never does.

    A commit sets the count back to 0. A target that needs review stays so until a person closes the review, whatever
    else is decided about it. So it escalates once, and again only if it storms again. A correction that could not be
    decided (INVALID) is neither a rollback nor a commit here. Raises ConfigError when max_rollbacks is below 1.
    """

    max_rollbacks: int | None = 3

    def __post_init__(self) -> None:
        if self.max_rollbacks is not None and self.max_rollbacks < 1:
            raise ConfigError(f"max_rollbacks is {self.max_rollbacks}; allowed: at least 1")

    @classmethod
    def of(cls, config: "Config") -> "StormPolicy":
        """The policy of a configuration; one that is switched off never promotes."""
        section = config.error_resolution.rollback_storm_policy
        return cls(section.max_rollbacks if section.enabled else None)

    def after(self, state: StormState, *, accepted: bool) -> StormState:
        """The state after one more decision about the target."""
        if state.needs_review:
            return state
        if accepted:
            return replace(state, consecutive_rollbacks=0)
        count = state.consecutive_rollbacks + 1
        return StormState(count, needs_review=self.max_rollbacks is not None and count >= self.max_rollbacks)


def replay(decisions: Iterable[tuple[str, bool]], max_rollbacks: int | None) -> Counter[str]:
    """How often each target escalates when these (target, accepted) are decided in this order.

    That is 0 or 1, as no person closes a review in a replay. To compare two worlds, replay the decisions that each
    made about the same corrections.
    """
    policy, states, escalations = StormPolicy(max_rollbacks), dict[str, StormState](), Counter[str]()
    for target, accepted in decisions:
        before = states.get(target, StormState())
        states[target] = policy.after(before, accepted=accepted)
        escalations[target] += states[target].needs_review and not before.needs_review
    return escalations
