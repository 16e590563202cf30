"""Where a rollout in production lives, and what it needs of the world."""

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from suffice.evidence.rebuild import Rebuild
from suffice.evidence.tally import ScopeOf
from suffice.flag.client import FlagClient
from suffice.rollout.command_checks import Checks
from suffice.serving.situation import SERVICE, check_service
from suffice.sources.built import Builder
from suffice.stopping.plan import Plan
from suffice.store.actions import Action
from suffice.store.address import STORE_URL, shown_url, store_of
from suffice.store.database import Store
from suffice.store.journal import JournalEvent, append_journal, last_event, last_events
from suffice.triage.bundle import Faulty as Faulty

RUNNER = "runner"
"""Who acts when no person does."""

_TAKES = {
    "rollout": ("--queue", "--store", "--service", "--config"),
    "triage": ("--queue", "--store"),
    "triage reproduce": ("--queue", "--store", "--config"),
    "promote": ("--queue", "--store", "--config"),
}
"""The options by which each group of commands, or one of them, is told where a service is."""

Sources: TypeAlias = Callable[[Mapping[str, Any], Plan], Rebuild]
"""How decisions of a plan are rebuilt from a source, as a rollout has it stored."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service keeps its configuration, and the folder of its store, flag and triage bundles.

    A folder has one flag, so it belongs to one service. `url` names the store's database if it is not in the folder.
    `mark` ends the names of bundles, where several stores, one after the other, leave theirs in one folder.
    Raises DataError for a service that is no name.
    """

    config: Path = Path("config.json")
    queue: Path = Path("TemporaryQueue")
    service: str = SERVICE
    url: str | None = field(default=None, repr=False)
    mark: str = ""

    def __post_init__(self) -> None:
        check_service(self.service)

    @property
    def store(self) -> str | Path:
        return store_of(self.queue, self.url)

    @property
    def flag(self) -> Path:
        return self.queue / "flag.json"

    def command(self, words: str) -> str:
        """What a person types for these words about this service, like "rollout status", in the folder that the runner
        works in: with the options for all that it would not look for there by itself. A URL has no password.
        """
        usual = Place()
        url = shown_url(self.url) if self.url and self.url != os.environ.get(STORE_URL) else ""
        named = {
            "--queue": "" if self.queue == usual.queue else str(self.queue),
            "--store": url,
            "--service": "" if self.service == usual.service else self.service,
            "--config": "" if self.config == usual.config else str(self.config),
        }
        group, *rest = words.split()
        takes = _TAKES.get(" ".join((group, *rest[:1])), _TAKES[group])
        given = [f"{name} {shlex.quote(named[name])}" for name in takes if named[name]]
        return " ".join(["suffice", words, *given])

    def bundle(self, rollout: str) -> Path:
        """Where the evidence of a rollout goes: one is rolled back at most once."""
        return self.queue / "triage" / f"{rollout}{self.mark}"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What a rehearsal has otherwise than production.

    The storm policy is replayed by `scope` of a row (None: its target). `checks` are judged in place of the commands
    that the rollout was started with. `faulty` says of a stage whether its adaptive path is made faulty. `after_word`
    is called when a word was committed: agents that have no threads read it then. `builder` is that of the service,
    whose configuration is not the rehearsal's.
    """

    scope: ScopeOf | None = None
    checks: Checks | None = None
    faulty: Callable[[str], Faulty | None] = lambda _: None
    after_word: Callable[[], object] = lambda: None
    builder: Builder | None = None


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of one rollout, as the runner writes it. Its methods raise StoreError."""

    store: Store
    rollout: str
    clock: Callable[[], float]

    def last(self, *actions: Action) -> JournalEvent | None:
        """The newest event of the first of these actions that there is one of; None when there is none."""
        with self.store.read() as connection:
            events = (last_event(connection, self.rollout, action) for action in actions)
            return next((event for event in events if event), None)

    def last_two(self, action: Action) -> tuple[JournalEvent | None, JournalEvent | None]:
        """The newest event of this action and the one before it, None where there is none."""
        with self.store.read() as connection:
            events = last_events(connection, self.rollout, action, 2)
        newest, before, *_ = *events, None, None
        return newest, before

    def last_until(self, action: Action, moment: float) -> JournalEvent | None:
        """The newest event of this action that is not later than a moment, None where there is none."""
        with self.store.read() as connection:
            return next(iter(last_events(connection, self.rollout, action, 1, moment)), None)

    def write(self, action: Action, why: str) -> None:
        """Append an event."""
        with self.store.write() as connection:
            append_journal(connection, [self.event(action, why)])

    def write_once(self, action: Action, why: str) -> None:
        """Append an event unless there is one of this action."""
        with self.store.write() as connection:
            if last_event(connection, self.rollout, action) is None:
                append_journal(connection, [self.event(action, why)])

    def event(self, action: Action, why: str, numbers: Mapping[str, Any] | None = None) -> JournalEvent:
        """An event that is not appended yet, for a transaction that holds more."""
        return JournalEvent(self.clock(), self.rollout, RUNNER, action, why, numbers or {})


@dataclass(frozen=True, slots=True)
class World:
    """What a rollout touches. `clock` gives seconds since the epoch; the flag is opened when it is first needed.

    While there is `patience`, the fleet is waited for; a runner that is told to stop has none. `host_clock` is compared
    with the store's; a clock that stands in for it (None) is not.
    """

    place: Place
    store: Store
    clock: Callable[[], float]
    flag: Callable[[], FlagClient]
    sources: Sources | None = None
    rehearsed: Rehearsed = Rehearsed()
    patience: Callable[[], bool] = lambda: True
    host_clock: Callable[[], float] | None = None

    def journal(self, rollout: str) -> Journal:
        """The journal of a rollout."""
        return Journal(self.store, rollout, self.clock)
