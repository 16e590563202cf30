"""Whole files or none: atomic writing."""

import glob
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from suffice.errors import OutputError

PRIVATE = 0o640
"""The mode of new files with decisions in them, or that steer them: their owner writes, their group reads."""


def private_opener(path: str, flags: int) -> int:
    """For `open`: a file that it makes is `PRIVATE`."""
    return os.open(path, flags, PRIVATE)


def write_atomically(
    path: Path, content: str | bytes, *, mtime_ns: int | None = None, sync_folder: bool = False, mode: int = 0o666
) -> None:
    """Replace `path` by `content`; a reader, or a kill at any instant, finds the old file or the new one, never a part.

    Missing folders are made, and the mode of a file that is replaced is kept; a new one has `mode`, less what the
    process's umask takes. `mtime_ns`, if given, is the new file's modification time from its first instant. With
    `sync_folder` the replacement itself is on the disk when this returns: for what a promise rests on.
    Raises OutputError, with nothing left behind, when it cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        # Not mkstemp, whose files nobody else may read: a flag or metrics file has readers of other accounts.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        # Made within this block: an interrupt right after would leave it behind.
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        if mtime_ns is not None:
            os.utime(temporary, ns=(mtime_ns, mtime_ns))
        temporary.replace(path)
        if sync_folder:
            _sync_folder(path.parent)
    except OSError as error:
        _remove(temporary)
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    except BaseException:
        _remove(temporary)
        raise


def _remove(temporary: Path) -> None:
    with suppress(OSError):
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows opens no folder, and needs none of this.
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write a long result to; when the block ends well, that file replaces `path`.

    When it does not, nothing is left, and `path` is as it was. Raises OutputError when it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raises OutputError when `write_atomically` could not write here; for use before long work. Leaves no file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError("it is a folder")
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of writing `path`. Only for who knows that nobody is writing it now."""
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        leftover.unlink(missing_ok=True)
