"""Sources by name, and the options that name them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from suffice.errors import DataError

if TYPE_CHECKING:
    from suffice.decision.rule import Rule
    from suffice.sources.correction import Correction
    from suffice.verifier.case import Case

CORRECTIONS = ("pdg", "codata")

Records = Annotated[
    Path | None, typer.Option("--records", help="Your records: CSV with key, value, u or u_plus, u_minus.")
]
Measurements = Annotated[
    Path | None, typer.Option("--measurements", help="Your measurements of them, in the same form.")
]


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
            raise DataError(f"--source {source} and --records/--measurements are both given; allowed: one of them")
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
