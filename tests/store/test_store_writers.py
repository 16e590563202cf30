"""Writers at once, and killed ones: every batch is committed whole, in the order of its numbers, and no reader misses
a row."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import store_places
from store_places import ROW, Place
from suffice.store.database import open_store
from suffice.store.decision_row import DecisionRow
from suffice.store.journal import verify_journal
from suffice.store.ledger import Ledger

WRITERS, BATCHES, BATCH = 3, 15, 7

BEGIN = """
import sys
from dataclasses import replace
from store_places import ROW
from suffice.store.database import open_store
from suffice.store.actions import Action
from suffice.store.journal import JournalEvent, append_journal
from suffice.store.ledger import Ledger

place, name, batches, batch = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
"""
WRITE = """
with open_store(place) as store:
    print("begun", flush=True)
    sys.stdin.readline()
    for number in range(batches):
        with store.write() as connection:
            Ledger(store).append((replace(ROW, key=f"{name}/{number}/{i}") for i in range(batch)), connection)
            append_journal(connection, [JournalEvent(1.0, "r", name, Action(str(number)), "")])
"""
HOLD = """
with open_store(place) as store, store.write() as connection:
    Ledger(store).append([replace(ROW, key=f"{name}/{i}") for i in range(batch)], connection)
    append_journal(connection, [JournalEvent(1.0, "r", name, Action("hold"), "")])
    print("written", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def process(code: str, place: Place, name: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that is not left behind."""
    command = [sys.executable, "-c", BEGIN + code, str(place), name, str(BATCHES), str(BATCH)]
    folders = [str(Path(store_places.__file__).parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def first_word(of: "subprocess.Popen[str]") -> str:
    assert of.stdout is not None
    return of.stdout.readline().strip()


def test_a_reader_beside_many_writers_sees_each_row_once_and_each_batch_whole(place: Place) -> None:
    seen, last, portions = list[DecisionRow](), 0, 0
    with open_store(place) as store, ExitStack() as stack:
        ledger = Ledger(store)
        writers = [stack.enter_context(process(WRITE, place, f"w{i}")) for i in range(WRITERS)]
        assert [first_word(writer) for writer in writers] == ["begun"] * WRITERS
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.close()
            writer.stdin = None
        while any(writer.poll() is None for writer in writers):
            rows, last = ledger.rows_after("r", last, 1_000)
            seen, portions = seen + rows, portions + bool(rows)
        assert [writer.returncode for writer in writers] == [0] * WRITERS
        seen += ledger.rows_after("r", last, 10_000)[0]
        assert portions > 1
        assert seen == ledger.rows("r")
        assert len({row.key for row in seen}) == len(seen) == WRITERS * BATCHES * BATCH
        batches = [name for name, _ in groupby(row.key.rpartition("/")[0] for row in seen)]
        assert len(batches) == len(set(batches)) == WRITERS * BATCHES
        with store.read() as connection:
            chain = verify_journal(connection)
        assert (chain.intact, chain.verified) == (True, WRITERS * BATCHES)


def test_who_began_to_write_first_has_the_first_numbers(place: Place) -> None:
    with open_store(place) as store, open_store(place) as other, ThreadPoolExecutor(1) as pool:
        with store.write() as connection:
            second = pool.submit(Ledger(other).append, [replace(ROW, key="second")])
            assert not second.done()
            Ledger(store).append([replace(ROW, key="first")], connection)
        assert second.result() == 1
        assert [row.key for row in Ledger(store).rows("r")] == ["first", "second"]


def test_a_writer_that_is_killed_in_mid_transaction_leaves_nothing_and_nobody_waits_for_it(place: Place) -> None:
    with open_store(place) as store, process(HOLD, place, "killed") as writer:
        ledger = Ledger(store)
        assert first_word(writer) == "written"
        assert ledger.rows("r") == []
        writer.kill()
        writer.wait()
        assert ledger.append([replace(ROW, key="next")]) == 1
        assert [row.key for row in ledger.rows_after("r", 0, 100)[0]] == ["next"]
        with store.read() as connection:
            assert verify_journal(connection).verified == 0
