"""The agent, step by step and on its threads: the row before the word, what a read brings, what ends a lease."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event, active_count
from threading import enumerate as enumerate_threads

import pytest
from sqlalchemy import text

import permitted
from permitted import WORD, stepped
from postgres_server import Server
from store_places import Place
from suffice.errors import StoreError
from suffice.flag.document import Exposure
from suffice.flag.file import publish
from suffice.flag.lowering import FORCE_FIXED
from suffice.serving.agent import OLDER_COPY, Agent
from suffice.serving.fence import Read, may_be_adaptive
from suffice.store.database import Store, open_store
from suffice.store.decision_row import WhyFixed
from suffice.store.note import Note, read_note, write_note
from suffice.store.processes import ProcessRow, fleet
from suffice.store.words import Word

PATIENCE = 60.0


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as opened:
        yield opened


def written(store: Store, word: Word = WORD, at_least: int = 0) -> Word:
    return permitted.written(store, word, 1000.0, at_least)


def rows(store: Store) -> list[ProcessRow]:
    with store.read() as connection:
        return fleet(connection, "pump")


class Boot:
    now = 50.0

    def __call__(self) -> float:
        return self.now


def agent(place: Place, folder: Path | None = None, boot: Boot | None = None) -> Agent:
    return stepped(Agent, place, boot or Boot(), folder=folder)


def why_fixed(process: Agent) -> WhyFixed | None:
    return may_be_adaptive(process.read, process.boot(), plan_id="plan", exposed=lambda word: True)


def until(holds: Callable[[], bool]) -> None:
    """Looks again and again, for as long as a loaded machine may need."""
    pause = Event()
    for _ in range(int(PATIENCE / 0.01)):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come about")


def test_no_word_counts_before_a_read_has_seen_the_processes_own_row(store: Store, place: Place) -> None:
    written(store)
    process = agent(place)
    assert why_fixed(process) is WhyFixed.NO_WORD
    process.step_read()
    assert why_fixed(process) is WhyFixed.NO_WORD
    process.step_write()
    assert why_fixed(process) is WhyFixed.NO_WORD
    process.step_read()
    assert why_fixed(process) is None
    process.close()
    assert why_fixed(process) is WhyFixed.NO_WORD


def test_it_acknowledges_the_epoch_that_it_has_read_and_signs_off(store: Store, place: Place) -> None:
    process = agent(place)
    process.step_write()
    (row,) = rows(store)
    assert (row.nonce, row.pid, row.plan_id, row.enabled, row.epoch, row.seen_at) == (
        process.nonce,
        os.getpid(),
        "plan",
        True,
        0,
        None,
    )
    for change in (WORD, replace(WORD, exposure=None, phase="RollingBack")):
        epoch = written(store, change).epoch
        process.step_read()
        process.step_write()
        (row,) = rows(store)
        assert (row.epoch, row.left_at) == (epoch, None)
        assert row.seen_at is not None
    assert why_fixed(process) is WhyFixed.EXPOSURE
    process.close()
    (row,) = rows(store)
    assert row.left_at == 1000.0


def test_a_clock_that_is_set_back_makes_no_word_longer(tmp_path: Path) -> None:
    """SQLite has no clock: an hour back, a word without a runner stood for an hour before."""
    boot, now = [50.0], [1000.0]
    place = tmp_path / "store.db"
    with open_store(place) as opened:
        word = written(opened, replace(WORD, length=120.0))
        process = stepped(Agent, place, lambda: boot[0], lambda: now[0])
        process.step_write()

        def remaining(passed: float, set_by: float = 0.0) -> float:
            boot[0] += passed
            now[0] += passed + set_by
            process.step_read()
            assert process.read is not None
            return process.read.remaining

        assert [remaining(0.0), remaining(60.0), remaining(10.0, -3600.0)] == [120.0, 60.0, 50.0]
        for service in ("another", word.service):
            # For one read it is not there, and then as it was.
            with opened.touch() as connection:
                connection.execute(text("UPDATE words SET service = :service"), {"service": service})
            seen = remaining(0.0)
        assert seen == 50.0
        assert [remaining(49.0), remaining(2.0)] == [1.0, -1.0]
        assert why_fixed(process) is WhyFixed.LAPSED
        # A renewal counts from then on, and so does another word.
        permitted.written(opened, word, now[0])
        assert remaining(0.0) == 120.0
        process.close()


def test_a_process_that_was_pruned_or_signed_off_is_fixed_until_its_row_is_back(store: Store, place: Place) -> None:
    written(store)
    process = agent(place)
    process.step_write()
    with store.touch() as connection:
        connection.execute(text("DELETE FROM processes"))
    process.step_read()
    assert why_fixed(process) is WhyFixed.NO_WORD
    process.step_write()
    process.step_read()
    assert why_fixed(process) is None
    process.close()


def test_a_store_that_does_not_answer_leaves_the_last_read_until_its_lease_has_run_out(
    store: Store, place: Place
) -> None:
    written(store)
    boot = Boot()
    process = agent(place, boot=boot)
    process.step_write()
    process.step_read()
    with store.write() as connection:
        connection.execute(text("ALTER TABLE words RENAME TO elsewhere"))
    boot.now += 4.9
    with pytest.raises(StoreError):
        process.step_read()
    assert why_fixed(process) is None
    boot.now += 0.1
    assert why_fixed(process) is WhyFixed.LAPSED
    with store.write() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO words"))
    process.step_read()
    assert why_fixed(process) is None
    process.close()


def test_an_older_copy_of_the_store_is_no_word_and_the_host_remembers(
    store: Store, place: Place, tmp_path: Path
) -> None:
    first = written(store)
    process = agent(place, folder=tmp_path)
    process.step_write()
    process.step_read()
    process.step_write()
    assert read_note(tmp_path).epoch == first.epoch
    write_note(tmp_path, Note(first.incarnation, first.epoch + 1))
    process.step_read()
    assert why_fixed(process) is WhyFixed.NO_WORD
    assert "older copy" in process.obstacle
    other = agent(place, folder=tmp_path)
    other.step_write()
    other.step_read()
    assert why_fixed(other) is WhyFixed.NO_WORD
    written(store, at_least=first.epoch + 1)
    for one in (process, other):
        one.step_read()
        assert why_fixed(one) is None
        one.close()


def test_a_backup_that_is_moved_into_place_ends_every_word_and_the_new_ones_are_seen(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    with open_store(place) as store:
        written(store)
    shutil.copy(place, tmp_path / "backup.db")
    process = agent(place)
    process.step_write()
    process.step_read()
    assert why_fixed(process) is None
    (tmp_path / "backup.db").replace(place)
    process.step_read()
    assert why_fixed(process) is WhyFixed.NO_WORD
    assert "another incarnation" in process.obstacle
    with open_store(place) as store:
        word = written(store, at_least=1)
        process.step_read()
        assert process.read is not None and process.read.word == word
        process.step_write()
        process.step_read()
        assert why_fixed(process) is None
    process.close()


def test_a_damaged_note_keeps_the_host_fixed_and_is_said(store: Store, place: Place, tmp_path: Path) -> None:
    written(store)
    (tmp_path / "store.note").write_text("{", encoding="utf-8")
    process = agent(place, folder=tmp_path)
    process.step_write()
    process.start()
    until(lambda: "store.note" in process.obstacle)
    assert why_fixed(process) is WhyFixed.NO_WORD
    (tmp_path / "store.note").unlink()
    until(lambda: why_fixed(process) is None)
    process.close()


def test_a_write_transaction_reads_the_word_as_it_stands_and_knows_what_process_and_host_have_seen(
    tmp_path: Path,
) -> None:
    place = tmp_path / "store.db"
    with open_store(place) as opened:
        first, second = written(opened, replace(WORD, phase="Paused")), written(opened)
        process = agent(place, folder=tmp_path)

        def within(**columns: object) -> Read:
            with opened.write() as connection:
                for name, value in columns.items():
                    connection.execute(text(f"UPDATE words SET {name} = :value"), {"value": value})
                return process.read_within(connection, "pump", 1000.0)

        as_it_stands = Read(second, 0.0, 120.0, 1000.0, second.incarnation, primary=True, registered=True)
        assert within() == as_it_stands
        assert "another incarnation" in within(incarnation="elsewhere").obstacle
        assert within(incarnation=second.incarnation).obstacle == ""
        process.step_read()
        assert within(epoch=first.epoch).obstacle == OLDER_COPY, "the process has seen more"
        assert within(epoch=second.epoch).obstacle == ""
        write_note(tmp_path, Note(second.incarnation, second.epoch + 1))
        assert within().obstacle == OLDER_COPY, "the host has seen more"
        (tmp_path / "store.note").write_text("{", encoding="utf-8")
        assert "store.note" in within().obstacle
        process.close()


def test_a_note_that_an_older_one_replaced_takes_nothing_from_what_the_process_has_seen(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    with open_store(place) as opened:
        first, _ = written(opened, replace(WORD, phase="Paused")), written(opened)
        process = agent(place, folder=tmp_path)
        process.step_write()
        process.step_read()
        assert why_fixed(process) is None
        write_note(tmp_path, Note(first.incarnation, first.epoch))
        with opened.write() as connection:
            connection.execute(text("UPDATE words SET epoch = :epoch"), {"epoch": first.epoch})
        process.step_read()
        assert process.obstacle == OLDER_COPY
        process.close()


def test_a_process_that_is_not_registered_any_more_writes_at_once(store: Store, place: Place) -> None:
    written(store)
    process = agent(place)
    process.step_write()
    process.step_read()
    process.step_read()
    process._due.clear()
    process.step_read()
    assert not process._due.is_set()
    with store.touch() as connection:
        connection.execute(text("DELETE FROM processes"))
    process.step_read()
    assert process._due.is_set()
    process.close()


def test_a_row_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    process = Agent(tmp_path / "store.db", "pump", plan_id="plan", enabled=True)
    process.prepare()
    with process.store.touch() as connection:
        connection.execute(
            text("CREATE TRIGGER t BEFORE INSERT ON processes BEGIN SELECT RAISE(ABORT, 'there is no room'); END")
        )
    process.step_write()
    assert "there is no room" in process.obstacle
    process.close()


def test_its_row_is_as_of_the_read_however_late_it_is_written(tmp_path: Path) -> None:
    boot, now, place = [50.0], [1000.0], tmp_path / "store.db"
    with open_store(place) as opened:
        process = stepped(Agent, place, lambda: boot[0], lambda: now[0])
        process.step_read()
        boot[0], now[0] = boot[0] + 2.0, now[0] + 2.0
        process.step_write()
        (row,) = rows(opened)
        assert (row.seen_at, row.beat_at) == (1000.0, 1000.0)
        process.close()


def test_a_process_that_has_been_silent_for_more_than_an_hour_is_forgotten(store: Store, place: Place) -> None:
    silent, boot = agent(place), Boot()
    silent.step_write()
    process = agent(place, boot=boot)
    for _ in range(8):
        process.step_write()
        boot.now += 601.0
    assert [row.nonce for row in rows(store)] == [process.nonce]
    process.close()
    silent.stop()
    silent.store.close()


class Counting(Agent):
    """An agent that counts its reads, and rows that it writes."""

    reads = 0
    writes = 0

    def step_read(self) -> None:
        self.reads += 1
        super().step_read()

    def _register(self) -> None:
        self.writes += 1
        super()._register()


def test_its_threads_rest_between_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread without its pause takes thousands of steps in this time."""
    monkeypatch.setattr("suffice.serving.agent.POLL_SECONDS", 0.1)
    monkeypatch.setattr("suffice.serving.agent.BEAT_SECONDS", 0.1)
    process, duties = Counting(tmp_path / "store.db", "pump", plan_id="plan", enabled=True), list[Store]()
    process._duties = {"deliver": duties.append}
    began = process.boot()
    process.start()
    assert {"suffice-reader", "suffice-writer"} <= {thread.name for thread in enumerate_threads()}
    process.wait_until_registered(PATIENCE)
    Event().wait(0.5)
    process.close()
    most = 2 * ((process.boot() - began) / 0.1 + 2)
    assert 1 < process.reads < most and 1 < process.writes < most and 1 < len(duties) < most


