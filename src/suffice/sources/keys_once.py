"""Finds a key that stands twice in a stream of any length, in bounded memory."""

from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import blake2b
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO

import numpy as np

from suffice.errors import DataError, shown
from suffice.sources.recording import RecordedFile

RECENT = 1 << 16
_PARTS = 64
_ENTRY = np.dtype([("low", "<u8"), ("high", "<u8"), ("row", "<u8")])


class KeysOnce:
    """Refuses a case that stands at two places: its rows do not follow each other.

    A second place within the last `RECENT` cases is refused when it is met, one that is farther away by `finish`:
    128-bit hashes of older keys are kept on disk (24 bytes each, in the system's folder for temporary files) and
    compared in 64 parts. Two keys among 10⁹ are mistaken for one with probability 1.5·10⁻²¹.
    """

    def __init__(self, place: RecordedFile) -> None:
        self._place = place
        self._recent: dict[str, int] = {}
        self._parts: list[IO[bytes]] = []
        self._files = ExitStack()

    def __enter__(self) -> "KeysOnce":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def add(self, key: str, row: int) -> None:
        """Raises DataError when the key stands at another of the recent rows."""
        first = self._recent.setdefault(key, row)
        if first != row:
            raise DataError(f"{self._place.at(row)}: case {shown(key)} {self._twice(first)}")
        if len(self._recent) == RECENT:
            self._spill()

    def finish(self) -> None:
        """Raises DataError when a key was added twice."""
        if not self._parts:
            return
        self._spill()
        twice = min((pair for part in self._parts for pair in _twice_in(part)), default=None)
        if twice is not None:
            raise DataError(f"{self._place.at(twice[0])}: the case of this {self._place.unit} {self._twice(twice[1])}")

    def _twice(self, first: int) -> str:
        unit = self._place.unit
        return (
            f"stands at {unit} {first} already; allowed: all that belongs to a case in {unit}s that follow each other"
        )

    def _spill(self) -> None:
        if not self._parts:
            self._parts = [self._files.enter_context(TemporaryFile()) for _ in range(_PARTS)]  # noqa: SIM115
        for key, row in self._recent.items():
            digest = blake2b(key.encode(), digest_size=16).digest()
            self._parts[digest[0] % _PARTS].write(digest + row.to_bytes(8, "little"))
        self._recent.clear()


def _twice_in(part: IO[bytes]) -> Iterator[tuple[int, int]]:
    """(second row, first row) of the first key that stands twice in a part."""
    part.seek(0)
    entries = np.frombuffer(part.read(), _ENTRY)
    entries = entries[np.lexsort((entries["row"], entries["high"], entries["low"]))]
    same = (entries["low"][1:] == entries["low"][:-1]) & (entries["high"][1:] == entries["high"][:-1])
    if same.any():
        seconds, firsts = entries["row"][1:][same], entries["row"][:-1][same]
        at = int(seconds.argmin())
        yield int(seconds[at]), int(firsts[at])
