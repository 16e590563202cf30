"""Where a rollout in production lives, and what it needs of the world."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from suffice.flag.client import FlagClient
from suffice.serving.situation import SERVICE
from suffice.sources.correction import Correction
from suffice.store.address import store_of
from suffice.store.database import Store

Corrections: TypeAlias = Callable[[Mapping[str, Any]], Iterable[Correction]]
"""The corrections of a source, as a rollout has it stored."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service keeps its configuration, and the folder of its store, flag and triage bundles.

    A folder has one flag, so it belongs to one service. `url` names the store's database if it is not in the folder.
    """

    config: Path = Path("config.json")
    queue: Path = Path("TemporaryQueue")
    service: str = SERVICE
    url: str | None = field(default=None, repr=False)

    @property
    def store(self) -> str | Path:
        return store_of(self.queue, self.url)

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
