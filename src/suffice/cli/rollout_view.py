"""A rollout on the terminal, and as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from suffice.cli.console import out, print_table
from suffice.rollout.daemon import Pass
from suffice.rollout.report import Report, legal_commands
from suffice.rollout.saved_state import plain_result
from suffice.rollout.status import Status, advances_when, plain_status, rolls_back_when
from suffice.store.events import AuditEvent


def plain_report(report: Report) -> dict[str, Any]:
    """A report as plain JSON values."""
    state = report.state
    return {
        "rollout": report.rollout,
        "phase": state.phase.value,
        "stage": state.current.name,
        "why": state.why,
        "gates": [plain_result(result) for result in report.results],
        "notes": list(report.notes),
        "dry_run": report.dry_run,
        "would": list(report.commands),
        "possible": list(legal_commands(state)),
    }


def plain_pass(done: Pass) -> dict[str, Any]:
    """One pass of the daemon as plain JSON values."""
    report = plain_report(done.report) if done.report else None
    return {
        "report": report,
        "error": done.error,
        "delivered": done.delivered,
        "undelivered": list(done.undelivered),
    }


def pass_line(done: Pass) -> str:
    """One pass of the daemon as a line."""
    said = [f"a notification waits: {problem}" for problem in done.undelivered]
    if done.report is None:
        return "; ".join([f"error: {done.error}", *said])
    return "; ".join([_headline(done.report), *done.report.notes, *said])


def print_report(report: Report) -> None:
    """What an event came to, and each gate's answer."""
    _line(_headline(report))
    for note in report.notes:
        _line(f"note: {note}")
    for command in report.commands:
        _line(f"would {command}")
    if report.results:
        _print_gates([plain_result(result) for result in report.results])


def print_status(status: Status, now: float) -> None:
    """Where, how much, why, what is missing, and what would roll back."""
    it = plain_status(status)
    where = ", ".join(it["regions"]) or "all regions"
    shadow = " in the shadow" if it["shadow"] else ""
    _line(f"{it['rollout']}: {it['phase']}, stage {it['stage']} ({_position(status)}){shadow}")
    _line(f"{it['percent']} % of targets in {where} may be adaptive; flag: {it['flag']}")
    _line(f"why: {it['why']}")
    _print_list("this stage ends when all of this has come:", advances_when(status))
    _print_list("it is rolled back when:", rolls_back_when(status))
    _line(f"{_ago(it['judged_at'], now)}; runner: {it['runner'] or 'none at work'}")
    if it["notifications_waiting"]:
        _line(f"notifications that wait to be sent: {it['notifications_waiting']}")
    if it["bundle"]:
        _line(f"evidence: {it['bundle']}" + (" (triage is open)" if it["triage_open"] else ""))
    _line(f"possible: {', '.join(it['possible'])}")


def print_explanation(status: Status, now: float) -> None:
    """The status, and what each gate saw last."""
    print_status(status, now)
    if status.gates:
        out().print()
        _print_gates(status.gates)
    _print_list("", [f"note: {note}" for note in status.notes])


def print_history(events: Iterable[AuditEvent]) -> None:
    """The audit trail, oldest first."""
    for event in events:
        at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        _line(f"{at}  {event.who}: {event.action}: {event.why}")


def _headline(report: Report) -> str:
    state = report.state
    dry = "dry run, nothing is done: " if report.dry_run else ""
    return f"{dry}{report.rollout}: {state.phase.value}, stage {state.current.name}: {state.why}"


def _print_gates(gates: Sequence[Mapping[str, Any]]) -> None:
    print_table("Gates", ("gate", "answer", "what it saw"), ((g["gate"], g["outcome"], g["sentence"]) for g in gates))


def _print_list(title: str, sentences: Sequence[str]) -> None:
    if not sentences:
        return
    if title:
        _line(title)
    for sentence in sentences:
        _line(f"- {sentence}")


def _position(status: Status) -> str:
    return f"{status.state.stage + 1} of {len(status.state.rollout.stages)}"


def _ago(at: float | None, now: float) -> str:
    return "no cycle has judged this stage yet" if at is None else f"judged {max(now - at, 0):,.0f} s ago"


def _line(text: str) -> None:
    out().print(text, highlight=False, soft_wrap=True, markup=False)
