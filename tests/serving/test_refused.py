"""Rows that the ledger does not take block nothing behind them."""

import json
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from time import time
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, event

from store_places import ROW, Place
from suffice.errors import OutputError, StoreError, StoreRefusal
from suffice.serving import refused as refused_rows
from suffice.serving.refused import FILE, FOLDER, Refused, count_refused, deliver, put_aside
from suffice.store.database import Store, agents_store, open_store
from suffice.store.decision_row import LONGEST, DecisionRow
from suffice.store.irregular import Irregular, Irregularities, irregular_of
from suffice.store.ledger import Ledger


def test_refused_rows_are_put_aside_counted_and_those_around_them_delivered(place: Place, tmp_path: Path) -> None:
    rows = [replace(ROW, key=f"k{i}", at=float(i)) for i in range(20)]
    rows[3] = replace(rows[3], key="long " + "x" * 3000)
    rows[4] = replace(rows[4], seed=2**70)
    rows[19] = replace(rows[19], target="half \ud800", stage="next")
    with open_store(place) as store:
        refused: list[Refused] = []
        assert deliver(Ledger(store), rows, refused) == 17
        put_aside(Ledger(store), tmp_path, refused)
        assert [row.at for row in Ledger(store).rows("r")] == [0.0, 1.0, 2.0, *map(float, range(5, 19))]
        with store.read() as connection:
            of_stages = [irregular_of(connection, "r", stage)[Irregular.REFUSED] for stage in ("s", "next")]
    assert of_stages == [Irregularities(2, 4.0), Irregularities(1, 19.0)]
    aside = [json.loads(line) for line in (tmp_path / FOLDER / FILE).read_text(encoding="ascii").splitlines()]
    assert [one["row"]["at"] for one in aside] == [3.0, 4.0, 19.0]
    assert "its key is longer than 1,024 bytes" in aside[0]["why"]
    assert aside[0]["row"]["key"] == rows[3].key


def test_however_many_are_refused_they_are_counted_by_one_statement(place: Place) -> None:
    """Seen: a statement for each of 100,000 bad lines kept the store from everybody for a minute."""
    what = [[], *({"rollout": "r", "stage": f"s{number % 3}"} for number in range(2_999))]
    refused = [Refused(one, "why", float(number)) for number, one in enumerate(what)]
    executed = list[str]()
    with open_store(place) as store:
        with store.write() as connection:
            event.listen(connection, "before_cursor_execute", lambda *about: executed.append(about[2]))
            count_refused(connection, refused)
            assert len(executed) == 1
        with store.read() as connection:
            assert [irregular_of(connection, "r", f"s{each}")[Irregular.REFUSED] for each in range(3)] == [
                Irregularities(1001, 2998.0),
                Irregularities(1001, 2999.0),
                Irregularities(1000, 2997.0),
            ]


def test_a_store_that_is_out_of_reach_refuses_nothing(tmp_path: Path) -> None:
    """Its folder is gone: the rows wait, none is put aside."""
    refused: list[Refused] = []
    with agents_store(tmp_path / "none" / "store.db") as store, pytest.raises(StoreError) as raised:
        deliver(Ledger(store), [ROW, replace(ROW, key="k2")], refused)
    assert not isinstance(raised.value, StoreRefusal)
    assert refused == []


def test_where_nothing_waits_no_store_is_asked_and_no_folder_made(tmp_path: Path) -> None:
    with agents_store(tmp_path / "none" / "store.db") as store:
        assert deliver(Ledger(store), [], []) == 0
        put_aside(Ledger(store), tmp_path / "spool", [])
    assert list(tmp_path.iterdir()) == []


class Strange(Ledger):
    """A ledger that one row breaks, in a way that nobody thought of, or for which the process has no memory or disk."""

    error: type[Exception] = ZeroDivisionError

    def append(self, rows: Iterable[DecisionRow], connection: Connection | None = None) -> int:
        rows = list(rows)
        if any(row.key == "strange" for row in rows):
            raise self.error("of a row")
        return super().append(rows, connection)


