"""Starting a command as somebody without the rights of root: for tests of what may be read and not written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
"""Goes before a command: root is then bound by the modes of files, like everybody else."""


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Takes the right to write away from a folder and all that is in it."""
    paths = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(modes[path] & ~0o222)
    try:
        yield
    finally:
        for path in paths:
            path.chmod(modes[path])
