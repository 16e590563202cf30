"""Sources by name."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from suffice.errors import DataError

if TYPE_CHECKING:
    from suffice.decision.rule import Rule
    from suffice.sources.correction import Correction
    from suffice.verifier.case import Case

CORRECTIONS = ("pdg", "codata")


def cases_of(
    source: str | None, records: Path | None, measurements: Path | None, rule: "Rule", n: int
) -> "tuple[str, Sequence[Case]]":
    """The name and the cases of a source: `even` (made for the rule), or one of corrections."""
    if source == "even" or (source is None and records is None and measurements is None):
        from suffice.sources.even import even_cases

        return "even", even_cases(rule, n)
    name, corrections = corrections_of(source, records, measurements)
    return name, [correction.case() for correction in corrections]


def corrections_of(
    source: str | None, records: Path | None, measurements: Path | None
) -> "tuple[str, Sequence[Correction]]":
    """The name and the corrections of a source. Raises DataError when it is none, or two were named."""
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
    raise DataError(
        f"source is {source!r}; allowed: {', '.join((*CORRECTIONS, 'even'))}, or --records with --measurements"
    )
