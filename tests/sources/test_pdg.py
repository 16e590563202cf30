"""Corrections from the PDG database: recounted by window functions, and each condition on a database made for it."""

import importlib
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest

from suffice.errors import MissingDataError, MissingPackage
from suffice.sources import pdg
from suffice.sources.correction import Correction, Estimate

WITNESS = """
WITH good AS (
    SELECT m.pdgid AS p, v.unit_text AS u, r.id AS paper, r.publication_year AS y, v.value AS x,
           ROW_NUMBER() OVER (PARTITION BY m.pdgid, v.unit_text, r.id ORDER BY m.id, v.sort) AS place
    FROM pdgmeasurement_values v, pdgmeasurement m, pdgreference r
    WHERE v.pdgmeasurement_id = m.id AND m.pdgreference_id = r.id AND v.column_name = 'VALUE' AND v.limit_type IS NULL
      AND v.value IS NOT NULL AND v.error_positive > 0 AND v.error_negative > 0
      AND v.error_positive / v.error_negative BETWEEN 0.5 AND 2
), pairs AS (
    SELECT y, x, LEAD(y) OVER w AS next_y, LEAD(x) OVER w AS next_x FROM good WHERE place = 1
    WINDOW w AS (PARTITION BY p, u ORDER BY y, paper)
)
SELECT x, next_x, next_y FROM pairs WHERE next_y > y
"""

SCHEMA = """
CREATE TABLE pdgreference (id INTEGER, document_id VARCHAR, publication_year INTEGER);
CREATE TABLE pdgmeasurement (id INTEGER, pdgid VARCHAR, pdgreference_id INTEGER);
CREATE TABLE pdgmeasurement_values (id INTEGER, pdgmeasurement_id INTEGER, column_name VARCHAR, unit_text VARCHAR,
    limit_type VARCHAR, value FLOAT, error_positive FLOAT, error_negative FLOAT, sort INTEGER);
"""

Row = tuple[str, str, int, float | None, float | None, float | None, str | None, str]
Install = Callable[[Sequence[Row]], None]


