"""Rollouts in the store: compare-and-swap, so that two runners never both act."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from store_places import Place
from suffice.errors import StoreConflict
from suffice.store.actions import Action
from suffice.store.database import Store, open_store
from suffice.store.journal import JournalEvent, append_journal, journal_of
from suffice.store.rollouts import StoredRollout, create_rollout, load_rollout, rollouts_of, save_rollout

FIRST = StoredRollout("r1", "checker", "Pending", {"stage": 0}, {"cycle": "15m"}, created_at=1.0, updated_at=1.0)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as store:
        with store.write() as connection:
            create_rollout(connection, FIRST)
        yield store


def load(store: Store) -> StoredRollout:
    with store.read() as connection:
        loaded = load_rollout(connection, "r1")
    assert loaded is not None
    return loaded


def test_a_rollout_reads_back_as_it_was_stored(store: Store) -> None:
    assert load(store) == FIRST


def test_a_save_makes_the_next_version(store: Store) -> None:
    with store.write() as connection:
        saved = save_rollout(connection, replace(load(store), phase="Progressing", state={"stage": 1}, updated_at=2.0))
    assert saved.version == 2
    assert load(store) == saved


def test_of_two_runners_that_loaded_the_same_version_one_saves(store: Store) -> None:
    mine, theirs = load(store), load(store)
    with store.write() as connection:
        save_rollout(connection, replace(mine, phase="Progressing"))
    with pytest.raises(StoreConflict, match="r1 is no longer at version 1"), store.write() as connection:
        append_journal(connection, [JournalEvent(2, "r1", "theirs", Action.ROLL_BACK, "late")])
        save_rollout(connection, replace(theirs, phase="RollingBack"))
    assert load(store).phase == "Progressing"
    with store.read() as connection:
        assert journal_of(connection, "r1") == []


def test_an_id_is_taken_once_and_an_unknown_one_is_nothing(store: Store) -> None:
    with pytest.raises(StoreConflict, match="r1 exists already"), store.write() as connection:
        create_rollout(connection, FIRST)
    with pytest.raises(StoreConflict), store.write() as connection:
        save_rollout(connection, replace(FIRST, id="r9"))
    with store.read() as connection:
        assert load_rollout(connection, "r9") is None


def test_the_rollouts_of_a_service_come_newest_first(store: Store) -> None:
    with store.write() as connection:
        create_rollout(connection, replace(FIRST, id="r2", created_at=5.0))
        create_rollout(connection, replace(FIRST, id="other", service="another"))
    with store.read() as connection:
        assert [rollout.id for rollout in rollouts_of(connection, "checker")] == ["r2", "r1"]
