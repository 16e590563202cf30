"""The self-contained HTML report of a rehearsal."""

from pathlib import Path
from typing import Any

from suffice.rehearsal.rehearse import Ending
from suffice.rehearsal.setup import Setup


def write_report(setup: Setup, ending: Ending, summary: dict[str, Any], path: Path) -> None:
    """x"""
