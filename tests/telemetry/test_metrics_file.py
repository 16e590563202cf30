"""The metrics file: several writers, kills, and what is refused."""

import json
import random
import subprocess
import sys
import time
from functools import partial
from threading import Thread

import pytest
from filelock import FileLock

from suffice.errors import DataError, MissingDataError, OutputError
from suffice.telemetry import metrics_file
from suffice.telemetry.counters import Counter, Counters
from suffice.telemetry.metrics_file import flush, read, stand_in

FLUSHER = """
import sys
from functools import partial
from pathlib import Path
from suffice.telemetry.counters import Counter, Counters
from suffice.telemetry.metrics_file import flush
counters = Counters()
for _ in range(int(sys.argv[2])):
    counters.add(Counter.AUDITS)
    counters.add(Counter.FIXED_SAMPLES, 256)
    counters.decided()
    counters.sampler_raised(TimeoutError())
    flush(counters, Path(sys.argv[1]))
    print("flushed", flush=True)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "TemporaryQueue" / "metrics.json"


def counted(audits: int, decisions: int = 0) -> Counters:
    counters = Counters()
    counters.add(Counter.AUDITS, audits)
    counters.decided(decisions)
    return counters


def pending(counters: Counters) -> int:
    return counters.snapshot().counters[Counter.AUDITS]


def start(path, flushes: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", FLUSHER, str(path), str(flushes)], stdout=subprocess.PIPE, text=True)


def assert_processes_lose_nothing(path, processes: int, flushes: int) -> None:
    running = [start(path, flushes) for _ in range(processes)]
    for process in running:
        process.communicate()
        assert process.returncode == 0
    metrics = read(path)
    assert metrics.value(Counter.AUDITS) == metrics.counts.decisions == processes * flushes
    assert metrics.value(Counter.FIXED_SAMPLES) == 256 * processes * flushes
    assert metrics.counts.sampler_errors == {"TimeoutError": processes * flushes}
    assert sorted(file.name for file in path.parent.iterdir()) == ["metrics.json", "metrics.json.lock"]


def test_8_processes_flushing_40_times_leave_320_counts(path):
    assert_processes_lose_nothing(path, processes=8, flushes=40)


@pytest.mark.campaign
def test_8_processes_flushing_1000_times_leave_8000_counts(path):
    assert_processes_lose_nothing(path, processes=8, flushes=1_000)


def assert_kills_lose_nothing(path, rounds: int, rng: random.Random) -> None:
    acknowledged, killed = 0, 0
    for _ in range(rounds):
        running = [start(path, 1_000_000) for _ in range(3)]
        for process in running:
            assert process.stdout is not None
            process.stdout.readline()
        acknowledged += len(running)
        time.sleep(rng.uniform(0.0, 0.1))
        for process in running:
            process.kill()
            rest, _ = process.communicate()
            acknowledged += rest.count("flushed\n")
        killed += len(running)
        json.loads(path.read_text())
        # A process may be killed after its flush and before it could say so: one at most, for each kill.
        assert acknowledged <= read(path).value(Counter.AUDITS) <= acknowledged + killed
    flush(Counters(), path)
    assert sorted(file.name for file in path.parent.iterdir()) == ["metrics.json", "metrics.json.lock"]
    metrics = read(path)
    assert metrics.value(Counter.FIXED_SAMPLES) == 256 * metrics.value(Counter.AUDITS) == 256 * metrics.counts.decisions


def test_killed_processes_neither_lose_nor_double_a_flushed_count(path):
    assert_kills_lose_nothing(path, rounds=3, rng=random.Random(1))


@pytest.mark.campaign
def test_100_times_killed_processes_neither_lose_nor_double_a_flushed_count(path):
    assert_kills_lose_nothing(path, rounds=100, rng=random.Random(2))


def test_threads_sharing_counters_lose_nothing(path):
    counters = Counters()

    def work() -> None:
        for _ in range(25):
            counters.add(Counter.AUDITS)
            counters.decided()
            flush(counters, path)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(path).value(Counter.AUDITS) == 100
    assert pending(counters) == 0


def test_flushing_twice_counts_once(path):
    counters = counted(3, decisions=2)
    flush(counters, path)
    flush(counters, path)
    assert (read(path).value(Counter.AUDITS), read(path).counts.decisions) == (3, 2)


def test_the_file_as_a_person_reads_it(path):
    flush(counted(3, decisions=2), path)
    content = json.loads(path.read_text())
    assert list(content) == ["format", "decisions", "counters"]
    assert (content["format"], content["decisions"]) == (1, 2)
    assert list(content["counters"]) == [str(name) for name in Counter]


def test_errors_of_samplers_are_in_the_file_by_type(path):
    counters = counted(3, decisions=2)
    for error in (TimeoutError(), ValueError(), TimeoutError()):
        counters.sampler_raised(error)
    flush(counters, path)
    content = json.loads(path.read_text())
    assert content["counters"]["verifier_sampler_errors_total"] == 3
    assert content["sampler_errors"] == read(path).counts.sampler_errors == {"TimeoutError": 2, "ValueError": 1}


def test_a_zero_is_an_answer_only_after_decisions(path):
    flush(Counters(), path)
    with pytest.raises(MissingDataError, match=r"verifier_audits_total cannot be told: no decisions .* yet"):
        read(path).value(Counter.AUDITS)
    flush(counted(0, decisions=1), path)
    assert read(path).value(Counter.AUDITS) == 0


def test_a_missing_counter_is_zero_only_after_decisions(path):
    path.parent.mkdir()
    path.write_text('{"format": 1, "decisions": 0, "counters": {"resolution_rollbacks_total": 4}}')
    with pytest.raises(MissingDataError):
        read(path).value(Counter.AUDITS)
    assert read(path).value(Counter.ROLLBACKS) == 4
    path.write_text('{"format": 1, "decisions": 9, "counters": {}}')
    assert read(path).value(Counter.AUDITS) == 0


def test_no_file_is_missing_data_with_exit_code_3(path):
    with pytest.raises(MissingDataError, match="there is no metrics file") as error:
        read(path)
    assert error.value.exit_code == 3


REFUSED = {
    "": "not JSON",
    '{"format": 1, "decisions": 3, "coun': "not JSON",
    "[]": "not metrics of Suffice in format 1; format found: none",
    '{"verifier_audits_total": 3}': "not metrics of Suffice in format 1; format found: none",
    '{"format": 0, "decisions": 1, "counters": {}}': "format found: 0",
    '{"format": 2, "decisions": 1, "counters": {}}': "format found: 2",
    '{"format": true, "decisions": 1, "counters": {}}': "format found: True",
    '{"format": 1, "counters": {}}': "decisions is None; allowed: a whole number, 0 or more",
    '{"format": 1, "decisions": 1}': "counters is None; allowed: an object of counts",
    '{"format": 1, "decisions": 1, "counters": {}, "more": 1}': "'more' is not known; allowed: format, decisions",
    '{"format": 1, "decisions": 1, "counters": {"audits": 1}}': "counters: 'audits' is not known; allowed: resolution_",
    '{"format": 1, "decisions": 1, "counters": {"verifier_audits_total": NaN}}': "_audits_total is NaN, which JSON",
    '{"format": 1, "decisions": 1, "counters": {"verifier_audits_total": -1}}': "is -1; allowed",
    '{"format": 1, "decisions": 1, "counters": {"verifier_audits_total": 1.0}}': r"is 1\.0; allowed",
    '{"format": 1, "decisions": 1, "counters": {"verifier_audits_total": true}}': "is True; allowed",
    '{"format": 1, "decisions": 1, "counters": {"verifier_audits_total": null}}': "is None; allowed",
    '{"format": 1, "decisions": 1, "counters": {}, "sampler_errors": []}': r"errors is \[\]; allowed: an object",
    '{"format": 1, "decisions": 1, "counters": {}, "sampler_errors": {"a b": 1}}': "'a b' is no type of an error",
    '{"format": 1, "decisions": 1, "counters": {}, "sampler_errors": {"OSError": -1}}': r"errors.OSError is -1;",
    json.dumps({"format": 1, "decisions": 1, "counters": {}, "sampler_errors": {f"E{i}": 1 for i in range(21)}}): (
        "allowed: an object of the counts of at most 20 types"
    ),
}


@pytest.mark.parametrize("text", REFUSED)
def test_anything_else_is_refused_and_left_as_it_is(path, text):
    path.parent.mkdir()
    path.write_text(text)
    counters = counted(3)
    for attempt in (lambda: read(path), lambda: flush(counters, path)):
        with pytest.raises(DataError, match=REFUSED[text]) as error:
            attempt()
        assert str(path) in str(error.value)
        assert "\n" not in str(error.value)
    assert path.read_text() == text
    assert pending(counters) == 3


def test_what_is_not_text_is_refused(path):
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="cannot be read"):
        read(path)


def test_a_failed_flush_keeps_the_increments_for_the_next(path):
    counters = counted(3, decisions=1)
    path.parent.write_text("in the way")
    with pytest.raises(OutputError, match=r"metrics\.json: cannot be locked"):
        flush(counters, path)
    assert pending(counters) == 3
    path.parent.unlink()
    flush(counters, path)
    assert (read(path).value(Counter.AUDITS), pending(counters)) == (3, 0)


@pytest.mark.parametrize("written", [False, True])
def test_an_interrupt_leaves_a_count_in_memory_or_in_the_file_never_in_both(path, written, monkeypatch):
    flush(counted(1, decisions=1), path)
    write = metrics_file.write_atomically

    def interrupted(path, text, **how):
        if written:
            write(path, text, **how)
        raise KeyboardInterrupt

    counters = counted(3)
    monkeypatch.setattr(metrics_file, "write_atomically", interrupted)
    with pytest.raises(KeyboardInterrupt):
        flush(counters, path)
    monkeypatch.undo()
    flush(counters, path)
    assert (read(path).value(Counter.AUDITS), pending(counters)) == (4, 0)


def test_a_lock_that_nobody_releases_is_reported(path):
    path.parent.mkdir()
    counters = counted(3)
    with FileLock(f"{path}.lock"), pytest.raises(OutputError, match="locked by another process"):
        in_a_thread(partial(flush, patience=0.05), counters, path)
    assert pending(counters) == 3


def in_a_thread(function, *arguments):
    """What a second process would do: within one thread, waiting for a lock of one's own is refused as a deadlock."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            function(*arguments)
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    for error in errors:
        raise error


