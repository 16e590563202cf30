"""Recorded samples: the same cases from every format, each draw once, and one clear line for what cannot be used."""

import csv
import json
import tracemalloc
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

import suffice
from suffice.errors import DataError, MissingDataError
from suffice.sampling.recorded import Recorded
from suffice.sampling.sampler import Draws
from suffice.sampling.streams import Stream
from suffice.sources import keys_once, recorded_parquet
from suffice.sources.recorded import ALIKE, Samples, Unusable
from suffice.sources.recording import LeftOut
from suffice.verifier.case import Case
from suffice.verifier.loop import decide, observations

COUNTS, MEANS = suffice.Proportion(0.5), suffice.PairedMean()
FORMATS = ("jsonl", "csv", "parquet")

Recorded_ = tuple[str, str | None, str | None, Sequence[float] | Sequence[tuple[float, float]]]
VALUES: list[Recorded_] = [
    ("a", "pump", "eu", [1, 0, 1, 1]),
    ("b", None, "eu", [0, 0]),
    ("c", "pump", None, [1]),
    ("d", None, None, []),
    ("e", None, "us", [1] * 30),
]
PAIRS: list[Recorded_] = [
    ("a", "pump", "eu", [(1.5, 2.0), (3.25, -1e300), (0.1, 0.2)]),
    ("b", None, None, [(0.0, 1.0), (1.0, 0.0)]),
    ("c", "pump", None, [(1.0, 2.0)]),
]


def write(folder: Path, form: str, cases: list[Recorded_], *, pairs: bool = False, group: int = 3) -> Path:
    """The same cases in each format; without draws, the long forms have one row with empty cells."""
    path = folder / f"samples.{form}"
    if form == "jsonl":
        path.write_text("".join(json.dumps(line(case, pairs)) + "\n" for case in cases), encoding="utf-8")
        return path
    columns = ["case", "target", "region", *(("before", "after") if pairs else ("value",))]
    rows = [row for case in cases for row in long(case, pairs)]
    if form == "csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
    else:
        arrays = [pa.array(column) for column in zip(*rows, strict=True)]
        pq.write_table(pa.table(dict(zip(columns, arrays, strict=True))), path, row_group_size=group)
    return path


def line(case: Recorded_, pairs: bool) -> dict[str, Any]:
    key, target, region, draws = case
    slices = {name: value for name, value in (("target", target), ("region", region)) if value}
    if not pairs:
        return {"case": key, **slices, "samples": list(draws)}
    return {"case": key, **slices, "before": [pair[0] for pair in draws], "after": [pair[1] for pair in draws]}  # type: ignore[index]


def long(case: Recorded_, pairs: bool) -> Iterator[tuple[Any, ...]]:
    key, target, region, draws = case
    for draw in draws or [(None, None) if pairs else None]:
        yield (key, target, region, *draw) if pairs else (key, target, region, draw)  # type: ignore[misc]


def read(path: Path, rule: Any = COUNTS, **options: bool) -> list[Case | Unusable]:
    return list(Samples(path, rule, **options))


def values(case: Case | Unusable) -> np.ndarray:
    assert isinstance(case, Case)
    assert isinstance(case.sampler, Recorded)
    return case.sampler.values


@pytest.mark.parametrize("form", FORMATS)
def test_values_are_read_and_what_cannot_be_decided_is_told(tmp_path: Path, form: str) -> None:
    a, b, c, d, e = read(write(tmp_path, form, VALUES))
    assert [(x.key, x.target, x.region) for x in (a, b, e) if isinstance(x, Case)] == [
        ("a", "pump", "eu"), ("b", "b", "eu"), ("e", "e", "us"),
    ]  # fmt: skip
    assert [values(x).tolist() for x in (a, b, e)] == [[1, 0, 1, 1], [0, 0], [1] * 30]
    assert (c, d) == (Unusable("c", LeftOut.ONE_DRAW), Unusable("d", LeftOut.EMPTY))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("rule", [COUNTS, MEANS], ids=lambda rule: rule.name)
