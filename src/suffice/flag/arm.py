"""The two arms, and what an answer of the flag holds."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Arm(StrEnum):
    """Which path a production decision takes. FIXED is also the answer to everything that is not known."""

    FIXED = "fixed"
    ADAPTIVE = "adaptive"


@dataclass(frozen=True, slots=True)
class Answer:
    """One evaluation. `resolved` says that the flag itself named the arm; otherwise `arm` is FIXED by default.

    `reason` is OpenFeature's word (STATIC, TARGETING_MATCH, …) when resolved, else the sentence that says what failed.
    """

    arm: Arm
    resolved: bool
    reason: str


class Flag(Protocol):
    """Whatever answers for a target; `FlagClient` is the one that production uses."""

    def ask(self, target: str, region: str | None = None) -> Answer:
        """The arm of `target`; raises nothing of its own."""
        ...