def row(
    paper: str,
    year: int,
    value: float | None,
    *,
    up: float | None = 1.0,
    down: float | None = 1.0,
    limit: str | None = None,
    column: str = "VALUE",
    unit: str = "GeV",
) -> Row:
    return paper, unit, year, value, up, down, limit, column


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package `pdg` without a database."""
    package = tmp_path / "site packages" / "pdg"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('the package itself must not be imported')\n", "utf-8")
    monkeypatch.delitem(sys.modules, "pdg", raising=False)
    monkeypatch.syspath_prepend(str(package.parent))
    importlib.invalidate_caches()
    return package


@pytest.fixture
def install(folder: Path) -> Install:
    def write(rows: Sequence[Row]) -> None:
        papers = sorted({(paper, year) for paper, _, year, *_ in rows}, key=[(r[0], r[2]) for r in rows].index)
        with closing(sqlite3.connect(folder / "pdg.sqlite")) as database:
            database.executescript(SCHEMA)
            for i, (paper, year) in enumerate(papers):
                database.execute("INSERT INTO pdgreference VALUES (?, ?, ?)", (i, f"{paper} ", year))
            for i, (paper, unit, year, value, up, down, limit, column) in enumerate(rows):
                reference = papers.index((paper, year))
                database.execute("INSERT INTO pdgmeasurement VALUES (?, 'S001M', ?)", (i, reference))
                values = (i, i, column, unit, limit, value, up, down, 1)
                database.execute("INSERT INTO pdgmeasurement_values VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
            database.commit()

    return write


@pytest.fixture(scope="module")
def published() -> list[Correction]:
    return list(pdg.corrections())


def pairs() -> list[tuple[float, float]]:
    return [(c.record.value, c.measurement.value) for c in pdg.corrections()]


def test_the_locked_release_has_13234_corrections_with_unique_keys(published: list[Correction]) -> None:
    assert len(published) == 13_234
    assert len({c.key for c in published}) == 13_234


def test_window_functions_find_the_same_pairs(published: list[Correction]) -> None:
    package = find_spec("pdg")
    assert package is not None and package.origin is not None
    path = Path(package.origin).with_name("pdg.sqlite")
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        expected = [(x, next_x, str(year)) for x, next_x, year in database.execute(WITNESS)]
    assert sorted((c.record.value, c.measurement.value, c.time) for c in published) == sorted(expected)


def test_a_key_begins_with_its_target_and_names_both_papers(published: list[Correction]) -> None:
    first = published[0]
    assert first.target == "B000M [MeV]"
    assert first.time == "1976"
    assert all(c.key.startswith(f"{c.target}/") for c in published)
    earlier, later = first.key.removeprefix("B000M [MeV]/").split(">")
    assert earlier.startswith("LITCHFIELD 1974")
    assert later.startswith("CARROLL 1976")


def test_every_ratio_of_uncertainties_is_between_a_half_and_two(published: list[Correction]) -> None:
    ratios = [e.u_plus / e.u_minus for c in published for e in (c.record, c.measurement)]
    assert min(ratios) == 0.5
    assert max(ratios) == 2.0


def test_the_package_itself_is_not_imported() -> None:
    code = "import sys; from suffice.sources import pdg; pdg.corrections(); sys.exit('pdg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_each_value_is_paired_with_the_next_year(install: Install) -> None:
    install([row("C", 2003, 3.0), row("A", 2001, 1.0, up=1.5), row("B", 2002, 2.0)])
    first, second = pdg.corrections()
    assert (first.record, first.measurement) == (Estimate(1.0, 1.5, 1.0), Estimate(2.0, 1.0, 1.0))
    assert (second.record, second.measurement) == (Estimate(2.0, 1.0, 1.0), Estimate(3.0, 1.0, 1.0))
    assert (first.target, first.time, second.time) == ("S001M [GeV]", "2002", "2003")


def test_adjacent_papers_of_one_year_are_no_pair(install: Install) -> None:
    install([row("A", 2001, 1.0), row("B", 2001, 2.0), row("C", 2002, 3.0)])
    assert pairs() == [(2.0, 3.0)]


def test_the_first_usable_value_of_a_paper_counts(install: Install) -> None:
    install([row("A", 2001, 1.0, up=9.0), row("A", 2001, 2.0), row("A", 2001, 3.0), row("B", 2002, 4.0)])
    assert pairs() == [(2.0, 4.0)]


def test_units_are_quantities_of_their_own(install: Install) -> None:
    install([row("A", 2001, 1.0), row("B", 2002, 2.0, unit=""), row("C", 2003, 3.0), row("D", 2004, 4.0, unit="")])
    assert {c.target: (c.record.value, c.measurement.value) for c in pdg.corrections()} == {
        "S001M": (2.0, 4.0),
        "S001M [GeV]": (1.0, 3.0),
    }


@pytest.mark.parametrize(
    "unusable",
    [
        row("B", 2002, None),
        row("B", 2002, 2.0, up=None),
        row("B", 2002, 2.0, down=0.0),
        row("B", 2002, 2.0, up=2.01),
        row("B", 2002, 2.0, down=2.01),
        row("B", 2002, 2.0, limit="U"),
        row("B", 2002, 2.0, column="MODULUS"),
    ],
)
def test_what_cannot_be_drawn_from_is_passed_over(install: Install, unusable: Row) -> None:
    install([row("A", 2001, 1.0), unusable, row("C", 2003, 3.0)])
    assert pairs() == [(1.0, 3.0)]


def test_without_the_package_there_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pdg", None)
    with pytest.raises(
        MissingPackage, match=r"^source pdg needs pdg, which is not installed: pip install 'suffice\[data\]'$"
    ):
        pdg.corrections()


def test_a_missing_file_is_named(folder: Path) -> None:
    with pytest.raises(MissingDataError) as caught:
        pdg.corrections()
    assert str(caught.value) == f"source pdg: {folder / 'pdg.sqlite'} cannot be read: unable to open database file"
    assert list(folder.glob("*.sqlite")) == []


def test_a_file_that_is_no_database_is_named(folder: Path) -> None:
    (folder / "pdg.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(MissingDataError) as caught:
        pdg.corrections()
    assert str(caught.value) == f"source pdg: {folder / 'pdg.sqlite'} cannot be read: file is not a database"


def test_another_schema_is_named(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "pdg.sqlite")) as database:
        database.execute("CREATE TABLE something_else (id INTEGER)")
    with pytest.raises(MissingDataError, match=r"cannot be read: no such table: pdgmeasurement_values$"):
        pdg.corrections()
