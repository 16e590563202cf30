"""The store's database by URL on the command line: `--store` or $SUFFICE_STORE_URL; no password is printed anywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from small_rehearsal import OWN, write

from postgres_server import Server
from suffice.cli.main import run
from suffice.errors import StoreError
from suffice.flag.document import Exposure
from suffice.flag.file import publish, published
from suffice.serving.verifier import Verifier
from suffice.store.address import NOTE, STORE_URL, address_of
from suffice.store.database import open_store
from suffice.store.ledger import Ledger

ROLLBACK = ["rollout", "rollback", "--reason", "x"]
WITH_STORE = [
    ["resolve", *OWN],
    ["resolve", "--verify-chain"],
    *(
        ["rollout", command]
        for command in ("status", "explain", "history", "cycle", "pause", "resume", "approve", "advance")
    ),
    ["rollout", "start"],
    ["rollout", "run"],
    ROLLBACK,
    ["rollout", "prune", "--older-than", "1d"],
    *(["triage", command, "verifier-000001"] for command in ("show", "check", "reproduce")),
    ["triage", "close", "verifier-000001", "--note", "x"],
    ["triage", "list"],
]
MAKING = (["resolve", *OWN], ["rollout", "start"], ["rollout", "run"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path, 90)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config["verifier"]["adaptive_sampling"]["enabled"] = True
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUFFICE_WEBHOOK", raising=False)
    return tmp_path


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    code = run([*arguments, "--json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else None, printed.err.strip()


def test_a_rollout_with_its_store_on_a_server_from_start_to_its_closed_item(
    here: Path, postgres: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    place, printed = postgres.place(), list[str]()

    def on_server(*arguments: str) -> tuple[int, Any]:
        code = run([*arguments, "--store", place, "--json"])
        out, err = capsys.readouterr()
        printed.append(out + err)
        return code, json.loads(out) if out else err

    assert on_server("rollout", "start", "--waive", "determinism")[1]["phase"] == "Progressing"
    assert on_server("resolve", *OWN)[1]["corrections"] == 90
    assert on_server("resolve", "--verify-chain")[1]["intact"] is True
    assert on_server("rollout", "cycle")[0] == 0
    assert on_server("rollout", "status")[1]["phase"] == "Progressing"
    assert on_server("rollout", "rollback", "--reason", "no appetite")[1]["phase"] == "RolledBack"
    assert (on_server("rollout", "explain")[0], on_server("rollout", "history")[0]) == (2, 0)
    code, (item,) = on_server("triage", "list")
    assert (code, item["id"]) == (0, "verifier-000001")
    for command in ("show", "check"):
        assert on_server("triage", command, item["id"])[0] == 0
    assert on_server("triage", "close", item["id"], "--note", "was hungry")[0] == 0
    assert on_server("triage", "show", "verifier-000009") == (
        3,
        f"suffice: {address_of(place).name}: there is no triage item verifier-000009; there is: verifier-000001\n",
    )
    assert on_server("rollout", "prune", "--older-than", "90d")[1]["removed"] == {}
    with open_store(place) as store:
        assert len(Ledger(store).rows("verifier-000001")) > 0
    assert not (here / "TemporaryQueue" / "store.db").exists()
    written = [path.read_text("utf-8", "replace") for path in here.rglob("*") if path.is_file()]
    assert len(written) > 5
    assert not [text for text in (*printed, *written) if postgres.password in text]


def test_the_variable_names_it_too_and_the_option_comes_first(
    here: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(STORE_URL, postgres.place())
    assert asked(capsys, "rollout", "start", "--waive", "determinism")[0] == 0
    assert asked(capsys, "rollout", "status")[1]["phase"] == "Progressing"
    assert asked(capsys, "rollout", "status", "--store", f"sqlite:///{here / 'other.db'}")[0] == 3


def test_a_process_that_lacks_it_is_refused_and_takes_nothing_back(
    here: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A runner that finds no rollout takes the flag to the baseline, and sets `enabled` to false. Only a rollback that
    somebody asks for is not refused: the flag goes back at once, and the rest waits for the store."""
    place = postgres.place()
    assert asked(capsys, "rollout", "start", "--waive", "determinism", "--store", place)[0] == 0
    flag, config = here / "TemporaryQueue" / "flag.json", (here / "config.json").read_bytes()
    publish(flag, Exposure(100, "verifier-000001"))
    monkeypatch.setenv(STORE_URL, "")
    elsewhere = f"TemporaryQueue: its store is {address_of(place).name}; allowed: to name it by --store or"
    for command in WITH_STORE:
        if command is not ROLLBACK:
            code, printed, err = asked(capsys, *command)
            assert (code, printed) == (2, None)
            assert elsewhere in err and "\n" not in err
    with pytest.raises(StoreError, match="its store is postgresql://"):
        Verifier.from_config(queue="TemporaryQueue")
    assert published(flag) == Exposure(100, "verifier-000001")
    assert (here / "config.json").read_bytes() == config
    assert not (here / "TemporaryQueue" / "store.db").exists()
    code, printed, err = asked(capsys, *ROLLBACK)
    assert (code, printed) == (2, None)
    assert elsewhere in err and "the baseline was published without it" in err and "\n" not in err
    assert published(flag) is None
    assert (here / "config.json").read_bytes() == config
    (here / "TemporaryQueue" / NOTE).unlink()
    code, _, err = asked(capsys, "rollout", "status")
    assert code == 3
    assert err.startswith(
        "suffice: TemporaryQueue/store.db: there is no store; possible: start (`suffice rollout start`)"
    )