def test_pairs_are_read_for_every_rule(tmp_path: Path, form: str, rule: Any) -> None:
    a, b, c = read(write(tmp_path, form, PAIRS, pairs=True), rule)
    assert values(a).tolist() == [[1.5, 2.0], [3.25, -1e300], [0.1, 0.2]]
    assert values(b).shape == (2, 2)
    assert c == Unusable("c", LeftOut.ONE_DRAW)


def test_a_pair_succeeds_when_it_rises_and_counts_as_its_difference_for_a_mean(tmp_path: Path) -> None:
    (case, *_) = read(write(tmp_path, "csv", PAIRS, pairs=True), given_order=True)
    assert isinstance(case, Case)
    assert observations(case, COUNTS, 3, 1) == [1, 0, 1]
    assert observations(case, MEANS, 3, 1) == [0.5, -1e300 - 3.25, 0.2 - 0.1]


def test_uneven_pairs_are_left_out_in_every_format(tmp_path: Path) -> None:
    paths = [tmp_path / f"u.{form}" for form in FORMATS]
    paths[0].write_text('{"case": "a", "before": [1, 2], "after": [1]}\n', encoding="utf-8")
    paths[1].write_text("case,before,after\na,1,1\na,2,\n", encoding="utf-8")
    pq.write_table(pa.table({"case": ["a", "a"], "before": [1.0, 2.0], "after": [1.0, None]}), paths[2])
    for path in paths:
        assert read(path, MEANS) == [Unusable("a", LeftOut.UNEVEN)]


@given(cases=st.lists(st.lists(st.floats(-1e9, 1e9).map(lambda x: round(x, 6)), max_size=9), min_size=1, max_size=12))
def test_every_format_gives_the_same_cases(tmp_path_factory: pytest.TempPathFactory, cases: list[list[float]]) -> None:
    folder = tmp_path_factory.mktemp("same")
    named: list[Recorded_] = [(f"k{i}", None, "r", draws) for i, draws in enumerate(cases)]
    readings = [read(write(folder, form, named), MEANS) for form in FORMATS]
    for one, *others in zip(*readings, strict=True):
        for other in others:
            if isinstance(one, Unusable):
                assert other == one
            else:
                assert isinstance(other, Case)
                assert (other.key, other.region) == (one.key, one.region)
                assert np.array_equal(values(other), values(one))


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_a_case_may_go_on_in_the_next_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    from suffice.sources import recorded_parquet

    path = write(tmp_path, "parquet", VALUES)
    whole = read(path)
    monkeypatch.setattr(recorded_parquet, "BATCH", batch)
    for one, other in zip(whole, read(path), strict=True):
        if isinstance(one, Case):
            assert np.array_equal(values(one), values(other))
        else:
            assert one == other


def drawn(case: Case, seed: int) -> list[float]:
    return observations(case, MEANS, len(values(case)), seed)


def test_the_order_is_a_permutation_keyed_by_seed_and_case() -> None:
    draws = np.arange(50.0)
    case, same, other = (Case(key, "t", Recorded(draws)) for key in ("a", "a", "b"))
    assert sorted(drawn(case, 1)) == draws.tolist()
    assert drawn(case, 1) == drawn(same, 1)
    assert len({tuple(drawn(case, 1)), tuple(drawn(case, 2)), tuple(drawn(other, 1)), tuple(draws.tolist())}) == 4
    assert drawn(Case("a", "t", Recorded(draws, given_order=True)), 1) == draws.tolist()


