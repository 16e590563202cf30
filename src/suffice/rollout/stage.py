"""The stages of a rollout and the limits it is watched with, as the configuration states them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """One step: who is adaptive, how long at least, and how many audits at least.

    `weight` is the percentage of targets in `regions` (all regions when empty); a shadow stage computes adaptive
    decisions beside the fixed ones and never uses them. `hold` is in seconds. A stage without hold and audits needs no
    proof of its own: the last one, which is watched for good.
    """

    name: str
    weight: int
    regions: tuple[str, ...] = ()
    shadow: bool = False
    hold: float = 0.0
    audit_fraction: float = 1.0
    min_audits: int = 0
    approval: bool = False

    @property
    def needs_proof(self) -> bool:
        return self.hold > 0 or self.min_audits > 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How a rollout is watched. `cycle` is the seconds between two cycles.

    Failures, inconclusive cycles and consecutive errors beyond their limit act: failures roll back, the others pause.
    A stage whose hold and exposure have passed without proof is extended once, by its hold; a cycle counts as
    inconclusive only after that.
    """

    cycle: float
    failure_limit: int = 0
    inconclusive_limit: int = 4
    consecutive_error_limit: int = 4
