"""Whole files or none."""

from pathlib import Path

import pytest

from suffice.errors import OutputError
from suffice.files import write_atomically


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
