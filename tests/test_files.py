"""Whole files or none."""

import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from socket import AF_UNIX, socket
from threading import Thread
from typing import Any

import pyarrow.parquet as pq
import pytest

import suffice
from store_places import ROW
from suffice.cli.main import run
from suffice.errors import DataError, ExitCode, OutputError
from suffice.files import check_writable, read_whole, replacing, write_atomically
from suffice.flag.document import Exposure
from suffice.flag.file import publish, published
from suffice.flag.lowering import LoweringFiles
from suffice.locks import process_lock
from suffice.serving.refused import Refused, deliver, put_aside
from suffice.serving.spool import Spool
from suffice.store.database import open_store
from suffice.store.ledger import Ledger
from suffice.store.note import Note, write_note
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


def linked(folder: Path, name: str) -> tuple[Path, Path]:
    """A link, and the file in another folder that it leads to by way of a second link."""
    shared, second, link = folder / "shared" / name, folder / f"second-{name}", folder / "here" / name
    shared.parent.mkdir(exist_ok=True)
    second.symlink_to(shared)
    link.symlink_to(second)
    return link, shared


WRITERS: dict[str, Callable[[Path], object]] = {
    "a flag": lambda path: publish(path, Exposure(50, "salt", ())),
    "metrics": lambda path: flush(Counters(), path),
    "a plan": suffice.plan(suffice.Proportion(0.5), 10, 0.01).save,
    "long results": lambda path: replaced(path, "text"),
}


def replaced(path: Path, text: str) -> None:
    check_writable(path)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("there", [True, False], ids=["a file", "nothing yet"])
def test_a_link_stays_a_link_and_what_it_leads_to_is_written(
    there: bool, write: Callable[[Path], object], tmp_path: Path, folder: Path
) -> None:
    """Seen: a rollback replaced the link, and the service that reads the shared file stayed adaptive."""
    link, shared = linked(tmp_path, "file.json")
    plain = folder / "plain.json"
    if there:
        for path in (plain, shared):
            write(path)
            path.chmod(0o604)
    write(plain)
    write(link)
    assert link.is_symlink() and (tmp_path / "second-file.json").is_symlink()
    assert shared.read_bytes() == plain.read_bytes()
    assert shared.stat().st_mode == plain.stat().st_mode
    assert {path.name for path in shared.parent.iterdir()} <= {"file.json", "file.json.lock"}


def test_processes_that_count_through_different_links_share_one_lock(tmp_path: Path, folder: Path) -> None:
    link, shared = linked(tmp_path, "metrics.json")
    held = process_lock(shared.with_name("metrics.json.lock"))
    with held, pytest.raises(OutputError, match="locked by another process"):
        flush(Counters(), link, patience=0.1)


def test_links_in_a_circle_are_refused_in_one_line(folder: Path) -> None:
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    for write in (lambda path: write_atomically(path, "new"), lambda path: replaced(path, "new")):
        with pytest.raises(OutputError, match="a: cannot be written: "):
            write(folder / "a")
    assert (folder / "a").is_symlink()


def test_a_file_of_another_owner_keeps_its_owner_and_mode(folder: Path) -> None:
    """Where we are not root there is only one owner to keep."""
    path = folder / "file.txt"
    write_atomically(path, "old")
    owner = (65534, 65533) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown(path, *owner)
    path.chmod(0o2640)
    for write in (lambda: write_atomically(path, "new"), lambda: replaced(path, "newer")):
        write()
        there = path.stat()
        assert ((there.st_uid, there.st_gid), there.st_mode & 0o7777) == (owner, 0o2640)
    assert path.read_text(encoding="utf-8") == "newer"


def test_a_pipe_and_a_device_are_written_to_and_never_replaced(folder: Path) -> None:
    """Seen: `--csv FIFO` made a regular file of it."""
    pipe, came = folder / "pipe", []
    os.mkfifo(pipe)
    reader = Thread(target=lambda: came.append(pipe.read_text(encoding="utf-8")))
    reader.start()
    replaced(pipe, "rows\n" * 3)
    reader.join()
    assert came == ["rows\n" * 3]
    assert pipe.is_fifo()
    (folder / "null").symlink_to("/dev/null")
    for path in (Path("/dev/null"), folder / "null"):
        replaced(path, "rows")
        write_atomically(path, "text")
        assert path.is_char_device()
    assert (folder / "null").is_symlink()


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_what_is_no_plain_file_is_left_as_it_is(write: Callable[[Path], object], folder: Path) -> None:
    with socket(AF_UNIX) as bound:
        bound.bind(str(folder / "s"))
        with pytest.raises(OutputError, match="s: cannot be written: it is no plain file"):
            write(folder / "s")
        assert (folder / "s").is_socket()
    os.mkfifo(folder / "pipe")
    if write is not WRITERS["long results"]:
        with pytest.raises((OutputError, DataError)):
            write(folder / "pipe")
        assert (folder / "pipe").is_fifo()


