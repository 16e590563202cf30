"""What a command answers: the values that `--json` prints, what a person sees, and the exit code."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from suffice.errors import ExitCode


def nothing() -> None:
    """Shows nothing: for a command that has shown a person everything while it worked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A command computes its answer and prints nothing; the command line prints it in one place.

    `plain` holds the values of `--json`: dicts, lists, strings, numbers without NaN, booleans and None. `show` writes
    the same for a person to standard output. `exit` is the exit code. `problem`, if any, is one line for standard
    error, which says why the code is not 0.
    """

    plain: Any
    show: Callable[[], None]
    exit: ExitCode = ExitCode.HOLDS
    problem: str = ""
