"""`suffice resolve`: corrections applied to a store once, whatever happens; its chain checked."""

import json
from pathlib import Path

import pytest
from small_rehearsal import OWN, write
from sqlalchemy import text

from suffice.cli.main import run
from suffice.resolution.resolve import Summary
from suffice.serving.counted import counters_of
from suffice.store.database import open_store
from suffice.store.ledger import Ledger
from suffice.telemetry.counters import Counter
from suffice.telemetry.metrics_file import read


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, 90)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def resolved(capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    assert run(["resolve", *OWN, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return dict(json.loads(out))


def test_corrections_are_applied_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = resolved(capsys)
    assert first.keys() == {"source", *Summary.__dataclass_fields__}
    assert (first["corrections"], first["already"]) == (90, 0)
    assert first["committed"] + first["rolled_back"] + first["skipped"] == 90
    again = resolved(capsys)
    assert (again["corrections"], again["already"], again["committed"]) == (90, 90, 0)


def test_ledger_and_metrics_hold_what_was_decided(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = resolved(capsys)
    with open_store(here / "TemporaryQueue" / "store.db") as store:
        rows = Ledger(store).rows("")
    assert {row.arm for row in rows} == {"fixed"}
    counted = counters_of(rows)
    counted.add(Counter.ROLLBACKS, summary["rolled_back"])
    counted.add(Counter.ESCALATIONS, summary["escalations"])
    assert read(here / "TemporaryQueue" / "metrics.json").counts == counted.snapshot()
    assert sum(row.n for row in rows) == summary["draws"]


def test_what_is_not_applied_is_told_and_counted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "records.csv").write_text("key,value,u,time\nflow,7.5,0.1,2024-03-01\nspan,2,0,\n", encoding="utf-8")
    measured = "key,target,value,u,time\nm1,flow,9.5,0.1,2024-05-01\n{}m9,span,2.5,0,\n"
    older = [f"o{day},flow,8.5,0.1,2024-04-0{day}\n" for day in range(1, 8)]
    (here / "measurements.csv").write_text(measured.format("".join(older)), encoding="utf-8")
    assert run(["resolve", *OWN, "--json"]) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert [summary[name] for name in ("corrections", "committed", "stale", "reused")] == [9, 2, 7, 0]
    *first, rest = err.splitlines()
    held = "The measurement is older than what the record holds: the record is as it was."
    assert first == [f"suffice: o{day}: {held} Measured: 2024-04-0{day}; held: 2024-05-01." for day in range(1, 6)]
    assert rest == "suffice: and 2 more that are stale, or whose key another measurement had"

    (here / "measurements.csv").write_text(measured.format(older[0]).replace("9.5", "9.75"), encoding="utf-8")
    assert run(["resolve", *OWN, "--json"]) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert [summary[name] for name in ("corrections", "already", "stale", "reused")] == [3, 2, 0, 1]
    assert err.startswith("suffice: m1: The key was resolved before, about another measurement")
    counts = read(here / "TemporaryQueue" / "metrics.json").counts.counters
    assert (counts[Counter.STALE], counts[Counter.REUSED_KEYS]) == (7, 1)


def test_the_chain_is_checked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    resolved(capsys)
    assert run(["resolve", "--verify-chain"]) == 0
    assert "the chain is intact" in capsys.readouterr().out
    assert run(["resolve", "--verify-chain", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["intact"] is True
    with open_store(here / "TemporaryQueue" / "store.db") as store, store.write() as connection:
        connection.execute(text("UPDATE provenance SET target = 'other' WHERE seq = 5"))
    assert run(["resolve", "--verify-chain", "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out) == {
        "intact": False,
        "verified": 4,
        "broken": 5,
        "what": "the content of row 5 is not what its hash was made from",
    }
    assert err == (
        "suffice: the provenance chain is broken at event 5: the content of row 5 is not what its hash was made from\n"
    )


@pytest.mark.parametrize(
    ("options", "code", "complaint"),
    [
        (["--verify-chain"], 3, "store.db: there is no store"),
        (["--source", "nonsense"], 2, "source is 'nonsense'"),
        (["--records", "records.csv"], 2, "--measurements is missing"),
        ([*OWN, "--config", "nowhere.json"], 2, "nowhere.json: there is no such file"),
        ([*OWN, "--queue", "config.json"], 2, "config.json"),
    ],
)
def test_bad_input_ends_with_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, complaint: str
) -> None:
    assert run(["resolve", *options]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert complaint in err
    assert err.count("\n") == 1


def test_without_a_configuration_only_options_that_resolve_has_are_recommended(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "config.json").unlink()
    assert run(["resolve", *OWN]) == 2
    assert capsys.readouterr().err == "suffice: config.json: there is no such file; name one with --config\n"


@pytest.mark.parametrize(
    ("command", "known"),
    [
        (["resolve"], "pdg, codata"),
        (["rehearse", "--no-checks"], "pdg, codata, ledger"),
        (["promote"], "pdg, codata, ledger"),
        (["rollout", "start"], "pdg, codata"),
    ],
)
def test_only_sources_that_a_command_takes_are_recommended(
    here: Path, capsys: pytest.CaptureFixture[str], command: list[str], known: str
) -> None:
    assert run([*command, "--source", "even"]) == 2
    allowed = f"allowed: {known}, or --records with --measurements"
    assert capsys.readouterr().err == f"suffice: --source is 'even'; {allowed}\n"


def test_a_damaged_metrics_file_stops_before_anything_is_applied(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "TemporaryQueue").mkdir()
    (here / "TemporaryQueue" / "metrics.json").write_text("damaged", encoding="utf-8")
    assert run(["resolve", *OWN]) == 2
    err = capsys.readouterr().err
    assert "metrics.json: not JSON" in err
    assert err.count("\n") == 1
