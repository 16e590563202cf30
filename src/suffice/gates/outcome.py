"""What a gate answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from suffice.errors import MissingDataError


class Outcome(Enum):
    """The answer of a gate. Every outcome but SUCCESSFUL keeps a stage from ending; FAILED rolls back."""

    SUCCESSFUL = "Successful"
    INCONCLUSIVE = "Inconclusive"
    ERROR = "Error"
    FAILED = "Failed"


_SEVERITY = (Outcome.SUCCESSFUL, Outcome.INCONCLUSIVE, Outcome.ERROR, Outcome.FAILED)


@dataclass(frozen=True, slots=True)
class GateResult:
    """One judgement. `sentence` holds the measured value and the limit; `value` is None when nothing could be measured.

    `numbers` holds whatever else the judgement saw, as plain JSON values. `parts` are the checks of a gate that asks
    several, each with its outcome and sentence; the gate's own are those of the worst.
    """

    gate: str
    outcome: Outcome
    sentence: str
    value: float | None
    limit: float | None
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    parts: tuple["GateResult", ...] = ()

    @property
    def named(self) -> str:
        """The sentence, and whose it is: for whoever reads no table beside it."""
        return f"{self.gate}: {self.sentence}"


def unknown(gate: str, error: MissingDataError, limit: float, shown: str) -> GateResult:
    """A gate's answer to evidence that is missing or impossible; `shown` is its limit in words."""
    return GateResult(gate, Outcome.ERROR, f"{error} (limit {shown})", None, limit)


def worst(results: Iterable[GateResult]) -> Outcome:
    """The worst outcome, in the order Successful, Inconclusive, Error, Failed; Error when there is no result at all."""
    outcomes = [result.outcome for result in results]
    return max(outcomes, key=_SEVERITY.index) if outcomes else Outcome.ERROR
