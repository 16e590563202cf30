"""What rows of text are read from: a file, one packed by gzip, or standard input, as a stream of bytes."""

import gzip
import io
import os
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

from suffice.errors import DataError, MissingDataError
from suffice.strict_json import LENGTH

STDIN = Path("-")
"""What stands for standard input on a command line."""

PACKED = ".gz"
_BLOCK = 1 << 13
_MAGIC = b"\x1f\x8b"


class Opened(io.BufferedReader):
    """The bytes of an input, unpacked.

    However much is packed into a few bytes, only a block of it is held; a line that does not end is refused before a
    reader has it in memory. Reading raises DataError for that, and for what is damaged, cut short or unreadable.
    """

    def __init__(self, plain: "_Unpacked") -> None:
        super().__init__(plain, _BLOCK)
        self._unpacked = plain

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._unpacked.name

    @property
    def lines(self) -> int:
        """How many line ends were read so far."""
        return self._unpacked.lines


class _Unpacked(io.RawIOBase):
    def __init__(self, name: str, stream: Any, told: Callable[[float], None], *, packed: bool) -> None:
        super().__init__()
        self.name = name
        self.lines = 0
        self._stream = stream
        self._told = told
        self._size = _size(stream)
        self._packed = packed
        self._plain: Any = gzip.GzipFile(fileobj=stream, mode="rb") if packed else stream
        self._since_line_end = 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        try:
            block: bytes = self._plain.read1(len(into))
            if self._size:
                self._told(min(self._stream.tell() / self._size, 1.0))
        except (OSError, EOFError, zlib.error) as error:
            why = "is cut short, damaged, or not gzip" if self._packed else "cannot be read"
            raise DataError(f"{self._here()}: {why}: {_reason(error)}") from error
        into[: len(block)] = block
        self.lines += block.count(b"\n")
        end = block.rfind(b"\n")
        self._since_line_end = len(block) - end - 1 if end >= 0 else self._since_line_end + len(block)
        if self._since_line_end > LENGTH:
            raise DataError(f"{self._here()}: is longer than {LENGTH} bytes")
        return len(block)

    def _here(self) -> str:
        return f"{self.name}, line {self.lines + 1}"


@contextmanager
def opened(path: Path, told: Callable[[float], None] = lambda _: None, *, by_content: bool = False) -> Iterator[Opened]:
    """The bytes of a file; of one whose name ends in .gz, what is packed in it. `told` hears the share read, 0 to 1.

    With `by_content` the name tells nothing: it may be `STDIN` or a pipe, and gzip is known by its first bytes. Raises
    MissingDataError for a file that is not there, DataError for one that cannot be read.
    """
    if not by_content:
        with _file(path) as stream:
            yield Opened(_Unpacked(str(path), stream, told, packed=path.suffix.lower() == PACKED))
        return
    name = shown(path)
    with _stdin() if path == STDIN else _file(path) as stream:
        try:
            # A buffer whose beginning can be looked at, whatever stands for standard input.
            buffered = io.BufferedReader(stream)
            packed = buffered.peek(len(_MAGIC)).startswith(_MAGIC)
        except (OSError, ValueError) as error:
            raise DataError(f"{name}: cannot be read: {_reason(error)}") from error
        try:
            yield Opened(_Unpacked(name, buffered, told, packed=packed))
        finally:
            buffered.detach()


def check_there(path: Path) -> None:
    """Raises MissingDataError for a file that is not there, DataError for one that cannot be read."""
    with _file(path):
        pass


def shown(path: Path) -> str:
    """What messages call an input."""
    return "stdin" if path == STDIN else str(path)


@contextmanager
def _file(path: Path) -> Iterator[Any]:
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        raise MissingDataError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {_reason(error)}") from error
    with stream:
        yield stream


@contextmanager
def _stdin() -> Iterator[Any]:
    if sys.stdin is None:
        raise MissingDataError("stdin: is closed")
    yield sys.stdin.buffer


def _size(stream: Any) -> int:
    """How many bytes a stream has, 0 where nobody knows."""
    with suppress(OSError, ValueError):
        there = os.fstat(stream.fileno())
        return there.st_size if S_ISREG(there.st_mode) else 0
    return 0


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)
