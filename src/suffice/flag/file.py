"""Publishing the flag, so that a watcher of the file is sure to see it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from suffice.errors import DataError, MissingDataError, OutputError, SufficeError
from suffice.files import PRIVATE, read_whole, write_atomically
from suffice.flag.document import Exposure, from_text, in_words, to_text

_STEPS_NS = (1_000_000, 2_000_000_000)
"""How much newer than the file before: a millisecond, and two seconds where the file system knows no finer times."""

_VISIBLE_NS = 1_000
"""The watcher compares times as floats, which lie 0.24 µs apart today; a difference of 1 ns is none to it."""


@dataclass(frozen=True, slots=True)
class Published:
    """What was published: the SHA-256 of the file and its modification time in nanoseconds."""

    sha256: str
    mtime_ns: int


def publish(
    path: Path,
    exposure: Exposure | None,
    *,
    epoch: int | None = None,
    newer_than_ns: int = 0,
    now_ns: Callable[[], int] = time.time_ns,
) -> Published:
    """Replace the flag file by the document of `exposure` (None: the baseline), and read it back.

    `epoch` is that of the word that it is exported from; a baseline without one lowers whatever the word says.

    Guarantees that the file is whole at any instant. Its modification time is strictly newer than that of the file
    before and than `newer_than_ns`, also when the clock went back: the watcher ignores an equal or older time. Pass the
    `mtime_ns` that was published last, so that this holds also when somebody has deleted the file. Publishing the same
    exposure again makes every watcher read it again. Raises OutputError when the file cannot be written so.
    """
    text = to_text(exposure, epoch)
    if from_text(text) != exposure:
        raise OutputError(f"{path}: not published: the document does not read back as {exposure}")
    earlier = max(_mtime_ns(path), newer_than_ns)
    mtime_ns = _write_newer(path, text, earlier, now_ns)
    _check(path, text)
    return Published(sha256(text.encode()).hexdigest(), mtime_ns)


def published(path: Path) -> Exposure | None:
    """The exposure that the file publishes, None for the baseline.

    Raises MissingDataError when there is no such file, DataError when it holds anything that `publish` does not write.
    """
    try:
        text = read_whole(path).decode("ascii")
    except FileNotFoundError as error:
        raise MissingDataError(f"{path}: there is no flag file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the flag file cannot be read: {error}") from error
    return from_text(text, str(path))


def wrong_with_file(path: Path, wanted: Exposure | None) -> str | None:
    """What keeps the flag file from saying `wanted`; None when nothing does."""
    try:
        exposure = published(path)
    except SufficeError as error:
        return str(error)
    return None if exposure == wanted else f"{path}: says {in_words(exposure)}, the rollout wants {in_words(wanted)}"


def _mtime_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _write_newer(path: Path, text: str, earlier: int, now_ns: Callable[[], int]) -> int:
    for step in _STEPS_NS:
        # The time is set before the replace: a kill in between must not leave a file that watchers ignore.
        write_atomically(path, text, mtime_ns=max(now_ns(), earlier + step), sync_folder=True, mode=PRIVATE)
        mtime_ns = _mtime_ns(path)
        if mtime_ns - earlier >= _VISIBLE_NS:
            return mtime_ns
    raise OutputError(
        f"{path}: published, but its time {mtime_ns} ns is not newer than {earlier} ns: watchers ignore it"
    )


def _check(path: Path, text: str) -> None:
    try:
        content = read_whole(path)
    except OSError as error:
        raise OutputError(f"{path}: published, but it cannot be read back: {error.strerror or error}") from error
    if content != text.encode():
        raise OutputError(f"{path}: published, but it reads back as something else; does another process write it?")