@pytest.mark.parametrize("changed", [{"key": 17}, {"key": None}, {"target": UUID(int=1)}, {"key": "strange"}])
def test_whatever_a_row_raises_is_that_rows_and_blocks_no_other(tmp_path: Path, changed: dict[str, Any]) -> None:
    rows = [replace(ROW, key=f"k{i}") for i in range(5)]
    rows[1] = replace(rows[1], **changed)
    with open_store(tmp_path / "store.db") as store:
        ledger, refused = Strange(store), list[Refused]()
        assert deliver(ledger, rows, refused) == 4
        put_aside(ledger, tmp_path, refused)
        assert [row.key for row in ledger.rows("r")] == ["k0", "k2", "k3", "k4"]
        assert counted(store) == Irregularities(1, ROW.at)
    [line] = (tmp_path / FOLDER / FILE).read_text(encoding="ascii").splitlines()
    [(name, value)] = changed.items()
    row, why = json.loads(line)["row"], json.loads(line)["why"]
    assert row[name] == (value if name == "key" else str(value))
    assert "a row cannot be stored: " in why and "Error: " in why


def test_a_row_that_has_no_json_is_put_aside_as_its_text(tmp_path: Path) -> None:
    strange = replace(ROW, estimate="high")  # type: ignore[arg-type]
    with open_store(tmp_path / "store.db") as store:
        refused = list[Refused]()
        assert deliver(Ledger(store), [strange, replace(ROW, key="k2")], refused) == 1
    assert [one.what for one in refused] == [repr(strange)]


@pytest.mark.parametrize("error", [MemoryError, OSError, StoreError])
def test_what_the_process_or_the_store_lacks_is_no_fault_of_a_row(tmp_path: Path, error: type[Exception]) -> None:
    with open_store(tmp_path / "store.db") as store:
        ledger, refused = Strange(store), list[Refused]()
        ledger.error = error
        with pytest.raises(error, match="of a row"):
            deliver(ledger, [ROW, replace(ROW, key="strange")], refused)
    assert refused == []


@pytest.mark.parametrize("at", [float("nan"), float("inf"), 1e15, 1e17, 1e300, "yesterday", None])
def test_what_was_decided_at_no_moment_is_put_aside_as_of_now(tmp_path: Path, at: Any) -> None:
    with open_store(tmp_path / "store.db") as store:
        before = time()
        put_aside(Ledger(store), tmp_path, [Refused("a line", "no row", at)])
        newest = counted(store).newest
        assert newest is not None and before <= newest <= time()


@pytest.mark.parametrize("rollout", ["half \ud800", "nul \0", "long " * 300])
def test_a_rollout_whose_name_cannot_be_stored_is_nobody_knows_which(tmp_path: Path, rollout: str) -> None:
    with open_store(tmp_path / "store.db") as store:
        put_aside(Ledger(store), tmp_path, [Refused({"rollout": rollout, "stage": "s"}, "no row", 1.0)])
        assert counted(store, "another") == Irregularities(1, 1.0)


