"""Recorded samples as they lie about: packed, on standard input, under the column names of somebody else."""

import csv
import gzip
import io
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from collections import deque
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import suffice
from suffice.errors import DataError, MissingDataError, SufficeError
from suffice.sampling.recorded import Recorded
from suffice.sources import csv_files, csv_rows, opened, recording
from suffice.sources.opened import STDIN
from suffice.sources.recorded import Samples, Unusable
from suffice.verifier.case import Case

COUNTS = suffice.Proportion(0.5)
OURS = {"case": "task", "value": "passed", "target": "host", "region": "zone"}
ROWS = [("a", 1, "pump", "eu"), ("a", 0, "pump", "eu"), ("b", 1, "pump", "us"), ("b", 1, "pump", "us")]
TEXTS = {
    "csv": "case,value\na,1\na,0\nb,1\nb,1\n",
    "tabs.csv": "\ufeffcase\tvalue\na\tpass\na\tFAIL\nb\t1\nb\tyes\n",
    "excel.csv": "\ufeffsep=;\r\ncase;value\r\na;1\r\na;0\r\nb;1\r\nb;1\r\n",
    "pipes.csv": "sep=|\ncase|value\na|1\na|0\nb|1\nb|1\n",
    "quoted.csv": 'case;value;"note, more"\na;1;x\na;0;"y, z"\nb;1;\nb;1;\n',
    "noted.csv": "note, more;case;value\nx;a;1\ny, z;a;0\n;b;1\n;b;1\n",
    "marks.csv": '"a;note",case,value,b;c;d\n,a,1,\n,a,0,\n,b,1,\n,b,1,\n',
    "jsonl": '{"case": "a", "samples": [1, 0]}\n{"case": "b", "samples": [1, true]}\n',
    "ndjson": '\n{"case": "a", "samples": [1, 0]}\n\n{"case": "b", "samples": ["pass", 1]}',
}


def read(path: Path, rule: Any = COUNTS, columns: dict[str, str] | None = None) -> list[Any]:
    return [shown(case) for case in Samples(path, rule, columns=columns)]


def shown(case: Case | Unusable) -> Any:
    if isinstance(case, Unusable):
        return case
    assert isinstance(case.sampler, Recorded)
    return case.key, case.target, case.region, case.sampler.values.tolist()


