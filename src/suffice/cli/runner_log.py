"""What a runner says of its passes: a line each, for people or for a collector of logs."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from suffice.cli.rollout_view import plain_report
from suffice.errors import ExitCode
from suffice.rollout.daemon import Pass
from suffice.terminal import print_lines


class RunnerLog:
    """Writes passes to standard output, with time, level, service, rollout and stage.

    A pass that says the same as the one before it is counted and left out, unless `every` is asked for; the next line
    says how many were. `clock` gives seconds since the epoch, and must not fail.
    """

    def __init__(self, service: str, clock: Callable[[], float], *, as_json: bool, every: bool = False) -> None:
        self._service, self._clock, self._as_json, self._every = service, clock, as_json, every
        self._last: tuple[str, ...] = ()
        self._left_out = 0

    def tell(self, one: Pass) -> None:
        """Write a pass, unless it says what the last one said."""
        report = one.report
        said = (level_of(one), report.rollout if report else "", report.stage if report else "", message_of(one))
        if said == self._last and not self._every:
            self._left_out += 1
            return
        level, rollout, stage, message = said
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        head = {"time": at, "level": level, "service": self._service, "rollout": rollout, "stage": stage}
        if self._as_json:
            plain = {**head, "message": message, "left_out": self._left_out, **plain_pass(one)}
            sys.stdout.write(json.dumps(plain, allow_nan=False) + "\n")
        else:
            before = f" ({self._left_out:,} passes before it said the same as the line above)" if self._left_out else ""
            print_lines(f"{' '.join(value or '-' for value in head.values())}: {message}{before}")
        sys.stdout.flush()
        self._last, self._left_out = said, 0


def plain_pass(one: Pass) -> dict[str, Any]:
    """One pass as plain JSON values."""
    return {
        "report": plain_report(one.report) if one.report else None,
        "error": one.error,
        "delivered": one.delivered,
        "undelivered": list(one.undelivered),
    }


def level_of(one: Pass) -> str:
    """ERROR for a cycle that failed, WARNING for what a person should look at, else INFO."""
    if one.report is None:
        return "ERROR"
    return "INFO" if one.report.exit_code is ExitCode.HOLDS and not one.undelivered else "WARNING"


def message_of(one: Pass) -> str:
    """What a pass came to, in one line."""
    waiting = [f"a notification waits: {problem}" for problem in one.undelivered]
    if one.report is None:
        return "; ".join([one.error or "the cycle failed", *waiting])
    return "; ".join([f"{one.report.phase.value}: {one.report.why}", *one.report.notes, *waiting])
