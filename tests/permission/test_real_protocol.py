"""The real fence, agents, receipts and store, driven through the steps of the model by Hypothesis.

Processes and runner are stepped in this process, on clocks that the machine holds; whoever reads may be stopped before
the store answers and after. PostgreSQL's own clock cannot be held: there only the clocks of the processes move.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

import permitted
from permitted import stepped
from postgres_server import Server
from store_places import Place, reused_at
from suffice.config import RolloutConfig
from suffice.errors import StoreError
from suffice.rollout.controller import State
from suffice.rollout.fleet import LATE_SECONDS, Lowered, watch_fleet
from suffice.rollout.word import note_word, store_word, why_foreign
from suffice.serving.agent import Agent
from suffice.serving.fence import LEASE_SECONDS, Read, may_be_adaptive
from suffice.store.database import Store, open_store
from suffice.store.note import read_note
from suffice.store.words import Word, WordRead, read_word

WORD = replace(permitted.WORD, length=20.0)
BASELINE = replace(WORD, phase="RollingBack", exposure=None)
SLOWEST = 0.4
"""What a process's clock loses in a lease at most, in seconds; a receipt's margin is more."""


class Stepped(Agent):
    """The real agent, which may be stopped between the store's answer and the moment that it knows it."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def _understood(self, read: WordRead, began: float, *, registered: bool) -> Read:
        self.meanwhile()
        return super()._understood(read, began, registered=registered)


class Unregistered(Stepped):
    """Acts on words before its row is committed."""

    def _understood(self, read: WordRead, began: float, *, registered: bool) -> Read:
        return super()._understood(read, began, registered=True)


class Unleased(Stepped):
    """Counts a lease from the end of the read."""

    def _understood(self, read: WordRead, began: float, *, registered: bool) -> Read:
        return replace(super()._understood(read, began, registered=registered), began=self.boot())


class Anywhere(Stepped):
    """Acts on words of any incarnation."""

    def _understood(self, read: WordRead, began: float, *, registered: bool) -> Read:
        understood = super()._understood(read, began, registered=registered)
        if read.word is None:
            return understood
        return replace(understood, obstacle="", incarnation=read.word.incarnation)


