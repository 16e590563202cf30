"""Times are compared only where both are written alike."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.sources.times import is_older, newest

OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC))
FORMS = {
    "year": st.integers(1, 9999).map(lambda year: f"{year:04d}"),
    "date": st.dates().map(date.isoformat),
    "naive": st.datetimes().map(datetime.isoformat),
    "offset": st.tuples(INSTANTS, OFFSETS).map(lambda both: both[0].astimezone(both[1]).isoformat()),
}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("1974", "1976"),
        ("2026-11-21", "2026-11-25"),
        ("20261121", "2026-11-25"),
        ("2026-11-21T08:00", "2026-11-21 08:00:01"),
        ("2026-11-21T00:00:00Z", "2026-11-25T00:00:00+00:00"),
        # Sorted as text they are the other way round.
        ("2026-11-21T01:00:00+02:00", "2026-11-20T23:30:00Z"),
        ("2026-11-21T00:00:00.123456600Z", "2026-11-21T00:00:00.123456700Z"),
        ("2026-11-21T02:00:00.1234566+02:00", "20261121T000000,12345665Z"),
        ("2026-11-21T00:00:00.123456", "2026-11-21T00:00:00.1234560001"),
    ],
)
def test_alike_and_earlier_is_older(earlier: str, later: str) -> None:
    assert is_older(earlier, later)
    assert not is_older(later, earlier)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", "2026"),
        ("", ""),
        ("2025", "2026-11-21"),
        ("2026-11-21", "2026-11-25T00:00:00Z"),
        ("2026-11-21T00:00:00", "2026-11-25T00:00:00Z"),
        ("run 7", "run 8"),
        ("01950", "01951"),
        ("0000", "0001"),
        ("2026-02-30", "2026-03-01"),
        ("2026-11-21T02:00:00+02:00", "2026-11-21T00:00:00Z"),
        ("2026-11-21T00:00:00.123456700Z", "2026-11-21T00:00:00.1234567Z"),
        ("2026-11-21T00:00:00.123456000Z", "2026-11-21T00:00:00.123456Z"),
        ("２０２５", "２０２６"),
    ],
)
def test_missing_unlike_or_equal_is_never_older(one: str, other: str) -> None:
    assert not is_older(one, other)
    assert not is_older(other, one)


@given(st.sampled_from(sorted(FORMS)), st.data())
def test_of_two_of_one_form_just_the_earlier_is_older(form: str, data: st.DataObject) -> None:
    one, other = data.draw(FORMS[form]), data.draw(FORMS[form])
    read = int if form == "year" else date.fromisoformat if form == "date" else datetime.fromisoformat
    assert is_older(one, other) == (read(one) < read(other))  # type: ignore[operator]
    assert newest([one, other]) == (other if is_older(one, other) else one)


@given(st.permutations(sorted(FORMS)).map(lambda forms: forms[:2]), st.data())
def test_of_two_forms_none_is_older(forms: list[str], data: st.DataObject) -> None:
    assert not is_older(data.draw(FORMS[forms[0]]), data.draw(FORMS[forms[1]]))


@given(st.one_of(st.text(), *FORMS.values()), st.one_of(st.text(), *FORMS.values()))
def test_any_text_has_an_answer_and_never_both(one: str, other: str) -> None:
    assert not (is_older(one, other) and is_older(other, one))


def test_the_newest_of_none_is_unknown() -> None:
    assert newest([]) == newest(["", ""]) == ""
    assert newest(["", "1990", ""]) == "1990"