# Who counted


def test_an_evaluation_stands_in_until_production_counts(path):
    assert stand_in(counted(3, 10).snapshot(), path, "run_eval")
    assert (read(path).source, read(path).value(Counter.AUDITS)) == ("run_eval", 3)
    assert stand_in(counted(4, 20).snapshot(), path, "run_eval")
    assert read(path).counts.decisions == 20
    flush(counted(1, 5), path)
    assert (read(path).source, read(path).value(Counter.AUDITS), read(path).counts.decisions) == ("production", 1, 5)


def test_an_evaluation_leaves_productions_counters_to_the_byte(path):
    flush(counted(1, 5), path)
    before = path.read_bytes()
    for _ in range(4):
        assert not stand_in(counted(300, 1000).snapshot(), path, "run_eval")
    assert path.read_bytes() == before


@pytest.mark.parametrize("text", ["no metrics", '{"metrics": {"resolution_rollbacks_total": 2}}'])
def test_an_evaluation_leaves_what_is_not_its_own(path, text):
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    assert not stand_in(counted(3, 10).snapshot(), path, "run_eval")
    assert path.read_text(encoding="utf-8") == text


def test_metrics_of_the_older_kind_are_read_and_never_written(path):
    path.parent.mkdir()
    older = {"resolution_adaptive_used_total": 40.0, "resolution_rollback_storm_escalations_total": 2, "host_jobs": 1.5}
    path.write_text(json.dumps({"metrics": older, "written_at": "2026"}), encoding="utf-8")
    before = path.read_bytes()
    metrics = read(path)
    assert (metrics.source, metrics.value(Counter.ESCALATIONS), metrics.value(Counter.ROLLBACKS)) == (
        "an older system", 2, 0,
    )  # fmt: skip
    with pytest.raises(DataError, match="left as they are"):
        flush(counted(1, 5), path)
    assert path.read_bytes() == before


def test_a_zero_of_the_older_kind_is_none_where_nothing_was_decided(path):
    path.parent.mkdir()
    path.write_text('{"metrics": {"resolution_rollback_storm_escalations_total": 0}}', encoding="utf-8")
    with pytest.raises(MissingDataError):
        read(path).value(Counter.ESCALATIONS)


@pytest.mark.parametrize("value", [-1, 1.5, "2", True, None, float("nan")])
def test_a_count_of_the_older_kind_that_is_none_is_refused(path, value):
    path.parent.mkdir()
    path.write_text(json.dumps({"metrics": {"resolution_rollbacks_total": value}}), encoding="utf-8")
    with pytest.raises(DataError, match="resolution_rollbacks_total"):
        read(path)
