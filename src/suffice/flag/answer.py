"""What an answer of the flag holds, and who gives it."""

from dataclasses import dataclass
from typing import Protocol

from suffice.verifier.arm import Arm


@dataclass(frozen=True, slots=True)
class FlagAnswer:
    """One evaluation. `resolved` says that the flag itself named the arm; otherwise `arm` is FIXED by default.

    `reason` is OpenFeature's word (STATIC, TARGETING_MATCH, …) when resolved, else the sentence that says what failed.
    """

    arm: Arm
    resolved: bool
    reason: str


class Flag(Protocol):
    """Whatever answers for a target; `FlagClient` is the one that production uses."""

    def ask(self, target: str, region: str | None = None) -> FlagAnswer:
        """The arm of `target`; raises nothing of its own."""
        ...
