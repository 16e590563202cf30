"""`suffice rollout`: the staged switch of a service in production."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suffice.cli import options, rollout_prune
from suffice.errors import MissingDataError, RolloutError, StoreConflict, StoreError, SufficeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from suffice.rollout.daemon import Pass
    from suffice.rollout.operator import Operator
    from suffice.rollout.report import Report
    from suffice.rollout.world import Place
    from suffice.sources.correction import Correction

app = typer.Typer(
    help="The staged switch of a service from fixed to adaptive, in production.\n\n"
    "Exit codes: 0 it goes on or is done, 2 it was or is being rolled back, or what was asked is not possible, 3 it is "
    "paused, or there is no rollout.",
    no_args_is_help=True,
)

Queue = Annotated[Path, typer.Option(help="The folder of store.db, flag.json and triage bundles.")]
ServiceName = Annotated[str, typer.Option("--service", help="The service that the rollout is about.")]
Who = Annotated[str | None, typer.Option(help="Who says so, for the audit trail (default: the user of this process).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would follow; store and publish nothing.")]
LeaseSeconds = Annotated[
    float, typer.Option("--lease", min=0.1, help="Seconds without a sign of life after which a runner is replaced.")
]
Webhook = Annotated[
    str | None,
    typer.Option(
        help="Send notifications there (default: $SUFFICE_WEBHOOK).", envvar="SUFFICE_WEBHOOK", show_envvar=False
    ),
]
TriageCommand = Annotated[
    str | None,
    typer.Option(
        metavar="JSON LIST",
        help="A command that opens a triage item elsewhere, with {title}, {body_file}, {item}, {stage}, {reason} and "
        "{bundle} in its words (default: $SUFFICE_TRIAGE_COMMAND).",
        envvar="SUFFICE_TRIAGE_COMMAND",
        show_envvar=False,
    ),
]

QUEUE, NAME, LEASE = Path("TemporaryQueue"), "verifier", 15.0


@app.command("start")
def start(
    source: Annotated[
        str | None, typer.Option(help="pdg or codata: where decisions can be rebuilt from, to be recomputed.")
    ] = None,
    records: Annotated[Path | None, typer.Option(help="Your records, as in suffice compare.")] = None,
    measurements: Annotated[Path | None, typer.Option(help="Your measurements of them.")] = None,
    waive: Annotated[
        list[str] | None,
        typer.Option(help="Go without this gate: determinism, where only the service can build its cases."),
    ] = None,
    check: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COMMAND",
            help="A command that is a gate too: exit 0 holds, 3 cannot tell, any other fails; may stand several times.",
        ),
    ] = None,
    check_every: Annotated[str, typer.Option(help="How old an answer of --check may get.")] = "6h",
    enable: Annotated[bool, typer.Option("--enable", help="Set verifier.adaptive_sampling.enabled first.")] = False,
    who: Who = None,
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    service: ServiceName = NAME,
    config: options.ConfigFile = None,
    dry_run: DryRun = False,
    json: options.Json = False,
) -> int:
    """Start a rollout in its first stage.

    Refused while another one is active, when the last stage cannot keep the required benefit net of its audits, or when
    the configuration does not allow adaptive decisions at all. Without a source, decisions that suffice resolve made
    are recomputed from its provenance.
    """
    from suffice.rollout.checks import check_of
    from suffice.rollout.operator import Start

    every = _seconds(check_every)
    checks = tuple(check_of(text, every) for text in check or ())
    begin = Start(tuple(waive or ()), _source(source, records, measurements), checks, enable)
    with _service(config, queue, store, service) as opened:
        return _print_report(opened.start(who or user(), begin, dry_run=dry_run), json=json)


@app.command("status")
def status(
    watch: Annotated[float | None, typer.Option(help="Print it again every so many seconds, until Ctrl-C.")] = None,
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    service: ServiceName = NAME,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> int:
    """What percent am I at, why am I waiting, what would make me advance or roll back.

    Reads what the last cycle saw; measures and changes nothing.
    """
    import time

    from suffice.cli.console import print_json
    from suffice.cli.rollout_view import print_status
    from suffice.rollout.status import plain_status, status_of

    with _service(config, queue, store, service, create=False) as opened:
        while True:
            found = status_of(opened)
            if json:
                print_json(plain_status(found))
            else:
                print_status(found, opened.clock())
            if watch is None:
                return 0
            sys.stdout.flush()
            time.sleep(max(watch, 0.1))


@app.command("explain")
def explain(
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    service: ServiceName = NAME,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> int:
    """The status, and what each gate saw last, with its numbers."""
    from suffice.cli.console import print_json
    from suffice.cli.rollout_view import print_explanation
    from suffice.rollout.status import plain_status, status_of

    with _service(config, queue, store, service, create=False) as opened:
        found = status_of(opened)
        if json:
            print_json(plain_status(found))
        else:
            print_explanation(found, opened.clock())
    return 0


@app.command("history")
def history(
    rollout: Annotated[str | None, typer.Option(help="Which rollout (default: the newest).")] = None,
    every: Annotated[bool, typer.Option("--all", help="Also the cycles that changed nothing.")] = False,
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    service: ServiceName = NAME,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> int:
    """Who did what, when and why: the audit trail. Exits 2 when its chain of hashes is broken."""
    from dataclasses import asdict

    from suffice.cli.console import print_json
    from suffice.cli.rollout_view import print_history
    from suffice.rollout.cycle import JUDGED
    from suffice.store.events import verify_audit

    with _service(config, queue, store, service, create=False) as opened:
        events = [event for event in opened.history(rollout) if every or event.action != JUDGED]
        with opened.store.read() as connection:
            chain = verify_audit(connection)
    if rollout is not None and not events:
        raise MissingDataError(f"there is no rollout {rollout}")
    if json:
        print_json({"intact": chain.intact, "events": [asdict(event) for event in events]})
    else:
        print_history(events)
    if not chain.intact:
        sys.stderr.write(f"suffice: the audit chain is broken at event {chain.broken_seq}: {chain.what}\n")
    return 0 if chain.intact else 2


@app.command("cycle")
def cycle(
    wait: Annotated[float, typer.Option(help="Seconds to wait for a runner that is at work.")] = 60.0,
    lease: LeaseSeconds = LEASE,
    webhook: Webhook = None,
    triage_command: TriageCommand = None,
    who: Who = None,
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    service: ServiceName = NAME,
    config: options.ConfigFile = None,
    dry_run: DryRun = False,
    json: options.Json = False,
) -> int:
    """One monitoring pass, for cron: measure, judge every gate, act, notify."""
    from suffice.rollout.lease import Lease
    from suffice.rollout.notify import check_url, deliver
    from suffice.rollout.tracker import command_of

    url = check_url(webhook) if webhook else None
    command = command_of(triage_command) if triage_command else None
    with _service(config, queue, store, service, create=False) as opened:
        if dry_run:
            return _print_report(opened.cycle(who or user(), dry_run=True), json=json)
        with Lease(opened.store, service, seconds=lease) as held:
            held.acquire(patience=wait, waiting=_say)
            held.start_beating()
            try:
                report = opened.cycle(who or user())
            finally:
                _, wrong = deliver(opened.store, url, opened.clock, command=command)
        for problem in wrong:
            _say(f"a notification waits: {problem}")
        return _print_report(report, json=json)


@app.command("run")
def run(
    until_done: Annotated[
        bool, typer.Option("--until-done", help="End when the rollout has completed, or is rolled back and settled.")
    ] = False,
    lease: LeaseSeconds = LEASE,
    webhook: Webhook = None,
    triage_command: TriageCommand = None,
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    service: ServiceName = NAME,
    config: options.ConfigFile = None,
    dry_run: DryRun = False,
    json: options.Json = False,
) -> int:
    """The daemon: a cycle at the configured pace until SIGTERM or Ctrl-C, which let the cycle at work end.

    A second one waits until the first ends or dies. Prints a line, or with --json an object, for each cycle.
    """
    import signal
    from threading import Event

    from suffice.rollout.daemon import run as run_on
    from suffice.rollout.lease import Lease
    from suffice.rollout.notify import check_url
    from suffice.rollout.tracker import command_of

    command = command_of(triage_command) if triage_command else None
    url, stop = (check_url(webhook) if webhook else None), Event()
    if dry_run:
        return cycle(lease=lease, queue=queue, store=store, service=service, config=config, dry_run=True, json=json)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    with _service(config, queue, store, service) as opened, Lease(opened.store, service, seconds=lease) as held:
        try:
            held.acquire(waiting=_say, given_up=stop.is_set)
        except RolloutError:
            if stop.is_set():
                return 0
            raise
        held.start_beating()
        last = run_on(
            opened,
            held,
            stop,
            webhook=url,
            command=command,
            until_done=until_done,
            seen=lambda it: _print_pass(it, json=json),
        )
        if held.lost and not stop.is_set():
            raise RolloutError("the lease was lost to another runner; this one ends")
    return _code(last.report) if until_done and last and last.report else 0


@app.command("pause")
def pause(
    reason: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    who: Who = None,
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    service: ServiceName = NAME,
    config: options.ConfigFile = None,
    dry_run: DryRun = False,
    json: options.Json = False,
) -> int:
    """Hold the stage as it is. Gates are judged on, and a failed one still rolls back."""
    return _tell("pause", reason, who, _place(config, queue, store, service), dry_run=dry_run, json=json)


@app.command("resume")
def resume(
    who: Who = None,
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    service: ServiceName = NAME,
    config: options.ConfigFile = None,
    dry_run: DryRun = False,
    json: options.Json = False,
) -> int:
    """Let a paused rollout go on. Refused while plan or configuration are not those that it was started with."""
    return _tell("resume", "", who, _place(config, queue, store, service), dry_run=dry_run, json=json)


@app.command("approve")
def approve(
    who: Who = None,
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    service: ServiceName = NAME,
    config: options.ConfigFile = None,
    dry_run: DryRun = False,
    json: options.Json = False,
) -> int:
    """Approve a stage that has passed and waits for it."""
    return _tell("approve", "", who, _place(config, queue, store, service), dry_run=dry_run, json=json)


@app.command("rollback")
def rollback(
    reason: Annotated[str, typer.Option(help="Why; it opens the triage item.")],
    who: Who = None,
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    service: ServiceName = NAME,
    config: options.ConfigFile = None,
    dry_run: DryRun = False,
    json: options.Json = False,
) -> int:
    """Back to fixed: publish the baseline, see it answered, keep the receipt, switch off, freeze the evidence.

    Exits 0 when the baseline was observed, 2 when it was not yet: then `suffice rollout cycle` or `run` goes on.
    """
    place = _place(config, queue, store, service)
    return _tell("rollback", reason, who, place, dry_run=dry_run, json=json)


@app.command("advance")
def advance(
    who: Who = None,
    queue: Queue = QUEUE,
    store: options.StoreUrl = None,
    service: ServiceName = NAME,
    config: options.ConfigFile = None,
    dry_run: DryRun = False,
    json: options.Json = False,
) -> int:
    """Judge now rather than at the next cycle, and end the stage if it is proven; skips no hold and no proof."""
    with _service(config, queue, store, service, create=False) as opened:
        return _print_report(opened.advance(who or user(), dry_run=dry_run), json=json)


app.command("prune")(rollout_prune.prune)


def _tell(command: str, reason: str, who: str | None, place: "Place", *, dry_run: bool, json: bool) -> int:
    try:
        with _opened(place, create=False) as opened:
            report = opened.tell(command, who or user(), reason, dry_run=dry_run)
            code = _print_report(report, json=json)
    except (StoreError, MissingDataError) as error:
        if command != "rollback" or dry_run or isinstance(error, StoreConflict):
            raise
        _force_baseline(place, who or user(), reason, error)
        raise
    if command == "rollback":
        # What was asked for has happened, so it is no failure here.
        return 0 if dry_run or report.state.phase.value == "RolledBack" else 2
    return 0 if command == "pause" else code


def _force_baseline(place: "Place", who: str, reason: str, cause: SufficeError) -> None:
    """Raises RolloutError, saying what came of it, unless the flag is at the baseline already."""
    from suffice.flag.file import wrong_with_file
    from suffice.rollout.emergency import force_baseline

    if place.flag.exists() and wrong_with_file(place.flag, None) is not None:
        raise RolloutError(force_baseline(place, who, reason, cause)) from cause


def _place(config: Path | None, queue: Path, store: str | None, service: str) -> "Place":
    from suffice.rollout.world import Place

    return Place(config or Path("config.json"), queue, service, store)


def _service(config: Path | None, queue: Path, store: str | None, service: str, *, create: bool = True) -> "Operator":
    return _opened(_place(config, queue, store, service), create=create)


def _opened(place: "Place", *, create: bool) -> "Operator":
    from suffice.rollout.operator import Operator

    return Operator(place, corrections=_corrections, create=create)


def _source(source: str | None, records: Path | None, measurements: Path | None) -> dict[str, Any] | None:
    """What is stored of a source; it is read once here, so that a wrong one is refused at the start."""
    if source is None and records is None and measurements is None:
        return None
    from suffice.cli.sources import corrections_of

    corrections_of(source, records, measurements)
    paths = {"records": records, "measurements": measurements}
    return {"source": source, **{name: str(path.resolve()) if path else None for name, path in paths.items()}}


def _seconds(text: str) -> float:
    from suffice.config import parse_duration

    try:
        return parse_duration(text).total_seconds()
    except ValueError:
        raise RolloutError(f'--check-every is {text!r}; allowed: a duration like "90s", "15m", "24h" or "2d"') from None


def _corrections(stored: "Mapping[str, Any]") -> "Sequence[Correction]":
    from suffice.cli.sources import corrections_of

    records, measurements = (Path(stored[it]) if stored[it] else None for it in ("records", "measurements"))
    return corrections_of(stored["source"], records, measurements)[1]


def user() -> str:
    """Who runs this process."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"


def _say(sentence: str) -> None:
    sys.stderr.write(f"suffice: {sentence}\n")
    sys.stderr.flush()


def _print_report(report: "Report", *, json: bool) -> int:
    from suffice.cli.console import print_json
    from suffice.cli.rollout_view import plain_report, print_report

    if json:
        print_json(plain_report(report))
    else:
        print_report(report)
    return _code(report)


def _print_pass(done: "Pass", *, json: bool) -> None:
    from suffice.cli.rollout_view import pass_line, plain_pass

    if json:
        import json as json_module

        sys.stdout.write(json_module.dumps(plain_pass(done), allow_nan=False) + "\n")
    else:
        sys.stdout.write(pass_line(done) + "\n")
    sys.stdout.flush()


def _code(report: "Report") -> int:
    return {"Paused": 3, "RollingBack": 2, "RolledBack": 2}.get(report.state.phase.value, 0)
