"""`suffice triage check` and `reproduce`, on the bundle of a rehearsal."""

import json
from pathlib import Path

import pytest
from small_rehearsal import OWN, write
from sqlalchemy import select

from suffice.cli.main import run
from suffice.store.database import open_store
from suffice.store.ledger import Ledger
from suffice.store.schema import resolutions
from suffice.triage.manifest import freeze


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("triage")
    write(folder)
    own = [str(folder / name) if name.endswith(".csv") else name for name in OWN]
    options = ["--config", str(folder / "config.json"), "--dir", str(folder / "rehearsal"), "--no-checks", "--json"]
    assert run(["rehearse", *own, *options, "--fault", "staging:margin"]) == 2
    summary = json.loads((folder / "rehearsal" / "summary.json").read_text(encoding="utf-8"))
    return Path(summary["bundle"])


def test_check(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["triage", "check", str(bundle)]) == 0
    assert capsys.readouterr().out == "15 files are as they were frozen\n"
    assert run(["triage", "check", str(bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"bundle": str(bundle), "files": 15, "intact": True}


def test_explain(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The old heuristic disagrees as often as it says."""
    assert run(["triage", "explain", str(bundle), "--json"]) == 0
    seen = json.loads(capsys.readouterr().out)
    [judged] = [
        gate for gate in json.loads((bundle / "gates.json").read_text("utf-8")) if gate["gate"] == "consistency"
    ]
    assert (seen["cause"], seen["limit"], seen["left_out"]) == ("plan", 0.03, 0)
    assert (seen["audits"], seen["observed"]) == (judged["numbers"]["audits"], judged["numbers"]["disagreements"])
    assert seen["expected"] > seen["limit"] * seen["audits"]
    assert seen["p"] >= 0.01
    assert run(["triage", "explain", str(bundle)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("Cause: plan. The plan disagrees as often as it says it does")
    assert " ".join((bundle / "TRIAGE.md").read_text("utf-8").split()).count(out) == 1


def test_an_earlier_bundle_is_unknown(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ("plan.json", "config.json", "ledger.jsonl")
    older = freeze(tmp_path / "older", {name: (bundle / name).read_text("utf-8") for name in names})
    assert run(["triage", "explain", str(older), "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["cause"] == "unknown"
    assert run(["triage", "explain", str(older)]) == 3
    assert "The bundle has no audits.jsonl: an earlier version froze it." in " ".join(capsys.readouterr().out.split())


def test_map(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The old heuristic goes wrong where the change is about as large as its uncertainty, whatever the uncertainties.

    Directed decisions are of the source's own corrections, each at most once.
    """
    own = [str(bundle.parents[2] / name) if name.endswith(".csv") else name for name in OWN]
    code = run(["triage", "map", str(bundle), *own, "--budget", "100", "--json"])
    seen = json.loads(capsys.readouterr().out)
    assert (seen["decisions"], seen["features"]) == (100, ["effect"])
    assert code == (0 if seen["resolved"] else 3)
    assert [rule["feature"] for rule in seen["region"]] == ["effect"] * seen["resolved"]
    assert run(["triage", "map", str(bundle), *own, "--cases", "a:b"]) == 2
    assert "--cases and a source of corrections are both given" in capsys.readouterr().err


def test_reproduce(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = [json.loads(line)["key"] for line in (bundle / "disagreements.jsonl").read_text("utf-8").splitlines()]
    for key in keys:
        assert run(["triage", "reproduce", str(bundle), "--key", key, "--json"]) == 0
        answered = json.loads(capsys.readouterr().out)
        assert (answered["key"], answered["differs"]) == (key, True)
        assert answered["looks"][-1]["n"] == answered["baseline_n"] == 64
    assert run(["triage", "reproduce", str(bundle)]) == 0
    out = capsys.readouterr().out
    assert f"{keys[0]}: fixed " in out
    assert "fixed sees" in out


@pytest.mark.parametrize("command", ["check", "explain", "reproduce"])
def test_bad_input_ends_with_one_line(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        assert run(["triage", command, str(path)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
    changed = bundle / "plan.json"
    before = changed.read_bytes()
    changed.write_bytes(before + b"\n")
    try:
        assert run(["triage", command, str(bundle)]) == 2
        assert "plan.json: is not what the manifest vouches for" in capsys.readouterr().err
    finally:
        changed.write_bytes(before)
    assert run(["triage", "reproduce", str(bundle), "--key", "nobody"]) == 2
    assert "has no disagreeing decision nobody" in capsys.readouterr().err


def test_what_a_rehearsal_left_wrong_has_a_record_for_each_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seen: records of a rehearsal, which rejected all that it saw, were said to be as the baseline leaves them."""
    write(tmp_path)
    own = [str(tmp_path / name) if name.endswith(".csv") else name for name in OWN]
    where = ["--config", str(tmp_path / "config.json"), "--dir", str(tmp_path / "rehearsal"), "--no-checks"]
    assert run(["rehearse", *own, *where, "--fault", "full:storm"]) == 2
    capsys.readouterr()
    assert run(["triage", "affected", "rehearsal-000001", "--queue", str(tmp_path / "rehearsal"), "--json"]) == 2
    seen = json.loads(capsys.readouterr().out)
    assert seen["decided_again"] + seen["audited"] == seen["exposed"] > 0
    assert seen["wrong"] == seen["kinds"]["rejected"] > 0
    told = {record["target"] for record in seen["records"]} | seen["unreplayable"].keys()
    assert told
    assert all("#pass-" in target for target in told)
    with open_store(tmp_path / "rehearsal" / "store.db") as store:
        rows = [row for row in Ledger(store).disagreements("rehearsal-000001", "full") if row.is_adaptive]
        with store.read() as connection:
            query = select(resolutions.c.target).where(resolutions.c.correction_key.in_([row.key for row in rows]))
            assert 0 < len(rows) <= seen["wrong"]
            assert set(connection.execute(query).scalars()) <= told
