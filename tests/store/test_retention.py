"""Retention: only old rows that nobody needs leave, and the count of a rollout does not change by it."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store_places import Place, Reused
from suffice.decision.rule import Decision
from suffice.store.actions import Action
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow, Reason
from suffice.store.journal import JournalEvent, append_journal, journal_of, verify_journal
from suffice.store.ledger import Ledger
from suffice.store.retention import Kept, prune
from suffice.store.rollouts import StoredRollout, create_rollout
from suffice.store.triage import TriageItem, close_item, open_item
from suffice.verifier.arm import Arm

PLAIN = DecisionRow("k", "t", Arm.FIXED, Decision.ACCEPTED, 64, 64, 0.9, Reason.REACHED_N, 42, "plan", 1.0, stage="s")
ROLLOUTS = {
    "": None,
    "deleted": None,
    "a-1": "RolledBack",
    "a-2": "RolledBack",
    "a-3": "RolledBack",
    "a-4": "Completed",
    "a-5": "Progressing",
    "b-1": "Completed",
    "b-2": "Completed",
    "c-1": "Released",
    "c-2": "Released",
}
"""Their items: that of a-1 is closed, that of a-2 open, and a-3 has none yet."""

NEEDED = {"a-2": Kept.TRIAGE, "a-3": Kept.WATCHED, "a-5": Kept.WATCHED, "b-2": Kept.WATCHED, "c-2": Kept.WATCHED}


def fill(store: Store) -> None:
    with store.write() as connection:
        for name, phase in ROLLOUTS.items():
            if phase is not None:
                create_rollout(connection, StoredRollout(name, name[0], phase, {}, {}, 1.0, 1.0))
                append_journal(connection, [JournalEvent(1.0, name, "me", Action.START, "why")])
        for name in ("a-1", "a-2"):
            open_item(connection, TriageItem(name, "a", "s", "reason", "bundle", 1.0))
        close_item(connection, "a-1", 2.0, "me", "done")


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as store:
        fill(store)
        yield store


def test_exactly_the_old_rows_that_nobody_needs_are_removed(reused: Reused) -> None:
    @given(
        st.lists(st.tuples(st.sampled_from(sorted(ROLLOUTS)), st.integers(0, 20)), max_size=60),
        st.integers(0, 21),
        st.integers(1, 9),
    )
    @settings(max_examples=reused.examples(30))
    def holds(drawn: list[tuple[str, int]], before: int, portion: int) -> None:
        rows = [replace(PLAIN, key=f"k{i}", rollout=name, at=float(at)) for i, (name, at) in enumerate(drawn)]
        gone = [row for row in rows[:-1] if row.at < before and row.rollout not in NEEDED]
        store = reused.emptied()
        fill(store)
        ledger = Ledger(store)
        ledger.append(rows)
        foreseen = prune(store, float(before), dry_run=True, portion=portion)
        assert sum(len(ledger.rows(name)) for name in ROLLOUTS) == len(rows)
        done = prune(store, float(before), portion=portion)
        assert done == foreseen
        for name in ROLLOUTS:
            assert ledger.rows(name) == [row for row in rows if row.rollout == name and row not in gone]
            assert done.removed.get(name, 0) == sum(row.rollout == name for row in gone)
        old = sum(row.at < before for row in rows)
        assert sum(done.removed.values()) + sum(done.kept.values()) == old
        assert {name: why for name, why in done.kept if why is not Kept.NEWEST}.items() <= NEEDED.items()
        assert prune(store, float(before), portion=portion).removed == {}

    holds()


def test_the_numbers_of_removed_rows_are_not_given_again(store: Store) -> None:
    ledger = Ledger(store)
    ledger.append([replace(PLAIN, key=f"k{i}") for i in range(5)])
    _, last = ledger.rows_after("new", 0, 10)
    assert prune(store, 100.0).kept == {("", Kept.NEWEST): 1}
    ledger.append([replace(PLAIN, rollout="new")])
    assert [row.key for row in ledger.rows_after("new", last, 10)[0]] == ["k"]


def test_the_journal_stays(store: Store) -> None:
    Ledger(store).append([replace(PLAIN, key=f"k{i}", rollout="a-1") for i in range(5)])
    prune(store, 100.0)
    with store.read() as connection:
        assert len(journal_of(connection, "a-1")) == 1
        assert verify_journal(connection).intact
