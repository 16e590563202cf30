"""How much disagreement is agreed, by direction."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from suffice.errors import PlanError

MaxDisagreement: TypeAlias = float | Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Budget:
    """Bounds on P(adaptive accepts, baseline rejects) and on P(adaptive rejects, baseline accepts), each in [0, 1).

    A truth is on one side of the baseline's threshold or mixes both, so the overall disagreement is at most the larger
    of the two.
    """

    accept: float
    reject: float

    def __post_init__(self) -> None:
        for side, bound in (("accept", self.accept), ("reject", self.reject)):
            if isinstance(bound, bool) or not isinstance(bound, (int, float)) or not 0 <= bound < 1:
                raise PlanError(f"max_disagreement ({side}) is {bound!r}; allowed: a number from 0 to below 1")

    @classmethod
    def of(cls, value: MaxDisagreement) -> "Budget":
        """One number for both directions, or {"accept": …, "reject": …}. Raises PlanError for anything else."""
        if not isinstance(value, Mapping):
            return cls(value, value)
        if set(value) != {"accept", "reject"}:
            raise PlanError(f"max_disagreement has the keys {sorted(value)}; allowed: accept and reject, both")
        return cls(value["accept"], value["reject"])

    @property
    def value(self) -> float | dict[str, float]:
        """As it is written in plans and configurations."""
        accept, reject = float(self.accept), float(self.reject)
        return accept if accept == reject else {"accept": accept, "reject": reject}

    @property
    def largest(self) -> float:
        return max(self.accept, self.reject)
