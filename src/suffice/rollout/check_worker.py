"""One check, run beside the rollout: `python -m suffice.rollout.check_worker ANSWER AT DEADLINE COMMAND`.

Nothing waits for it. It keeps the deadline itself, ends the command with all that it started, and writes the answer to
a file, which the next cycle judges. However it ends itself, the command does not outlive it.
"""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from suffice.files import write_atomically

KEPT = 20_000
"""Characters of output that are kept, the last ones."""

_MINDER = "import os, signal, sys; sys.stdin.read(); os.killpg(int(sys.argv[1]), signal.SIGKILL)"
"""A program that ends a process group once its standard input is closed, as that of a killed process is."""


def run(command: str, deadline: float) -> tuple[int | None, str]:
    """The exit code of a command and the end of its output; no code where it did not end, or could not be run."""
    words = shlex.split(command) if os.name == "posix" else command
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return None, f"`{command}` cannot be run: {getattr(error, 'strerror', None) or error}"
    with process, _minded(process.pid):
        try:
            output, _ = process.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            process.kill()  # Only it, to let go of its output; its group ends with the minder.
            return None, f"`{command}` did not end within {deadline:,.0f} s"
    return process.returncode, output[-KEPT:]


@contextmanager
def _minded(group: int) -> Iterator[None]:
    """While this lasts, a process of its own waits for our end, to end the group; afterwards it ends the rest of it."""
    if os.name != "posix":
        yield
        return
    minder = [sys.executable, "-I", "-S", "-c", _MINDER, str(group)]
    with subprocess.Popen(minder, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True):
        yield


def main(answer: str, at: str, deadline: str, command: str) -> None:
    code, output = run(command, float(deadline))
    path = Path(answer)
    write_atomically(path.with_suffix(".out"), output)
    write_atomically(path, json.dumps({"at": float(at), "code": code, "output": output}, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
