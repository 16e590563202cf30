"""A rollout that the version before the rooms were redrawn (commit 1466733) left in its second stage goes on.

`version_before/` holds what that version wrote: the rows of its store, the flag and the configuration.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from production import BEGAN, CYCLE, Clock, Production
from sqlalchemy import MetaData, text

from store_places import Place as StorePlace
from store_places import store_at
from suffice.flag.client import FlagClient
from suffice.flag.document import Exposure
from suffice.flag.file import published
from suffice.rollout.operator import Operator
from suffice.rollout.phases import Phase
from suffice.rollout.status import plain_status, status_of
from suffice.rollout.world import Place
from suffice.store.journal import verify_journal
from suffice.store.ledger import Ledger
from suffice.store.triage import receipt_of
from suffice.triage.manifest import check

BEFORE = Path(__file__).parent / "version_before"
ID = "verifier-000001"
LEFT_AT = BEGAN + 3 * CYCLE


def store_as_it_was(place: StorePlace) -> None:
    """Write the rows of the version before into an empty store at its schema."""
    before = json.loads((BEFORE / "store.json").read_text(encoding="utf-8"))
    engine, metadata = store_at(place, before["revision"]), MetaData()
    metadata.reflect(engine)
    with engine.begin() as connection:
        for name, content in before["tables"].items():
            table = metadata.tables[name]
            types = [table.c[column].type.python_type for column in content["columns"]]
            rows = [
                {
                    column: None if value is None else python_type(value)
                    for column, python_type, value in zip(content["columns"], types, row, strict=True)
                }
                for row in content["rows"]
            ]
            connection.execute(table.delete())
            connection.execute(table.insert(), rows)
        if engine.dialect.name == "postgresql":
            connection.execute(
                text("SELECT setval(pg_get_serial_sequence('decisions', 'id'), (SELECT max(id) FROM decisions))")
            )
    engine.dispose()


@pytest.fixture
def left(tmp_path: Path, place: StorePlace) -> Iterator[Production]:
    """What the version before left, in the hands of this one."""
    queue = tmp_path / "queue"
    queue.mkdir()
    shutil.copy(BEFORE / "config.json", tmp_path)
    shutil.copy(BEFORE / "flag.json", queue)
    store_as_it_was(place)
    clock = Clock(LEFT_AT)
    where = Place(tmp_path / "config.json", queue, url=None if isinstance(place, Path) else place)
    if isinstance(place, Path):
        place.rename(where.store)
    with Operator(where, clock=clock) as operator, FlagClient.from_file(where.flag, poll_ms=20) as flag:
        # 120 cases were decided by the version before.
        yield replace(Production(operator, clock, flag), sent=120)


def test_it_is_where_it_was_left(left: Production) -> None:
    status = plain_status(status_of(left.operator))
    assert (status["rollout"], status["phase"], status["stage"], status["percent"]) == (ID, "Progressing", "canary", 50)
    assert (status["held_seconds"], status["hold_seconds"], status["audits"]) == (600, 1200, 7)
    assert status["flag"] == "as published"
    # That version wrote no words; that is no damage.
    assert status["permitted"] == "nobody: the store has no word of this service yet; the next cycle writes it"
    assert left.actions() == ["start", "advance"]
    with left.store.read() as connection:
        assert verify_journal(connection).intact


def test_it_advances_on_its_old_evidence_and_the_new(left: Production) -> None:
    left.traffic()
    left.cycle()
    # The seven old audits are counted with the new ones, and the old time with the new.
    new = sum(row.audited for row in Ledger(left.store).rows(ID, "canary")[40:])
    assert left.judged("disagreement")["numbers"]["audits"] == 7 + new
    assert left.until("full").phase is Phase.PROGRESSING
    assert left.actions() == ["start", "advance", "advance"]
    assert published(left.place.flag) == Exposure(100, ID)
    left.traffic()
    assert left.cycle().phase is Phase.COMPLETED


def test_a_rollback_that_it_had_begun_is_finished_by_the_first_cycle(left: Production) -> None:
    """Without a word in the store, which that version did not know, the first cycle said "not observed" before."""
    begun = """UPDATE rollouts SET phase = 'RollingBack', state = replace(state, '"Progressing"', '"RollingBack"')"""
    with left.store.write() as connection:
        assert connection.execute(text(begun)).rowcount == 1
    assert left.operator.cycle().phase is Phase.ROLLED_BACK
    assert left.actions() == ["start", "advance", "observed", "receipt", "triage", "settle"]


def test_it_is_rolled_back_with_receipt_and_bundle(left: Production) -> None:
    assert left.operator.tell("rollback", "ann", "no appetite").phase is Phase.ROLLED_BACK
    assert published(left.place.flag) is None
    with left.store.read() as connection:
        receipt = receipt_of(connection, ID)
        assert verify_journal(connection).intact
    assert receipt is not None and receipt.fixed == receipt.asked > 0
    assert check(left.place.bundle(ID)) > 5
