"""One check, run beside the rollout: `python -m suffice.rollout.check_worker ANSWER AT DEADLINE COMMAND`.

Nothing waits for it. It keeps the deadline itself, ends the command with all that it started, and writes the answer to
a file, which the next cycle judges.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from suffice.files import write_atomically

KEPT = 20_000
"""Characters of output that are kept, the last ones."""


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
    with process:
        try:
            output, _ = process.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            _end(process)
            return None, f"`{command}` did not end within {deadline:,.0f} s"
    return process.returncode, output[-KEPT:]


def _end(process: "subprocess.Popen[str]") -> None:
    with suppress(OSError):
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def main(answer: str, at: str, deadline: str, command: str) -> None:
    code, output = run(command, float(deadline))
    path = Path(answer)
    write_atomically(path.with_suffix(".out"), output)
    write_atomically(path, json.dumps({"at": float(at), "code": code, "output": output}, indent=2) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
