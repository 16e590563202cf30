"""Rows that the ledger does not take block nothing behind them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from store_places import ROW, Place
from suffice.errors import OutputError, StoreError, StoreRefusal
from suffice.serving.refused import FILE, FOLDER, deliver, put_aside
from suffice.store.database import Store, agents_store, open_store
from suffice.store.irregular import Irregular, Irregularities, irregular_of
from suffice.store.ledger import Ledger


def test_refused_rows_are_put_aside_counted_and_those_around_them_delivered(place: Place, tmp_path: Path) -> None:
    rows = [replace(ROW, key=f"k{i}", at=float(i)) for i in range(20)]
    rows[3] = replace(rows[3], key="long " + "x" * 3000)
    rows[4] = replace(rows[4], seed=2**70)
    rows[19] = replace(rows[19], target="half \ud800", stage="next")
    with open_store(place) as store:
        assert deliver(Ledger(store), rows, tmp_path) == 17
        assert [row.at for row in Ledger(store).rows("r")] == [0.0, 1.0, 2.0, *map(float, range(5, 19))]
        with store.read() as connection:
            counted = [irregular_of(connection, "r", stage)[Irregular.REFUSED] for stage in ("s", "next")]
    assert counted == [Irregularities(2, 4.0), Irregularities(1, 19.0)]
    aside = [json.loads(line) for line in (tmp_path / FOLDER / FILE).read_text(encoding="ascii").splitlines()]
    assert [one["row"]["at"] for one in aside] == [3.0, 4.0, 19.0]
    assert "its key is longer than 1,024 bytes" in aside[0]["why"]
    assert aside[0]["row"]["key"] == rows[3].key


def test_a_store_that_is_out_of_reach_refuses_nothing(tmp_path: Path) -> None:
    """Its folder is gone: the rows wait, none is put aside."""
    with agents_store(tmp_path / "none" / "store.db") as store, pytest.raises(StoreError) as raised:
        deliver(Ledger(store), [ROW, replace(ROW, key="k2")], tmp_path)
    assert not isinstance(raised.value, StoreRefusal)
    assert not (tmp_path / FOLDER).exists()


def refused(store: Store, rollout: str = "r", stage: str = "s") -> Irregularities:
    with store.read() as connection:
        return irregular_of(connection, rollout, stage)[Irregular.REFUSED]


@pytest.mark.parametrize("key", ["k1", "long " + "x" * 3000])
def test_without_a_folder_to_put_it_aside_the_refusal_is_the_callers(tmp_path: Path, key: str) -> None:
    with open_store(tmp_path / "store.db") as store:
        ledger, rows = Ledger(store), [replace(ROW, key=key), replace(ROW, key="k2", seed=2**70)]
        with pytest.raises(StoreRefusal):
            deliver(ledger, rows, None)
        assert (ledger.rows("r"), refused(store)) == ([], Irregularities())


@pytest.mark.parametrize(
    "what", ["a line", None, {"rollout": "r"}, {"stage": "s"}, {"rollout": "r", "stage": 3}, ["rollout", "stage"]]
)
def test_what_names_no_stage_is_counted_for_all_of_them(
    tmp_path: Path, what: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(tmp_path / "store.db") as store:
        put_aside(Ledger(store), tmp_path / "spool", what, "no row of Suffice", 86400.5)
        put_aside(Ledger(store), tmp_path / "spool", what, "no row of Suffice", 86399.0)
        assert refused(store) == refused(store, "another", "stage") == Irregularities(2, 86400.5)
    file = tmp_path / "spool" / FOLDER / FILE
    aside = [json.loads(line) for line in file.read_text(encoding="ascii").splitlines()]
    assert aside[0] == {"why": "no row of Suffice", "at": "1970-01-02T00:00:00+00:00", "row": what}
    assert len(aside) == 2
    assert file.stat().st_mode & 0o777 == 0o640
    assert caplog.messages == [f"{file}: a row was put aside: no row of Suffice"] * 2


def test_what_is_no_json_is_put_aside_as_its_text(tmp_path: Path) -> None:
    with open_store(tmp_path / "store.db") as store:
        put_aside(Ledger(store), tmp_path, {"n": Path("where")}, "no row of Suffice", 1.0)
    assert json.loads((tmp_path / FOLDER / FILE).read_text(encoding="ascii"))["row"] == {"n": "where"}


def test_what_cannot_be_put_aside_is_not_counted_either(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("", encoding="ascii")
    with open_store(tmp_path / "store.db") as store:
        with pytest.raises(OutputError, match=r"occupied/refused: a refused row cannot be put aside: Not a directory$"):
            put_aside(Ledger(store), tmp_path / "occupied", {"rollout": "r", "stage": "s"}, "too long", 1.0)
        assert refused(store) == Irregularities()
