"""No process is started that imports a room above its own: import-linter sees imports, and not commands."""

import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "suffice"

COMMAND = re.compile(r"""-m["',\s]+suffice\.(\w+)""")
"""`-m suffice.ROOM…` in one string, or as two words of a list."""


def layers() -> dict[str, int]:
    """How high each room lies; those of one line lie equally high."""
    parser = ConfigParser()
    parser.read(ROOT / ".importlinter")
    lines = parser["importlinter:contract:rooms"]["layers"].split("\n")
    rows = [re.findall(r"\w+", line) for line in lines if line.strip()]
    return {room: -depth for depth, rooms in enumerate(rows) for room in rooms}


def upward(room: str, source: str) -> Iterator[str]:
    """Rooms above `room` that a command in the source names."""
    height = layers()
    for called in COMMAND.findall(source):
        if called != room and height[called] >= height[room]:
            yield called


def test_commands_name_rooms_at_or_below_their_own() -> None:
    rooms = {path: path.relative_to(SOURCES).parts[0].removesuffix(".py") for path in SOURCES.rglob("*.py")}
    wrong = {
        str(path): list(upward(room, path.read_text(encoding="utf-8")))
        for path, room in rooms.items()
        if room in layers()
    }
    assert {path: called for path, called in wrong.items() if called} == {}


@pytest.mark.parametrize(
    ("room", "source", "up_calls"),
    [
        ("rehearsal", '[sys.executable, "-m", "suffice.cli.main", "rehearse"]', ["cli"]),
        ("rehearsal", "f'{python} -m suffice.cli.main runbook'", ["cli"]),
        ("runbook", '["-m", "suffice.runbook.worker"]', []),
        ("cli", '["-m", "suffice.runbook.worker"]', []),
        ("evidence", '["-m",\n    "suffice.gates.flag"]', ["gates"]),
    ],
)
def test_an_up_call_is_seen_however_it_is_written(room: str, source: str, up_calls: list[str]) -> None:
    assert list(upward(room, source)) == up_calls
