"""The table of docs/runbook.md: each sentence of the runbook, its command, and what it must show."""

import json
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHECKS = Path("TemporaryQueue/checks/verifier-000001")

_ROW = re.compile(r"^\| (?P<sentence>[^|]+) \| `(?P<command>(?:suffice|cat) [^`]+)` \| (?P<shows>.+) \|$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """A sentence, the command, and words that one line of its output has in this order."""

    sentence: str
    command: str
    words: tuple[str, ...]

    def is_shown(self, printed: str) -> bool:
        pattern = re.compile(".*".join(map(re.escape, self.words)))
        return any(pattern.search(line) for line in printed.splitlines())


def rows() -> list[Row]:
    """The rows, in their order."""
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    section = page.split("## The runbook, sentence by sentence")[1].split("\n## ")[0]
    parsed = [
        Row(row["sentence"], row["command"], tuple(re.findall("`([^`]+)`", row["shows"])))
        for row in _ROW.finditer(section)
    ]
    assert len(parsed) == section.count("\n| ") - 2, "a row that is none"
    return parsed


def until_answered() -> tuple[list[Row], list[Row]]:
    """The rows up to the first cycle, and those that need the answer that it asked for, from the second cycle on."""
    every = rows()
    second = [i for i, row in enumerate(every) if row.command == "suffice rollout cycle"][1]
    return every[:second], every[second:]


def wait_for_checks(folder: Path) -> None:
    """Until the checks that a cycle asked for have answered."""
    for _ in range(2400):
        with suppress(OSError, ValueError):
            begun = float((folder / CHECKS / "runbook.begun").read_text(encoding="utf-8"))
            if json.loads((folder / CHECKS / "runbook.json").read_text(encoding="utf-8"))["at"] == begun:
                return
        time.sleep(0.1)
    raise AssertionError("the checks have not answered")
