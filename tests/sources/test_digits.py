"""No digit is lost: pairs are compared as they were written, and a single number that a double is not is refused."""

import csv
import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import suffice
from suffice.decision.mean import Mean
from suffice.errors import DataError
from suffice.sampling.recorded import Recorded
from suffice.sources.recorded import Samples
from suffice.verifier.case import Case

FORMATS = ("jsonl", "csv", "parquet")
NOW = 1_764_265_200_000_000_000
WHOLE = st.integers(-(2**62), 2**62) | st.integers(NOW, NOW + 2_000) | st.integers(2**53 - 3, 2**53 + 3)
DECIMALS = st.integers(10**18, 10**18 + 300).map(lambda n: Decimal(n).scaleb(-9))


def write(path: Path, columns: dict[str, list[Any]], kind: Any = None) -> Path:
    if path.suffix == ".jsonl":
        # Written by hand: json.dumps has no decimals.
        lists = ", ".join(f'"{name}": [{", ".join(map(str, values))}]' for name, values in columns.items())
        path.write_text(f'{{"case": "a", {lists}}}\n', encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["case", *columns])
            writer.writerows(["a", *map(str, row)] for row in zip(*columns.values(), strict=True))
    else:
        case = ["a"] * len(next(iter(columns.values())))
        pq.write_table(pa.table({"case": case, **{name: pa.array(v, kind) for name, v in columns.items()}}), path)
    return path


def differences(path: Path) -> list[float]:
    (case,) = Samples(path, suffice.PairedMean())
    assert isinstance(case, Case) and isinstance(case.sampler, Recorded)
    values = case.sampler.values
    return list((values[:, 1] - values[:, 0]).tolist())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("digits")


@pytest.mark.parametrize("form", FORMATS)
@given(st.lists(st.tuples(WHOLE, WHOLE), min_size=2, max_size=6))
def test_differences_of_whole_numbers_are_exact(form: str, folder: Path, pairs: list[tuple[int, int]]) -> None:
    before, after = map(list, zip(*pairs, strict=True))
    path = write(folder / f"whole.{form}", {"before": before, "after": after})
    assert differences(path) == [float(b - a) for a, b in pairs]


@pytest.mark.parametrize("form", FORMATS)
@given(st.lists(st.tuples(DECIMALS, DECIMALS), min_size=2, max_size=6))
def test_differences_of_decimals_are_exact(form: str, folder: Path, pairs: list[tuple[Decimal, Decimal]]) -> None:
    before, after = map(list, zip(*pairs, strict=True))
    path = write(folder / f"decimal.{form}", {"before": before, "after": after}, pa.decimal128(28, 9))
    assert differences(path) == [float(Fraction(b) - Fraction(a)) for a, b in pairs]


@pytest.mark.parametrize("form", FORMATS)
@given(st.lists(st.tuples(*[st.floats(-1e300, 1e300)] * 2), min_size=2, max_size=6))
def test_doubles_are_what_they_are(form: str, folder: Path, pairs: list[tuple[float, float]]) -> None:
    before, after = map(list, zip(*pairs, strict=True))
    path = write(folder / f"double.{form}", {"before": before, "after": after}, pa.float64())
    assert differences(path) == [b - a for a, b in pairs]


@pytest.mark.parametrize("form", FORMATS)
def test_nanoseconds_that_rise_in_every_pair_are_accepted(form: str, tmp_path: Path) -> None:
    """Seen: rejected with an estimate of 0.025, and no word."""
    before = [NOW + 1000 * i for i in range(40)]
    path = write(tmp_path / f"ns.{form}", {"before": before, "after": [value + 7 for value in before]})
    assert differences(path) == [7.0] * 40
    rule = suffice.Proportion(0.8)
    (case,) = Samples(path, rule)
    assert isinstance(case, Case) and isinstance(case.sampler, Recorded)
    assert rule.of_pairs(case.sampler.values, 1).tolist() == [1.0] * 40