def test_every_place_is_equally_likely_for_every_draw() -> None:
    """χ² over where the first of 8 recorded draws is taken, and which of them is taken first; the given order fails."""
    keys = [f"case {i}" for i in range(4000)]

    def places(given_order: bool) -> tuple[np.ndarray, np.ndarray]:
        recorded = Recorded(np.arange(8.0), given_order)
        orders = np.array([recorded.in_order(Stream(3, key)) for key in keys])
        return np.bincount(orders.argmin(axis=1), minlength=8), np.bincount(orders[:, 0].astype(int), minlength=8)

    for counts in places(False):
        assert chisquare(counts).pvalue > 1e-4
    for counts in places(True):
        assert chisquare(counts).pvalue < 1e-12


@given(cuts=st.lists(st.integers(1, 9), max_size=12), pairs=st.booleans())
def test_draws_do_not_depend_on_how_they_are_asked_for(cuts: list[int], pairs: bool) -> None:
    recorded = Recorded(np.arange(120.0).reshape(60, 2) if pairs else np.arange(60.0))
    whole, draws = Draws(recorded, Stream(1, "a")).take(60), Draws(recorded, Stream(1, "a"))
    taken, cuts = 0, [cut for i, cut in enumerate(cuts) if sum(cuts[: i + 1]) <= 60]
    for cut in cuts:
        assert np.array_equal(draws.take(cut), whole[taken : taken + cut])
        taken += cut
    with pytest.raises(DataError, match=rf"{60 - taken} of 60 recorded ones are left"):
        draws.take(61 - taken)


def test_a_recorded_case_is_decided_by_the_ask_tell_loop() -> None:
    case = Case("a", "t", Recorded(np.array([1.0, 0.0] * 50)))
    verdict = decide(case, suffice.plan(suffice.Proportion(0.9), 100, 0.01), 5)
    assert (verdict.decision.value, verdict.early) == ("rejected", True)


