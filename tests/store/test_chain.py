"""The hash chain: what was appended holds; any change, anywhere, is found and named."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, text, update

from property_examples import examples
from store_places import Place
from suffice.store.actions import Action
from suffice.store.chain import GENESIS, canonical
from suffice.store.database import Store, open_store
from suffice.store.events import ProvenanceEvent, append_provenance, provenance_of, verify_provenance
from suffice.store.journal import JournalEvent, append_journal, journal_of, verify_journal
from suffice.store.schema import provenance, store_meta

ROWS = 12
COLUMNS = ("at", "target", "correction_key", "event", "payload", "prev_hash", "hash")


def event(i: int) -> ProvenanceEvent:
    return ProvenanceEvent(float(i), f"t{i % 3}", "committed", {"i": i, "u": 0.1 * i}, f"c{i}")


@pytest.fixture(scope="module")
def store(new_place: Callable[[], Place]) -> Iterator[Store]:
    with open_store(new_place()) as store:
        with store.write() as connection:
            append_provenance(connection, map(event, range(5)))
        with store.write() as connection:
            append_provenance(connection, map(event, range(5, ROWS)))
        yield store


class UndoneError(Exception):
    """Takes a tampered chain back, so that the next example starts from the whole one."""


def test_an_empty_chain_is_intact(place: Place) -> None:
    with open_store(place) as store, store.read() as connection:
        verification = verify_provenance(connection)
    assert (verification.intact, verification.verified, verification.head) == (True, 0, GENESIS)


def test_a_chain_written_in_several_transactions_verifies_and_reads_back(store: Store) -> None:
    with store.read() as connection:
        verification = verify_provenance(connection)
        assert (verification.intact, verification.verified) == (True, ROWS)
        assert provenance_of(connection, "t1") == [event(i) for i in range(1, ROWS, 3)]


@given(seq=st.integers(1, ROWS), column=st.sampled_from(COLUMNS))
@settings(max_examples=examples(40))
def test_a_changed_cell_is_found_where_it_is(store: Store, seq: int, column: str) -> None:
    with pytest.raises(UndoneError), store.write() as connection:
        changed = 77.0 if column == "at" else "changed"
        connection.execute(update(provenance).where(provenance.c.seq == seq).values({column: changed}))
        verification = verify_provenance(connection)
        assert (verification.broken_seq, verification.verified) == (seq, seq - 1)
        raise UndoneError


@given(first=st.integers(1, ROWS), length=st.integers(1, ROWS))
@settings(max_examples=examples(25))
def test_removed_rows_are_found_also_at_the_end(store: Store, first: int, length: int) -> None:
    with pytest.raises(UndoneError), store.write() as connection:
        gone = (provenance.c.seq >= first) & (provenance.c.seq < first + length)
        connection.execute(delete(provenance).where(gone))
        verification = verify_provenance(connection)
        assert verification.broken_seq == first
        assert verification.what
        raise UndoneError


@given(pair=st.lists(st.integers(1, ROWS), min_size=2, max_size=2, unique=True))
@settings(max_examples=examples(20))
def test_two_rows_that_changed_places_are_found(store: Store, pair: list[int]) -> None:
    with pytest.raises(UndoneError), store.write() as connection:
        for old, new in ((pair[0], -1), (pair[1], pair[0]), (-1, pair[1])):
            connection.execute(update(provenance).where(provenance.c.seq == old).values(seq=new))
        assert verify_provenance(connection).broken_seq == min(pair)
        raise UndoneError


def test_a_row_added_by_hand_is_found(store: Store) -> None:
    with pytest.raises(UndoneError), store.write() as connection:
        copy = f"INSERT INTO provenance SELECT {ROWS + 1}, at, target, correction_key, event, payload, hash, hash"
        connection.execute(text(f"{copy} FROM provenance WHERE seq = {ROWS}"))
        assert verify_provenance(connection).broken_seq == ROWS + 1
        raise UndoneError


def test_a_lost_head_is_found(store: Store) -> None:
    with pytest.raises(UndoneError), store.write() as connection:
        connection.execute(delete(store_meta))
        assert not verify_provenance(connection).intact
        raise UndoneError


def test_the_journal_is_a_chain_of_its_own(place: Place) -> None:
    events = [JournalEvent(1, "r1", "machine", Action.ADVANCE, "proved", {"upper": 0.009, "lower": float("nan")})]
    with open_store(place) as store:
        with store.write() as connection:
            append_journal(connection, events)
            append_provenance(connection, [event(0)])
        with store.read() as connection:
            assert verify_journal(connection).verified == verify_provenance(connection).verified == 1
            assert journal_of(connection, "r1")[0].numbers == {"upper": 0.009, "lower": None}


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text())))
def test_canonical_json_does_not_depend_on_the_order_of_keys(values: dict[str, object]) -> None:
    assert canonical(values) == canonical(dict(reversed(values.items())))