class Permission(RuleBasedStateMachine):
    """Two processes and a runner on one host, one store that may be restored, and one rollback."""

    def __init__(self, empty: Callable[[], Place], agent: type[Stepped], seen: set[str]) -> None:
        super().__init__()
        self.place, self.agent, self.seen = empty(), agent, seen
        self.folder = Path(tempfile.mkdtemp(prefix="suffice-permission-"))
        self.now, self.boots = 1_000.0, [0.0, 50.0, 70.0]
        self.state = State(RolloutConfig())
        self.lowered: Lowered | None = None
        self.receipt, self.restored = False, False
        self.store = open_store(self.place)
        self._write(WORD)
        self.agents = [self._started(0), self._started(1)]

    def teardown(self) -> None:
        for agent in self.agents:
            agent.close()
        self.store.close()
        shutil.rmtree(self.folder)

    @property
    def in_file(self) -> bool:
        return isinstance(self.place, Path)

    def _started(self, number: int) -> Stepped:
        return stepped(self.agent, self.place, lambda: self.boots[number], lambda: self.now, folder=self.folder)

    def _write(self, word: Word) -> None:
        with self.store.touch() as connection:
            written = store_word(connection, self.folder, word, self.now)
        note_word(self.folder, written)

    def _is_foreign(self) -> str | None:
        with self.store.read() as connection:
            return why_foreign(read_word(connection, "pump", self.now), read_note(self.folder))

    @rule(seconds=st.sampled_from((0.5, 2.0, LEASE_SECONDS, 6.0, 30.0)), slow=st.booleans())
    def time_passes(self, seconds: float, slow: bool) -> None:
        self.now += seconds
        for number in range(len(self.boots)):
            lost = SLOWEST * seconds / LEASE_SECONDS if slow and number < 2 else 0.0
            self.boots[number] += seconds - lost

    @rule(number=st.integers(0, 1))
    def a_process_writes(self, number: int) -> None:
        self.agents[number].step_write()

    @rule(number=st.integers(0, 1))
    def a_process_reads(self, number: int) -> None:
        with suppress(StoreError):
            self.agents[number].step_read()

    @rule(number=st.integers(0, 1))
    def a_process_writes_and_reads(self, number: int) -> None:
        self.a_process_writes(number)
        self.a_process_reads(number)

    @rule(number=st.integers(0, 1), seconds=st.sampled_from((0.0, 2.0, 6.0)))
    def a_process_reads_and_is_stopped_while_a_rollback_comes(self, number: int, seconds: float) -> None:
        def meanwhile() -> None:
            self.a_rollback_is_committed()
            self.time_passes(seconds, slow=True)
            self.a_receipt_is_asked_for()

        self.agents[number].meanwhile = meanwhile
        with suppress(StoreError):
            self.agents[number].step_read()
        self.agents[number].meanwhile = lambda: None

    @rule(number=st.integers(0, 1))
    def a_process_restarts(self, number: int) -> None:
        self.agents[number].store.close()  # killed: it signs off nowhere
        self.agents[number] = self._started(number)

    @rule()
    def the_runner_looks(self) -> None:
        if (reason := self._is_foreign()) is not None:
            self.seen.add("foreign")
            with self.store.read() as connection:
                at = read_word(connection, "pump", self.now).standing.at
            self.state = replace(self.state, old_words_until=at + WORD.length + LATE_SECONDS, why=reason)
            self._lower()
        elif self.lowered is None and self._permits():
            self._write(WORD)

    def _permits(self) -> bool:
        with self.store.read() as connection:
            word = read_word(connection, "pump", self.now).word
        return word is not None and word.exposure is not None

    @rule()
    def a_person_resumes(self) -> None:
        if self.lowered is None and self._is_foreign() is None:
            self._write(WORD)

    @rule()
    def a_rollback_is_committed(self) -> None:
        if not self.receipt and self._is_foreign() is None and self.lowered is None:
            self.lowered = Lowered(0, 0.0)
            self._lower()

    def _lower(self) -> None:
        self._write(BASELINE)
        if self.lowered is not None:
            with self.store.read() as connection:
                word = read_word(connection, "pump", self.now).word
            assert word is not None
            self.lowered = Lowered(word.epoch, self.boots[2])

    @rule()
    def a_receipt_is_asked_for(self) -> None:
        if self.lowered is None or self.receipt:
            return
        watched = watch_fleet(
            self.store,
            "pump",
            WORD.rollout,
            self.lowered,
            self.state,
            lambda: self.now,
            lambda: self.boots[2],
            patience=lambda: False,
        )
        self.receipt = watched.observed
        if self.receipt:
            self.seen.add("receipt, fenced" if watched.count.fenced else "receipt")

    @rule()
    def a_lease_passes_and_a_receipt_is_asked_for(self) -> None:
        self.time_passes(LATE_SECONDS, slow=True)
        self.a_receipt_is_asked_for()

    @rule()
    def a_backup_is_taken(self) -> None:
        self._copy("words", "kept_words")
        self._copy("processes", "kept_processes")
        if isinstance(self.place, Path):
            backup = self.place.with_name("backup.db")
            backup.unlink(missing_ok=True)
            with closing(sqlite3.connect(self.place)) as live, closing(sqlite3.connect(backup)) as copy:
                live.backup(copy)

    @precondition(lambda self: not self.restored)
    @rule()
    def the_backup_is_restored(self) -> None:
        if isinstance(self.place, Path):
            backup = self.place.with_name("backup.db")
            if not backup.exists():
                return
            self.store.close()
            for beside in ("-wal", "-shm"):
                Path(f"{self.place}{beside}").unlink(missing_ok=True)
            backup.replace(self.place)
            self.store = open_store(self.place)
        else:
            with self.store.touch() as connection:
                if connection.execute(text("SELECT to_regclass('kept_words')")).scalar_one() is None:
                    return
                for table in ("words", "processes"):
                    connection.execute(text(f"DELETE FROM {table}"))
                    connection.execute(text(f"INSERT INTO {table} SELECT * FROM kept_{table}"))
        self.restored = True
        self.seen.add("restored")

    def _copy(self, table: str, kept: str) -> None:
        if not self.in_file:
            with self.store.touch() as connection:
                connection.execute(text(f"DROP TABLE IF EXISTS {kept}"))
                connection.execute(text(f"CREATE TABLE {kept} AS SELECT * FROM {table}"))

    @invariant()
    def rolled_back_is_rolled_back(self) -> None:
        for agent in self.agents:
            if may_be_adaptive(agent.read, agent.boot(), plan_id="plan", exposed=lambda _: True) is None:
                self.seen.add("adaptive")
                assert not self.receipt, "adaptive after the receipt"


