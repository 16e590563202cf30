"""The pulse: signs of life and rows that wait reach the store without traffic, and no failure of theirs costs more."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, active_count

import pytest
from serving_world import case, verifier

from suffice.serving.pulse import Pulse
from suffice.store.database import Store, open_store
from suffice.store.ledger import Ledger
from suffice.store.signs import last_sign, note_sign

PATIENCE = 60.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.db") as opened:
        yield opened


def sign(store: Store, service: str = "verifier") -> float | None:
    with store.read() as connection:
        return last_sign(connection, service)


def until(holds: Callable[[], bool]) -> None:
    """Looks again and again, for as long as a loaded machine may need."""
    pause = Event()
    for _ in range(int(PATIENCE / 0.01)):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come about")


def test_a_verifier_without_traffic_gives_signs_of_life_and_writes_what_waits(store: Store) -> None:
    now, threads = [100.0], active_count()
    it = verifier(store, clock=lambda: now[0])
    assert sign(store) is None
    it.verify(case(1))
    assert Ledger(store).rows("r") == []
    it.start_pulse(seconds=0.02)
    until(lambda: sign(store) == 100.0)
    until(lambda: [row.key for row in Ledger(store).rows("r")] == ["k1"])
    # The last word counts, also when the clock goes back.
    now[0] = 50.0
    until(lambda: sign(store) == 50.0)
    it.close()
    now[0] = 60.0
    assert active_count() == threads
    assert sign(store) == 50.0
    it.close()


def test_each_service_has_signs_of_its_own(store: Store) -> None:
    with store.write() as connection:
        note_sign(connection, "one", 1.0)
        note_sign(connection, "two", 2.5)
        note_sign(connection, "one", 3.0)
    assert (sign(store, "one"), sign(store, "two"), sign(store, "three")) == (3.0, 2.5, None)


def test_a_store_that_cannot_be_written_is_logged_once_and_tried_again(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    with store.write() as connection:
        connection.exec_driver_sql("ALTER TABLE store_meta RENAME TO elsewhere")
    it, beats = verifier(store), [0]

    def counted() -> float:
        beats[0] += 1
        return 7.0

    it.clock = counted
    with caplog.at_level(logging.WARNING):
        it.start_pulse(seconds=0.01)
        until(lambda: beats[0] > 3)
        assert it.verify(case(1)).decision
        with store.write() as connection:
            connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO store_meta")
        until(lambda: sign(store) == 7.0)
        it.close()
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("no sign of life can be given: ") and "store_meta" in said


def test_the_pulse_ends_with_the_beat_at_work() -> None:
    begun, may_end, ended = Event(), Event(), Event()

    def beat() -> None:
        begun.set()
        may_end.wait(PATIENCE)
        ended.set()

    pulse = Pulse(beat, seconds=PATIENCE)
    begun.wait(PATIENCE)
    may_end.set()
    pulse.stop()
    assert ended.is_set()
    pulse.stop()
