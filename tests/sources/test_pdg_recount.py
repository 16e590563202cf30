"""The pdg corrections counted a second time in plain Python, from whole tables: no condition, join or order in SQL."""

import sqlite3
import sys
from collections import Counter, defaultdict
from contextlib import closing
from importlib.metadata import version
from importlib.util import find_spec
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from suffice.errors import MissingDataError
from suffice.sources import pdg
from suffice.sources.correction import Correction, Estimate

Tables = dict[str, list[sqlite3.Row]]


@pytest.fixture(scope="module")
def corrections() -> list[Correction]:
    return pdg.corrections()


@pytest.fixture(scope="module")
def database() -> Path:
    package = find_spec("pdg")
    assert package is not None and package.origin is not None
    return Path(package.origin).with_name("pdg.sqlite")


@pytest.fixture(scope="module")
def tables(database: Path) -> Tables:
    names = ("pdgmeasurement_values", "pdgmeasurement", "pdgreference", "pdginfo")
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in names}


@pytest.fixture(scope="module")
def years(tables: Tables) -> dict[int, int]:
    return {row["id"]: row["publication_year"] for row in tables["pdgreference"]}


CONDITIONS = {
    "is the quantity's own value": lambda v: v["column_name"] == "VALUE",
    "is a number": lambda v: v["value"] is not None,
    "is no limit": lambda v: v["limit_type"] is None,
    "has both uncertainties": lambda v: (v["error_positive"] or 0) > 0 and (v["error_negative"] or 0) > 0,
    "within a factor of two": lambda v: 0.5 <= v["error_positive"] / v["error_negative"] <= 2,
}


def usable(tables: Tables) -> list[sqlite3.Row]:
    return [value for value in tables["pdgmeasurement_values"] if all(holds(value) for holds in CONDITIONS.values())]


def one_per_paper(tables: Tables) -> dict[str, dict[int, sqlite3.Row]]:
    """For each target, and in it for each paper, the first usable value in the order of the listing."""
    measurements = {row["id"]: row for row in tables["pdgmeasurement"]}
    by_number: dict[str, dict[int, sqlite3.Row]] = defaultdict(dict)
    for value in sorted(usable(tables), key=lambda v: (v["pdgmeasurement_id"], v["sort"], v["id"])):
        measurement = measurements[value["pdgmeasurement_id"]]
        quantity, unit = measurement["pdgid"].strip(), (value["unit_text"] or "").strip()
        target = f"{quantity} [{unit}]" if unit else quantity
        by_number[target].setdefault(measurement["pdgreference_id"], value)
    return by_number


def estimate(value: sqlite3.Row) -> Estimate:
    return Estimate(value["value"], value["error_positive"], value["error_negative"])


def test_a_recount_in_plain_python_finds_the_same(
    corrections: list[Correction], tables: Tables, years: dict[int, int]
) -> None:
    expected: Counter[tuple[str, Estimate, Estimate, str]] = Counter()
    for target, papers in one_per_paper(tables).items():
        for earlier, later in pairwise(sorted(papers, key=lambda paper: (years[paper], paper))):
            if years[earlier] < years[later]:
                expected[target, estimate(papers[earlier]), estimate(papers[later]), str(years[later])] += 1
    assert Counter((c.target, c.record, c.measurement, c.time) for c in corrections) == expected


def test_the_steps_of_the_count_are_those_of_the_docs(corrections: list[Correction], tables: Tables) -> None:
    left, steps = tables["pdgmeasurement_values"], []
    for holds in CONDITIONS.values():
        left = [value for value in left if holds(value)]
        steps.append(len(left))
    papers = one_per_paper(tables)
    steps += [sum(map(len, papers.values())), len(papers), len(corrections)]
    assert steps == [41_419, 35_965, 26_479, 26_473, 26_068, 24_901, 8_850, 13_234]
    page = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
    assert [step for step in steps if f"{step:,}" not in page] == []


def test_what_else_the_docs_count(corrections: list[Correction]) -> None:
    assert version("pdg") == "2026.0"
    assert len({c.target for c in corrections}) == 4_125
    assert sum(c.case().direction == 0 for c in corrections) == 350
    assert (
        sum(c.record.u_plus != c.record.u_minus or c.measurement.u_plus != c.measurement.u_minus for c in corrections)
        == 2_708
    )
    assert (min(c.time for c in corrections), max(c.time for c in corrections)) == ("1960", "2026")


def test_the_database_states_the_licence_that_the_docs_state(tables: Tables) -> None:
    named = {row["name"]: row["value"] for row in tables["pdginfo"]}
    assert (named["edition"], named["license"]) == ("2026", "CC BY 4.0")
    page = (Path(__file__).parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
    assert named["license"] in page
    assert named["citation"].replace("<i>", "*").replace("</i>", "*") in page


def test_each_target_stands_together_and_its_years_rise(corrections: list[Correction]) -> None:
    targets = []
    for target, of_target in groupby(corrections, lambda correction: correction.target):
        targets.append(target)
        assert all(earlier < later for earlier, later in pairwise(int(c.time) for c in of_target))
    assert len(targets) == len(set(targets))


def test_the_same_corrections_in_the_same_order_each_time(corrections: list[Correction]) -> None:
    assert pdg.corrections() == corrections


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The database of the package `pdg` as it is found from now on; the test writes it."""
    package = tmp_path / "pdg"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "pdg", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return package / "pdg.sqlite"


def refusal(database: Path) -> str:
    with pytest.raises(MissingDataError) as raised:
        pdg.corrections()
    return str(raised.value).removeprefix(f"source pdg: {database} cannot be read: ")


def test_a_truncated_database_is_missing_data(elsewhere: Path, database: Path) -> None:
    elsewhere.write_bytes(database.read_bytes()[:1_000_000])
    assert refusal(elsewhere) == "database disk image is malformed"


def test_a_database_without_measurements_is_missing_data(elsewhere: Path, database: Path) -> None:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as shipped:
        schema = [sql for (sql,) in shipped.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")]
    with closing(sqlite3.connect(elsewhere)) as empty:
        empty.executescript(";".join(schema))
    assert refusal(elsewhere) == "it holds no measurements"
