"""What a person sees of a rollout, and the same as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from suffice.errors import ExitCode
from suffice.evidence.failures import listed
from suffice.rollout.fleet import Member
from suffice.rollout.report import Report, exit_code_of, watched_only
from suffice.rollout.saved_state import parts_of, plain_result
from suffice.rollout.status import Status, advances_when, pauses_when, plain_status, rolls_back_when
from suffice.store.journal import JournalEvent
from suffice.store.processes import DAMAGED
from suffice.terminal import duration, print_lines, print_marked, print_table

_COLOURS = {ExitCode.HOLDS: "green", ExitCode.FAILS: "red", ExitCode.CANNOT_TELL: "yellow"}
"""How a phase is coloured, by the exit code of `status`."""


def plain_report(report: Report) -> dict[str, Any]:
    """A report as plain JSON values."""
    return {
        "rollout": report.rollout,
        "phase": report.phase.value,
        "stage": report.stage,
        "why": report.why,
        "gates": [plain_result(result) for result in report.results],
        "notes": list(report.notes),
        "dry_run": report.dry_run,
        "would": list(report.commands),
        "possible": list(report.possible),
    }


def print_report(report: Report) -> None:
    """What an event came to, and each gate's answer."""
    print_lines(_headline(report))
    print_lines(*(f"note: {note}" for note in report.notes), *(f"would {command}" for command in report.commands))
    if report.results:
        _print_gates([plain_result(result) for result in report.results])


def print_status(status: Status, now: float) -> None:
    """Where it is and why, what is missing, and what would roll it back. `now`: seconds since the epoch."""
    plain = plain_status(status)
    where = ", ".join(plain["regions"]) or "all regions"
    exposed = f"{plain['percent']} % of targets in {where}" if plain["percent"] else "nobody"
    shadow = " in the shadow" if plain["shadow"] else ""
    print_lines(*filter(None, [status.rollback_asked]))
    headline = f"{plain['rollout']}: {plain['phase']}, stage {plain['stage']} ({_position(status)}){shadow}"
    print_marked(headline, plain["phase"], _COLOURS[exit_code_of(status.state.phase)])
    print_lines(
        f"published: {exposed}; flag: {plain['flag']}",
        f"now: {plain['permitted']}{_until(plain['permitted_until'], now)}",
        f"why: {plain['why']}",
        *([f"meanwhile: {plain['meanwhile']}"] if plain["meanwhile"] else []),
    )
    _print_list("this stage ends when all of this has come:", advances_when(status))
    _print_list("it is rolled back when:", rolls_back_when(status))
    _print_list("it pauses for a person when:", pauses_when(status))
    outcomes = [gate["outcome"] for gate in status.gates]
    if status.state.in_force:
        print_lines(*filter(None, [watched_only(status.state.current, outcomes)]))
    print_lines(*(f"note: {note}" for note in status.notes))
    print_lines(
        f"{_ago(plain['judged_at'], now)}{_due(status.next_cycle_at, now)}; runner: {plain['runner'] or 'none at work'}"
    )
    if plain["notifications_waiting"]:
        print_lines(f"notifications that wait to be sent: {plain['notifications_waiting']}")
    if plain["bundle"]:
        print_lines(f"evidence: {plain['bundle']}" + (" (triage is open)" if plain["triage_open"] else ""))
    print_lines(f"possible: {', '.join(plain['possible'])}")


def print_short(status: Status, _: float) -> None:
    """The rollout in one line."""
    state = status.state
    where = f"{status.rollout}: {state.phase.value} {state.current.name}, {status.percent} %"
    why = status.rollback_asked or state.why
    print_lines(f"{where}, {' '.join(why.split())}")


def print_explanation(status: Status, now: float) -> None:
    """The status, why the adaptive path failed, what the last cycle saw otherwise than the one before it, and what each
    gate saw last."""
    print_status(status, now)
    _print_list("the adaptive path failed with, most often first:", listed(status.extra["failures"]))
    if status.gates or status.changed:
        _print_list("the last cycle, beside the one before it:", status.changed or ["nothing but the time has changed"])
    if status.gates:
        print_lines("")
        _print_gates(status.gates)


def print_history(events: Iterable[JournalEvent]) -> None:
    """The journal, oldest event first."""
    for event in events:
        at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        print_lines(f"{at}  {event.who}: {event.action}: {event.why}")


def print_fleet(members: Sequence[Member]) -> None:
    """The processes of a service, one a line."""
    if not members:
        print_lines("no process has registered")
        return
    columns = (
        "id",
        "host",
        "pid",
        "version",
        "plan",
        "enabled",
        "epoch",
        "seen",
        "lease left",
        "rows waiting",
        "state",
    )
    print_table("Fleet", columns, (_member_row(member) for member in members))


def _member_row(member: Member) -> tuple[str, ...]:
    seen = "never" if member.seen_at is None else f"{datetime.fromtimestamp(member.seen_at, UTC):%H:%M:%S}"
    return (
        member.id,
        member.host,
        str(member.pid),
        member.version,
        member.plan_id[:12],
        "yes" if member.enabled else "no",
        "damaged" if member.epoch == DAMAGED else str(member.epoch),
        seen,
        f"{member.lease_left_s:.1f} s",
        str(member.rows_waiting),
        member.state.value,
    )


def _headline(report: Report) -> str:
    dry = "dry run, nothing is done: " if report.dry_run else ""
    where = f"{report.phase.value}, stage {report.stage}" if report.stage else report.phase.value
    return f"{dry}{report.rollout or 'no rollout'}: {where}: {report.why}"


def _print_gates(gates: Sequence[Mapping[str, Any]]) -> None:
    named = [(name, result) for gate in gates for name, result in ((gate["gate"], gate), *parts_of(gate))]
    rows = ((name, result["outcome"], result["sentence"]) for name, result in named)
    print_table("Gates", ("gate", "answer", "what it saw"), rows, left=3)


def _print_list(title: str, sentences: Sequence[str]) -> None:
    if sentences:
        print_lines(title, *(f"- {sentence}" for sentence in sentences))


def _position(status: Status) -> str:
    return f"{status.state.stage + 1} of {len(status.state.rollout.stages)}"


def _until(at: float | None, now: float) -> str:
    if at is None:
        return ""
    return f", until {datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC ({duration(at - now)} left) unless it is renewed"


def _ago(at: float | None, now: float) -> str:
    return "no cycle has judged this stage yet" if at is None else f"judged {duration(now - at)} ago"


def _due(at: float | None, now: float) -> str:
    if at is None:
        return ""
    late = f"a cycle was due {duration(now - at)} ago"
    return f"; the next cycle is due in {duration(at - now)}" if at > now else f"; {late}"
