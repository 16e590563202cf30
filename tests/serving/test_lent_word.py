"""The word that is lent to a process without an agent: what it says, for how long, and that its row acknowledges
nothing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import permitted
from permitted import WORD
from store_places import Place
from suffice.cli.main import run
from suffice.flag.file import publish
from suffice.flag.lowering import FORCE_FIXED
from suffice.serving.fence import LEASE_SECONDS, BootClock
from suffice.serving.lent_word import Lender, LentWord
from suffice.store.database import Store, open_store
from suffice.store.processes import fleet
from suffice.store.signs import last_sign

NOW = 1000.0


class Boot:
    now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as opened:
        yield opened


def lender(place: Place, folder: Path, *, enabled: bool = True, now: float = NOW) -> Lender:
    return Lender(place, "pump", folder, enabled=enabled, now=lambda: now, boot=Boot())


def lent(place: Place, folder: Path, *, enabled: bool = True, now: float = NOW) -> LentWord:
    lends = lender(place, folder, enabled=enabled, now=now)
    try:
        return lends.ask()
    finally:
        lends.close()


def test_it_says_who_may_be_adaptive_and_for_how_long(store: Store, place: Place, tmp_path: Path) -> None:
    written = permitted.written(store, WORD, NOW)
    word = lent(place, tmp_path)
    assert (word.adaptive, word.why_fixed, word.why) == (True, None, "")
    assert (word.exposure, word.audit_fraction, word.audit_salt) == (WORD.exposure, 0.1, WORD.audit_salt)
    assert (word.rollout, word.stage, word.plan_id, word.epoch) == ("pump-000001", "canary", "plan", written.epoch)
    assert (word.remaining_s, word.asked_boot_s) == (LEASE_SECONDS, Boot.now)
    json.dumps(word.plain, allow_nan=False)


def test_a_word_that_ends_sooner_than_a_lease_is_lent_for_no_longer(tmp_path: Path) -> None:
    place = tmp_path / "store.db"
    permitted.written_at(place, WORD, NOW, length=120.0)
    assert lent(place, tmp_path, now=NOW + 118.0).remaining_s == 2.0
    over = lent(place, tmp_path, now=NOW + 120.0)
    assert (over.adaptive, over.why_fixed, over.exposure, over.remaining_s) == (False, "LAPSED", None, 0.0)


def test_without_a_clock_that_both_can_read_no_moment_on_it_is_told(tmp_path: Path) -> None:
    """Then a word is good for who asks for it, and counts from before; it cannot be followed."""
    permitted.written_at(tmp_path / "store.db", WORD, NOW)
    own = BootClock(monotonic=lambda: 50.0, wall=lambda: 50.0)
    lends = Lender(tmp_path / "store.db", "pump", tmp_path, enabled=True, now=lambda: NOW, boot=own)
    word = lends.ask()
    lends.close()
    assert (lends.is_shared, word.asked_boot_s) == (False, None)
    assert (word.adaptive, word.remaining_s) == (True, LEASE_SECONDS)


@pytest.mark.parametrize(
    ("change", "why_fixed", "why"),
    [
        ({"exposure": None, "phase": "RolledBack"}, "EXPOSURE", "the word says the baseline (RolledBack)"),
        ({"phase": "RollingBack"}, "EXPOSURE", "the word says the baseline (RollingBack)"),
        ({"shadow": True, "exposure": None}, "EXPOSURE", "a shadow stage: nobody is adaptive"),
        ({"exposure": {"weight": 0, "salt": "s", "regions": []}}, "EXPOSURE", "the word says the baseline"),
        ({"exposure": {"weight": 500, "salt": "s", "regions": []}}, "FALLBACK", "the weight is 500"),
    ],
)
def test_a_word_that_permits_nothing_says_why(
    tmp_path: Path, change: dict[str, object], why_fixed: str, why: str
) -> None:
    place = tmp_path / "store.db"
    permitted.written_at(place, WORD, NOW, **change)
    word = lent(place, tmp_path)
    assert (word.adaptive, word.exposure, word.why_fixed, word.is_known) == (False, None, why_fixed, True)
    assert why in word.why


def test_what_lowers_a_process_of_ours_lowers_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "store.db"
    permitted.written_at(place, WORD, NOW)
    assert lent(place, tmp_path, enabled=False).why_fixed == "DISABLED"
    publish(tmp_path / "flag.json", None)
    assert lent(place, tmp_path).why_fixed == "FORCED"
    assert "puts everybody on the baseline" in lent(place, tmp_path).why
    (tmp_path / "flag.json").unlink()
    assert lent(place, tmp_path).adaptive
    monkeypatch.setenv(FORCE_FIXED, "1")
    assert lent(place, tmp_path).why == "SUFFICE_FORCE_FIXED is set"


def test_without_a_word_nobody_knows_and_it_says_why(store: Store, place: Place, tmp_path: Path) -> None:
    word = lent(place, tmp_path)
    assert (word.adaptive, word.why_fixed, word.is_known) == (False, "NO_WORD", False)
    assert word.why == "the store has no word of this service"


def test_a_store_that_cannot_be_read_is_no_word(tmp_path: Path) -> None:
    (tmp_path / "store.db").write_bytes(b"no database" * 1000)
    word = lent(tmp_path / "store.db", tmp_path)
    assert (word.adaptive, word.is_known, word.remaining_s) == (False, False, 0.0)
    assert "store.db" in word.why


def test_its_row_is_there_before_the_word_acknowledges_nothing_and_outlives_it(
    store: Store, place: Place, tmp_path: Path
) -> None:
    epoch = permitted.written(store, WORD, NOW).epoch
    assert lent(place, tmp_path).epoch == epoch
    word = lent(place, tmp_path)
    with store.read() as connection:
        (row,) = fleet(connection, "pump")
        assert last_sign(connection, "pump") == NOW
    assert (row.nonce, row.epoch, row.left_at, row.plan_id) == (word.process, 0, None, "plan")


def test_a_read_that_has_not_seen_its_own_row_lends_nothing(store: Store, place: Place, tmp_path: Path) -> None:
    permitted.written(store, WORD, NOW)
    lends = lender(place, tmp_path)
    lends._agent.step_read()
    assert lends._lent(lends._agent.read, lends._agent.obstacle).why_fixed == "NO_WORD"
    lends.close()


def command(folder: Path, *more: str) -> list[str]:
    words = ["rollout", "word", "--service", "pump", "--queue", str(folder), "--config", str(folder / "config.json")]
    return [sys.executable, "-m", "suffice.cli.main", *words, "--json", *more]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"verifier": {"adaptive_sampling": {"enabled": true}}}', encoding="utf-8")
    return tmp_path


def test_who_follows_is_told_at_once_and_the_command_ends_when_it_is_told_to(folder: Path) -> None:
    with open_store(folder / "store.db") as store:
        first = permitted.written(store, replace(WORD, length=None), NOW)
        with subprocess.Popen(command(folder, "--follow"), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            while not (line := json.loads(process.stdout.readline()))["adaptive"]:
                assert line["why_fixed"] in ("NO_WORD", "LAPSED")  # On a machine that is busy.
            assert (line["adaptive"], line["epoch"], line["remaining_s"]) == (True, first.epoch, LEASE_SECONDS)
            # A later moment of the same clock, as any process of this machine reads it.
            assert 0 <= float(Path("/proc/uptime").read_text(encoding="ascii").split()[0]) - line["asked_boot_s"] < 600
            again = json.loads(process.stdout.readline())
            assert again["process"] == line["process"] and again["asked_boot_s"] > line["asked_boot_s"]
            permitted.written(store, WORD, NOW, exposure=None, phase="RolledBack")
            while (told := json.loads(process.stdout.readline()))["adaptive"]:
                assert told["epoch"] == first.epoch, told
            assert (told["epoch"], told["exposure"]) == (first.epoch + 1, None)
            process.send_signal(signal.SIGTERM)
            process.stdout.read()
            assert process.wait() == 0


def test_it_ends_when_nobody_reads_it_any_more(folder: Path) -> None:
    permitted.written_at(folder / "store.db", replace(WORD, length=None), NOW)
    reading, writing = os.pipe()
    with subprocess.Popen(command(folder, "--follow"), stdout=writing, stderr=subprocess.PIPE) as process:
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        assert process.communicate() == (None, b"")
    assert process.returncode == 0


def test_a_store_that_is_not_there_is_a_mistake_in_an_option(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command(folder)[3:]) == 3
    printed = capsys.readouterr()
    assert (printed.out, "there is no store" in printed.err) == ("", True)
    assert not (folder / "store.db").exists()
