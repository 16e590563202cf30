"""Where a rollout in production lives, and what it needs of the world."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from suffice.flag.client import FlagClient
from suffice.serving.situation import SERVICE
from suffice.sources.correction import Correction
from suffice.store.database import Store

Corrections: TypeAlias = Callable[[Mapping[str, Any]], Iterable[Correction]]
"""The corrections of a source, as a rollout has it stored."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service keeps its configuration, and the folder of its store, flag and triage bundles.

    A folder has one flag, so it belongs to one service.
    """

    config: Path = Path("config.json")
    queue: Path = Path("TemporaryQueue")
    service: str = SERVICE

    @property
    def store(self) -> Path:
        return self.queue / "store.db"

    @property
    def flag(self) -> Path:
        return self.queue / "flag.json"


@dataclass(frozen=True, slots=True)
class World:
    """What a rollout touches. `clock` gives seconds since the epoch; the flag is opened when it is first needed."""

    place: Place
    store: Store
    clock: Callable[[], float]
    flag: Callable[[], FlagClient]
    corrections: Corrections | None = None
