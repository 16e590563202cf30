"""A case: one thing to decide."""

from dataclasses import dataclass

from suffice.sampling.sampler import Sampler


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to decide. `key` is unique and names the stream; `target` is the record or item it is about.

    `direction` is the sign of the claimed change (+1, −1, or 0 for none) and matters only for pairs. `effect` is the
    truth, in standard errors from the rule's decision boundary, where a generated case knows it.
    """

    key: str
    target: str
    sampler: Sampler
    region: str | None = None
    direction: int = 1
    effect: float | None = None
