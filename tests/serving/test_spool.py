"""The spool as a specification: what is written, taken up and put aside, and what waits; kills are in a file of their
own."""

import errno
import json
import logging
import math
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from serving_world import case, verifier
from spooling import ROW, keys, kill, rows
from sqlalchemy import Connection, text

from property_examples import examples
from suffice.decision.rule import Decision
from suffice.errors import DataError, OutputError, StoreError
from suffice.serving import refused as refused_rows
from suffice.serving import spool as spool_module
from suffice.serving.spool import Spool, take_up
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow, Reason
from suffice.store.irregular import Irregular, irregular_of
from suffice.store.ledger import Ledger
from suffice.verifier.arm import Arm


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.db") as opened:
        yield opened


def test_a_dead_owners_rows_are_taken_up_a_living_ones_are_left_alone(store: Store, tmp_path: Path) -> None:
    ledger, folder = Ledger(store), tmp_path / "spool"
    assert take_up(folder, ledger) == 0
    spool = Spool(folder)
    for row in rows(5):
        spool.add(row)
    assert take_up(folder, ledger) == 0
    assert len(list(folder.iterdir())) == 2
    kill(spool)
    assert take_up(folder, ledger) == 5
    assert ledger.rows("r") == rows(5)
    assert list(folder.iterdir()) == []
    assert take_up(folder, ledger) == 0


def test_the_lock_of_a_spool_that_is_not_there_is_swept_away_unless_somebody_holds_it(
    store: Store, tmp_path: Path
) -> None:
    left, held = tmp_path / "1-left.lock", tmp_path / "2-held.lock"
    left.touch()
    with FileLock(held):
        assert take_up(tmp_path, Ledger(store)) == 0
        assert [path.name for path in tmp_path.glob("*.lock")] == [held.name]
    take_up(tmp_path, Ledger(store))
    assert list(tmp_path.glob("*.lock")) == []


def test_a_spool_has_no_file_before_its_first_row_and_one_that_somebody_removed_has_no_rows(
    store: Store, tmp_path: Path
) -> None:
    spool = Spool(tmp_path)
    assert spool.path is None
    spool.add(ROW)
    assert spool.path is not None
    spool.path.unlink()
    assert (spool.deliver(Ledger(store)), spool.rows) == (0, 0)
    spool.close()


def test_a_closed_spool_leaves_its_rows_and_an_empty_one_nothing(store: Store, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.add(ROW)
    assert spool.path is not None
    assert spool.path.stat().st_size > 0
    assert spool.rows == 1
    assert spool.deliver(Ledger(store)) == 1
    assert (spool.rows, spool.path.stat().st_size) == (0, 0)
    spool.close()
    spool.close()
    assert list((tmp_path / "spool").iterdir()) == []
    spool.add(replace(ROW, key="another"))
    spool.close()
    assert take_up(tmp_path / "spool", Ledger(store)) == 1


STRANGE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(
    key=STRANGE,
    target=STRANGE,
    region=st.none() | STRANGE,
    estimate=st.floats(),
    at=st.floats(allow_nan=False, allow_infinity=False),
    agrees=st.none() | st.booleans(),
    baseline_n=st.none() | st.integers(0, 2**31),
)
def test_a_row_comes_back_as_it_was(**values: Any) -> None:
    row = replace(ROW, **values)
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder))
        spool.add(row)
        spool.close()
        kept: list[DecisionRow] = []
        assert take_up(Path(folder), Keeping(kept)) == 1
    finite = math.isfinite(row.estimate)
    assert math.isnan(kept[0].estimate) is not finite
    assert replace(kept[0], estimate=0.0) == replace(row, estimate=0.0)
    assert not finite or kept[0].estimate == row.estimate


