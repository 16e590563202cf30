"""The baseline without the store: a rollback that is asked for must not wait until the store answers."""

import json
import time
from pathlib import Path

from suffice.errors import OutputError, SufficeError
from suffice.files import write_atomically
from suffice.flag.answer import Flag
from suffice.flag.bucketing import inside
from suffice.flag.client import FlagClient
from suffice.flag.document import Exposure
from suffice.flag.file import publish, published
from suffice.rollout.driver import ATTEMPTS, PROBES
from suffice.rollout.world import Place
from suffice.verifier.arm import Arm

ASKED = "rollback.asked"
"""The file beside the store that says that a rollback was asked for and is not stored; the next cycle carries it
out."""

_PAUSE_SECONDS = 0.05
_MADE_UP = 400


def force_baseline(place: Place, who: str, reason: str, cause: SufficeError) -> str:
    """Put everybody on fixed by the flag alone, and leave word for the next cycle; says what came of it.

    Where not even the flag can be written it is removed: without one every client answers fixed. Raises nothing of its
    own.
    """
    before = _exposure(place.flag)
    how = _publish_or_remove(place.flag)
    with FlagClient.from_file(place.flag) as flag:
        seen = _observe(flag, before)
    left = "the next `suffice rollout cycle` that can write the store carries the rollback out"
    if not _leave_word(place, who, reason):
        left = "nor could word be left: end the runners, or they publish the stage again, and say rollback once more"
    return f"{cause}; {how}, and {seen}; nothing of it is stored: {left}"


def asked(place: Place) -> tuple[str, str] | None:
    """Who asked for a rollback that is not stored, and why; None when nobody did."""
    path = place.queue / ASKED
    if not path.exists():
        return None
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return str(said["who"]), str(said["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return "somebody", "a rollback was asked for while the store did not answer"


def done(place: Place) -> None:
    """It is stored now. Raises OutputError."""
    path = place.queue / ASKED
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: is carried out, but cannot be removed: {error.strerror or error}") from error


def _publish_or_remove(path: Path) -> str:
    published_how = "the baseline was published without it"
    try:
        publish(path, None)
    except OutputError:
        return _remove(path) or published_how
    return published_how


def _remove(path: Path) -> str | None:
    """Remove the flag, and publish the baseline after all if that made the room: then None, else what came of it."""
    try:
        earlier = path.stat().st_mtime_ns
        path.unlink()
    except OSError as error:
        why = error.strerror or error
        return f"{path} can neither be written nor removed ({why}; restart with SUFFICE_FORCE_FIXED=1)"
    try:
        publish(path, None, newer_than_ns=earlier)
    except OutputError:
        return f"{path} cannot be written and was removed"
    return None


def _exposure(path: Path) -> Exposure | None:
    try:
        return published(path)
    except SufficeError:
        return None


def _observe(flag: Flag, before: Exposure | None) -> str:
    names = [f"suffice/probe/{number:03d}" for number in range(_MADE_UP)]
    targets = (inside(before, names) if before else names)[:PROBES]
    probes = [(target, region) for target in targets for region in ((before.regions if before else ()) or (None,))]
    fixed = 0
    for _ in range(ATTEMPTS):
        fixed = sum(flag.ask(target, region).arm is Arm.FIXED for target, region in probes)
        if fixed == len(probes):
            break
        time.sleep(_PAUSE_SECONDS)
    return f"{fixed} of {len(probes)} probes answer fixed"


def _leave_word(place: Place, who: str, reason: str) -> bool:
    path = place.queue / ASKED
    try:
        path.touch()
    except OSError:
        return False
    try:
        write_atomically(path, json.dumps({"who": who, "reason": reason}) + "\n")
    except OutputError:
        # An empty file takes no room on a full disk, and says enough.
        return True
    return True
