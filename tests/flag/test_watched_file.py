"""The watched file by itself: what it answers, whether it is watched, that it ends, and what it logs."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from openfeature.contrib.provider.flagd import FlagdProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.event import ProviderEvent, ProviderEventDetails
from openfeature.provider import FeatureProvider

from suffice.flag.document import FLAG, Exposure, to_text
from suffice.flag.file import publish
from suffice.flag.watched_file import WatchedFile

POLL_MS = 100
LOGGER = logging.getLogger("openfeature.contrib")


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WatchedFile]:
    """By a relative path, which the process leaves afterwards."""
    publish(tmp_path / "flag.json", Exposure(100, "s1"))
    monkeypatch.chdir(tmp_path)
    watched = WatchedFile(Path("flag.json"), POLL_MS)
    monkeypatch.chdir("/")
    watched.initialize(EvaluationContext())
    yield watched
    watched.shutdown()


def test_it_is_watched_until_it_is_shut_down_and_then_no_thread_is_left(watched: WatchedFile) -> None:
    assert watched.resolve_string_details(FLAG, "fixed", EvaluationContext("pump-1")).value == "adaptive"
    thread = watched._watcher.thread
    assert watched.running and thread.is_alive()
    watched.shutdown()
    assert not watched.running and not thread.is_alive()


def test_it_is_watched_no_more_as_soon_as_its_thread_is_told_to_end(watched: WatchedFile) -> None:
    FlagdProvider.shutdown(watched)
    assert not watched.running


def test_a_forked_child_does_not_watch_it(watched: WatchedFile) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(int(watched.running))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert watched.running


def test_a_publication_after_the_first_reading_is_seen_even_if_its_time_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "flag.json"
    seen = publish(path, Exposure(100, "s1"))
    slow = WatchedFile(path, 10 * POLL_MS)
    slow.initialize(EvaluationContext())
    path.write_text(to_text(None), encoding="utf-8")
    os.utime(path, ns=(seen.mtime_ns, seen.mtime_ns))
    slow._watcher.safe_load_data()
    assert slow.resolve_string_details(FLAG, "adaptive", EvaluationContext("pump-1")).value == "fixed"
    FlagdProvider.shutdown(slow)


def test_it_is_looked_at_as_often_as_was_asked(watched: WatchedFile) -> None:
    assert watched._watcher.deadline_seconds == POLL_MS / 1000


def test_once_openfeature_has_let_go_of_it_nobody_waits_and_nobody_is_told(watched: WatchedFile) -> None:
    told = list[ProviderEvent]()

    def tell(_: FeatureProvider, event: ProviderEvent, __: ProviderEventDetails) -> None:
        told.append(event)

    watched.attach(tell)
    watched.emit_provider_ready(ProviderEventDetails())
    assert ProviderEvent.PROVIDER_READY in told
    waiting = Thread(target=watched.wait_until_released)
    waiting.start()
    waiting.join(POLL_MS / 1000)
    assert waiting.is_alive()
    watched.detach()
    waiting.join()
    told.clear()
    watched.emit_provider_ready(ProviderEventDetails())
    assert told == []


def test_the_same_message_is_logged_once_a_minute(watched: WatchedFile) -> None:
    def passes(message: str, at: float) -> bool:
        record = LOGGER.makeRecord(LOGGER.name, logging.ERROR, "a.py", 1, message, (), None)
        record.created = at
        return bool(LOGGER.filter(record))

    told = [(at, passes("it is gone", at)) for at in (1000.0, 1000.1, 1059.9, 1060.0, 1119.9, 1120.0)]
    assert [at for at, passed in told if passed] == [1000.0, 1060.0, 1120.0]
    assert passes("it is broken", 1060.0)
    assert passes("it is gone", 500.0), "the clock was set back"
    assert not passes("it is gone", 500.1)


def test_a_host_application_without_logging_hears_nothing_on_stderr(watched: WatchedFile) -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("openfeature").handlers)
