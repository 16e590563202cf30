"""Rows that the ledger does not take block nothing behind them."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from store_places import ROW, Place
from suffice.errors import StoreError, StoreRefusal
from suffice.serving.refused import FILE, FOLDER, deliver
from suffice.store.database import agents_store, open_store
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
