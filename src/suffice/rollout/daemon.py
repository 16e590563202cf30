"""The runner that is left alone: cycle after cycle, one runner at a time, until it is told to stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Thread

from suffice.errors import SufficeError
from suffice.rollout.lease import Lease
from suffice.rollout.notify import Sink, deliver
from suffice.rollout.operator import Operator
from suffice.rollout.phases import Phase
from suffice.rollout.report import RETRY_SECONDS, Report

_MOMENT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of the runner: the cycle's report, or the sentence of what went wrong, and what was notified."""

    report: Report | None
    error: str | None
    delivered: int
    undelivered: tuple[str, ...]


def run(
    operator: Operator,
    lease: Lease,
    stop: Event,
    *,
    sinks: Sequence[Sink] = (),
    until_done: bool = False,
    seen: Callable[[Pass], object] = lambda _: None,
) -> Pass | None:
    """Run cycles until `stop` is set; with `until_done` also when the rollout has completed or is rolled back and
    settled. Returns the last pass.

    The lease is held by the caller. A cycle that fails is told to `seen` and tried again; a lease that was lost ends
    the run.
    """
    last: Pass | None = None
    notifications = Notifications(operator, sinks, stop)
    while not stop.is_set() and not lease.lost:
        last = one_pass(operator, notifications)
        seen(last)
        if until_done and _done(last):
            break
        stop.wait(_pause(last))
    return last


def one_pass(operator: Operator, notifications: "Notifications") -> Pass:
    """One cycle, and the notifications that are due; what goes wrong is a sentence, not an exception."""
    report, error = None, None
    try:
        report = operator.cycle()
    except SufficeError as failed:
        error = str(failed)
    delivered, wrong = notifications.deliver()
    return Pass(report, error, delivered, tuple(wrong))


class Notifications:
    """Sends what is due on a thread of its own, so that no sink delays a cycle, or the end of a runner."""

    def __init__(self, operator: Operator, sinks: Sequence[Sink], stop: Event) -> None:
        self._operator, self._sinks, self._stop = operator, sinks, stop
        self._thread: Thread | None = None
        self._came: list[tuple[int, list[str]]] = []

    def deliver(self) -> tuple[int, list[str]]:
        """Send, and wait a moment for it; returns how many were taken since the last call, and what went wrong."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = Thread(target=self._send, name="suffice-notifications", daemon=True)
            self._thread.start()
        self._thread.join(_MOMENT_SECONDS)
        slow = ["notifications are still being sent"] if self._thread.is_alive() else []
        came, self._came = self._came, []
        return sum(taken for taken, _ in came), [*(problem for _, wrong in came for problem in wrong), *slow]

    def _send(self) -> None:
        try:
            operator = self._operator
            came = deliver(operator.store, operator.clock, self._sinks, self._stop.is_set, operator.place)
        except SufficeError as failed:
            came = 0, [str(failed)]
        self._came = [*self._came, came]


def _pause(last: Pass) -> float:
    pause = last.report.pause if last.report else RETRY_SECONDS
    return min(pause, RETRY_SECONDS) if last.undelivered else pause


def _done(last: Pass) -> bool:
    over = (Phase.COMPLETED, Phase.ROLLED_BACK)
    return last.error is None and last.report is not None and last.report.phase in over
