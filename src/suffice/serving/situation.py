"""What a rollout says about the decisions of its service."""

import re
from dataclasses import dataclass

from suffice.errors import DataError
from suffice.serving.served import Feed
from suffice.stopping.plan import Plan

SERVICE = "verifier"
"""The service that a rollout is about when nobody names one."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_service(name: str) -> str:
    """The name of a service. Raises DataError for one that could be a path, or none that a person can type."""
    if not _NAME.fullmatch(name):
        allowed = "a name of at most 64 letters, digits, '.', '_' and '-', the first a letter or digit"
        raise DataError(f"the service is {name[:80]!r}; allowed: {allowed}")
    return name


@dataclass(frozen=True, slots=True)
class Situation:
    """What a rollout says about decisions right now: where they belong, and which targets are audited.

    In the `shadow` nobody is adaptive; audited targets get both decisions and use the fixed one. `plan_id` is the plan
    that the rollout is about (None: any); a verifier with another one decides fixed. `plan` and `feed` stand in for the
    verifier's own adaptive path where a rehearsal makes it faulty; as with a bug, its rows claim the verifier's plan.
    """

    rollout: str = ""
    stage: str = ""
    audit_fraction: float = 0.0
    audit_salt: str = "audit"
    shadow: bool = False
    plan_id: str | None = None
    plan: Plan | None = None
    feed: Feed | None = None


@dataclass(frozen=True, slots=True)
class Salts:
    """The salts of a rollout: targets keep arm and audit within it, and the two are independent."""

    arm: str
    audit: str

    @classmethod
    def of(cls, rollout: str) -> "Salts":
        return cls(arm=rollout, audit=f"{rollout}/audit")
