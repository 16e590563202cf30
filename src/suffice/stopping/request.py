"""What a plan is asked for, and what a method answers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from suffice.decision.rule import Rule
from suffice.stopping.budget import Budget
from suffice.stopping.run import Boundary

if TYPE_CHECKING:
    from suffice.config import AdaptiveSamplingConfig


@dataclass(frozen=True, slots=True)
class Margin:
    """The options of method `margin`: the first look, the factor between looks, and how far outside counts as clear."""

    n0: int = 64
    multiplier: float = 2
    early_stop_margin: float = 0.01

    @classmethod
    def of(cls, section: "AdaptiveSamplingConfig") -> "Margin":
        """As a configuration has them."""
        return cls(section.n0, section.multiplier, section.early_stop_margin)


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that determines a plan."""

    rule: Rule
    n: int
    method: str
    budget: Budget
    looks: tuple[int, ...]
    margin: Margin
    guarded: bool = False

    def content(self) -> Mapping[str, Any]:
        """As plain JSON values; equal requests have equal content."""
        return {
            "rule": self.rule.name,
            "parameters": dict(self.rule.parameters),
            "n": self.n,
            "method": self.method,
            "max_disagreement": self.budget.value,
            "looks": list(self.looks),
            "margin": asdict(self.margin),
            "guarded": self.guarded,
        }


@dataclass(frozen=True, slots=True)
class Design:
    """The boundaries a method chose; `lower_bound` is the ASN that no plan with these looks and this budget can be
    below."""

    boundaries: tuple[Boundary, ...]
    lower_bound: float | None = None
