"""What a host says against adaptive decisions, by its environment and by files: they may lower, and never raise.

The flag file is an export of the word. No file is no opinion, and its targeting is not evaluated. A file lowers when it
puts everybody back or cannot be read, unless it was exported from an older word than the one that is known. The file of
a rollback that was asked for lowers as long as it is there.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from suffice.errors import DataError
from suffice.files import read_whole
from suffice.flag.document import epoch_of, from_text

FORCE_FIXED = "SUFFICE_FORCE_FIXED"
"""The environment variable that, set to 1, forces the baseline whatever word, flag and configuration say; nor is
anything computed in the shadow. Anything but 0 and nothing counts as 1: who sets it wants the baseline."""

FLAG_FILE = "flag.json"
ASKED_FILE = "rollback.asked"
"""The file beside the store that says that a rollback was asked for and is not stored; the next cycle carries it
out."""


def forced() -> bool:
    """Whether the environment forces the baseline."""
    return os.environ.get(FORCE_FIXED, "") not in ("", "0")


@dataclass(frozen=True, slots=True)
class Lowering:
    """Why a file lowers, and the epoch of the word that it was exported from; None outranks every word."""

    why: str
    epoch: int | None = None

    def outranks(self, epoch: int | None) -> bool:
        """Whether it lowers a word of this epoch; None is no word."""
        return self.epoch is None or epoch is None or self.epoch >= epoch


class LoweringFiles:
    """Reads a folder's flag file and its file of a rollback that was asked for; a file that is as it was is not read
    again. Raises nothing: what cannot be read lowers."""

    def __init__(self, folder: Path) -> None:
        self._flag, self._asked = folder / FLAG_FILE, folder / ASKED_FILE
        self._known: tuple[object, Lowering | None] = (None, None)

    def read(self) -> Lowering | None:
        """Why the host's files lower now; None when they do not."""
        asked = _signature(self._asked)
        if asked is not None:
            return Lowering(f"{self._asked}: a rollback was asked for")
        signature = _signature(self._flag)
        if signature is None:
            return None
        if signature != self._known[0]:
            self._known = signature, _lowering(self._flag)
        return self._known[1]


def _signature(path: Path) -> object:
    """What changes with a file; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        # A new object each time: it is looked at again until it can be read.
        return object(), error
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _lowering(path: Path) -> Lowering | None:
    try:
        text = read_whole(path).decode("ascii")
        exposure = from_text(text, str(path))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, DataError) as error:
        return Lowering(f"{path}: cannot be read: {error}")
    if exposure is not None:
        return None
    return Lowering(f"{path}: puts everybody on the baseline", epoch_of(text))
