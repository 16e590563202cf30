"""Decisions without a row of their own: reused keys, and rows that no ledger takes."""

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

import pytest

from store_places import ROW, Place
from suffice.errors import StoreConflict, StoreRefusal
from suffice.store.database import Store, insert_all, open_store
from suffice.store.decision_row import LONGEST, DecisionRow
from suffice.store.irregular import (
    Irregular,
    Irregularities,
    irregular_of,
    note_irregular,
    note_undecided,
    sentences,
    undecided_of,
)
from suffice.store.ledger import Ledger
from suffice.store.schema import store_meta
from suffice.telemetry.counters import MOST_TYPES, OTHER

NONE = Irregularities()


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as opened:
        yield opened


def reused(store: Store, rollout: str = "r", stage: str = "s") -> Irregularities:
    with store.read() as connection:
        return irregular_of(connection, rollout, stage)[Irregular.REUSED]


def test_a_key_of_an_earlier_decision_is_counted_and_a_retry_is_not(store: Store) -> None:
    ledger = Ledger(store)
    rows = [replace(ROW, key=f"k{i}", at=float(i), process="n1") for i in range(5)]
    assert [ledger.append(rows), ledger.append(rows)] == [5, 0]
    assert reused(store) == NONE
    others = [
        replace(rows[0], at=7.0),
        replace(rows[1], process="n2"),
        replace(rows[2], target="other"),
        replace(rows[3], at=3.5, stage="next"),
        replace(ROW, key="new", at=8.0),
        replace(ROW, key="new", at=9.0),
        replace(rows[4], rollout="other"),
    ]
    assert ledger.append(others) == 2
    assert reused(store) == Irregularities(4, 9.0)
    assert reused(store, stage="next") == Irregularities(1, 3.5)
    assert reused(store, "other") == NONE
    assert [row.at for row in ledger.rows("r")] == [0.0, 1.0, 2.0, 3.0, 4.0, 8.0]


def test_counts_add_up_and_those_of_nobody_knows_which_count_for_everybody(store: Store) -> None:
    with store.write() as connection:
        for rollout, stage, count, at in (
            ("r", "s", 2, 9.0),
            ("r", "s", 3, 4.0),
            ("", "", 1, 11.0),
            ("q", "s", 7, 5.0),
        ):
            note_irregular(connection, Irregular.REFUSED, {(rollout, stage): Irregularities(count, at)})
    with store.read() as connection:
        assert irregular_of(connection, "r", "s") == {
            Irregular.REUSED: NONE,
            Irregular.REFUSED: Irregularities(6, 11.0),
            Irregular.DROPPED: NONE,
            Irregular.UNFINISHED: NONE,
        }


@pytest.mark.parametrize("name", ["key", "target", "region"])
def test_a_text_above_the_limit_is_refused_on_every_store_and_one_at_the_limit_is_not(store: Store, name: str) -> None:
    ledger = Ledger(store)
    fits = replace(ROW, **{name: "\N{SNOWMAN}" * (LONGEST // 3) + "x"})  # type: ignore[arg-type]
    assert ledger.append([fits]) == 1
    for text in ("x" * (LONGEST + 1), "\N{SNOWMAN}" * (LONGEST // 3 + 1)):
        with pytest.raises(StoreRefusal, match=f"its {name} is longer than 1,024 bytes"):
            ledger.append([replace(ROW, key="other"), replace(ROW, **{name: text})])  # type: ignore[arg-type]
    assert len(ledger.rows("r")) == 1


@pytest.mark.parametrize("changed", [{"seed": 2**70}, {"key": "half \ud800"}])
def test_values_that_the_database_does_not_take_are_a_refusal(store: Store, changed: dict[str, object]) -> None:
    with pytest.raises(StoreRefusal):
        Ledger(store).append([ROW, replace(ROW, **changed)])  # type: ignore[arg-type]
    assert Ledger(store).rows("r") == list[DecisionRow]()


def test_a_row_that_lacks_a_value_is_a_refusal_and_one_that_is_there_already_a_conflict(store: Store) -> None:
    """Seen: a missing value was told as a change by somebody else, and tried again."""
    for value, error in ((None, StoreRefusal), ("v", None), ("v", StoreConflict)):
        with pytest.raises(error) if error else nullcontext(), store.write() as connection:
            insert_all(connection, store_meta, [{"key": "k", "value": value}])


def test_cases_without_a_decision_add_up_by_type_where_they_happened(store: Store) -> None:
    with store.write() as connection:
        for rollout, stage, by_type in (
            ("r", "s", {"TimeoutError": 2, "OSError": 1}),
            ("r", "s", {"TimeoutError": 1198}),
            ("r", "next", {"TimeoutError": 5}),
            ("q", "s", {"KeyError": 7}),
        ):
            note_undecided(connection, rollout, stage, by_type, 9.0)
    with store.read() as connection:
        undecided, irregular = undecided_of(connection, "r", "s"), irregular_of(connection, "r", "s")
    assert undecided == {"OSError": 1, "TimeoutError": 1200}
    assert sentences(irregular, undecided) == (
        "cases without a decision, because their sampler raised: 1,201 (TimeoutError 1,200, OSError 1)",
    )
    assert sentences(irregular, {}) == ()


def test_processes_together_note_few_types_and_lose_no_count(store: Store) -> None:
    for process in range(3):
        with store.write() as connection:
            note_undecided(connection, "r", "s", {f"Error{process}x{i}": 1 for i in range(10)}, 9.0)
    with store.read() as connection:
        undecided = undecided_of(connection, "r", "s")
    assert len(undecided) == MOST_TYPES + 1 and undecided[OTHER] == 30 - MOST_TYPES