def refused(path: Path, error: type[SufficeError] = DataError, columns: dict[str, str] | None = None) -> str:
    with pytest.raises(error) as raised:
        read(path, columns=columns)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    return message


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts bytes on standard input, as a pipe gives them."""
    threads: list[threading.Thread] = []

    def put(content: bytes) -> Path:
        out, into = os.pipe()
        monkeypatch.setattr(sys, "stdin", os.fdopen(out, "r"))
        threads.append(threading.Thread(target=_write, args=(into, content)))
        threads[-1].start()
        return STDIN

    yield put
    sys.stdin.close()
    for thread in threads:
        thread.join()


def _write(into: int, content: bytes) -> None:
    try:
        with os.fdopen(into, "wb") as file:
            file.write(content)
    except BrokenPipeError:
        pass  # Refused before its end.


@pytest.mark.parametrize("name", TEXTS)
def test_what_gzip_packed_reads_as_the_plain_file(tmp_path: Path, name: str) -> None:
    plain, packed = tmp_path / f"x.{name}", tmp_path / f"y.{name}.GZ"
    plain.write_text(TEXTS[name], encoding="utf-8")
    packed.write_bytes(gzip.compress(TEXTS[name].encode()))
    assert read(packed) == read(plain) == [("a", "a", None, [1, 0]), ("b", "b", None, [1, 1])]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["csv", "tabs.csv", "jsonl", "ndjson"])
def test_standard_input_is_told_by_its_content(stdin: Any, name: str, packed: bool) -> None:
    content = TEXTS[name].encode()
    assert read(stdin(gzip.compress(content) if packed else content)) == [
        ("a", "a", None, [1, 0]), ("b", "b", None, [1, 1]),
    ]  # fmt: skip


def test_a_pipe_with_a_name_is_opened_once(tmp_path: Path) -> None:
    """A second opening would wait for a second writer, and end the first one."""
    for name in ("pipe", "pipe.csv"):
        os.mkfifo(tmp_path / name)
        writer = threading.Thread(target=(tmp_path / name).write_text, args=(TEXTS["csv"],))
        writer.start()
        assert read(tmp_path / name)[0] == ("a", "a", None, [1, 0])
        writer.join()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "stdin: is empty; needed: a header line and at least one row"),
        (b"PAR1\x15\x04", "stdin: is Parquet, which is read from its end; name a file"),
        (b"case,value\na,1\na,x\n", "stdin, line 3, column value: is 'x'; allowed: 0 or 1"),
        (b'{"case": "a", "samples": [1,\n', "stdin, line 1: is not JSON"),
        (b"[1, 2]\n", "stdin, line 1: is list; allowed: an object"),
        (gzip.compress(TEXTS["csv"].encode(), mtime=0)[:-9], "stdin, line 6: is cut short, damaged, or not gzip"),
    ],
    ids=["empty", "Parquet", "a cell", "a line cut off", "a list", "a cut gzip"],
)
def test_what_cannot_be_read_of_standard_input_is_one_line(stdin: Any, content: bytes, sentence: str) -> None:
    assert refused(stdin(content), SufficeError).startswith(sentence)


def test_standard_input_that_is_closed_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert refused(STDIN, MissingDataError) == "stdin: is closed"


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.booleans())
def test_a_damaged_or_cut_gzip_file_is_one_line_with_its_name(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int, cut: bool
) -> None:
    """Whatever bit is turned: gzip's own checksum stands at the end. Names and times in its header mean nothing."""
    path = tmp_path_factory.mktemp("gz") / "x.csv.gz"
    text = "case,value\n" + "".join(f"case {i},{i % 7 % 2}\n" * 2 for i in range(300))
    whole = gzip.compress(text.encode(), mtime=0)
    at = 10 + at % (len(whole) - 10)
    path.write_bytes(whole[:at] if cut else whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
    assert refused(path, SufficeError).startswith(f"{path}, line ")


def test_a_file_that_only_says_it_was_packed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_text(TEXTS["csv"])
    assert refused(path) == f"{path}, line 1: is cut short, damaged, or not gzip: Not a gzipped file (b'ca')"


def packed(path: Path, parts: Any) -> Path:
    with gzip.open(path, "wb") as file:
        for part in parts:
            file.write(part)
    return path


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("x.csv.gz", [b"case,value,note\na,1,\n", *[b"a,0," + b"x" * 10**5 + b"\n"] * 1_000]),
        ("x.jsonl.gz", [*[b" " * 10**5 + b"\n"] * 1_000, b'{"case": "a", "samples": [1, 0]}']),
    ],
    ids=["CSV", "JSON lines"],
)
def test_many_times_the_memory_may_be_packed(tmp_path: Path, name: str, parts: list[bytes]) -> None:
    """100 MB in 100 kB."""
    path = packed(tmp_path / name, parts)
    tracemalloc.start()
    assert read(path)[0][3][:2] == [1, 0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6


@pytest.mark.parametrize(
    ("name", "start", "again", "sentence"),
    [
        ("x.csv.gz", b"case,value\n", b"a", "line 2: is longer than"),
        ("x.jsonl.gz", b"", b" ", "line 1: is longer than"),
        ("x.csv.gz", b"", b"\x00", "line 1: is longer than"),
        ("x.csv.gz", b"case,value\n", b'"\n",', "a row is longer than"),
    ],
)
def test_a_line_or_a_row_without_an_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, start: bytes, again: bytes, sentence: str
) -> None:
    limit = 10**6
    monkeypatch.setattr(opened, "LENGTH", limit)
    monkeypatch.setattr(csv_rows, "LENGTH", limit)
    path = packed(tmp_path / name, [start, *[again * 10**5] * 100])
    tracemalloc.start()
    message = refused(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sentence in message
    assert message.startswith(str(path))
    assert peak < 30 * limit


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "lists.parquet"])
def test_a_case_has_so_many_draws_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    monkeypatch.setattr(recording, "MOST_DRAWS", 5)
    for count in (5, 6):
        path = tmp_path / f"x{count}.{form}"
        draws = [i % 2 for i in range(count)]
        match form:
            case "csv":
                path.write_text("case,value\n" + "".join(f"a,{draw}\n" for draw in draws))
            case "jsonl":
                path.write_text(json.dumps({"case": "a", "samples": draws}))
            case "parquet":
                pq.write_table(pa.table({"case": ["a"] * count, "value": draws}), path)
            case _:
                pq.write_table(pa.table({"case": ["a"], "value": [draws]}), path)
        if count == 5:
            assert read(path) == [("a", "a", None, draws)]
        else:
            assert "its case has more than 5 draws" in refused(path)


def named(folder: Path, form: str) -> tuple[Path, dict[str, str]]:
    """Rows under the names of somebody else, beside columns that are ours by name only."""
    path = folder / f"x.{form}"
    others = {"case": "nobody's", "value": "high", "before": 3, "seed": 4}
    rows = [dict(zip(OURS.values(), (key, draw, host, zone), strict=True)) | others for key, draw, host, zone in ROWS]
    if form.startswith("csv"):
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0], delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
        path.write_bytes(gzip.compress(text.getvalue().encode()) if form == "csv.gz" else text.getvalue().encode())
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        of = {key: [row for row in rows if row["task"] == key] for key in ("a", "b")}
        lines = [{**case[0], "passed": [row["passed"] for row in case]} for case in of.values()]
        if form == "lists.parquet":
            pq.write_table(pa.Table.from_pylist(lines), path)
        else:
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path, {("samples" if form == "jsonl" and ours == "value" else ours): name for ours, name in OURS.items()}