class Acknowledging(Agent):
    """Counts what is done between two beats."""

    acknowledged = 0

    def _acknowledge(self) -> None:
        self.acknowledged += 1
        super()._acknowledge()


def test_what_is_due_between_two_beats_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suffice.serving.agent.BEAT_SECONDS", 600.0)
    process = Acknowledging(tmp_path / "store.db", "pump", plan_id="plan", enabled=True)
    process.start()
    process.wait_until_registered(PATIENCE)
    Event().wait(0.1)
    before = process.acknowledged
    process.decide_by("another")
    until = process.boot() + PATIENCE
    while process.acknowledged == before and process.boot() < until:
        Event().wait(0.01)
    Event().wait(0.2)
    process.close()
    assert before < process.acknowledged <= before + 3


class Standing(Agent):
    """An agent one of whose threads waits for a store that does not answer."""

    def __init__(self, place: Place, waits: str) -> None:
        self.waits, self.waiting, self.answered = waits, Event(), Event()
        super().__init__(place, "pump", plan_id="plan", enabled=True, now=lambda: 1000.0)

    def step_read(self) -> None:
        self._wait("reader")
        super().step_read()

    def step_write(self) -> None:
        self._wait("writer")
        super().step_write()

    def _wait(self, which: str) -> None:
        if which == self.waits:
            self.waiting.set()
            self.answered.wait(PATIENCE)


