"""Whole files or none: reading, and atomic writing."""

import glob
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EISDIR
from pathlib import Path
from stat import S_IMODE, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISREG

from suffice.errors import OutputError

PRIVATE = 0o640
"""The mode of new files with decisions in them, or that steer them: their owner writes, their group reads."""

WHOLE = 2**28
"""How many bytes are read of one file as a whole."""


def private_opener(path: str, flags: int) -> int:
    """For `open`: a file that it makes is `PRIVATE`."""
    return os.open(path, flags, PRIVATE)


def followed(path: Path) -> Path:
    """The file that a path means, where its links lead. Raises OSError for links that lead in a circle."""
    if not path.is_symlink() or is_open(path):
        return path
    with suppress(FileNotFoundError):
        path.stat()
    return Path(os.path.realpath(path))


def is_open(path: Path) -> bool:
    """Whether a path names what the process has open already, like /dev/stdout: it is written to, whatever it is."""
    return path.absolute().as_posix().startswith(("/dev/std", "/dev/fd/", "/proc/"))


def read_whole(path: Path) -> bytes:
    """The bytes of a plain file, or of what the process has open already (`/dev/stdin`, the shell's `<(…)`).

    Raises OSError, for a pipe, a socket or a device too: one that nobody writes to would be waited for without end, and
    some have no end. Raises it for more than `WHOLE` bytes.
    """
    if not is_open(path) and not (S_ISREG(mode := path.stat().st_mode) or S_ISDIR(mode)):
        raise OSError("it is no plain file")
    with path.open("rb") as file:
        content = file.read(WHOLE + 1)
    if len(content) > WHOLE:
        raise OSError(f"it is longer than {WHOLE} bytes")
    return content


def write_atomically(
    path: Path, content: str | bytes, *, mtime_ns: int | None = None, sync_folder: bool = False, mode: int = 0o666
) -> None:
    """Replace `path` by `content`; a reader, or a kill at any instant, finds the old file or the new one, never a part.

    A link stays a link: what it leads to is replaced. Missing folders are made. The mode of a file that is replaced is
    kept, and its owner as far as the system lets us; a new one has `mode`, less what the process's umask takes.
    `mtime_ns`, if given, is the new file's modification time from its first instant. With `sync_folder` the replacement
    itself is on the disk when this returns: for what a promise rests on. A character device is written to.
    Raises OutputError, with nothing left behind, when it cannot be written, or is a pipe, a socket or a disk.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary: Path | None = None
    try:
        target = followed(path)
        there = _standing(target)
        if there is not None and (is_open(path) or not S_ISREG(there.st_mode)):
            # A pipe that nobody reads would be waited for, by a rollback too.
            if not (is_open(path) or S_ISCHR(there.st_mode)):
                raise OSError("it is no plain file")
            with target.open("ab") as out:
                out.write(data)
            return
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        # Not mkstemp, whose files nobody else may read: a flag or metrics file has readers of other accounts.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        # Made within this block: an interrupt right after would leave it behind.
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _keep_rights(there, temporary)
        if mtime_ns is not None:
            os.utime(temporary, ns=(mtime_ns, mtime_ns))
        temporary.replace(target)
        if sync_folder:
            _sync_folder(target.parent)
    except OSError as error:
        _remove(temporary)
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    except BaseException:
        _remove(temporary)
        raise


def _standing(target: Path) -> os.stat_result | None:
    """What stands at a path now, None for nothing. Raises OSError for a folder."""
    try:
        there = target.stat()
    except FileNotFoundError:
        return None
    if S_ISDIR(there.st_mode):
        raise IsADirectoryError(EISDIR, "it is a folder")
    return there


def _keep_rights(there: os.stat_result | None, temporary: Path) -> None:
    """Give the file that is to replace another one that one's owner and mode."""
    if there is None:
        return
    made = temporary.stat()
    if (there.st_uid, there.st_gid) != (made.st_uid, made.st_gid) and hasattr(os, "chown"):
        for uid, gid in ((there.st_uid, there.st_gid), (-1, there.st_gid)):
            with suppress(PermissionError):
                os.chown(temporary, uid, gid)
                break
    # After the owner, whose change takes some bits away.
    temporary.chmod(S_IMODE(there.st_mode))


def _remove(temporary: Path | None) -> None:
    if temporary is not None:
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

    When it does not, nothing is left, and `path` is as it was. A link stays a link, and rights are kept, as
    `write_atomically` does. A pipe or a character device is written to as it stands. Raises OutputError when it cannot
    be written.
    """
    temporary: Path | None = None
    try:
        target = followed(path)
        there = _standing(target)
        if there is not None and _takes_writing(path, there):
            # Some formats are not written from the first byte to the last.
            with tempfile.TemporaryDirectory() as folder:
                whole = Path(folder) / "whole"
                yield whole
                with whole.open("rb") as source, target.open("ab") as out:
                    shutil.copyfileobj(source, out)
            return
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _keep_rights(there, temporary)
        temporary.replace(target)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        _remove(temporary)


def check_writable(path: Path) -> None:
    """Raises OutputError when `replacing` could not write here; for use before long work. Leaves no file."""
    try:
        target = followed(path)
        there = _standing(target)
        if there is not None and _takes_writing(path, there):
            if not os.access(target, os.W_OK):
                raise PermissionError("it may not be written")
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def _takes_writing(path: Path, there: os.stat_result) -> bool:
    """Whether what stands there is written to, and not replaced. Raises OSError for what is neither."""
    if is_open(path):
        return True
    if S_ISREG(there.st_mode):
        return False
    if S_ISCHR(there.st_mode) or S_ISFIFO(there.st_mode):
        return True
    raise OSError("it is no plain file")


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of writing `path`. Only for who knows that nobody is writing it now."""
    target = followed(path)
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        leftover.unlink(missing_ok=True)