FORMS = ["csv", "csv.gz", "jsonl", "parquet", "lists.parquet"]


@pytest.mark.parametrize("form", FORMS)
def test_columns_may_have_the_names_of_somebody_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, form: str
) -> None:
    """A column that has our name, and is not the one that was named, is somebody else's too."""
    path, columns = named(tmp_path, form)
    assert read(path, columns=columns) == [("a", "pump", "eu", [1, 0]), ("b", "pump", "us", [1, 1])]
    assert caplog.messages == [f"{path}: passed over: column case, value, before, seed"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"region": "zoen"}, "column 'zoen', which is to be region, is missing; there is: "),
        ({"valeu": "passed"}, "'valeu' is no column of draws; allowed: case, "),
    ],
)
def test_a_column_that_is_not_there_or_not_ours_is_one_line(
    tmp_path: Path, form: str, wrong: dict[str, str], sentence: str
) -> None:
    path, columns = named(tmp_path, form)
    message = refused(path, columns=columns | wrong)
    assert message.startswith(f"{path}, ")
    assert sentence in message


@pytest.mark.parametrize("form", FORMS)
def test_messages_call_a_column_as_the_file_does(tmp_path: Path, form: str) -> None:
    path, columns = named(tmp_path, form)
    assert "column seed: " in refused(
        path, columns={**columns, next(c for c in columns if c in ("value", "samples")): "seed"}
    )


def test_a_pair_of_columns_may_be_named_too(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("id,old,new,value\na,1,2,7\na,1,3,7\n")
    columns = {"case": "id", "before": "old", "after": "new"}
    assert read(path, suffice.PairedMean(), columns) == [("a", "a", None, [[1, 2], [1, 3]])]
    del columns["after"]
    assert "found before; allowed: value, or before and after" in refused(path, columns=columns)


def test_records_may_be_packed_too(tmp_path: Path) -> None:
    path = tmp_path / "records.csv.gz"
    path.write_bytes(gzip.compress(b"key,value,u\np,1.5,0.1\n"))
    assert [one.record.value for one in csv_files.corrections(path, path)] == [1.5]
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DataError, match="is cut short"):
        csv_files.corrections(path, path)


def test_the_share_read_rises_to_one_for_a_packed_file(tmp_path: Path) -> None:
    path = packed(tmp_path / "x.csv.gz", [b"case,value\n", *(f"{i},{i % 7 % 2}\n".encode() * 3 for i in range(20_000))])
    samples = Samples(path, COUNTS)
    shares = [samples.share for _ in samples]
    assert shares == sorted(shares)
    assert 0.2 < shares[10_000] < 0.8
    assert samples.share == 1.0


def test_standard_input_of_a_process_is_decided_like_the_file(tmp_path: Path) -> None:
    """In this process and in two: the cases are read in one place, whoever decides them."""
    path = tmp_path / "x.csv.gz"
    packed(
        path,
        [
            b"task;passed\n",
            *(f"{i};{'pass' if j < i % 9 else 'fail'}\n".encode() for i in range(300) for j in range(9)),
        ],
    )
    command = [
        sys.executable,
        "-m",
        "suffice.cli.main",
        "compare",
        "--at-least",
        "0.5",
        "--json",
        "--column",
        "case=task",
    ]
    command += ["--column", "value=passed", "--samples"]

    def answered(*words: str) -> Any:
        with path.open("rb") as file:
            done = subprocess.run([*command, *words], stdin=file, capture_output=True, check=True, cwd=tmp_path)
        return json.loads(done.stdout)

    by_name, by_stdin, shared = answered(path.name), answered("-"), answered("-", "--workers", "2")
    assert (by_name.pop("source"), by_stdin.pop("source"), shared.pop("source")) == ("x.csv.gz", "stdin", "stdin")
    assert by_name == by_stdin == shared
    assert by_name["cases"] == 300


def test_no_case_is_lost_between_blocks(tmp_path: Path) -> None:
    """Line ends at every place of a block, in a text whose letters take one to four bytes."""
    text = "case,value\n" + "".join(f"{'aé€😀'[i % 4] * (i % 97)}{i},{j}\n" for i in range(9_000) for j in (0, 1))
    path = tmp_path / "x.csv"
    path.write_text(text, encoding="utf-8")
    assert len(deque(Samples(path, COUNTS))) == 9_000
    whole = path.read_bytes()
    at = whole.index(b"\n", len(whole) // 2) + 1
    path.write_bytes(whole[:at] + b"\xff,1\n" + whole[at:])
    line = whole.count(b"\n", 0, at) + 1
    assert refused(path) == f"{path}, line {line}: is not UTF-8; allowed: CSV in UTF-8"


def test_json_lines_with_two_byte_order_marks_on_standard_input_are_not_taken_for_csv(stdin: Any) -> None:
    message = refused(stdin(b"\xef\xbb\xbf" * 2 + b'{"case": "a", "samples": [1, 0]}\n'))
    assert message == "stdin, line 1: begins with a byte order mark; allowed: one, at the start of the file"