@pytest.mark.parametrize("waits", ["reader", "writer"])
def test_a_thread_that_waits_at_the_end_lets_go_of_the_store_when_it_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: str
) -> None:
    monkeypatch.setattr("suffice.serving.agent.AGENT_SECONDS", 0.05)
    process, closed = Standing(tmp_path / "store.db", waits), Event()
    process.start()
    assert process.waiting.wait(PATIENCE)
    monkeypatch.setattr(process.store, "close", closed.set)
    process.close()
    assert not closed.is_set()
    process.answered.set()
    assert closed.wait(PATIENCE)
    for thread in process._threads:
        thread.join()
    monkeypatch.undo()
    process.store.close()


def test_nothing_is_delivered_to_a_store_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "queue").write_text("a file where the folder should be", encoding="utf-8")
    delivered = list[Store]()
    duties = {"deliver": delivered.append}
    process = Agent(tmp_path / "queue" / "store.db", "pump", plan_id="plan", enabled=True, duties=duties)
    process.step_write()
    assert process.obstacle and not delivered
    process.close()


def test_the_hosts_files_are_read_with_each_step(store: Store, place: Place, tmp_path: Path) -> None:
    process = agent(place, folder=tmp_path)
    process.step_read()
    assert process.lowering is None
    publish(tmp_path / "flag.json", None)
    process.step_read()
    assert process.lowering is not None and process.lowering.outranks(7)
    publish(tmp_path / "flag.json", Exposure(5, "salt"))
    process.step_read()
    assert process.lowering is None
    process.close()


