"""A word that puts everybody on the adaptive arm, as a rollout writes it, and a process that reads it step by step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from store_places import Place
from suffice.serving.agent import Agent
from suffice.store.database import Store, open_store
from suffice.store.words import Word, write_word

WORD = Word(
    service="pump",
    rollout="pump-000001",
    plan_id="plan",
    phase="Progressing",
    stage="canary",
    exposure={"weight": 100, "salt": "pump-000001", "regions": []},
    audit_fraction=0.1,
    audit_salt="pump-000001/audit",
    shadow=False,
    length=120.0,
)
OF_VERIFIER = replace(WORD, service="verifier", rollout="verifier-000001", audit_fraction=0.0, length=600.0)
"""To the service that a `Verifier` belongs to when nobody names another."""

Stepped = TypeVar("Stepped", bound=Agent)


def written(store: Store, word: Word, at: float, at_least: int = 0, **changes: Any) -> Word:
    """Write a word, with some of its columns changed, and return it as it stands then."""
    with store.touch() as connection:
        return write_word(connection, replace(word, **changes), at, at_least=at_least)


def written_at(place: Place, word: Word, at: float, **changes: Any) -> Word:
    """The same in a store that is opened for it."""
    with open_store(place) as store:
        return written(store, word, at, **changes)


def stepped(
    kind: type[Stepped],
    place: Place,
    boot: Callable[[], float],
    now: Callable[[], float] = lambda: 1000.0,
    plan_id: str = WORD.plan_id,
    folder: Path | None = None,
) -> Stepped:
    """A process of the word's service, without threads, on clocks that the test moves."""
    return kind(place, WORD.service, plan_id=plan_id, enabled=True, folder=folder, now=now, boot=boot)
