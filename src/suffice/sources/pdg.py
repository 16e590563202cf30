"""Published particle measurements of the Particle Data Group, and their successive re-measurements."""

import sqlite3
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

from suffice.errors import MissingDataError
from suffice.extras import missing
from suffice.sources.correction import Correction, Estimate

# One value per paper: the first that the listing has. Ratios beyond 2 come from likelihoods that two half-widths do not
# describe; limits and values without both uncertainties have no distribution to draw from.
_VALUES = """
SELECT quantity, unit, year, paper, document, value, u_plus, u_minus FROM (
    SELECT TRIM(m.pdgid) AS quantity, TRIM(COALESCE(v.unit_text, '')) AS unit, r.publication_year AS year,
           r.id AS paper, TRIM(r.document_id) AS document,
           v.value AS value, v.error_positive AS u_plus, v.error_negative AS u_minus,
           ROW_NUMBER() OVER (
               PARTITION BY TRIM(m.pdgid), TRIM(COALESCE(v.unit_text, '')), r.id ORDER BY m.id, v.sort, v.id
           ) AS place
    FROM pdgmeasurement_values v
    JOIN pdgmeasurement m ON m.id = v.pdgmeasurement_id
    JOIN pdgreference r ON r.id = m.pdgreference_id
    WHERE v.column_name = 'VALUE' AND v.limit_type IS NULL AND v.value IS NOT NULL AND r.publication_year IS NOT NULL
      AND v.error_positive > 0 AND v.error_negative > 0
      AND v.error_positive BETWEEN 0.5 * v.error_negative AND 2 * v.error_negative
) WHERE place = 1 ORDER BY quantity, unit, year, paper
"""

_quantity = itemgetter("quantity", "unit")


def corrections() -> list[Correction]:
    """Each published value with the next one of the same quantity that is of a strictly later year.

    In the order of quantity and publication; the pairs are fixed by the publications, so a rejected correction does not
    change the next pair. Raises MissingDataError when the package `pdg` or its database cannot be read.

    Source: Review of Particle Physics, the SQLite file of the package `pdg` (CC BY 4.0).
    """
    rows = _read(_database())
    return [correction for _, values in groupby(rows, _quantity) for correction in _of_quantity(list(values))]


def _of_quantity(values: list[Any]) -> Iterator[Correction]:
    for earlier, later in pairwise(values):
        if later["year"] > earlier["year"]:
            target = f"{earlier['quantity']} [{earlier['unit']}]" if earlier["unit"] else earlier["quantity"]
            yield Correction(
                key=f"{target}/{earlier['document']}>{later['document']}",
                target=target,
                record=_estimate(earlier),
                measurement=_estimate(later),
                time=str(later["year"]),
            )


def _estimate(row: Any) -> Estimate:
    return Estimate(row["value"], row["u_plus"], row["u_minus"])


def _database() -> Path:
    # Finding the file does not import the package, which would load an ORM.
    package = find_spec("pdg")
    if package is None or package.origin is None:
        raise missing("source pdg", "pdg")
    return Path(package.origin).with_name("pdg.sqlite")


def _read(path: Path) -> list[Any]:
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            connection.row_factory = sqlite3.Row
            rows = connection.execute(_VALUES).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise MissingDataError(f"source pdg: {path} cannot be read: {error}") from error
    if not rows:
        raise MissingDataError(f"source pdg: {path} cannot be read: it holds no measurements")
    return rows