@pytest.mark.parametrize("command", WITH_STORE, ids=lambda words: " ".join(words[:2]))
def test_a_store_that_cannot_be_reached_or_is_not_there_is_one_line(
    here: Path, postgres: Server, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    code, printed, err = asked(capsys, *command, "--store", "postgresql://ann:hush-hush@127.0.0.1:1/name")
    assert (code, printed) == (3, None)
    assert err.startswith("suffice: postgresql://ann@127.0.0.1:1/name: connection failed") and "\n" not in err
    code, printed, err = asked(capsys, *command, "--store", "postgresql:/ann:hush-hush@host/name")
    assert (code, printed) == (2, None)
    assert "the store's URL cannot be read" in err and "hush" not in err and "\n" not in err
    if command not in MAKING:
        place = postgres.place()
        code, printed, err = asked(capsys, *command, "--store", place)
        assert (code, printed) == (3, None)
        assert ": there is no store; " in err and postgres.password not in err and "\n" not in err
    assert not (here / "TemporaryQueue").exists()


def test_two_runners_of_one_lease_and_the_first_is_killed(
    here: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(STORE_URL, postgres.place())
    config = json.loads((here / "config.json").read_text(encoding="utf-8"))
    config["rollout"] = {"cycle": "1s", "checks": {"run": []}}
    (here / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert asked(capsys, "rollout", "start", "--waive", "determinism")[0] == 0
    command = [sys.executable, "-m", "suffice.cli.main", "rollout", "run", "--json", "--lease", "1"]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": os.environ}
    first = subprocess.Popen(command, **streams)
    try:
        assert json.loads(first.stdout.readline())["report"]["phase"] == "Progressing"
        second = subprocess.Popen(command, **streams)
        try:
            assert "runs this rollout; waiting until it ends" in second.stderr.readline()
            first.kill()
            assert json.loads(second.stdout.readline())["report"]["phase"] == "Progressing"
            second.terminate()
            second.communicate(timeout=60)
            assert second.returncode == 0
        finally:
            second.kill()
            second.communicate()
    finally:
        first.kill()
        first.communicate()
    assert asked(capsys, "rollout", "status")[1]["runner"] is None
    events = asked(capsys, "rollout", "history", "--all")[1]
    assert (events["intact"], [event["action"] for event in events["events"]].count("start")) == (True, 1)
