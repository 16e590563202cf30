"""Sources by name, and the options that name them."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from suffice.cli import options
from suffice.errors import DataError, MissingDataError

if TYPE_CHECKING:
    from suffice.decision.rule import Rule
    from suffice.rollout.subject import Subject
    from suffice.sources.built import Builder
    from suffice.sources.correction import Correction
    from suffice.sources.recipe import Described
    from suffice.sources.recorded import Samples
    from suffice.stopping.plan import Plan
    from suffice.verifier.case import Case

CORRECTIONS = ("pdg", "codata")

Records = Annotated[
    Path | None, typer.Option("--records", help="Your records: CSV with key, value, u or u_plus, u_minus.")
]
Measurements = Annotated[
    Path | None, typer.Option("--measurements", help="Your measurements of them, in the same form.")
]
SamplesFile = Annotated[
    Path | None,
    typer.Option(
        "--samples",
        help="Draws that your service recorded: .jsonl, .csv (each also as .gz) or .parquet. - is standard input.",
    ),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="OURS=YOURS",
        help="Your name of a column of --samples, like --column case=task --column value=passed; repeatable.",
    ),
]

MOST_DECIDED, MOST_RECORDED = 1_000, 10_000
"""How many cases are taken of the ledger, whose draws are made anew, and of a file that has them."""


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The options that name where corrections come from."""

    source: Annotated[Literal["pdg", "codata"] | None, typer.Option("--source", help="Known corrections.")] = None
    records: Records = None
    measurements: Measurements = None

    @property
    def named(self) -> bool:
        """Whether any of the options is given."""
        return bool(self.source or self.records or self.measurements)

    def corrections(self, default: str | None = None) -> "tuple[str, Sequence[Correction]]":
        """The name and the corrections of the source; `default` is the source where none is named.

        Raises DataError when there is no such source, or two are named.
        """
        return corrections_of(self.source if self.named else default, self.records, self.measurements)


@dataclass(frozen=True, slots=True)
class RebuildOptions(SourceOptions):
    """The options that name what a service's cases are rebuilt from: corrections, or draws that it recorded."""

    samples: SamplesFile = None
    column: Column = None

    def check(self) -> None:
        """Raises DataError when two sources are named."""
        check_samples_alone(self.samples, self.column, self.source, self.records, self.measurements)


@dataclass(frozen=True, slots=True)
class CaseOptions:
    """The options that name where a service's cases come from: those, or the decisions that it has made."""

    source: Annotated[
        Literal["pdg", "codata", "ledger"] | None,
        typer.Option(
            "--source",
            help="Known corrections; or ledger, the service's newest decisions, built again by verifier.cases "
            "[default: ledger where verifier.cases is set, else pdg].",
        ),
    ] = None
    records: Records = None
    measurements: Measurements = None
    samples: SamplesFile = None
    column: Column = None

    def arrivals(
        self, subject: "Subject", config: Path, where: options.StoreOptions
    ) -> "tuple[str, Sequence[Correction] | Sequence[Described]]":
        """The name of the source and what it has: corrections, or cases that are described.

        Raises DataError when there is no such source, or two are named; MissingDataError for one that has none.
        """
        from suffice.sources.built import Builder

        check_samples_alone(self.samples, self.column, self.source, self.records, self.measurements)
        if self.samples is not None:
            return recorded(self.samples, self.column or (), subject.plan)
        builder = Builder.of(subject.config.verifier.cases, config)
        source = self.source
        if source is None and self.records is None and self.measurements is None:
            source = "ledger" if builder else "pdg"
        if source == "ledger":
            check_alone(source, self.records, self.measurements)
            return source, decided(builder, where)
        return corrections_of(source, self.records, self.measurements, allowed=(*CORRECTIONS, "ledger"))


def decided(builder: "Builder | None", where: options.StoreOptions) -> "Sequence[Described]":
    """The newest decisions in the store, as cases to be built again. Raises MissingDataError when there is none."""
    from suffice.evidence.rebuild import newest

    if builder is None:
        raise DataError('--source ledger needs verifier.cases, which is null; allowed: "module:function"')
    builder.check()
    with where.existing(upgrade=False) as store:
        known = newest(store, builder, MOST_DECIDED)
        if not known:
            raise MissingDataError(
                f"{store.name}: the ledger has no decision yet; the service makes them, fixed at first"
            )
    return known


