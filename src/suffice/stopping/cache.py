"""Plans on disk, so that a solver runs once for a request."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from suffice import strict_json
from suffice.errors import OutputError, PlanError
from suffice.files import read_whole, write_atomically
from suffice.stopping.plan import Plan
from suffice.stopping.request import Request

SOLVER = 2
"""Raised whenever a method would make another table for the same request, so that old entries are not found any
more."""


class PlanCache:
    """A folder of plans, each with the request it answers, and named by that request's hash.

    Guarantees that what is returned equals what `make` would give: an entry that is broken, edited or of another
    request is made anew and replaced. A folder that cannot be written only costs the time to solve again.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)

    def get(self, request: Request, make: Callable[[], Plan]) -> Plan:
        asked = {**request.content(), "solver": SOLVER}
        name = sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        path = self._folder / f"{name}.json"
        with suppress(OSError, ValueError, PlanError):
            entry = strict_json.loads(read_whole(path))
            if isinstance(entry, dict) and entry.get("request") == asked and isinstance(entry.get("plan"), dict):
                return Plan.from_dict(entry["plan"])
        plan = make()
        with suppress(OutputError):
            write_atomically(path, json.dumps({"request": asked, "plan": plan.to_dict()}) + "\n")
        return plan


def default_cache() -> PlanCache:
    """The user's plan cache: $SUFFICE_CACHE_DIR, or the platform's cache folder."""
    named = os.environ.get("SUFFICE_CACHE_DIR")
    if named:
        return PlanCache(Path(named) / "plans")
    from platformdirs import user_cache_path

    return PlanCache(user_cache_path("suffice") / "plans")
