"""The one line of an output that says why."""

import re

_FAILING = re.compile(r"\b(FAIL|FAILED|ERROR|Error|error:|ABOVE THE LIMIT|not ok)\b|\w+(Error|Exception): ")
"""How the runbook's commands, pytest, JUnit's kin and TAP begin what failed."""


def telling_line(output: str, *, failed: bool) -> str:
    """The first line that says what failed, where something did; else the last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()] or ["nothing"]
    failing = (line for line in lines if failed and _FAILING.search(line))
    return next(failing, lines[-1])
