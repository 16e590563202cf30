"""Whatever stands in a file, its reader answers, or says in one line what is wrong and where; none is left out."""

import ast
import csv
import io
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pyarrow as pa
import pytest
from damage import example, read_damaged
from hypothesis import given
from hypothesis import strategies as st
from readers import BY_NAME, READERS, Reader, parquet, plan

import suffice
from suffice.errors import SufficeError

SOURCES = Path(suffice.__file__).parent
LONG = "x" * 5_000
PLAN = plan().to_dict()
DECISION = {
    "key": "c",
    "target": "t",
    "record": {"value": 0, "u_plus": 1, "u_minus": 1},
    "measurement": {"value": 1, "u_plus": 1, "u_minus": 1},
    "seed": 3,
    "plan_id": plan().id,
    "fault": None,
}

SEEN: list[tuple[str, str | bytes, str]] = [
    # What Python's reader had read of a word when it refused it is not all that stands there.
    ("metrics", '{"format": 1, "decisions": NaNs}', "decisions is NaN, which JSON does not have"),
    ("metrics", '{"format": ' + "9" * 5_000 + "x}", "format has 5000 digits"),
    ("metrics", '{"format": 1, "format": {"a": NaN, "b": tru', "format stands twice"),
    ("metrics", json.dumps({"format": LONG}), "format found: 'xxx"),
    # A cell, or a name of a column, may be long or hold a line end.
    ("samples: CSV", f"case,value\na,{LONG}\n", "column value: is 'xxx"),
    ("samples: CSV", f'case,value,"a\n{LONG}"\na,2\n', "line 3: found 2 cells"),
    (
        "samples: named columns",
        'case,"a\nb"\nx,1\n',
        "column 'task', which is to be case, is missing; there is: case, 'a",
    ),
    ("records", 'key,value,u,"a\nb"\np,1,1\n', "line 3, column 'a\\nb': found 3 cells"),
    ("records", f"key,value,u\np,{LONG},1\n", "column value: 'xxx"),
    (
        "samples: Parquet",
        parquet(pa.table({"case": pa.array([b"\xff"]).view(pa.string()), "value": [1]})),
        "is not text",
    ),
    ("plan, hashed anew", json.dumps(PLAN | {"asn": "0"}), "lacks or garbles asn: '0'"),
    ("plan, hashed anew", json.dumps(PLAN | {"n": [20]}), "lacks or garbles n: [20]"),
    ("plan, hashed anew", json.dumps(PLAN | {"n": True}), "lacks or garbles n: True"),
    ("plan, hashed anew", json.dumps(PLAN | {"guarantee": "surely"}), "guarantee: 'surely'"),
    ("plan, hashed anew", json.dumps(PLAN | {"looks": [1]}), "holds something else than its table"),
    ("plan, hashed anew", json.dumps(PLAN | {"more": 1}), "holds something else than its table"),
    ("plan, hashed anew", json.dumps(PLAN | {"boundaries": PLAN["boundaries"][::-1]}), "lacks or garbles the look"),
    ("run of counts", "[]", "the run's state is []"),
    ("run of counts", json.dumps(plan().start().to_dict() | {"guarded": 1}), "lacks or garbles guarded: 1"),
    ("bundle: decisions", "null\n", "disagreements.jsonl, line 1: lacks or garbles"),
    ("bundle: decisions", '{"key": "c", "key": "d"}\n', "line 1: lacks or garbles key stands twice"),
    ("bundle: decisions", json.dumps({**DECISION, "seed": "3"}), "line 1: lacks or garbles seed is '3'"),
    ("bundle: decisions", json.dumps({**DECISION, "record": {"value": "x"}}), "line 1: lacks or garbles"),
    ("bundle: decisions", b"\xff", "line 1: lacks or garbles"),
    ("manifest", "0" * 64 + "  ../../etc/passwd\n", "allowed: SHA-256, two spaces, a file in it"),
    ("manifest", "0" * 64 + "  " + LONG + "\n", "is not what the manifest vouches for"),
    ("store: audit_events.numbers", "{", "an event of r in the store cannot be understood"),
    (
        "store: outbox.payload",
        '{"a": 1, "a": 2}',
        "a notification of r in the store cannot be understood: a stands twice",
    ),
    ("store: provenance.payload", "[1]", "an event of t in the store cannot be understood: it holds [1]"),
    ("store: provenance.payload", '{"record": 1}', "an event of k in the store lacks or garbles"),
    ("store: records.derived_from", "[1]", "the record t in the store cannot be understood"),
    ("store: rollups.counts", "null", "the roll-up of r in the store cannot be understood: it holds None"),
    ("bundle: decisions", json.dumps({**DECISION, "plan_id": LONG}), "plan_id is 'xxx"),
    # Both were found by atheris: a number that no double holds, and a long name of a parameter.
    (
        "store: provenance.payload",
        f'{{"record": [{10**400}, 1], "measurement": [1, 1]}}',
        "an event of k in the store lacks",
    ),
    ("plan, hashed anew", json.dumps(PLAN | {"parameters": {LONG: 1}}), "do not fit: "),
    ("store: provenance.payload of a resolution", "[1]", "the provenance of k in the store cannot be understood"),
    ("note of the store", '{"epoch": "5"}', "epoch is '5'"),
    ("note of the store", '{"released": 1}', "released is 1"),
]