@pytest.mark.parametrize("form", FORMATS)
def test_large_numbers_tie_within_a_share_of_them_and_not_of_their_difference(form: str, folder: Path) -> None:
    columns = {"before": [NOW + 5] * 3, "after": [NOW + 4, NOW + 5, NOW // 2]}
    path = write(folder / f"ties.{form}", columns)
    for ties, expected in ((0.0, [0, 1, 0]), (1e-9, [1, 1, 0])):
        rule = suffice.MonteCarloP(0.5, ties)
        (case,) = Samples(path, rule)
        assert isinstance(case, Case) and isinstance(case.sampler, Recorded)
        assert rule.observations(case.sampler.values, case.direction) == expected


@pytest.mark.parametrize("form", FORMATS)
def test_a_single_whole_number_that_a_double_is_not_is_refused_with_its_row(form: str, tmp_path: Path) -> None:
    name = "samples" if form == "jsonl" else "value"
    path = write(tmp_path / f"single.{form}", {name: [1, 2, 2**53 + 1]})
    with pytest.raises(DataError, match=f"{2**53 + 1}, which loses digits as a double; allowed: whole numbers up to"):
        list(Samples(path, Mean(at_least=0.0)))
    kept = write(tmp_path / f"kept.{form}", {name: [1, 2**53, 2**60]})
    (case,) = Samples(kept, Mean(at_least=0.0))
    assert isinstance(case, Case) and isinstance(case.sampler, Recorded)
    assert case.sampler.values.tolist() == [1.0, 2.0**53, 2.0**60]


@pytest.mark.parametrize("form", FORMATS)
def test_a_missing_member_still_leaves_the_case_out(form: str, tmp_path: Path) -> None:
    path = tmp_path / f"missing.{form}"
    if form == "jsonl":
        path.write_text(json.dumps({"case": "a", "before": [NOW + 1, NOW + 3], "after": [NOW + 5]}), encoding="utf-8")
    elif form == "csv":
        path.write_text(f"case,before,after\na,{NOW + 1},{NOW + 5}\na,{NOW + 3},\n", encoding="utf-8")
    else:
        write(path, {"before": [NOW + 1, NOW + 3], "after": [NOW + 5, None]})
    (unusable,) = Samples(path, suffice.PairedMean())
    assert not isinstance(unusable, Case)
    assert "equally many draws" in unusable.reason.value


SHARED = [
    ("1700000000.1000002", "1700000000.1000003", 1e-7),
    ("1700000000.1000000", "1700000000.1000001", 2**-22),  # Each is the shortest text of its double.
    ("1700000000.1000001", "1700000000.1000003", 2e-7),
    ("9007199254740992.0", "9007199254740993.0", 1.0),
    ("0.1000000000000000", "0.10000000000000001", 1e-17),
    ("-1234567890.12345670", "-1234567890.12345671", -1e-8),
    ("1e-400", "2e-400", 5e-324),
    ("2e-400", "1e-400", -5e-324),
    ("5e-324", "4.9e-324", -5e-324),
    ("0", "1.0000000000000000001e-999999999", 5e-324),
    ("1.0000000000000000001e-999999999", "5", 5.0),
    ("1700000000.100000", "1700000000.1", 0.0),
    ("98.60", "98.55", 98.55 - 98.60),
]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@pytest.mark.parametrize(("before", "after", "difference"), SHARED)
def test_texts_that_share_a_double_or_nearly_are_compared_as_they_were_written(
    form: str, folder: Path, before: str, after: str, difference: float
) -> None:
    """A tie, they were; and a number with a huge exponent was never done."""
    assert (
        differences(write(folder / f"shared.{form}", {"before": [before] * 2, "after": [after] * 2}))
        == [difference] * 2
    )


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_seconds_with_seven_places_that_rise_in_every_pair_are_accepted(form: str, tmp_path: Path) -> None:
    """Seen: rejected, for three of five pairs were ties."""
    before = [f"1700000000.{1_000_000 + i:07}" for i in range(40)]
    after = [f"1700000000.{1_000_001 + i:07}" for i in range(40)]
    rule = suffice.Proportion(0.8)
    (case,) = Samples(write(tmp_path / f"seconds.{form}", {"before": before, "after": after}), rule)
    assert isinstance(case, Case) and isinstance(case.sampler, Recorded)
    assert rule.of_pairs(case.sampler.values, 1).tolist() == [1.0] * 40


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@given(st.integers(10**15, 10**17), st.integers(-40, 40).filter(bool), st.integers(0, 30))
def test_numbers_of_16_and_17_digits_that_differ_never_tie(form: str, folder: Path, n: int, more: int, at: int) -> None:
    before, after = Decimal(n).scaleb(-at), Decimal(n + more).scaleb(-at)
    (difference, _) = differences(write(folder / f"near.{form}", {"before": [before] * 2, "after": [after] * 2}))
    exact = float(after - before)
    # A number that is the shortest text of its double stands for that double.
    doubles = float(after) - float(before)
    assert difference in (exact, doubles)
    assert (difference > 0) == (more > 0)


@pytest.mark.parametrize("form", ["jsonl", "csv"])
@given(st.lists(st.tuples(st.floats(1, 2), st.integers(0, 3)), min_size=2, max_size=6))
def test_doubles_that_are_near_each_other_are_what_they_are(
    form: str, folder: Path, pairs: list[tuple[float, int]]
) -> None:
    before = [value for value, _ in pairs]
    after = [value + steps * 2**-52 for value, steps in pairs]
    path = write(folder / f"steps.{form}", {"before": before, "after": after})
    assert differences(path) == [b - a for a, b in zip(before, after, strict=True)]
