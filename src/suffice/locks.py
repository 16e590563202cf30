"""Locks between processes, kept by the operating system: that of a process which was killed is free at once."""

import errno
import sys
from pathlib import Path
from typing import IO

from filelock import FileLock, SoftFileLock


def process_lock(path: Path, *, timeout: float = -1, thread_local: bool = True) -> FileLock:
    """A lock on this file, not taken yet; `timeout` in seconds is for taking it, -1 waits for ever.

    Raises OSError where the system keeps no such locks, and taking it does where the file system keeps none. A mere
    file in the place of one outlives a kill, and nothing tells then whether its maker lives.
    """
    if FileLock is SoftFileLock:
        raise OSError(errno.ENOSYS, "this system keeps no locks that end with their process (no fcntl)")
    return FileLock(path, timeout=timeout, thread_local=thread_local, fallback_to_soft=False)


def hand_on(path: Path) -> IO[bytes] | None:
    """A file whose lock lives as long as any process that it was handed on to (`pass_fds`), and not longer.

    None where the system keeps no such locks: nothing tells then whether such a process lives.
    """
    file = path.open("r+b")
    if _lock(file):
        return file
    file.close()
    return None


def was_let_go(path: Path) -> bool:
    """Whether every process has ended that the lock of this file was handed on to; False where that cannot be told."""
    try:
        with path.open("r+b") as file:
            return _lock(file)
    except OSError:
        return False


def _lock(file: IO[bytes]) -> bool:
    """Lock a file, until each copy of this descriptor is closed; False where it is locked, or cannot be."""
    if sys.platform == "win32":
        return False
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True