BAD_JSONL = [
    ('{"case": "a", "samples": [1, 0]', "line 1: is not JSON"),
    ('{"case": "x", "samples": [1, 0]}\n{"case": "a", "samp', "line 2: is not JSON"),
    ("[1, 2]", "line 1: is list; allowed: an object"),
    ('{"case": "a", "samples": [1, "x"]}', "line 1, column samples: entry 2 is 'x'; allowed: 0 or 1"),
    ('{"case": "a", "samples": [1, NaN]}', "line 1: samples[1] is NaN, which JSON does not have; allowed: "),
    ('{"case": "a", "samples": [1, 0.5]}', "entry 2 is 0.5; allowed: 0 or 1"),
    (
        '{"case": "a", "before": [1, 2], "after": [1, NaN]}',
        "line 1: after[1] is NaN, which JSON does not have; allowed: finite numbers",
    ),
    (
        '{"case": "a", "before": [1, 2], "after": [Infinity, 1]}',
        "line 1: after[0] is Infinity, which JSON does not have",
    ),
    ('{"case": "a", "before": [1, 2], "after": [true, 1]}', "column after: entry 1 is True; allowed: a finite number"),
    ('{"case": "a", "before": [1, 2], "after": [1, 1' + "0" * 400 + "]}", "entry 2 is a whole number beyond"),
    ('{"case": "a", "samples": [1, null]}', "entry 2 is None"),
    ('{"case": "a", "samples": 1}', "column samples: is int; allowed: a list"),
    ('{"case": "a", "sample": [1]}', "column 'sample' is not known; did you mean samples?"),
    ('{"case": "a", "samples": [1], "before": [1]}', "found samples and before; allowed: samples, or before and after"),
    ('{"samples": [1]}', "column 'case' is missing"),
    ('{"case": null, "samples": [1]}', "column case: is None"),
    ('{"case": "", "samples": [1]}', "column case: is empty"),
    ('{"case": "\\ud800", "samples": [1]}', "line 1: case is not valid Unicode"),
    ('{"case": "a", "samples": [1, 0], "target": "\\ud800"}', "line 1: target is not valid Unicode"),
    (
        '{"case": "a", "samples": [1, 0]}\n{"case": "b", "samples": [1], "region": "\\udc00"}',
        "line 2: region is not va",
    ),
    ('{"case": "a", "samples": [1, 0], "other": {"\\ud800": 1}}', "line 1: other.'\\ud800' is not valid Unicode"),
    (
        '\ufeff\ufeff{"case": "a", "samples": [1, 0]}',
        "line 1: begins with a byte order mark; allowed: one, at the start",
    ),
    ('{"case": "a", "samples": [1, 0]}\n\ufeff{"case": "b", "samples": [1]}', "line 2: begins with a byte order mark"),
    ('{"case": "a", "samples": [1]}\n{"case": "a", "samples": [0]}', "line 2: case 'a' stands at line 1 already"),
    (b'{"case": "\xff", "samples": [1]}', "line 1: is not JSON"),
]
BAD_CSV = [
    ("case,value\na,1\na,x\n", "line 3, column value: is 'x'; allowed: 0 or 1"),
    ("case,value\na,1\na,nan\n", "line 3, column value: is 'nan'"),
    ("case,value\na,1\na,0.5\n", "line 3, column value: is '0.5'"),
    ("case,value\na,1\n\na,1_0\n", "line 4, column value: is '1_0'"),
    ("case,value\na,1\na,\u0661\n", "line 3, column value: is '\u0661'; allowed: 0 or 1"),
    ("case,before,after\na,1,\uff11\n", "line 2, column after: is '\uff11'; allowed: a finite number"),
    ("case,value\na,1\na,\n", "line 3, column value: is empty, and the case has other draws"),
    ("case,before,after\na,1,inf\n", "line 2, column after: is 'inf'; allowed: a finite number"),
    ("case,before,after\na,1,true\n", "line 2, column after: is 'true'"),
    ("case,value\na,1\nb,1\na,1\n", "line 4: case 'a' stands at line 2 already"),
    ("case,value,region\na,1,eu\na,1,us\n", "line 3: case 'a' stands at line 2 already"),
    ("case,value\na\n", "line 2: found 1 cells; allowed: 2"),
    ("case,valu\na,1\n", "line 1: column 'valu' is not known; did you mean value?"),
    ("case,value,value\na,1,1\n", "column 'value' stands twice"),
    ("case,before\na,1\n", "found before; allowed: value, or before and after"),
    ("value\n1\n", "column 'case' is missing"),
    ("\ufeff\ufeffcase,value\na,1\n", "line 1: column "),
    ("sep=;\nvalue\n1\n", "line 2: column 'case' is missing"),
    ("sep=;\ncase;value\na;2\n", "line 3, column value: is '2'"),
    ('case,value\n"a,1\n', "is not CSV"),
    (b"case,value\na,1\n\xff,1\n", "is not UTF-8"),
]