def recorded(path: Path, column: Sequence[str], plan: "Plan") -> "tuple[str, Sequence[Described]]":
    """The name and the cases of a file of recorded draws: the first that have as many as the plan takes.

    Raises DataError when the file cannot be used, MissingDataError when it has no such case.
    """
    from suffice.sources.recipe import Described, of_recorded, with_draws

    samples = samples_of(path, column, plan.rule)
    usable = islice(with_draws(samples, plan.n), MOST_RECORDED)
    known = [Described(case.key, case.target, case.region, of_recorded(draws)) for case, draws in usable]
    if not known:
        raise MissingDataError(f"{samples.name}: no case has the {plan.n} draws that a fixed decision takes")
    return samples.name, known


@contextmanager
def service_code() -> Iterator[None]:
    """Where code of a service may run: what it prints goes to stderr, and a command prints its answer alone."""
    with redirect_stdout(sys.stderr):
        yield


def samples_of(path: Path, column: Sequence[str], rule: "Rule", *, given_order: bool = False) -> "Samples":
    """A file of recorded draws, with what --column says of it."""
    from suffice.sources.recorded import Samples

    return Samples(path, rule, given_order=given_order, columns=columns(column))


def columns(given: Sequence[str]) -> dict[str, str]:
    """What --column says: a name in the file for each name of ours."""
    named: dict[str, str] = {}
    for text in given:
        ours, _, yours = (part.strip() for part in text.partition("="))
        if not ours or not yours:
            raise DataError(f"--column is {text!r}; allowed: OURS=YOURS, like case=task")
        if ours in named or yours in named.values():
            raise DataError(f"--column {text}: {ours if ours in named else yours} is named twice; allowed: once")
        named[ours] = yours
    return named


def check_samples_alone(samples: Path | None, column: Sequence[str] | None, *others: str | Path | None) -> None:
    """Raises DataError when another source is named beside recorded draws, or columns without them."""
    if samples is None and column:
        raise DataError("--column says what --samples calls a column; it needs --samples")
    if samples is not None and any(others):
        raise DataError("--samples stands alone: not with --source, --records or --measurements")


def check_alone(source: str, records: Path | None, measurements: Path | None) -> None:
    """Raises DataError when corrections of your own are named beside a source."""
    if records is not None or measurements is not None:
        raise DataError(f"--source {source} and --records/--measurements are both given; allowed: one of them")


def cases_of(
    source: str | None, records: Path | None, measurements: Path | None, rule: "Rule", n: int
) -> "tuple[str, Sequence[Case]]":
    """The name and the cases of a source: `even`, which is made for the rule, or a source of corrections.

    Raises DataError when there is no such source, or two are named.
    """
    if source == "even" or (source is None and records is None and measurements is None):
        from suffice.sources.even import even_cases

        return "even", even_cases(rule, n)
    name, corrections = corrections_of(source, records, measurements, allowed=(*CORRECTIONS, "even"))
    return name, [correction.case() for correction in corrections]


def corrections_of(
    source: str | None, records: Path | None, measurements: Path | None, allowed: Sequence[str] = CORRECTIONS
) -> "tuple[str, Sequence[Correction]]":
    """The name and the corrections of a source. Raises DataError when there is no such source, or two are named."""
    if records is not None or measurements is not None:
        if source is not None:
            check_alone(source, records, measurements)
        if records is None or measurements is None:
            missing = "--records" if records is None else "--measurements"
            raise DataError(f"{missing} is missing; your own data needs both --records and --measurements")
        from suffice.sources import csv_files

        return f"{records.name} and {measurements.name}", csv_files.corrections(records, measurements)
    if source == "pdg":
        from suffice.sources import pdg

        return "pdg", list(pdg.corrections())
    if source == "codata":
        from suffice.sources import codata

        return "codata", list(codata.corrections())
    wrong = "no source is named" if source is None else f"--source is {source!r}"
    raise DataError(f"{wrong}; allowed: {', '.join(allowed)}, or --records with --measurements")
