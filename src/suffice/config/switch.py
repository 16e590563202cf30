"""Switching `enabled` in config.json, and leaving all else in the file as it is."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from suffice.config.reading import parse, read
from suffice.errors import OutputError
from suffice.files import write_atomically

_KEYS = ("verifier", "adaptive_sampling", "enabled")
_BETWEEN = re.compile(r"[ \t\r\n:,]*")


def set_enabled(path: Path, enabled: bool) -> None:  # noqa: FBT001
    """Set verifier.adaptive_sampling.enabled in this file and leave every other character of it as it is.

    The file is replaced as a whole or not at all, and not touched when it says so already; a link stays a link, and its
    permissions stay. Assumes that nobody else writes the file at the same time. Raises ConfigError when `load` would
    refuse the file; OutputError when it cannot be written, which names the line that a person has to change.
    """
    _switch(path, enabled=enabled)


def check_enable(path: Path) -> None:
    """Raise as `set_enabled` to true would, and leave the file as it is, written again."""
    _switch(path, enabled=True, keep=True)


def _switch(path: Path, *, enabled: bool, keep: bool = False) -> None:
    text = read(path)
    if parse(text, str(path)).verifier.adaptive_sampling.enabled is enabled:
        return
    value = "true" if enabled else "false"
    changed = _with_enabled(text, value)
    try:
        write_atomically(path, text if keep else changed, sync_folder=True)
    except OutputError as error:
        first = next(at for at, (old, new) in enumerate(zip(text, changed, strict=False)) if old != new)
        line = text.count("\n", 0, first) + 1
        todo = f"set {'.'.join(_KEYS)} to {value} in line {line}"
        raise OutputError(f"{error}; {todo}") from error


def _with_enabled(text: str, value: str) -> str:
    """Edits the text itself: decoding and encoding again would respell numbers and text that belong to the host."""
    at = end = text.index("{")
    for depth, key in enumerate(_KEYS):
        span = _members(text, at).get(key)
        if span is None:
            return _with_member(text, at, _KEYS[depth:], value)
        at, end = span
    return text[:at] + value + text[end:]


def _members(text: str, at: int) -> dict[str, tuple[int, int]]:
    """Where the values of the object that begins at `at` start and end. Assumes valid JSON."""
    decode = json.JSONDecoder().raw_decode
    spans = {}
    at = _skip(text, at + 1)
    while text[at] != "}":
        key, at = decode(text, at)
        start = _skip(text, at)
        _, end = decode(text, start)
        spans[key] = start, end
        at = _skip(text, end)
    return spans


def _skip(text: str, at: int) -> int:
    between = _BETWEEN.match(text, at)
    return between.end() if between else at


def _with_member(text: str, at: int, keys: Sequence[str], value: str) -> str:
    """The value under nested new keys, as first member of the object that begins at `at`, spaced like the next one."""
    space = text[at + 1 : _skip(text, at + 1)]
    member = "".join(f'"{key}": {{' for key in keys[:-1]) + f'"{keys[-1]}": {value}' + "}" * (len(keys) - 1)
    empty = text[_skip(text, at + 1)] == "}"
    rest = text[at + 1 :] if space or empty else " " + text[at + 1 :]
    return text[: at + 1] + ("" if empty else space) + member + ("" if empty else ",") + rest