def test_numbers_of_numpy_are_numbers(store: Store, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add(replace(ROW, n=np.int64(8), seed=np.uint32(42), estimate=np.float32(0.5)))  # type: ignore[arg-type]
    assert spool.deliver(Ledger(store)) == 1
    assert [(row.n, row.seed, row.estimate) for row in Ledger(store).rows("r")] == [(8, 42, 0.5)]
    spool.close()


def test_what_is_no_number_is_its_text(store: Store, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add(replace(ROW, target=UUID(int=1)))  # type: ignore[arg-type]
    assert spool.deliver(Ledger(store)) == 1
    assert [row.target for row in Ledger(store).rows("r")] == [str(UUID(int=1))]
    spool.close()


class Keeping(Ledger):
    """A ledger in memory."""

    def __init__(self, kept: list[DecisionRow]) -> None:
        self.kept = kept

    def append(self, rows: Iterable[DecisionRow], connection: Connection | None = None) -> int:
        added = list(rows)
        self.kept += added
        return len(added)


@given(cut=st.integers(0, 10_000))
@settings(max_examples=examples(40))
def test_a_file_that_is_cut_off_anywhere_gives_its_whole_lines(cut: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, kept = Path(name), list[DecisionRow]()
        spool = Spool(folder)
        for row in rows(4):
            spool.add(row)
        spool.close()
        [path] = folder.glob("*.jsonl")
        content = path.read_bytes()
        path.write_bytes(content[:cut])
        whole = content[: cut + 1].count(b"}") if cut < len(content) else 4
        whole -= cut < len(content) and content[cut : cut + 1] == b"}"
        assert take_up(folder, Keeping(kept)) == whole
        assert kept == rows(whole)


OLD_LINE = (
    b'\n{"key":"old","target":"t","arm":"adaptive","decision":"accepted","n":8,"fixed_n":64,"estimate":null,'
    b'"reason":"ACCEPT_BOUNDARY","seed":42,"plan_id":"p","at":1800000000.0,"rollout":"r","stage":"canary",'
    b'"region":null,"audited":true,"shadow":false,"baseline_decision":"rejected","baseline_n":64,'
    b'"adaptive_decision":"accepted","adaptive_n":8,"agrees":false,"guarded":null,"invalid":false}'
)
"""A line as versions before this one wrote it."""


def test_a_spool_that_an_older_version_left_is_taken_up(store: Store, tmp_path: Path) -> None:
    (tmp_path / "1-old.jsonl").write_bytes(OLD_LINE)
    assert take_up(tmp_path, Ledger(store)) == 1
    (row,) = Ledger(store).rows("r")
    assert (row.arm, row.decision, row.reason) == (Arm.ADAPTIVE, Decision.ACCEPTED, Reason.ACCEPT_BOUNDARY)
    assert (row.baseline_decision, row.adaptive_decision) == (Decision.REJECTED, Decision.ACCEPTED)


def test_the_line_of_a_row_is_what_older_versions_read(tmp_path: Path) -> None:
    both = {"baseline_decision": Decision.REJECTED, "adaptive_decision": Decision.ACCEPTED, "agrees": False}
    row = replace(ROW, key="old", estimate=math.nan, audited=True, baseline_n=64, adaptive_n=8, **both)
    spool = Spool(tmp_path)
    spool.add(row)
    spool.close()
    (path,) = tmp_path.glob("*.jsonl")
    assert path.read_bytes() == OLD_LINE


@pytest.mark.parametrize(
    ("was", "misspelt"), [(b'"accepted","n"', b'"acceptd","n"'), (b'"adaptive",', b'"adaptiv",'), (b"BOUND", b"BND")]
)
def test_a_misspelt_row_is_refused_with_its_key_and_keeps_no_others_back(
    store: Store, tmp_path: Path, was: bytes, misspelt: bytes
) -> None:
    bad, good = tmp_path / "1-bad.jsonl", tmp_path / "2-good.jsonl"
    bad.write_bytes(OLD_LINE.replace(was, misspelt))
    good.write_bytes(OLD_LINE.replace(b'"old"', b'"good"'))
    assert take_up(tmp_path, Ledger(store)) == 1
    assert keys(store) == ["good"]
    assert not bad.exists()
    [(row, why)] = aside(tmp_path)
    assert row == json.loads(OLD_LINE.replace(was, misspelt))
    assert re.search("decision old of rollout 'r'.*; allowed: ", why)
    assert refused(store) == 1


def aside(folder: Path) -> list[tuple[Any, str]]:
    """What was put aside, and why."""
    lines = (folder / refused_rows.FOLDER / refused_rows.FILE).read_text(encoding="ascii").splitlines()
    return [(line["row"], line["why"]) for line in map(json.loads, lines)]


def refused(store: Store) -> int:
    with store.read() as connection:
        return irregular_of(connection, "r", ROW.stage)[Irregular.REFUSED].count


def test_lines_that_are_no_rows_are_put_aside_and_keep_no_others_back_in_their_file(
    store: Store, tmp_path: Path
) -> None:
    good = [OLD_LINE.replace(b'"old"', f'"good {i}"'.encode()) for i in range(3)]
    newer = OLD_LINE.replace(b'"guarded"', b'"of_version_9"')
    unreadable = [newer, b"\n" + bytes(300), b"\nwhat a power failure left", b"\n[1, 2]"]
    path = tmp_path / "1.jsonl"
    path.write_bytes(b"".join([good[0], *unreadable, good[1], OLD_LINE[:40], good[2]]))
    assert take_up(tmp_path, Ledger(store)) == 3
    assert keys(store) == ["good 0", "good 1", "good 2"]
    assert [row for row, _ in aside(tmp_path)] == [
        json.loads(newer),
        "\0" * 300,
        "what a power failure left",
        [1, 2],
    ]
    assert refused(store) == len(unreadable)
    assert list(tmp_path.glob("*.jsonl")) == []


@pytest.mark.parametrize(
    ("was", "became"),
    [(b'"old"', b"17"), (b'"t"', b"null"), (b'"region":null', b'"region":17'), (b"1800000000.0", b"NaN")],
)
def test_a_line_whose_values_have_other_types_is_put_aside_and_keeps_no_others_back(
    store: Store, tmp_path: Path, was: bytes, became: bytes
) -> None:
    bad = OLD_LINE.replace(was, became, 1)
    (tmp_path / "1.jsonl").write_bytes(bad + OLD_LINE)
    assert take_up(tmp_path, Ledger(store)) == 1
    assert (keys(store), refused(store), len(aside(tmp_path))) == (["old"], 1, 1)
    assert "; allowed: " in aside(tmp_path)[0][1]


def test_a_row_in_memory_that_cannot_be_read_keeps_no_others_back(store: Store, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be", encoding="utf-8")
    spool = Spool(tmp_path / "spool")
    for row in [replace(ROW, target=17), *rows(2)]:  # type: ignore[arg-type]
        spool.add(row)
    assert spool.waiting == 3
    (tmp_path / "spool").unlink()
    assert spool.deliver(Ledger(store)) == 2
    assert (keys(store), spool.waiting, spool.rows, refused(store)) == (["k0", "k1"], 0, 0, 1)
    spool.close()


def test_a_spool_that_cannot_be_read_is_said_and_keeps_no_others_back(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "1-folder.jsonl"
    folder.mkdir()
    (tmp_path / "2-good.jsonl").write_bytes(OLD_LINE)
    with pytest.raises(DataError) as raised:
        take_up(tmp_path, Ledger(store))
    assert str(raised.value) == f"{folder}: the spool cannot be read: Is a directory"
    assert keys(store) == ["old"]


def test_a_line_that_is_nested_too_deeply_keeps_no_others_back(store: Store, tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_bytes(b"\n" + b"[" * 200_000 + b"]" * 200_000 + OLD_LINE)
    assert take_up(tmp_path, Ledger(store)) == 1
    assert (keys(store), len(aside(tmp_path))) == (["old"], 1)


@pytest.mark.parametrize("living", [True, False])
def test_what_is_refused_is_put_aside_once_however_often_a_later_row_fails(
    store: Store, tmp_path: Path, living: bool
) -> None:
    spool, ledger = Spool(tmp_path), Failing(store)
    for key in ("x" * 3000, "first", "fails"):
        spool.add(replace(ROW, key=key))
    spool.add(replace(ROW, key=17))  # type: ignore[arg-type]
    if not living:
        spool.close()
    for ledger.fails in (True, True, True, False):
        with pytest.raises(StoreError) if ledger.fails else nullcontext():
            spool.deliver(ledger) if living else take_up(tmp_path, ledger)
    assert keys(store) == ["first", "fails"]
    assert (len(aside(tmp_path)), refused(store)) == (2, 2)
    spool.close()


def test_what_is_refused_is_put_aside_once_however_long_its_file_cannot_be_removed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(key: str) -> None:
        (tmp_path / "1.jsonl").write_bytes(OLD_LINE.replace(b'"old"', key.encode()) + OLD_LINE)

    def unlink(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink)
        for key in ("17", "18"):
            put(key)
            for _ in range(3):
                with pytest.raises(OutputError, match="cannot be removed"):
                    take_up(tmp_path, Ledger(store))
    take_up(tmp_path, Ledger(store))
    put("18")
    take_up(tmp_path, Ledger(store))
    assert [row["key"] for row, _ in aside(tmp_path)] == [17, 18, 18]


class Failing(Ledger):
    """A ledger that takes no batch with a row `fails`, as when the store goes away in between."""

    fails = False

    def append(self, rows: Iterable[DecisionRow], connection: Connection | None = None) -> int:
        rows = list(rows)
        if any(len(row.key) > 1024 for row in rows):
            return super().append(rows, connection)
        if self.fails and any(row.key == "fails" for row in rows):
            raise StoreError("the store has gone")
        return super().append(rows, connection)


def test_a_file_whose_lines_are_no_rows_stays_while_the_store_is_away(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    path.write_bytes(b"\nno row" + OLD_LINE)
    rename(store, "decisions", "elsewhere")
    for _ in range(3):
        with pytest.raises(StoreError):
            take_up(tmp_path, Ledger(store))
    rename(store, "elsewhere", "decisions")
    assert take_up(tmp_path, Ledger(store)) == 1
    assert [row for row, _ in aside(tmp_path)] == ["no row"]
    assert refused(store) == 1


def test_what_the_ledger_refuses_stays_in_the_spool(store: Store, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.add(ROW)
    spool.close()
    rename(store, "decisions", "elsewhere")
    with pytest.raises(StoreError):
        take_up(tmp_path / "spool", Ledger(store))
    rename(store, "elsewhere", "decisions")
    assert take_up(tmp_path / "spool", Ledger(store)) == 1


def rename(store: Store, old: str, new: str) -> None:
    with store.write() as connection:
        connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


def test_a_folder_that_cannot_be_written_costs_no_decision_and_is_said_once(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "spool"
    folder.write_text("a file where the folder should be", encoding="utf-8")
    spool = Spool(folder)
    process = verifier(store, spool=spool, batch=100)
    with caplog.at_level(logging.WARNING):
        for i in range(7):
            process.verify(case(i))
    assert spool.waiting == 7
    assert caplog.messages == [f"{folder}: ledger rows are kept in memory only: File exists"]
    assert process.counters.snapshot().decisions == 7
    folder.unlink()
    process.verify(case(7))
    assert spool.waiting == 0
    kill(spool)
    assert take_up(folder, Ledger(store)) == 8


def test_at_too_many_rows_that_cannot_be_spooled_decisions_are_fixed_and_what_is_dropped_is_counted(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MOST_WAITING", 5)
    folder = tmp_path / "spool"
    folder.write_text("a file where the folder should be", encoding="utf-8")
    spool = Spool(folder)
    for i in range(7):
        assert spool.is_full is (i >= 5)
        spool.add(replace(ROW, key=f"k{i}"))
    assert (spool.waiting, spool.rows, spool.dropped) == (5, 5, 2)
    assert spool.deliver(Ledger(store)) == 5
    assert (spool.waiting, spool.rows, spool.dropped) == (0, 0, 0)
    for row in rows(5):
        spool.add(row)
    folder.unlink()
    spool.add(replace(ROW, key="k5"))
    assert (spool.waiting, spool.rows, spool.dropped) == (0, 6, 0), "the disk has room again"
    with store.read() as connection:
        assert irregular_of(connection, "r", "canary")[Irregular.DROPPED].count == 2
    spool.close()


def test_a_row_that_no_ledger_takes_is_put_aside_and_blocks_nothing_behind_it(store: Store, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    for key in ("first", "k" * 3000, "last"):
        spool.add(replace(ROW, key=key))
    assert spool.deliver(Ledger(store)) == 2
    assert keys(store) == ["first", "last"]
    spool.close()
    assert "k" * 3000 in (tmp_path / "spool" / "refused" / "rows.jsonl").read_text(encoding="utf-8")
    with store.read() as connection:
        assert irregular_of(connection, "r", "canary")[Irregular.REFUSED].count == 1


def test_a_ledger_that_cannot_be_written_at_the_end_leaves_all_rows_to_the_next_verifier(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        process = verifier(store, spool=Spool(tmp_path / "spool"))
        for i in range(5):
            process.verify(case(i))
        rename(store, "decisions", "elsewhere")
        with pytest.raises(StoreError):
            process.close()
        rename(store, "elsewhere", "decisions")
        assert take_up(tmp_path / "spool", Ledger(store)) == 5
