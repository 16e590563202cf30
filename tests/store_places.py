"""Stores for tests that hold on each database."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, delete

import suffice.store.migrations
from property_examples import examples
from suffice.decision.rule import Decision
from suffice.store.address import address_of
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow, Reason
from suffice.store.schema import metadata
from suffice.verifier.arm import Arm

Place: TypeAlias = str | Path
"""A path or a URL, as `open_store` takes it."""

ROW = DecisionRow(
    "k", "t", Arm.FIXED, Decision.ACCEPTED, 64, 64, 0.9, Reason.REACHED_N, 42, "plan", 1.0, rollout="r", stage="s"
)


@dataclass
class Reused:
    """A store that is there already, and where it is: to make one for each example would take most of the time."""

    place: Place
    store: Store

    def examples(self, count: int) -> int:
        """How many examples to try: a server takes several times as long, and shares what is decided without it."""
        return examples(count if isinstance(self.place, Path) else count // 5)

    def emptied(self) -> Store:
        with self.store.write() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(delete(table))
        return self.store


@contextmanager
def reused_at(place: Place) -> Iterator[Reused]:
    with open_store(place, durable=False) as store:
        yield Reused(place, store)


def bare(place: Place) -> Engine:
    """The database itself, whatever it holds."""
    return create_engine(address_of(place).url)


def store_at(place: Place, revision: str) -> Engine:
    """A database as an older version left it."""
    engine = bare(place)
    config = Config()
    config.set_main_option("script_location", suffice.store.migrations.__path__[0])
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return engine