def command_line(folder: Path, options: str) -> str:
    """What a shell gives that runs it in this folder, standard output and error together."""
    (folder / "s.csv").write_text("case,value\na,1\na,0\nb,1\nb,0\n", encoding="utf-8")
    command = f"{sys.executable} -m suffice.cli.main compare --samples s.csv --at-least 0.5 {options}"
    done = subprocess.run(["sh", "-ec", command], cwd=folder, capture_output=True, check=True)
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def test_what_the_shell_has_opened_is_written_to_and_nothing_in_it_is_lost(folder: Path) -> None:
    """Seen: `--csv /dev/stdout >> log` replaced the log, and in a pipe it was refused."""
    log = folder / "log"
    log.write_text("before\n", encoding="utf-8")
    command_line(folder, "--csv /dev/stdout >> log; echo after >> log")
    lines = log.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[-1]) == ("before", "after")
    assert sum(line.startswith("key,target") for line in lines) == 1
    assert any(line.startswith("Checksum") for line in lines)
    for path in ("/dev/stdout", "/dev/fd/1", "/dev/stderr"):
        assert "key,target" in command_line(folder, f"--csv {path} | cat")


def test_a_format_that_is_not_written_from_the_first_byte_to_the_last_goes_through_a_pipe(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    command_line(folder, "--out pipe & cat pipe > whole.parquet; wait")
    assert pq.read_table(folder / "whole.parquet").num_rows == 2
    assert (folder / "pipe").is_fifo()


READING = (
    ["metrics", "--reports-dir", "here", "--metrics-file", "pipe"],
    ["gate", "--reports-dir", "here", "--metrics-file", "pipe"],
    ["gate", "--config", "here/pipe"],
    ["plan", "--config", "here/pipe"],
    ["compare", "--config", "here/pipe"],
    ["rollout", "start", "--config", "here/pipe"],
    ["sweep", "--grid-file", "here/pipe", "--out-dir", "out"],
    ["verify-sweep", "--sweep-dir", "here"],
    ["triage", "check", "here/bundle"],
    ["triage", "reproduce", "here/bundle"],
)


@pytest.mark.parametrize("words", READING, ids=lambda words: " ".join(words[:2]))
def test_a_pipe_where_a_file_is_read_whole_is_refused_and_not_waited_for(
    folder: Path, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seen: `suffice gate --metrics-file FIFO` waited without end."""
    monkeypatch.chdir(folder.parent)
    (folder / "bundle").mkdir()
    for name in ("pipe", "sweep_results.csv", "bundle/MANIFEST", "bundle/disagreements.jsonl"):
        os.mkfifo(folder / name)
    late = Thread(target=_let_go_of, args=(folder,), daemon=True)
    late.start()
    assert run(words) == (ExitCode.CANNOT_TELL if words[:2] == ["gate", "--reports-dir"] else ExitCode.FAILS)
    printed = capsys.readouterr()
    assert "it is no plain file" in printed.err + printed.out
    (folder / "done").touch()
    late.join()


def _let_go_of(folder: Path) -> None:
    """After ten seconds, or when the test is done, end whoever waits for a pipe: it fails then instead of hanging."""
    for _ in range(200):
        if (folder / "done").exists():
            return
        time.sleep(0.05)
    for pipe in folder.rglob("*"):
        if pipe.is_fifo():
            os.close(os.open(pipe, os.O_RDWR | os.O_NONBLOCK))


def test_what_is_read_whole_is_a_plain_file_or_what_is_open_already(folder: Path) -> None:
    (folder / "file").write_text("ä\r\n", encoding="utf-8", newline="")
    (folder / "link").symlink_to("file")
    assert read_whole(folder / "file") == read_whole(folder / "link") == "ä\r\n".encode()
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(b"from a shell")
    assert read_whole(Path(f"/dev/fd/{reading}")) == b"from a shell"
    os.close(reading)
    os.mkfifo(folder / "pipe")
    (folder / "around").symlink_to("pipe")
    with socket(AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        for other in (folder / "pipe", folder / "around", folder / "socket", Path("/dev/zero")):
            with pytest.raises(OSError, match="it is no plain file"):
                read_whole(other)
    with pytest.raises(IsADirectoryError):
        read_whole(folder)
    with pytest.raises(FileNotFoundError):
        read_whole(folder / "nothing")


def test_no_module_reads_a_file_whole_by_itself() -> None:
    """But for what the package itself has, and what is known to be a plain file."""
    package = Path(suffice.__file__).parent
    reading = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\.read_(text|bytes)\(", path.read_text(encoding="utf-8"))
    }
    assert reading == {
        "runbook/scenarios/run.py",
        "triage/bundle.py",
        "triage/manifest.py",
        "verifier/kernel_cache.py",
    }


def test_a_flag_that_is_a_pipe_keeps_no_decision_waiting(folder: Path) -> None:
    os.mkfifo(folder / "flag.json")
    with pytest.raises(DataError, match=r"flag\.json: the flag file cannot be read: it is no plain file"):
        published(folder / "flag.json")
    lowering = LoweringFiles(folder).read()
    assert lowering is not None and lowering.why.endswith("flag.json: cannot be read: it is no plain file")


@pytest.mark.parametrize(
    "write", [lambda path: publish(path, None), lambda path: write_note(path.parent, Note("s", 7))]
)
def test_what_a_receipt_rests_on_is_on_the_disk_with_its_name(
    folder: Path, write: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new name is on the disk when its folder is: after a loss of power there would be the file before."""
    steps: list[str] = []
    fsync, replaced = os.fsync, os.replace

    def synced(handle: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def renamed(source: Path, target: Path) -> None:
        steps.append("rename")
        replaced(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    write(folder / "flag.json")
    assert steps == ["file", "rename", "folder"]
