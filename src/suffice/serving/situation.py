"""What the rollout in the store says about decisions right now."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from suffice.errors import DataError, StoreError
from suffice.serving.served import Feed
from suffice.stopping.plan import Plan
from suffice.store.database import Store
from suffice.store.rollouts import StoredRollout, newest_rollout

SERVICE = "verifier"
"""The service that a rollout is about when nobody names one."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def check_service(name: str) -> str:
    """The name of a service. Raises DataError for one that could be a path, or none that a person can type."""
    if not _NAME.fullmatch(name):
        allowed = "a name of at most 64 letters, digits, '.', '_' and '-', the first a letter or digit"
        raise DataError(f"the service is {name[:80]!r}; allowed: {allowed}")
    return name


CACHE_SECONDS = 1.0
"""How long an answer of the store is used again."""

_IN_FORCE = ("Progressing", "Paused", "Completed")


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


class StoredSituation:
    """The situation of a service, read from its newest rollout in the store at most once in `seconds`.

    Decisions made while no stage is in force (before the start, and from a rollback on) belong to the stage "", and are
    not audited. A store that does not answer leaves the last answer in force: which arm a decision takes is the flag's
    word alone. `clock` is monotonic. Safe to share between threads.
    """

    def __init__(
        self,
        store: Store,
        service: str = SERVICE,
        *,
        seconds: float = CACHE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._service = store, service
        self._seconds, self._clock = seconds, clock
        self._known, self._read_at = Situation(), float("-inf")
        self._lock = Lock()

    def __call__(self) -> Situation:
        with self._lock:
            now = self._clock()
            if now - self._read_at >= self._seconds:
                self._read_at = now
                self._known = self._read()
            return self._known

    def _read(self) -> Situation:
        try:
            with self._store.read() as connection:
                newest = newest_rollout(connection, self._service)
        except StoreError:
            return self._known
        return Situation() if newest is None else _situation(newest)


@dataclass(frozen=True, slots=True)
class Salts:
    """The salts of a rollout: targets keep arm and audit within it, and the two are independent."""

    arm: str
    audit: str

    @classmethod
    def of(cls, rollout: str) -> "Salts":
        return cls(arm=rollout, audit=f"{rollout}/audit")


def _situation(newest: StoredRollout) -> Situation:
    plan = newest.config.get("plan")
    if newest.phase not in _IN_FORCE:
        return Situation(rollout=newest.id, plan_id=plan)
    stage = newest.state["stages"][newest.state["stage"]]
    return Situation(
        rollout=newest.id,
        stage=stage["name"],
        audit_fraction=stage["audit_fraction"],
        audit_salt=Salts.of(newest.id).audit,
        shadow=stage["shadow"],
        plan_id=plan,
    )
