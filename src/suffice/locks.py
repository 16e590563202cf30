"""Locks between processes, kept by the operating system: that of a process which was killed is free at once."""

import errno
from pathlib import Path

from filelock import FileLock, SoftFileLock


def process_lock(path: Path, *, timeout: float = -1, thread_local: bool = True) -> FileLock:
    """A lock on this file, not taken yet; `timeout` in seconds is for taking it, -1 waits for ever.

    Raises OSError where the system keeps no such locks, and taking it does where the file system keeps none. A mere
    file in the place of one outlives a kill, and nothing tells then whether its maker lives.
    """
    if FileLock is SoftFileLock:
        raise OSError(errno.ENOSYS, "this system keeps no locks that end with their process (no fcntl)")
    return FileLock(path, timeout=timeout, thread_local=thread_local, fallback_to_soft=False)
