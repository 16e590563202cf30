"""The runner that is left alone: cycle after cycle, one runner at a time, until it is told to stop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event

from suffice.errors import SufficeError
from suffice.rollout.lease import Lease
from suffice.rollout.notify import Sink, deliver
from suffice.rollout.operator import Operator
from suffice.rollout.phases import Phase
from suffice.rollout.report import RETRY_SECONDS, Report


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
    while not stop.is_set() and not lease.lost:
        last = one_pass(operator, sinks)
        seen(last)
        if until_done and _done(last):
            break
        stop.wait(_pause(last))
    return last


def one_pass(operator: Operator, sinks: Sequence[Sink]) -> Pass:
    """One cycle, and the notifications that are due; what goes wrong is a sentence, not an exception."""
    report, error = None, None
    try:
        report = operator.cycle()
    except SufficeError as failed:
        error = str(failed)
    try:
        delivered, wrong = deliver(operator.store, operator.clock, sinks)
    except SufficeError as failed:
        delivered, wrong = 0, [str(failed)]
    return Pass(report, error, delivered, tuple(wrong))


def _pause(last: Pass) -> float:
    pause = last.report.pause if last.report else RETRY_SECONDS
    return min(pause, RETRY_SECONDS) if last.undelivered else pause


def _done(last: Pass) -> bool:
    over = (Phase.COMPLETED, Phase.ROLLED_BACK)
    return last.error is None and last.report is not None and last.report.phase in over
