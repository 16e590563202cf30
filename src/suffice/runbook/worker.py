"""The checks in a process of their own, beside the one that asks: `python -m suffice.runbook.worker`.

It ends when its standard input does. So it does not outlive the process that started it, however that one dies.
"""

import os
import signal
import sys
from pathlib import Path
from threading import Thread

from suffice.errors import ExitCode, SufficeError


def command(folder: Path, config: Path, budget: int) -> list[str]:
    """The command that runs the checks under this configuration and keeps everything in `folder`.

    Whoever starts it gives it a pipe for standard input, and closes that to end it.
    """
    return [sys.executable, "-P", "-m", "suffice.runbook.worker", str(folder), str(config), str(budget)]


def end_with_standard_input() -> None:
    """End this process, as failed, when its standard input ends; an interrupt is left to the process that started it.

    The thread reads the descriptor itself. One that waits in `sys.stdin.buffer` holds a lock that the interpreter takes
    when it shuts down, and an abort is what comes of that.
    """

    def wait() -> None:
        while os.read(0, 1024):
            pass
        os._exit(ExitCode.FAILS)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=wait, daemon=True).start()


def main(folder: str, config: str, budget: str) -> int:
    """Run the checks; what they print is in their files, and what keeps them from running on standard error."""
    from suffice.runbook.checks import Cycle, run_checks
    from suffice.runbook.configured import read

    try:
        return run_checks(Cycle(read(Path(config)), Path(folder), Path(folder), int(budget))).exit
    except SufficeError as error:
        sys.stderr.write(f"suffice: {error}\n")
        return error.exit_code


if __name__ == "__main__":
    end_with_standard_input()
    sys.exit(main(*sys.argv[1:]))
