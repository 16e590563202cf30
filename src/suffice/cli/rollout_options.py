"""The options that the commands of `suffice rollout` share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from suffice.cli import options
from suffice.cli.sources import RebuildOptions, corrections_of, samples_of
from suffice.errors import MissingDataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from suffice.evidence.rebuild import Rebuild
    from suffice.rollout.notify import Sink
    from suffice.rollout.operator import Operator
    from suffice.rollout.world import Place
    from suffice.sources.correction import Correction
    from suffice.stopping.plan import Plan


@dataclass(frozen=True, slots=True)
class ServiceOptions(options.StoreOptions):
    """The options that name a service, its store and its configuration."""

    service: options.Service = "verifier"
    config: options.ConfigFile = None

    @property
    def place(self) -> "Place":
        """Where the service keeps everything."""
        from suffice.rollout.world import Place

        return Place(self.config or options.CONFIG, self.queue, self.service, self.store)

    def open(
        self, *, create: bool = False, dry_run: bool = False, patience: Callable[[], bool] = lambda: True
    ) -> "Operator":
        """The service's rollouts; `create` makes a store where there is none. The fleet is waited for while there is
        `patience`. Raises MissingDataError, which says what to do next, when there is no store; StoreError for an older
        one when a `dry_run` opens it."""
        try:
            return self.operator(create=create, dry_run=dry_run, patience=patience)
        except MissingDataError as error:
            raise options.no_store(error, self.place) from error

    def operator(
        self, *, create: bool = False, dry_run: bool = False, patience: Callable[[], bool] = lambda: True
    ) -> "Operator":
        """The same, for a rollback: of a store that has gone it says no more than that."""
        from suffice.rollout.operator import Operator

        return Operator(
            self.place,
            sources=rebuild_of,
            create=create and not dry_run,
            upgrade=not dry_run,
            patience=patience,
        )


@dataclass(frozen=True, slots=True)
class ActOptions:
    """The options of a command that changes a rollout."""

    who: options.Who = None
    dry_run: options.DryRun = False

    @property
    def by(self) -> str:
        """Who says so."""
        return self.who or options.user()


@dataclass(frozen=True, slots=True)
class AcceptOptions:
    """The options that accept what speaks against a start, each with a reason that the journal keeps."""

    worst_case: Annotated[
        str | None,
        typer.Option("--accept-worst-case", metavar="REASON", help="The plan's own worst case may be above the limit."),
    ] = None
    open_item: Annotated[
        str | None,
        typer.Option("--accept-open-item", metavar="REASON", help="This plan may be tried while its item is open."),
    ] = None
    slow: Annotated[
        str | None, typer.Option("--accept-slow", metavar="REASON", help="Stages may take as long as their audits do.")
    ] = None

    @property
    def reasons(self) -> dict[str, str]:
        """What is accepted, and why."""
        from suffice.rollout.start import OPEN_ITEM, SLOW, WORST_CASE

        given = {WORST_CASE: self.worst_case, OPEN_ITEM: self.open_item, SLOW: self.slow}
        return {kind: reason for kind, reason in given.items() if reason is not None}


NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Lower, and leave the receipt to the next cycle.", show_default=False)
]


@dataclass(frozen=True, slots=True)
class RunnerOptions:
    """The options of a runner: how long its lease is, and where it sends notifications."""

    lease: Annotated[
        float, typer.Option("--lease", min=0.1, help="Seconds without a sign of life after which a runner is replaced.")
    ] = 15.0
    webhook: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Send notifications to this URL [default: $SUFFICE_WEBHOOK].",
            envvar="SUFFICE_WEBHOOK",
            show_envvar=False,
        ),
    ] = None
    triage_command: Annotated[
        str | None,
        typer.Option(
            metavar="JSON LIST",
            help="A command that opens a triage item elsewhere. Its words may hold {title}, {body_file}, {item}, "
            "{stage}, {reason} and {bundle} [default: $SUFFICE_TRIAGE_COMMAND].",
            envvar="SUFFICE_TRIAGE_COMMAND",
            show_envvar=False,
        ),
    ] = None

    @property
    def sinks(self) -> "Sequence[Sink]":
        """Where notifications go. Raises RolloutError when an option names no such place."""
        from suffice.rollout.notify import TriageCommand, Webhook

        webhook = [Webhook.of(self.webhook)] if self.webhook else []
        return [*webhook, *([TriageCommand.of(self.triage_command)] if self.triage_command else [])]


def rebuild_of(stored: "Mapping[str, Any]", plan: "Plan") -> "Rebuild":
    """How decisions are rebuilt from a source, as a rollout has it stored."""
    from suffice.evidence.rebuild import from_samples, from_source

    if "samples" in stored:
        return from_samples(samples_of(Path(stored["samples"]), stored["column"], plan.rule, given_order=True), plan.n)
    return from_source(stored_corrections(stored))


def stored_corrections(stored: "Mapping[str, Any]") -> "Sequence[Correction]":
    """The corrections of a source, as a rollout has it stored."""
    records, measurements = (Path(stored[name]) if stored[name] else None for name in ("records", "measurements"))
    return corrections_of(stored["source"], records, measurements)[1]


def stored_source(source: RebuildOptions) -> dict[str, Any] | None:
    """A source as a rollout stores it, None where none is named."""
    if source.samples is not None:
        return {"samples": str(source.samples.resolve()), "column": list(source.column or ())}
    if not source.named:
        return None
    paths = {"records": source.records, "measurements": source.measurements}
    return {"source": source.source, **{name: str(path.resolve()) if path else None for name, path in paths.items()}}
