"""Whole files or none."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from store_places import ROW
from suffice.errors import OutputError
from suffice.files import write_atomically
from suffice.flag.file import publish
from suffice.serving.refused import Refused, deliver, put_aside
from suffice.serving.spool import Spool
from suffice.store.database import open_store
from suffice.store.ledger import Ledger
from suffice.telemetry.counters import Counters
from suffice.telemetry.metrics_file import flush


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def test_writes_text_and_bytes_and_replaces(folder: Path) -> None:
    path = folder / "a" / "b" / "file.txt"
    write_atomically(path, "naïve ±\n")
    assert path.read_bytes() == "naïve ±\n".encode()
    write_atomically(path, b"\x00\r\n")
    assert path.read_bytes() == b"\x00\r\n"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_an_interrupt_right_after_any_step_leaves_nothing_behind(
    call: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = getattr(os, call)

    def interrupted(*arguments: Any, **options: Any) -> Any:
        real(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, call, interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(folder / "file.txt", "new")
    assert [path.name for path in folder.iterdir() if path.name.endswith(".tmp")] == []


@pytest.mark.parametrize("place", ["file/new.txt", "file/deep/new.txt", "taken"])
def test_what_cannot_be_written_leaves_nothing_behind(place: str, folder: Path) -> None:
    (folder / "file").write_text("kept", encoding="utf-8")
    (folder / "taken").mkdir()
    with pytest.raises(OutputError) as caught:
        write_atomically(folder / place, "new")
    assert str(caught.value).startswith(f"{folder / place}: cannot be written: ")
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in folder.iterdir()) == ["file", "taken"]
    assert (folder / "file").read_text(encoding="utf-8") == "kept"


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_in_the_middle_keeps_the_old_file(
    failure: BaseException, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "file.txt"
    write_atomically(path, "old")

    def fail(descriptor: int) -> None:
        raise failure

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OutputError if isinstance(failure, OSError) else KeyboardInterrupt):
        write_atomically(path, "new" * 100_000)
    assert path.read_text(encoding="utf-8") == "old"
    assert [p.name for p in folder.iterdir()] == ["file.txt"]


def test_what_holds_or_steers_decisions_is_made_for_owner_and_group_and_keeps_its_mode(tmp_path: Path) -> None:
    flag, metrics, spools = tmp_path / "flag.json", tmp_path / "metrics.json", tmp_path / "spool"
    for mode in (0o640, 0o604):
        publish(flag, None)
        flush(Counters(), metrics)
        assert [path.stat().st_mode & 0o777 for path in (flag, metrics)] == [mode] * 2
        for path in (flag, metrics):
            path.chmod(0o604)
    spool = Spool(spools)
    spool.add(ROW)
    with open_store(tmp_path / "store.db") as store:
        refused: list[Refused] = []
        deliver(Ledger(store), [replace(ROW, key="x" * 3000)], refused)
        put_aside(Ledger(store), spools, refused)
    files = [*spools.glob("*.jsonl"), spools / "refused" / "rows.jsonl"]
    spool.close()
    assert [path.stat().st_mode & 0o777 for path in files] == [0o640] * 2
