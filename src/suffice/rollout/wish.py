"""The wish for a rollback: a file beside the store, for as long as the rollback is not stored.

While it is there it lowers on this host (`flag/lowering.py`), and the next cycle carries it out.
"""

import json
from pathlib import Path

from suffice import strict_json
from suffice.errors import OutputError
from suffice.files import read_whole, write_atomically
from suffice.flag.lowering import ASKED_FILE


def leave_wish(folder: Path, who: str, reason: str) -> bool:
    """Leave the wish for a rollback in the folder, where it lowers at once; returns whether it is there.

    No folder is made for it: where there is none, nothing was ever published.
    """
    path = folder / ASKED_FILE
    if not folder.is_dir():
        return False
    try:
        # Whole from the start: a cycle that found it empty would store a rollback without its reason.
        write_atomically(path, json.dumps({"who": who, "reason": reason}) + "\n")
        return True
    except OutputError:
        pass
    try:
        # An empty file takes no room on a full disk, and says enough.
        path.touch()
    except OSError:
        return False
    return True


def wish(folder: Path) -> tuple[str, str] | None:
    """Who asked for a rollback that is not stored, and why; None when nobody did."""
    path = folder / ASKED_FILE
    if not path.exists():
        return None
    try:
        left = strict_json.loads(read_whole(path))
        return str(left["who"]), str(left["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return "somebody", "a rollback was asked for while the store did not answer"


def forget_wish(folder: Path) -> None:
    """It is stored now. Raises OutputError."""
    path = folder / ASKED_FILE
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: is carried out, but cannot be removed: {error.strerror or error}") from error
