"""`suffice rollout`: the staged switch of a service in production."""

import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from suffice.answer import Answer
from suffice.cli import options, rollout_prune, rollout_roles, rollout_word
from suffice.cli.command import Grouped, add, print_answer
from suffice.cli.rollout_options import AcceptOptions, ActOptions, NoWait, RunnerOptions, ServiceOptions, stored_source
from suffice.cli.sources import RebuildOptions, service_code
from suffice.errors import ExitCode, MissingDataError, RolloutError
from suffice.terminal import print_error, redraw

if TYPE_CHECKING:
    from suffice.rollout.operator import Operator
    from suffice.rollout.report import Report

app = typer.Typer(
    help="The staged switch of a service from fixed to adaptive, in production.\n\n"
    "Exit codes: 0 it goes on or is done; 2 it was or is being rolled back, or what was asked is not possible; 3 it is "
    "paused, awaits approval, there is no rollout, or something could not be read or written.",
    cls=Grouped,
    no_args_is_help=True,
)


@service_code()
def start(
    *,
    source: RebuildOptions,
    waive: options.Waive = None,
    accept: AcceptOptions,
    check: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COMMAND",
            help="A command that is a gate too: exit 0 holds, 3 cannot tell, any other fails. May stand several times.",
        ),
    ] = None,
    check_every: Annotated[
        str, typer.Option(metavar="DURATION", help="How old an answer of --check may get, like 90s, 15m or 6h.")
    ] = "6h",
    enable: Annotated[bool, typer.Option("--enable", help="Set verifier.adaptive_sampling.enabled first.")] = False,
    act: ActOptions,
    where: ServiceOptions,
) -> Answer:
    """Start a rollout in its first stage.

    It is refused when another rollout is active, when the last stage cannot keep the required benefit net of its
    audits, or when the configuration allows no adaptive decisions. What else speaks against it is told all at once,
    each with the option that accepts it. Decisions are recomputed from the source, by verifier.cases, and those that
    suffice resolve made from its provenance.

    Example: suffice rollout start --source pdg --dry-run
    """
    from suffice.config import load
    from suffice.rollout.command_checks import check_of
    from suffice.rollout.operator import Start
    from suffice.rollout.operator import start as start_rollout
    from suffice.rollout.start import waived_of

    every = options.seconds("--check-every", check_every)
    checks = tuple(check_of(text, every) for text in check or ())
    stored, targets = _stored_source(source, where.place.config)
    waived, reasons = waived_of(waive or ())
    begin = Start(waived, stored, checks, enable, {**accept.reasons, **reasons}, targets)
    opened = partial(where.open, create=True, dry_run=act.dry_run)
    report = start_rollout(where.place, opened, act.by, begin, dry_run=act.dry_run)
    for sentence in load(where.place.config).rollout.unnoticed:
        _tell_operator(sentence)
    return _answer(report)


def status(
    *,
    short: Annotated[bool, typer.Option("--short", help="One line, for a prompt or a pager.")] = False,
    watch: Annotated[
        float | None, typer.Option(min=0.1, help="Show it anew every so many seconds, until Ctrl-C.")
    ] = None,
    where: ServiceOptions,
    json: options.Json = False,
) -> Answer:
    """Say what percent may be adaptive, why it waits, and what would advance it or roll it back.

    It reads what the last cycle saw; it measures and changes nothing. Exits 2 when the rollout was or is being rolled
    back, or that was asked for, 3 when it is paused or awaits approval, or there is none.

    Example: suffice rollout status --watch 60
    """
    from suffice.cli.rollout_view import print_short, print_status

    show = print_short if short else print_status
    with where.open() as operator:
        while watch is not None:
            answer = _status(operator, show)
            if not (short or json):
                redraw()
            print_answer(answer, json=json)
            sys.stdout.flush()
            time.sleep(watch)
        return _status(operator, show)


def explain(*, where: ServiceOptions) -> Answer:
    """Say what status says, and what each gate saw last, with its numbers.

    Example: suffice rollout explain
    """
    from suffice.cli.rollout_view import print_explanation

    with where.open() as operator:
        return _status(operator, print_explanation)


