"""One check, run beside the rollout: `python -m suffice.rollout.check_worker ANSWER AT DEADLINE COMMAND`.

Nothing waits for it. It keeps the deadline itself, ends the command with all that it started, and writes the answer to
a file, which the next cycle judges. However it ends itself, the command does not outlive it.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread
from typing import IO

from suffice.files import write_atomically

KEPT = 20_000
"""Characters of output that are kept, the last ones."""

_BLOCK, _MOST = 1 << 16, 4
"""Bytes that are read at once, and of a character."""

_MINDER = "import os, signal, sys; sys.stdin.read(); os.killpg(int(sys.argv[1]), signal.SIGKILL)"
"""A program that ends a process group once its standard input is closed, as that of a killed process is."""


def run(command: str, deadline: float) -> tuple[int | None, str]:
    """The exit code of a command and the end of its output; no code where it did not end, or could not be run."""
    words = shlex.split(command) if os.name == "posix" else command
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
    except (OSError, ValueError) as error:
        return None, f"`{command}` cannot be run: {getattr(error, 'strerror', None) or error}"
    until, tail = time.monotonic() + deadline, bytearray()
    with _minded(process.pid):
        reader = Thread(target=_keep_tail, args=(process.stdout, tail), daemon=True)
        reader.start()
        try:
            # Its output ends when all that it started has let go of it.
            reader.join(deadline)
            process.wait(max(until - time.monotonic(), 0.0))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(words, deadline)
        except subprocess.TimeoutExpired:
            process.kill()  # Only it; its group ends with the minder, and the reader with the group.
            process.wait()
            return None, f"`{command}` did not end within {deadline:,.0f} s"
    return process.returncode, tail.decode("utf-8", "replace").replace("\r\n", "\n")[-KEPT:]


def _keep_tail(output: IO[bytes] | None, tail: bytearray) -> None:
    """Read to the end, and keep the last of it: a command that says much takes no memory for it."""
    assert output is not None
    # Closed here and by nobody else: its number may be another file's then.
    with output:
        for block in iter(partial(os.read, output.fileno(), _BLOCK), b""):
            tail += block
            del tail[: -_MOST * KEPT]


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
