"""The codata source: a recount from SciPy's tables, and what is left out and why."""

from collections import Counter

import pytest
from scipy.constants import _codata

from suffice.errors import MissingDataError
from suffice.sources import codata
from suffice.sources.correction import Correction, Estimate

Table = dict[str, tuple[float, str, float]]
TABLES: dict[int, Table] = {year: getattr(_codata, f"_physical_constants_{year}") for year in codata.YEARS}
STEPS = list(zip(codata.YEARS, codata.YEARS[1:], strict=False))


@pytest.fixture(scope="module")
def revisions() -> codata.Revisions:
    return codata.revisions()


def test_the_counts_that_the_docs_name(revisions: codata.Revisions) -> None:
    assert (len(revisions.corrections), revisions.exact, revisions.other_unit) == (1125, 184, 5)
    assert Counter(c.time for c in revisions.corrections) == {"2010": 302, "2014": 318, "2018": 234, "2022": 271}


def test_a_recount_name_by_name_finds_the_same(revisions: codata.Revisions) -> None:
    expected: set[Correction] = set()
    exact = other_unit = 0
    for year, next_year in STEPS:
        for name, (value, unit, u) in TABLES[year].items():
            if name not in TABLES[next_year]:
                continue
            next_value, next_unit, next_u = TABLES[next_year][name]
            if min(u, next_u) == 0:
                exact += 1
            elif unit != next_unit:
                other_unit += 1
            else:
                sides = Estimate(value, u, u), Estimate(next_value, next_u, next_u)
                expected.add(Correction(f"{name}/{next_year}", name, *sides, time=str(next_year)))
    assert set(revisions.corrections) == expected
    assert (revisions.exact, revisions.other_unit) == (exact, other_unit)


def test_every_name_in_two_successive_revisions_is_a_correction_or_counted_as_left_out(
    revisions: codata.Revisions,
) -> None:
    common = sum(len(TABLES[year].keys() & TABLES[next_year].keys()) for year, next_year in STEPS)
    assert len(revisions.corrections) + revisions.exact + revisions.other_unit == common


def test_a_constant_that_is_known_by_heart(revisions: codata.Revisions) -> None:
    """Newton's constant of 2006 and 2010: Mohr, Taylor & Newell 2008, table XLIX, and 2012, table XL."""
    (correction,) = (c for c in revisions.corrections if c.key == "Newtonian constant of gravitation/2010")
    assert correction.record == Estimate(6.67428e-11, 0.00067e-11, 0.00067e-11)
    assert correction.measurement == Estimate(6.67384e-11, 0.00080e-11, 0.00080e-11)
    assert correction.case().direction == -1


def test_what_the_new_si_made_exact_is_corrected_up_to_then_and_not_after(revisions: codata.Revisions) -> None:
    planck = [c.time for c in revisions.corrections if c.target == "Planck constant"]
    assert planck == ["2010", "2014"]


def test_keys_are_unique_and_the_order_is_by_revision_and_name(revisions: codata.Revisions) -> None:
    order = [(c.time, c.target) for c in revisions.corrections]
    assert order == sorted(set(order))
    assert len({c.key for c in revisions.corrections}) == len(revisions.corrections)


def test_no_exact_value_and_no_missing_direction_where_the_value_changed(revisions: codata.Revisions) -> None:
    for correction in revisions.corrections:
        change = correction.measurement.value - correction.record.value
        assert min(correction.record.u_plus, correction.measurement.u_plus) > 0
        assert correction.case().direction == (change > 0) - (change < 0)


def test_corrections_are_those_of_the_revisions(revisions: codata.Revisions) -> None:
    assert codata.corrections() == list(revisions.corrections)


@pytest.mark.parametrize("left", [None, {}])
def test_a_scipy_without_a_table_is_missing_data(left: Table | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if left is None:
        monkeypatch.delattr(_codata, "_physical_constants_2014")
    else:
        monkeypatch.setattr(_codata, "_physical_constants_2014", left)
    with pytest.raises(MissingDataError) as raised:
        codata.revisions()
    assert str(raised.value) == "source codata: this SciPy has no table of the 2014 values"