LENIENT: list[tuple[str, str]] = [
    ("answer of a check", '{"at": 5.0, "code": [0], "output": "fine"}'),
    ("answer of a check", '{"at": 5.0, "code": 0, "output": true}'),
    ("beginning of a check", "nan"),
    ("spool", '{"at": NaNs}'),
    ("flag, as it lowers", '{"flags": -Infinityx}'),
]

CELLS = [("repeat", "9" * 5_000), ("n", "١"), ("params", "[" * 200), ("report_file", "\x00"), ("run_id", LONG)]


READ_BY_NO_TABLE = {
    "cli/triage.py": "the text of a bundle whose manifest was checked, shown as it is",
    "evidence/recompute.py": "what one process of ours gives another",
    "flag/document.py": "through flag/file.py and flag/lowering.py",
    "rehearsal/runbook.py": "what a process of ours left",
    "rollout/subject.py": "what the program made itself",
    "rollout/notify.py": "an option of the command line",
    "runbook/harness/reports.py": "what the program made itself",
    "runbook/production.py": "what a process of ours left",
    "runbook/sweep.py": "a report that does not fit is made anew; the grid is in the table",
    "stopping/cache.py": "an entry that does not fit is made anew",
    "store/rollouts.py": "tests/rollout/test_damaged_rows.py",
    "store/words.py": "tests/rollout/test_damaged_rows.py",
    "triage/bundle.py": "a template of the package; the flag is frozen as it is",
}
"""Modules that read, and have no line in the table, with the reason."""

READING = {
    "strict_json.loads",
    "read_whole",
    "pq.ParquetFile",
    "csv.reader",
    "chain.understood",
    "understood",
}
"""What is called to read: JSON, a whole file, Parquet, CSV, a column of the store."""


def test_no_reader_is_left_out() -> None:
    """A module that reads is gone through by some example of the table, or named with the reason why not."""
    reading = {path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*.py") if _reads(path)}
    reached: set[str] = set()

    def follow(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(str(SOURCES)):
            reached.add(Path(frame.f_code.co_filename).relative_to(SOURCES).as_posix())

    before = sys.getprofile()
    sys.setprofile(follow)
    try:
        for reader in READERS:
            with example(reader) as path, suppress(SufficeError):
                reader.read(path)
    finally:
        sys.setprofile(before)
    assert reading - reached - READ_BY_NO_TABLE.keys() == set()
    assert READ_BY_NO_TABLE.keys() - reading == set(), "named, and reads nothing"


def _reads(path: Path) -> bool:
    called = (node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
    return any(ast.unparse(each) in READING for each in called)


@pytest.mark.parametrize("reader", READERS, ids=BY_NAME)
def test_the_example_is_read(reader: Reader) -> None:
    with example(reader) as path:
        if reader.seal is not None:
            reader.seal(path)
        reader.read(path)


@pytest.mark.parametrize("name", BY_NAME)
@given(choices=st.lists(st.integers(0, 2**16), max_size=40))
def test_what_is_damaged_is_read_or_refused_in_one_line(name: str, choices: list[int]) -> None:
    numbers: Iterator[int] = iter(choices)
    read_damaged(BY_NAME[name], lambda count: next(numbers, 0) % count)


@pytest.mark.parametrize(("name", "content", "sentence"), SEEN, ids=range(len(SEEN)))
def test_what_was_seen_is_one_line(name: str, content: str | bytes, sentence: str) -> None:
    """Each was a traceback, several lines, or taken for what it is not."""
    reader = BY_NAME[name]
    with example(reader) as path:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        if reader.seal is not None:
            reader.seal(path)
        with pytest.raises(SufficeError) as refused:
            reader.read(path)
    message = str(refused.value)
    assert sentence in message
    assert len(message.splitlines()) == 1
    assert len(message) < 1_000


@pytest.mark.parametrize(("name", "content"), LENIENT, ids=range(len(LENIENT)))
def test_what_was_seen_is_taken_for_none(name: str, content: str) -> None:
    reader = BY_NAME[name]
    with example(reader) as path:
        path.write_text(content)
        reader.read(path)


@pytest.mark.parametrize(("column", "cell"), CELLS, ids=range(len(CELLS)))
def test_a_cell_of_a_sweep_that_cannot_be_is_a_finding(column: str, cell: str) -> None:
    reader = BY_NAME["sweep: table"]
    with example(reader) as path:
        rows = list(csv.reader(io.StringIO(path.read_text())))
        rows[1][rows[0].index(column)] = cell
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows(rows)
        path.write_text(out.getvalue())
        assert reader.read(path)
