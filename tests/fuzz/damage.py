"""One trial: an example is damaged and read; what comes of it is an answer or one line."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from readers import Reader

from mutation import Choose, damaged
from suffice.errors import SufficeError

LONGEST = 3_000
"""A line for people is no longer, whatever the file holds."""


@contextmanager
def example(reader: Reader) -> Iterator[Path]:
    """The file of a reader's example, in a folder that is removed after."""
    folder = Path(tempfile.mkdtemp(prefix="suffice-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))  # noqa: PTH112
    try:
        reader.example(folder)
        yield reader.path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_damaged(reader: Reader, choose: Choose) -> str | None:
    """What the reader says of an example that is damaged as `choose` says; None where it takes it. Raises as `told`."""
    with example(reader) as path:
        path.write_bytes(damaged(path.read_bytes(), reader.kind, choose))
        return told(reader, path)


def read_content(reader: Reader, content: bytes) -> str | None:
    """What the reader says of an example whose file holds that instead; None where it takes it. Raises as `told`."""
    with example(reader) as path:
        path.write_bytes(content)
        return told(reader, path)


def told(reader: Reader, path: Path) -> str | None:
    """What the reader says of a file, without the folder; None where it takes it.

    Raises AssertionError for a refusal that is no line with the file's name, or of a lenient reader; whatever else the
    reader raises passes through.
    """
    if reader.seal is not None:
        try:
            reader.seal(path)
        except ValueError:
            return None  # It is nothing that could be sealed.
    try:
        reader.read(path)
    except SufficeError as error:
        message = str(error)
        assert not reader.lenient, message
        assert len(message.splitlines()) == 1, message
        assert len(message) <= LONGEST, len(message)
        assert reader.unnamed or str(path.parent.parent) in message or str(path.parent) in message, message
        message.encode("utf-8")
        return message.replace(str(path.parent), "")
    return None
