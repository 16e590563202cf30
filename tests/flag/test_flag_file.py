"""Publishing: whole, strictly newer, read back."""

import os
from hashlib import sha256

import pytest

from suffice.errors import DataError, MissingDataError, OutputError
from suffice.flag.document import Exposure, to_text
from suffice.flag.file import publish, published, wrong_with_file

CANARY = Exposure(5, "s1", ("eu-west-1",))
SECOND = 1_000_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "flags" / "flag.json"


def test_what_is_published_reads_back(path):
    for exposure in (CANARY, None, Exposure(100, "s1")):
        receipt = publish(path, exposure)
        assert published(path) == exposure
        assert receipt.sha256 == sha256(path.read_bytes()).hexdigest()
        assert receipt.mtime_ns == path.stat().st_mtime_ns
    assert [file.name for file in path.parent.iterdir()] == ["flag.json"]


def test_who_may_read_a_store_may_read_its_flag_and_nobody_else(path):
    publish(path, CANARY, epoch=3)
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.read_text() == to_text(CANARY, 3)


def test_what_a_file_says_otherwise_is_told(path):
    assert wrong_with_file(path, None) == f"{path}: there is no flag file"
    publish(path, CANARY)
    assert wrong_with_file(path, CANARY) is None
    assert wrong_with_file(path, None) == (
        f"{path}: says 5 % adaptive in eu-west-1, the rollout wants baseline, 0 % adaptive"
    )


@pytest.mark.parametrize("clock", [0, 1, 1_000 * SECOND, 4_000 * SECOND])
def test_every_publication_is_newer_as_a_float_whatever_the_clock_says(path, clock):
    publish(path, None, now_ns=lambda: 2_000 * SECOND)
    for _ in range(5):
        before = path.stat().st_mtime
        publish(path, CANARY, now_ns=lambda: clock)
        assert path.stat().st_mtime > before


def test_a_millisecond_is_enough_and_nothing_is_as_old_as_no_file(path):
    first = publish(path, None, now_ns=lambda: 0)
    assert first.mtime_ns == 1_000_000
    assert publish(path, CANARY, now_ns=lambda: 0).mtime_ns == 2_000_000


def test_the_clock_is_used_when_it_is_ahead(path):
    assert publish(path, None, now_ns=lambda: 3_000 * SECOND).mtime_ns == 3_000 * SECOND


def test_a_file_of_the_future_is_outdone(path):
    publish(path, None)
    os.utime(path, ns=(4_000_000_000 * SECOND, 4_000_000_000 * SECOND))
    assert publish(path, CANARY).mtime_ns > 4_000_000_000 * SECOND


def test_a_deleted_file_comes_back_newer_than_it_ever_was(path):
    last = publish(path, CANARY, now_ns=lambda: 2_000 * SECOND)
    path.unlink()
    assert publish(path, None, newer_than_ns=last.mtime_ns, now_ns=lambda: SECOND).mtime_ns > last.mtime_ns


def test_a_broken_or_read_only_file_is_replaced(path):
    publish(path, CANARY)
    path.write_text("{")
    path.chmod(0o444)
    publish(path, None)
    assert published(path) is None


def test_where_nothing_can_be_written_it_says_so(tmp_path):
    (tmp_path / "occupied").write_text("")
    with pytest.raises(OutputError, match=r"flag\.json: cannot be written"):
        publish(tmp_path / "occupied" / "flag.json", CANARY)
    with pytest.raises(OutputError, match="it is a folder"):
        publish(tmp_path, CANARY)


def test_reading_tells_missing_from_broken(path):
    with pytest.raises(MissingDataError, match="there is no flag file"):
        published(path)
    publish(path, CANARY)
    path.write_text(to_text(CANARY)[:-20])
    with pytest.raises(DataError, match="not JSON"):
        published(path)
    with pytest.raises(DataError, match="cannot be read"):
        published(path.parent)
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match="cannot be read"):
        published(path)