def history(
    *,
    rollout: Annotated[str | None, typer.Option(metavar="ID", help="Which rollout [default: the newest].")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also the cycles that changed nothing.")] = False,
    where: ServiceOptions,
) -> Answer:
    """Say who did what, when and why, from the journal. Exits 2 when the journal's chain of hashes is broken.

    Example: suffice rollout history --all
    """
    from suffice.cli.rollout_view import print_history
    from suffice.store.actions import Action
    from suffice.store.journal import journal_head, verify_journal

    with where.open() as operator:
        events = [event for event in operator.history(rollout) if every or event.action is not Action.JUDGE]
        with operator.store.read() as connection:
            chain, head = verify_journal(connection), journal_head(connection)
    if rollout is not None and not events:
        raise MissingDataError(f"there is no rollout {rollout}")
    plain = {"intact": chain.intact, "head": head, "events": [asdict(event) for event in events]}
    if chain.intact:
        return Answer(plain, lambda: print_history(events))
    broken = f"the journal's chain is broken at event {chain.broken_seq}: {chain.what}"
    return Answer(plain, lambda: print_history(events), ExitCode.FAILS, broken)


def cycle(
    *,
    wait: Annotated[float, typer.Option(help="Seconds to wait for a runner that is at work.")] = 60.0,
    no_wait: NoWait = False,
    runner: RunnerOptions,
    act: ActOptions,
    where: ServiceOptions,
) -> Answer:
    """Make one monitoring pass, for cron: measure, judge every gate, act, notify.

    Example: suffice rollout cycle --wait 5
    """
    from suffice.rollout.lease import Lease
    from suffice.rollout.notify import deliver
    from suffice.rollout.world import RUNNER

    sinks = runner.sinks
    # What a cycle does nobody has asked for, whoever's cron calls it.
    who = act.who or RUNNER
    with where.open(dry_run=act.dry_run, patience=lambda: not no_wait) as operator:
        if act.dry_run:
            return _answer(operator.cycle(who, dry_run=True))
        with Lease(operator.store, where.service, seconds=runner.lease) as lease:
            lease.acquire(patience=wait, waiting=_tell_operator)
            lease.start_beating()
            try:
                report = operator.cycle(who)
            finally:
                _, problems = deliver(operator.store, operator.clock, sinks, place=operator.place)
        for problem in problems:
            _tell_operator(f"a notification waits: {problem}")
        return _answer(report)


def run(
    *,
    until_done: Annotated[
        bool, typer.Option("--until-done", help="End when the rollout has completed, or is rolled back and settled.")
    ] = False,
    runner: RunnerOptions,
    log_format: Annotated[
        Literal["text", "json"], typer.Option("--log-format", help="What a line of the log is.")
    ] = "text",
    dry_run: options.DryRun = False,
    where: ServiceOptions,
    json: options.Json = False,
) -> Answer | ExitCode:
    """Run as a daemon: a cycle at the configured pace, until SIGTERM or Ctrl-C.

    The cycle at work then ends as it should; after 4 s it is left as by a kill, and the exit code is 3. A second daemon
    waits until the first ends or dies. A cycle that says something new prints a line with time, level, service, rollout
    and stage, or an object with --log-format json; with --json each cycle prints that object.

    Example: suffice rollout run --webhook https://example.org/hook
    """
    from suffice.cli.runner_log import RunnerLog
    from suffice.cli.signals import told_to_end
    from suffice.rollout.daemon import run as run_cycles
    from suffice.rollout.lease import Lease

    sinks = runner.sinks
    if dry_run:
        return cycle(runner=runner, act=ActOptions(dry_run=True), where=where)
    with (
        told_to_end() as stop,
        where.open(create=True, patience=lambda: not stop.is_set()) as operator,
        Lease(operator.store, where.service, seconds=runner.lease) as lease,
    ):
        try:
            lease.acquire(waiting=_tell_operator, given_up=stop.is_set)
        except RolloutError:
            if stop.is_set():
                return ExitCode.HOLDS
            raise
        operator.note_store()
        lease.start_beating()
        # The host's clock: that of a store that does not answer would end the runner.
        log = RunnerLog(where.service, time.time, as_json=json or log_format == "json", every=json)
        last = run_cycles(operator, lease, stop, sinks=sinks, until_done=until_done, seen=log.tell)
        if lease.lost and not stop.is_set():
            raise RolloutError("the lease was lost to another runner; this one ends")
    return last.report.exit_code if until_done and last and last.report else ExitCode.HOLDS


def pause(
    *,
    reason: options.Reason = "",
    act: ActOptions,
    where: ServiceOptions,
) -> Answer:
    """Hold the stage as it is. Gates are still judged, and a failed one still rolls back.

    Example: suffice rollout pause --reason "the host is released today"
    """
    report = _told(where, act, "pause", reason)
    # What was asked for has happened, so the pause is no failure here.
    return _answer(report, ExitCode.HOLDS)


def resume(*, act: ActOptions, where: ServiceOptions) -> Answer:
    """Let a paused rollout go on. Refused when plan or configuration have changed since its start.

    Example: suffice rollout resume
    """
    return _answer(_told(where, act, "resume"))


def approve(*, act: ActOptions, where: ServiceOptions) -> Answer:
    """Approve a stage that has passed and waits for it.

    Example: suffice rollout approve --who ann
    """
    return _answer(_told(where, act, "approve"))


def rollback(
    *,
    reason: options.Reason,
    old_primary_is_gone: Annotated[
        bool, typer.Option("--old-primary-is-gone", help="The server of the store's old incarnation runs no more.")
    ] = False,
    no_wait: NoWait = False,
    act: ActOptions,
    where: ServiceOptions,
) -> Answer:
    """Go back to fixed: lower word and file, wait for the fleet, keep the receipt, switch off, freeze the evidence.

    Exits 0 when the baseline was observed, and 2 when it was not yet. Then `suffice rollout cycle` or `run` goes on.

    Example: suffice rollout rollback --reason "latency has doubled"
    """
    from suffice.rollout.phases import Phase
    from suffice.rollout.rollback import roll_back

    report = roll_back(
        where.place,
        partial(where.operator, dry_run=act.dry_run, patience=lambda: not no_wait),
        act.by,
        reason,
        old_primary_is_gone=old_primary_is_gone,
        dry_run=act.dry_run,
    )
    observed = act.dry_run or report.phase is Phase.ROLLED_BACK
    return _answer(report, ExitCode.HOLDS if observed else ExitCode.FAILS)


def release(
    *,
    reason: options.Reason,
    act: ActOptions,
    where: ServiceOptions,
) -> Answer:
    """Let a completed rollout stand without a runner, for this plan, configuration and store.

    Without it everybody is fixed some minutes after the last cycle. A failover ends it, and release renews it.

    Example: suffice rollout release --reason "a month without a rollback"
    """
    return _answer(_told(where, act, "release", reason))


def fleet(*, where: ServiceOptions) -> Answer:
    """List the processes of the service: which word each has seen, and how long it may still act on it.

    Example: suffice rollout fleet --json
    """
    from suffice.cli.rollout_view import print_fleet
    from suffice.rollout.fleet import plain_member

    with where.open() as operator:
        listed = operator.fleet()
    return Answer([plain_member(member) for member in listed], lambda: print_fleet(listed))


def advance(*, act: ActOptions, where: ServiceOptions) -> Answer:
    """Judge now rather than at the next cycle, and end the stage if it is proven. It skips no hold and no proof.

    Example: suffice rollout advance --dry-run
    """
    with where.open(dry_run=act.dry_run) as operator:
        return _answer(operator.advance(act.by, dry_run=act.dry_run))


COMMANDS: dict[str, tuple[Callable[..., Answer | ExitCode], ...]] = {
    "See": (status, explain, history, fleet, rollout_word.word),
    "Run": (start, cycle, run),
    "Decide": (pause, resume, approve, advance, release, rollback),
    "Keep the store": (rollout_prune.prune, rollout_roles.roles),
}
for _heading, _commands in COMMANDS.items():
    for _command in _commands:
        add(app, _heading, _command.__name__, _command)


def _told(where: ServiceOptions, act: ActOptions, command: str, reason: str = "") -> "Report":
    with where.open(dry_run=act.dry_run) as operator:
        return operator.tell(command, act.by, reason, dry_run=act.dry_run)


def _stored_source(source: RebuildOptions, config: Path) -> tuple[dict[str, Any] | None, int | None]:
    """What is stored of a source, and how many targets it has, where that is known. It is read once here, so that a
    wrong one is refused at the start; only recorded draws may still come."""
    source.check()
    if source.samples is not None:
        from suffice.cli.sources import samples_of
        from suffice.config import load
        from suffice.sources.opened import check_there
        from suffice.stopping.make import configured_rule

        samples_of(source.samples, source.column or (), configured_rule(load(config).verifier))
        check_there(source.samples)
    targets = len({correction.target for correction in source.corrections()[1]}) if source.named else None
    return stored_source(source), targets


def _tell_operator(sentence: str) -> None:
    print_error(sentence)


def _status(operator: "Operator", show: Callable[[Any, float], None]) -> Answer:
    from suffice.rollout.report import exit_code_of
    from suffice.rollout.status import plain_status, status_of

    current, now = status_of(operator), operator.clock()
    code = ExitCode.FAILS if current.rollback_asked else exit_code_of(current.state.phase)
    return Answer(plain_status(current), lambda: show(current, now), code)


def _answer(report: "Report", code: ExitCode | None = None) -> Answer:
    from suffice.cli.rollout_view import plain_report, print_report

    return Answer(plain_report(report), lambda: print_report(report), report.exit_code if code is None else code)
