"""The CODATA recommended values of the physical constants, revision after revision."""

from dataclasses import dataclass
from itertools import pairwise

from scipy.constants import _codata

from suffice.errors import MissingDataError
from suffice.sources.correction import Correction, Estimate

YEARS = (2006, 2010, 2014, 2018, 2022)


@dataclass(frozen=True, slots=True)
class Revisions:
    """The corrections from one revision to the next, and how many values of the same name were left out, with why."""

    corrections: tuple[Correction, ...]
    exact: int
    other_unit: int


def corrections() -> list[Correction]:
    """The corrections of `revisions`."""
    return list(revisions().corrections)


def revisions() -> Revisions:
    """Each constant with its value in the next revision, 2006 to 2022, by revision and name.

    Constants are matched by SciPy's name; one that was renamed is not. A value that is or becomes exact is a
    definition and no measurement, and is left out, as is one whose unit changed. Raises MissingDataError when SciPy no
    longer has the tables.
    """
    tables = [(year, _table(year)) for year in YEARS]
    corrections, exact, other_unit = [], 0, 0
    for (_, before), (year, after) in pairwise(tables):
        for name in sorted(before.keys() & after.keys()):
            (old, unit, old_u), (new, new_unit, new_u) = before[name], after[name]
            if old_u == 0 or new_u == 0:
                exact += 1
            elif unit != new_unit:
                other_unit += 1
            else:
                record, measurement = Estimate(old, old_u, old_u), Estimate(new, new_u, new_u)
                corrections.append(Correction(f"{name}/{year}", name, record, measurement, time=str(year)))
    return Revisions(tuple(corrections), exact, other_unit)


def _table(year: int) -> dict[str, tuple[float, str, float]]:
    # SciPy's public interface has the newest revision only.
    table: dict[str, tuple[float, str, float]] | None = getattr(_codata, f"_physical_constants_{year}", None)
    if not table:
        raise MissingDataError(f"source codata: this SciPy has no table of the {year} values")
    return table
