"""An older store is upgraded in place, with all that it holds; and each cycle's questions are answered by indexes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, inspect, text

from store_places import Place, store_at
from suffice.decision.rule import Decision
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow, Reason
from suffice.store.ledger import Ledger
from suffice.store.rollups import Rollup, known_storms, known_targets, load_rollup, save_rollup
from suffice.store.schema import HEAD, rollups
from suffice.verifier.arm import Arm

PLAIN = DecisionRow(
    "k", "t", Arm.FIXED, Decision.ACCEPTED, 64, 64, 0.9, Reason.REACHED_N, 42, "plan", 1.0, rollout="r", stage="s"
)


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_store_of_an_older_schema_keeps_its_rows_and_counts_them(place: Place, revision: str) -> None:
    engine = store_at(place, revision)
    with engine.begin() as connection:
        assert "rollups" not in inspect(connection).get_table_names()
        connection.execute(
            text(
                "INSERT INTO decisions (rollout, stage, key, target, arm, audited, shadow, decision, n, fixed_n,"
                " reason, invalid, seed, plan_id, at) VALUES ('r', 's', 'old', 't', 'fixed', false, false, 'accepted',"
                " 64, 64, 'REACHED_N', false, 42, 'plan', 1.0)"
            )
        )
    engine.dispose()
    with open_store(place) as store:
        assert Ledger(store).append([replace(PLAIN, key="old"), PLAIN]) == 1
        # What the older version wrote is typed when it is read.
        (old, new), _ = Ledger(store).rows_after("r", 0, 10)
        assert (old.key, old.arm, old.decision, old.reason) == ("old", Arm.FIXED, Decision.ACCEPTED, Reason.REACHED_N)
        assert new == PLAIN
        with store.read() as connection:
            assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == HEAD
            assert load_rollup(connection, "r") is None
            assert set(rollups.columns.keys()) == {c["name"] for c in inspect(connection).get_columns("rollups")}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.db") as store:
        Ledger(store).append([replace(PLAIN, key=f"k{i}", target=f"t{i}", at=float(i)) for i in range(50)])
        yield store


def plans_of(store: Store, ask: Callable[[], object]) -> list[str]:
    """How SQLite finds the rows of each SELECT that is asked."""
    asked: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "UPDATE")):
            asked.append((statement, parameters))

    with store.read() as connection:
        engine = connection.engine
    event.listen(engine, "before_cursor_execute", note)
    ask()
    event.remove(engine, "before_cursor_execute", note)
    with store.read() as connection:
        return [
            "; ".join(row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters))
            for statement, parameters in asked
        ]


def test_what_a_cycle_asks_of_the_ledger_is_found_by_an_index(store: Store) -> None:
    ledger = Ledger(store)
    assert plans_of(store, lambda: ledger.rows_after("r", 40, 100)) == [
        "SEARCH decisions USING INTEGER PRIMARY KEY (rowid>?)",
        "SEARCH decisions",
    ]
    with store.read() as connection:
        plans = plans_of(store, lambda: ledger.portion_after("r", 40, 100, connection))
    assert len(plans) == 5
    assert all("decisions USING INTEGER PRIMARY KEY (rowid>?" in plan or plan == "SEARCH decisions" for plan in plans)
    by_stage = "(rollout=? AND stage=?)"
    assert plans_of(store, lambda: ledger.latest("r", "s", 20, adaptive_path=True)) == [
        f"SEARCH decisions USING INDEX ix_decisions_adaptive_path {by_stage}"
    ]
    assert plans_of(store, lambda: ledger.latest("r", "s", 20)) == [
        f"SEARCH decisions USING INDEX ix_decisions_rollout_stage {by_stage}"
    ]
    assert plans_of(store, lambda: ledger.disagreements("r", "s")) == [
        f"SEARCH decisions USING INDEX ix_decisions_disagreeing {by_stage}"
    ]


def test_what_is_known_of_targets_is_found_by_key(store: Store) -> None:
    def ask() -> None:
        with store.write() as connection:
            load_rollup(connection, "r")
            known_targets(connection, "r", [("s", "eu", "t1")])
            known_storms(connection, "r", [("s", "t1")])
            save_rollup(connection, Rollup("r", "rule"), Rollup("r", "rule", 9), {}, {}, set())

    assert plans_of(store, ask) == [
        "SEARCH rollups USING INDEX sqlite_autoindex_rollups_1 (rollout=?)",
        "SEARCH rollup_targets USING PRIMARY KEY (rollout=? AND stage=? AND region=? AND target=?)",
        "SEARCH rollup_storms USING PRIMARY KEY (rollout=? AND stage=? AND scope=?)",
        "SEARCH rollups USING INDEX sqlite_autoindex_rollups_1 (rollout=?)",
    ]


def test_without_its_index_a_question_reads_the_whole_stage(store: Store) -> None:
    """A negative control."""
    with store.write() as connection:
        connection.execute(text("DROP INDEX ix_decisions_disagreeing"))
    assert "ix_decisions_disagreeing" not in plans_of(store, lambda: Ledger(store).disagreements("r", "s"))[0]
