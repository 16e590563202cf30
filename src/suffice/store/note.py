"""What a folder remembers of its store: which incarnation it was, and the highest epoch that was seen.

A store that is copied back with its identity cannot be told by what it says of itself. But it is below what this host
has seen. The note is whole at any instant and on the disk before anything that rests on it is said.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import NoneType

from suffice import strict_json
from suffice.errors import DataError, shown
from suffice.files import read_whole, write_atomically

NAME = "store.note"


@dataclass(frozen=True, slots=True)
class Note:
    """The store as this folder last knew it. `released`: a word that stands without a runner was written there."""

    incarnation: str | None = None
    epoch: int = 0
    position: int = 0
    released: bool = False

    def raised(self, incarnation: str | None, epoch: int, position: int | None) -> "Note":
        """The note after a read: a higher epoch and another incarnation begin with their own position; an epoch never
        falls."""
        anew = incarnation != self.incarnation or epoch > self.epoch
        reached = (position or 0) if anew or epoch == self.epoch else 0
        return replace(
            self,
            incarnation=incarnation,
            epoch=max(self.epoch, epoch),
            position=reached if anew else max(self.position, reached),
        )

    def is_above(self, incarnation: str | None, epoch: int, position: int | None) -> bool:
        """Whether a store that says this of itself is an older copy of the one that was noted.

        A higher epoch was written in this very store by a runner that knew of the noted one. Its position says nothing
        then: a copy that was put back is behind the store that was given up for as long as little is written.
        """
        if epoch != self.epoch:
            return epoch < self.epoch
        return incarnation == self.incarnation and position is not None and position < self.position


def read_note(folder: Path) -> Note:
    """The note of a folder, an empty one where there is none. Raises DataError when it cannot be understood."""
    path = folder / NAME
    try:
        note = Note(**strict_json.loads(read_whole(path)))
        kinds = {"incarnation": (str, NoneType), "epoch": (int,), "position": (int,), "released": (bool,)}
        for name, allowed in kinds.items():
            if type(getattr(note, name)) not in allowed:
                raise TypeError(f"{name} is {shown(getattr(note, name))}")
        return note
    except FileNotFoundError:
        return Note()
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: the note of the store cannot be read: {error}") from error


def write_note(folder: Path, note: Note) -> None:
    """Write the note of a folder. Raises OutputError."""
    write_atomically(folder / NAME, json.dumps(asdict(note)) + "\n", sync_folder=True)