@pytest.mark.parametrize(
    ("name", "content", "culprit"),
    [*(("bad.jsonl", *bad) for bad in BAD_JSONL), *(("bad.csv", *bad) for bad in BAD_CSV)],
)
def test_bad_text_gets_one_line_with_file_and_row(
    tmp_path: Path, name: str, content: str | bytes, culprit: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as raised:
        read(path)
    assert str(raised.value).startswith(str(path))
    assert culprit in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("varies", [False, True])
def test_a_file_in_which_no_case_varies_is_read_with_a_warning(
    varies: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen: 79 % were saved on cached results, each copied 100 times."""
    copies: list[Recorded_] = [(f"{i}", None, None, [i % 2] * 20) for i in range(10)]
    repeats: list[Recorded_] = [("r", None, None, [1, 0] * 10)] if varies else []
    cases = read(write(tmp_path, "csv", [*copies, *repeats]))
    assert len(cases) == len(copies) + varies
    assert [message.partition(": ")[2] for message in caplog.messages] == ([] if varies else [ALIKE])


WORDED = {
    "words.csv": "case,value\na,pass\na,Fail\na,TRUE\na,false\na,yes\na,no\n",
    "tabs.csv": "case\tvalue\na\t1\na\t0\na\t1\na\t0\na\t1\na\t0\n",
    "semicolons.csv": "case;value\na;1\na;0\na;1\na;0\na;1\na;0\n",
    "others.csv": "model,case,value,seconds\nx,a,1,3\nx,a,0,3\nx,a,1,3\nx,a,0,3\ny,a,1,3\ny,a,0,3\n",
    "words.jsonl": '{"case": "a", "samples": ["passed", "failed", true, false, "success", "failure"]}',
    "others.jsonl": '{"case": "a", "samples": [1, 0, 1, 0, 1, 0], "model": {"name": "x"}}',
}


@pytest.mark.parametrize("name", WORDED)
def test_tables_as_people_write_them_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text(WORDED[name], encoding="utf-8")
    (case,) = read(path)
    assert values(case).tolist() == [1, 0, 1, 0, 1, 0]


def test_columns_of_somebody_else_are_passed_over_with_one_line_a_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "others.jsonl"
    path.write_text("".join(f'{{"case": "{i}", "samples": [1, 0], "model": 1, "at": 2}}\n' for i in range(5)))
    assert len(read(path)) == 5
    assert caplog.messages == [f"{path}: passed over: column model, at"]


def test_the_index_that_pandas_writes_along_is_passed_over_in_silence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    columns = {
        "case": ["a"] * 4 + ["b"] * 3,
        "value": [1, 0, 1, 1, 0, 0, 1],
        "__index_level_0__": [3, 1, 0, 2, 6, 5, 4],
    }
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    assert [len(values(case)) for case in read(tmp_path / "x.parquet")] == [4, 3]
    assert caplog.messages == []


@pytest.mark.parametrize("kind", [pa.list_(pa.int64()), pa.large_list(pa.float64()), pa.list_(pa.bool_())], ids=str)
def test_of_a_column_of_lists_each_row_is_a_case(tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_parquet, "_LISTS", 2)
    listed = [[True, False, True], [False, True], None, [], [True] * 4]
    pq.write_table(pa.table({"case": list("abcde"), "value": pa.array(listed).cast(kind)}), tmp_path / "x.parquet")
    a, b, c, d, e = read(tmp_path / "x.parquet")
    assert [values(case).tolist() for case in (a, b, e)] == [[1, 0, 1], [0, 1], [1] * 4]
    assert (c, d) == (Unusable("c", LeftOut.EMPTY), Unusable("d", LeftOut.EMPTY))


def test_lists_of_pairs_are_cases_too(tmp_path: Path) -> None:
    before, after = [[1.5, 2.0], [1.0]], [[2.5, 2.0], [1.0, 2.0]]
    pq.write_table(pa.table({"case": ["a", "b"], "before": before, "after": after}), tmp_path / "x.parquet")
    a, b = read(tmp_path / "x.parquet", MEANS)
    assert values(a).tolist() == [[1.5, 2.5], [2.0, 2.0]]
    assert b == Unusable("b", LeftOut.UNEVEN)
    before, after = [[2**60, 2**60 + 1]], [[2**60 + 1, 2**60]]
    pq.write_table(pa.table({"case": ["a"], "before": before, "after": after}), tmp_path / "y.parquet")
    (case,) = read(tmp_path / "y.parquet", MEANS)
    assert values(case).tolist() == [[0.0, 1.0], [0.0, -1.0]]


def test_a_bad_entry_of_a_list_is_named_with_its_row(tmp_path: Path) -> None:
    pq.write_table(pa.table({"case": ["a", "b"], "value": [[1, 0], [1, 2]]}), tmp_path / "x.parquet")
    with pytest.raises(DataError, match=r"row 2, column value: is 2; allowed: 0 or 1"):
        read(tmp_path / "x.parquet")
    pq.write_table(pa.table({"case": ["a"], "before": [[1, 0]], "after": [1]}), tmp_path / "y.parquet")
    with pytest.raises(DataError, match="one of before and after holds lists"):
        read(tmp_path / "y.parquet", MEANS)


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a mark"])
@pytest.mark.parametrize("line", [2, 90, 5000])
def test_text_that_is_not_utf8_is_found_on_its_line(tmp_path: Path, line: int, start: bytes) -> None:
    rows = [b"case,value", *(f"case {i // 2},{i % 2}".encode() for i in range(9999))]
    rows[line - 1] = b"\xff,1"
    path = tmp_path / "bad.csv"
    path.write_bytes(start + b"\n".join(rows))
    with pytest.raises(DataError) as raised:
        read(path)
    assert str(raised.value) == f"{path}, line {line}: is not UTF-8; allowed: CSV in UTF-8"


@pytest.mark.parametrize(
    ("columns", "culprit"),
    [
        ({"case": ["a", "a", "b"], "value": [1.0, 0.0, float("nan")]}, "row 3, column value: is nan"),
        ({"case": ["a", "a", "b"], "value": [1.0, 0.5, 1.0]}, "row 2, column value: is 0.5"),
        ({"case": ["a"], "value": ["x"]}, "row 1, column value: is 'x'; allowed: 0 or 1"),
        ({"case": ["a", "b"], "before": [1.0, 2.0], "after": [1.0, float("inf")]}, "row 2, column after: is inf"),
        ({"case": ["a", "b"], "before": [True, False], "after": [1.0, 2.0]}, "column before: has the type bool"),
        ({"case": ["a", "b", "a"], "value": [1, 1, 1]}, "row 3: case 'a' stands at row 1 already"),
        ({"case": ["a", None], "value": [1, 1]}, "row 2, column case: is empty"),
        ({"case": [[1]], "value": [1]}, "row 1, column case: is not text"),
        ({"case": ["a", "a"], "value": [1, None]}, "row 2, column value: is empty, and the case has other draws"),
        ({"case": ["a"], "valeu": [1]}, "schema: column 'valeu' is not known; did you mean value?"),
    ],
)
def test_bad_parquet_gets_one_line_with_file_and_row(tmp_path: Path, columns: dict[str, Any], culprit: str) -> None:
    path = tmp_path / "bad.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(DataError) as raised:
        read(path)
    assert str(raised.value).startswith(str(path))
    assert culprit in str(raised.value)


def test_a_truncated_parquet_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "parquet", VALUES)
    whole = path.read_bytes()
    for end in (0, 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match="no row of it can be read") as raised:
            read(path)
        assert "\n" not in str(raised.value)


def test_a_changed_bit_is_refused_where_the_file_has_checksums(tmp_path: Path) -> None:
    path, draws = tmp_path / "changed.parquet", np.random.default_rng(1).random(50_000)
    table = pa.table({"case": np.repeat(np.arange(5000).astype(str), 10), "value": draws})
    pq.write_table(table, path, write_page_checksum=True, compression="none", use_dictionary=["case"])
    content = bytearray(path.read_bytes())
    content[content.index(draws[20_000].tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"after row \d+: is cut short or damaged: .*checksum"):
        list(Samples(path, suffice.Mean(at_least=0.5)))


def test_a_damaged_row_group_is_refused_with_the_row_it_stands_after(tmp_path: Path) -> None:
    path = tmp_path / "damaged.parquet"
    table = pa.table({"case": [f"c{i // 2}" for i in range(4000)], "value": [float(i % 2) for i in range(4000)]})
    pq.write_table(table, path, row_group_size=2000, use_dictionary=False)
    second = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[second : second + 400] = b"\xff" * 400
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"after row \d+: is cut short or damaged"):
        read(path)


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_without_cases_and_a_missing_file_are_missing_data(tmp_path: Path, form: str) -> None:
    with pytest.raises(MissingDataError, match="there is no such file"):
        read(tmp_path / f"nowhere.{form}")
    path = tmp_path / f"empty.{form}"
    if form == "parquet":
        pq.write_table(pa.table({"case": pa.array([], pa.string()), "value": pa.array([], pa.float64())}), path)
    else:
        path.write_text("case,value\n" if form == "csv" else "\n\n", encoding="utf-8")
    with pytest.raises(MissingDataError, match="holds no case"):
        read(path)


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"allowed: \.jsonl"):
        Samples(tmp_path / "samples.xlsx", COUNTS)


@pytest.mark.parametrize("recent", [1, 2, 5, 8, 64])
@pytest.mark.parametrize("twice", [(0, 9), (3, 4), (2, 8), (7, 30)])
def test_a_case_that_stands_twice_is_found_however_far_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recent: int, twice: tuple[int, int]
) -> None:
    monkeypatch.setattr(keys_once, "RECENT", recent)
    keys = [f"k{i}" for i in range(40)]
    keys[twice[1]] = keys[twice[0]]
    path = write(tmp_path, "jsonl", [(key, None, None, [1, 0]) for key in keys])
    with pytest.raises(DataError, match=f"line {twice[1] + 1}: .* stands at line {twice[0] + 1} already"):
        read(path)
    keys[twice[1]] = "another"
    assert len(read(write(tmp_path, "jsonl", [(key, None, None, [1, 0]) for key in keys]))) == 40


@pytest.mark.parametrize("form", FORMATS)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """Peak of Python's and NumPy's allocations for a file and one eight times as long; a list of the cases grows."""
    from suffice.sources import recorded_parquet

    monkeypatch.setattr(keys_once, "RECENT", 64)
    monkeypatch.setattr(recorded_parquet, "BATCH", 500)

    def recorded(count: int) -> Path:
        cases: list[Recorded_] = [(f"case {i}", None, None, [i % 2, 1] * 8) for i in range(count)]
        folder = tmp_path / str(count)
        folder.mkdir()
        return write(folder, form, cases, group=1000)

    def peak(path: Path, kept: int) -> int:
        samples = Samples(path, COUNTS)
        tracemalloc.start()
        deque(samples, maxlen=kept)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    def least(path: Path, kept: int) -> int:
        """Garbage that waits for its collector adds to some peaks; what grows adds to all."""
        return min(peak(path, kept) for _ in range(3))

    short, eight_times = recorded(200), recorded(1600)
    assert least(eight_times, 0) < 1.2 * least(short, 0)
    assert least(eight_times, 1600) > 2 * least(short, 200)


def test_the_share_read_rises_to_one(tmp_path: Path) -> None:
    for form in FORMATS:
        samples = Samples(write(tmp_path, form, [(f"c{i}", None, None, [1, 0]) for i in range(50)]), COUNTS)
        shares = [samples.share for _ in samples]
        assert shares == sorted(shares)
        assert samples.share == 1.0


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())])
def test_words_for_1_and_0_are_read_from_parquet_as_from_csv(tmp_path: Path, kind: pa.DataType) -> None:
    """Seen: refused by a line that said that they are allowed."""
    words = ["pass", "Fail", "YES", "no", "true"]
    table = pa.table({"case": ["a"] * 5, "value": pa.array(words).cast(kind)})
    pq.write_table(table, tmp_path / "x.parquet")
    (tmp_path / "x.csv").write_text("case,value\n" + "".join(f"a,{word}\n" for word in words), encoding="utf-8")
    (packed,), (plain,) = read(tmp_path / "x.parquet"), read(tmp_path / "x.csv")
    assert values(packed).tolist() == values(plain).tolist() == [1, 0, 1, 0, 1]
    pq.write_table(pa.table({"case": ["a"], "value": ["maybe"]}), tmp_path / "y.parquet")
    with pytest.raises(DataError, match=r"y.parquet, row 1, column value: is 'maybe'; allowed: 0 or 1"):
        read(tmp_path / "y.parquet")