@pytest.mark.parametrize("length, known", [(LONGEST // 4, True), (LONGEST // 4 + 1, False)])
def test_a_name_as_long_as_the_ledger_takes_is_known_whatever_its_letters(
    tmp_path: Path, length: int, known: bool
) -> None:
    name = "\N{GRINNING FACE}" * length
    with open_store(tmp_path / "store.db") as store:
        put_aside(Ledger(store), tmp_path, [Refused({"rollout": name, "stage": "s"}, "no row", 1.0)])
        assert counted(store, name) == Irregularities(1, 1.0)
        assert (counted(store, "another") == Irregularities()) is known


def counted(store: Store, rollout: str = "r", stage: str = "s") -> Irregularities:
    with store.read() as connection:
        return irregular_of(connection, rollout, stage)[Irregular.REFUSED]


@pytest.mark.parametrize(
    "what", ["a line", None, {"rollout": "r"}, {"stage": "s"}, {"rollout": "r", "stage": 3}, ["rollout", "stage"]]
)
def test_what_names_no_stage_is_counted_for_all_of_them(
    tmp_path: Path, what: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(tmp_path / "store.db") as store:
        put_aside(Ledger(store), tmp_path / "spool", [Refused(what, "no row of Suffice", 86400.5)])
        put_aside(Ledger(store), tmp_path / "spool", [Refused(what, "no row of Suffice", 86399.0)])
        assert counted(store) == counted(store, "another", "stage") == Irregularities(2, 86400.5)
    file = tmp_path / "spool" / FOLDER / FILE
    aside = [json.loads(line) for line in file.read_text(encoding="ascii").splitlines()]
    assert aside[0] == {"why": "no row of Suffice", "at": "1970-01-02T00:00:00+00:00", "row": what}
    assert len(aside) == 2
    assert file.stat().st_mode & 0o777 == 0o640
    assert caplog.messages == [f"{file}: a row was put aside: no row of Suffice"] * 2


def nested() -> list[Any]:
    deep: list[Any] = []
    for _ in range(200_000):
        deep = [deep]
    return deep


def holding_itself() -> list[Any]:
    itself: list[Any] = []
    itself.append(itself)
    return itself


@pytest.mark.parametrize(
    "what, beginning",
    [(nested(), "[[[[[[[...]]]]]]]"), (holding_itself(), "[[[[[[[...]]]]]]]"), ({("a", "b"): 1}, "{('a', 'b'): 1}")],
    ids=["nested too deeply", "holds itself", "a key that is no text"],
)
def test_what_cannot_be_written_is_put_aside_by_its_beginning(tmp_path: Path, what: Any, beginning: str) -> None:
    with open_store(tmp_path / "store.db") as store:
        put_aside(Ledger(store), tmp_path, [Refused(what, "no row of Suffice", 1.0)])
    assert json.loads((tmp_path / FOLDER / FILE).read_text(encoding="ascii")) == {
        "why": "no row of Suffice",
        "at": "1970-01-01T00:00:01+00:00",
        "row": beginning,
    }


def test_what_a_full_disk_took_a_part_of_is_not_counted_and_spoils_no_later_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe that nobody reads takes a part of a line, as such a disk does."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    one = Refused("x" * 100_000, "no row of Suffice", 1.0)
    with open_store(tmp_path / "store.db") as store:
        with monkeypatch.context() as patched:
            patched.setattr(refused_rows, "private_opener", lambda path, flags: writes)
            with pytest.raises(OutputError, match=r"the disk took a part of it$"):
                put_aside(Ledger(store), tmp_path, [one])
        assert counted(store) == Irregularities()
        (tmp_path / FOLDER / FILE).write_bytes(os.read(reads, 1000))
        for _ in range(2):
            put_aside(Ledger(store), tmp_path, [one])
    os.close(reads)
    torn, *whole = (tmp_path / FOLDER / FILE).read_text(encoding="ascii").splitlines()
    assert len(torn) == 1000 and [json.loads(line)["row"] for line in whole] == [one.what] * 2


def test_what_is_no_json_is_put_aside_as_its_text(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        put_aside(Ledger(store), tmp_path, [Refused({"n": Path("where")}, "no row of Suffice", 1.0)])
    assert json.loads((tmp_path / FOLDER / FILE).read_text(encoding="ascii"))["row"] == {"n": "where"}


def test_what_cannot_be_put_aside_is_not_counted_either(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("", encoding="ascii")
    with open_store(tmp_path / "store.db") as store:
        with pytest.raises(OutputError, match=r"occupied/refused: a refused row cannot be put aside: Not a directory$"):
            refused = Refused({"rollout": "r", "stage": "s"}, "too long", 1.0)
            put_aside(Ledger(store), tmp_path / "occupied", [refused])
        assert counted(store) == Irregularities()