def test_its_row_says_when_environment_or_files_force_the_baseline(
    store: Store, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: a stage went on, and its hold was credited, while every process was forced to be fixed."""
    epoch = written(store).epoch
    process = agent(place, folder=tmp_path)

    def enabled() -> bool:
        process.step_read()
        process.step_write()
        process.step_read()
        process.step_write()
        return rows(store)[0].enabled

    assert enabled()
    monkeypatch.setenv(FORCE_FIXED, "1")
    assert not enabled()
    monkeypatch.delenv(FORCE_FIXED)
    assert enabled()
    publish(tmp_path / "flag.json", None, epoch=epoch)
    assert not enabled()
    publish(tmp_path / "flag.json", None, epoch=epoch - 1)
    assert enabled()
    (tmp_path / "rollback.asked").touch()
    assert not enabled()
    # Where the word gives nothing, nothing is taken back.
    written(store, replace(WORD, exposure=None))
    assert enabled()
    process.close()


def test_its_threads_register_see_each_word_acknowledge_and_end(store: Store, place: Place) -> None:
    threads = active_count()
    delivered = Event()
    process = Agent(
        place, "pump", plan_id="plan", enabled=True, duties={"deliver": lambda _: delivered.set()}, now=lambda: 1000.0
    )
    process.start()
    process.wait_until_registered(PATIENCE)
    assert process.read is not None and process.read.registered and process.read.known is None
    word = written(store)
    until(lambda: why_fixed(process) is None)
    until(lambda: rows(store)[0].epoch == word.epoch)
    before = process.read
    assert process.wait_for_read(before, PATIENCE) is not before
    assert delivered.wait(PATIENCE)
    process.close()
    assert active_count() == threads
    assert rows(store)[0].left_at == 1000.0


def test_between_two_beats_words_are_acknowledged_and_nothing_else_is_done(
    store: Store, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suffice.serving.agent.BEAT_SECONDS", 100 * PATIENCE)
    delivered = list[int]()
    process = Agent(place, "pump", plan_id="plan", enabled=True, duties={"deliver": lambda _: delivered.append(1)})
    process.start()
    for phase in ("Progressing", "Paused", "RollingBack"):
        epoch = written(store, replace(WORD, phase=phase)).epoch
        until(lambda epoch=epoch: [row.epoch for row in rows(store)] == [epoch])  # type: ignore[misc]
    assert len(delivered) == 1
    process.close()


def test_on_postgresql_a_word_that_changes_is_read_without_waiting_for_the_next_poll(
    store: Store, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(place, Path):
        return
    process = agent(place)
    process.step_write()
    monkeypatch.setattr("suffice.serving.agent.POLL_SECONDS", 100 * PATIENCE)
    process.start()
    until(lambda: process.read is not None)
    for phase in ("Paused", "Progressing", "RollingBack"):
        word = written(store, replace(WORD, phase=phase))
        until(
            lambda epoch=word.epoch: (
                process.read is not None and process.read.known is not None and process.read.known.epoch == epoch
            )
        )  # type: ignore[misc]
    before = process.read
    written(store, replace(WORD, phase="RollingBack"))
    assert process.wait_for_read(before, 1.0) is before
    process.close()


def test_a_store_that_is_not_there_yet_is_made_and_until_then_nothing_counts(tmp_path: Path) -> None:
    (tmp_path / "queue").write_text("a file where the folder should be", encoding="utf-8")
    process = agent(tmp_path / "queue" / "store.db")
    process.start()
    until(lambda: bool(process.obstacle))
    assert why_fixed(process) is WhyFixed.NO_WORD
    (tmp_path / "queue").unlink()
    process.wait_until_registered(PATIENCE)
    assert process.read is not None and process.read.registered
    process.close()


def test_a_look_at_a_postgresql_store_that_stands_still_keeps_the_writer_no_longer_than_anything_else(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = postgres.place()
    with open_store(place) as store:
        process, opened = agent(place), list[str]()
        monkeypatch.setattr("suffice.serving.agent.open_store", opened.append)
        with postgres.frozen():
            process.step_write()
        assert "the server has not answered" in process.obstacle
        monkeypatch.undo()
        process.step_write()
        assert [row.nonce for row in rows(store)] == [process.nonce]
        process.close()
    assert opened == []


def test_what_cannot_be_delivered_is_said_once_and_keeps_no_row_from_being_written(
    store: Store, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Store) -> None:
        raise StoreError("the ledger refuses")

    process = Agent(place, "pump", plan_id="plan", enabled=True, duties={"deliver": fail}, now=lambda: 1000.0)
    process.step_write()
    process.step_write()
    assert rows(store)
    assert [record.getMessage() for record in caplog.records] == ["deliver: the ledger refuses"]
    assert process.obstacle == "the ledger refuses"
    process.close()


def test_a_forked_child_knows_it(store: Store, place: Place) -> None:
    process = agent(place)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if process.forked else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not process.forked
    process.close()