@contextmanager
def empty_files(folder: Path) -> Iterator[Callable[[], Place]]:
    template, numbers = folder / "empty.db", iter(range(1_000_000))
    open_store(template).close()

    def empty() -> Path:
        inside = folder / str(next(numbers))
        inside.mkdir()
        return Path(shutil.copy(template, inside / "store.db"))

    yield empty


@contextmanager
def emptied_schema(server: Server) -> Iterator[Callable[[], Place]]:
    place = server.place()
    # No receipt is given while the server may have been up for less than a lease.
    up = "extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())"
    server.execute(f"SELECT pg_sleep(greatest(0, {LATE_SECONDS} - {up}))")
    with reused_at(place) as reused:

        def empty() -> Place:
            store: Store = reused.emptied()
            with store.touch() as connection:
                connection.execute(text("DROP TABLE IF EXISTS kept_words, kept_processes"))
            return place

        yield empty


def explored(empty: Callable[[], Place], agent: type[Stepped], examples: int) -> set[str]:
    """What was seen in so many examples. Raises AssertionError where a promise broke."""
    seen: set[str] = set()
    run_state_machine_as_test(
        lambda: Permission(empty, agent, seen),
        settings=settings(
            max_examples=examples, stateful_step_count=30, phases=[Phase.generate], deadline=None, database=None
        ),
    )
    return seen


def test_in_a_file_no_process_is_adaptive_after_a_receipt(tmp_path: Path) -> None:
    with empty_files(tmp_path) as empty:
        seen = explored(empty, Stepped, examples=30)
    assert seen >= {"adaptive", "receipt", "restored", "foreign"}


def test_on_a_server_no_process_is_adaptive_after_a_receipt(postgres: Server) -> None:
    with emptied_schema(postgres) as empty:
        seen = explored(empty, Stepped, examples=15)
    assert seen >= {"adaptive", "receipt", "restored"}


def never_registered(machine: Permission) -> None:
    machine.a_process_reads_and_is_stopped_while_a_rollback_comes(0, 0.0)


def stopped_for_longer_than_a_lease(machine: Permission) -> None:
    machine.a_process_writes_and_reads(0)
    machine.a_process_reads_and_is_stopped_while_a_rollback_comes(0, 6.0)


def restored_to_before_the_rollback(machine: Permission) -> None:
    machine.a_backup_is_taken()
    machine.a_rollback_is_committed()
    machine.a_receipt_is_asked_for()
    machine.the_backup_is_restored()
    machine.a_process_writes_and_reads(0)


PATHS = {
    never_registered: Unregistered,
    stopped_for_longer_than_a_lease: Unleased,
    restored_to_before_the_rollback: Anywhere,
}
"""Shortest paths of the model, and the agent that leaves out the rule that they need."""


@pytest.mark.parametrize("path", PATHS)
def test_the_models_path_to_a_broken_promise_is_closed_and_a_careless_agent_goes_it(
    tmp_path: Path, path: Callable[[Permission], None]
) -> None:
    with empty_files(tmp_path) as empty:
        for agent in (Stepped, PATHS[path]):
            machine = Permission(empty, agent, set())
            path(machine)
            assert machine.receipt
            if agent is Stepped:
                machine.rolled_back_is_rolled_back()
            else:
                with pytest.raises(AssertionError, match="adaptive after the receipt"):
                    machine.rolled_back_is_rolled_back()
            machine.teardown()
