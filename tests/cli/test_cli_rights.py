"""Accounts with less rights: what they may read is answered, what they may not write is exit 3, and nothing is made."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from sqlite3 import connect

import pytest

from postgres_server import Server
from suffice.cli.main import run
from suffice.decision.rule import Decision
from suffice.errors import ConfigError, StoreError
from suffice.flag.file import published
from suffice.store.address import STORE_URL, address_of
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow, Reason
from suffice.store.ledger import Ledger
from suffice.store.reading import engine, may_only_read
from suffice.store.schema import store_meta
from suffice.verifier.arm import Arm
from without_rights import Command, commands_without_rights, read_only

CONFIG = {
    "verifier": {"adaptive_sampling": {"enabled": True}},
    "rollout": {
        "checks": {"run": []},
        "stages": [{"name": "full", "weight": 100, "audit_fraction": 0.1, "hold": "1h"}],
    },
}
READING = (
    ["rollout", "status"],
    ["rollout", "status", "--short"],
    ["rollout", "explain"],
    ["rollout", "history", "--all"],
    ["rollout", "fleet"],
    ["rollout", "cycle", "--dry-run"],
    ["triage", "list", "--all"],
    ["gate", "--use-config"],
)
WRITING = (
    ["rollout", "cycle"],
    ["rollout", "pause"],
    ["rollout", "rollback", "--reason", "x"],
    ["rollout", "run", "--until-done"],
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG, indent=2), encoding="utf-8")
    assert run(["rollout", "start", "--waive", "determinism"]) == 0
    assert run(["rollout", "cycle"]) == 0
    decide(tmp_path / "TemporaryQueue" / "store.db")
    return tmp_path


def decide(place: Path | str) -> None:
    """Decisions that no cycle has counted yet."""
    row = DecisionRow(
        "k", "t", Arm.ADAPTIVE, Decision.ACCEPTED, 32, 256, 0.9, Reason.ACCEPT_BOUNDARY, 42, "plan", time.time(),
        rollout="verifier-000001", stage="full", audited=True, baseline_decision=Decision.ACCEPTED, baseline_n=256,
        adaptive_decision=Decision.ACCEPTED, adaptive_n=32, agrees=True,
    )  # fmt: skip
    with open_store(place) as store:
        Ledger(store).append([replace(row, key=f"k{i}", target=f"t{i}") for i in range(7)])


@pytest.fixture(scope="module")
def without_rights() -> Iterator[Command]:
    with commands_without_rights() as run:
        yield run


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def service_at_work(store: Path) -> Iterator[None]:
    """A connection of somebody else is open: what was written last is in SQLite's log, not in the file."""
    with closing(connect(store)) as connection:
        connection.execute("SELECT * FROM rollouts").fetchall()
        assert run(["rollout", "pause", "--reason", "written-last"]) == 0
        assert Path(f"{store}-wal").stat().st_size
        yield


@pytest.mark.parametrize("writer", ["nobody writes", "somebody writes"])
@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_what_only_reads_needs_no_right_to_write(
    command: list[str], writer: str, here: Path, capsys: pytest.CaptureFixture[str], without_rights: Command
) -> None:
    with ExitStack() as stack:
        if writer == "somebody writes":
            stack.enter_context(service_at_work(here / "TemporaryQueue" / "store.db"))
        capsys.readouterr()
        expected = run([*command, "--json"])
        printed = json.loads(capsys.readouterr().out)
        before = files(here)
        stack.enter_context(read_only(here))
        code, out, err = without_rights(*command, "--json")
        assert (code, err) == (expected, "")
        answered = json.loads(out)
        assert set(answered) == set(printed) if isinstance(printed, dict) else answered == printed
        if command == ["rollout", "cycle", "--dry-run"]:
            told = [[gate["outcome"] for gate in one["gates"]] for one in (answered, printed)]
            assert told[0] == told[1]
            assert [gate["numbers"]["audits"] for gate in answered["gates"] if gate["gate"] == "disagreement"] == [7]
        assert "history" not in command or ("written-last" in out) == (writer == "somebody writes")
        assert {name for name in files(here) if not name.endswith("-shm")} == {
            name for name in before if not name.endswith("-shm")
        }


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_what_has_to_write_says_that_it_may_not(command: list[str], here: Path, without_rights: Command) -> None:
    before = files(here)
    with read_only(here):
        code, out, err = without_rights(*command, "--json")
    assert (code, out, len(err.splitlines())) == (3, "", 1)
    assert "TemporaryQueue/store.db: this account may only read it" in err
    assert files(here) == before


def test_a_store_that_changes_while_it_is_read_as_a_file_is_not_answered_from(here: Path) -> None:
    path = here / "TemporaryQueue" / "store.db"
    assert not Path(f"{path}-wal").exists(), "the last who closed it has put all into the file"
    address = address_of(path)
    with Store(engine(address), address.name) as reader:
        with pytest.raises(StoreError, match="was changed while it was read"), reader.read() as connection:
            assert connection.execute(store_meta.select()).all()
            with open_store(path) as writer, writer.write() as other:
                other.execute(store_meta.insert().values(key="new", value="1"))
        with reader.read() as connection:
            assert ("new", "1") in connection.execute(store_meta.select()).all()


def test_who_may_write_is_not_taken_for_a_reader(here: Path) -> None:
    path = here / "TemporaryQueue" / "store.db"
    assert not may_only_read(path)
    assert not may_only_read(here / "none.db"), "there is nothing to read"


def test_a_read_only_account_of_a_server_reads_and_is_refused_as_in_a_file(
    here: Path, postgres: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = postgres.place()
    assert run(["rollout", "start", "--waive", "determinism", "--store", place]) == 0
    postgres.execute("CREATE ROLE looks LOGIN PASSWORD 'looks'")
    assert run(["rollout", "roles", "--store", place, "--read", "looks"]) == 0
    decide(place)
    looker = f"postgresql://looks:looks@127.0.0.1:{postgres.port}/{place.rsplit('/', 1)[1]}"
    monkeypatch.setenv(STORE_URL, looker)
    for command in READING:
        capsys.readouterr()
        assert run([*command, "--json"]) == 0, command
        told = capsys.readouterr()
        assert told.err == "" and "not measured" not in told.out
    for command in WRITING:
        assert run(command) == 3, command
        assert "permission denied" in capsys.readouterr().err


def test_a_rollback_settles_beside_a_configuration_that_cannot_be_written(here: Path, without_rights: Command) -> None:
    config = here / "config.json"
    line = next(n for n, text in enumerate(config.read_text(encoding="utf-8").splitlines(), 1) if "enabled" in text)
    here.chmod(0o555)
    try:
        code, out, _ = without_rights("rollout", "rollback", "--reason", "x", "--json")
        report = json.loads(out)
        assert (code, report["phase"]) == (0, "RolledBack")
        todo = f"set verifier.adaptive_sampling.enabled to false in line {line}"
        assert any(todo in note for note in report["notes"])
        assert any(todo in note for note in json.loads(without_rights("rollout", "status", "--json")[1])["notes"])
        assert any(
            todo in event["why"] for event in json.loads(without_rights("rollout", "history", "--json")[1])["events"]
        )
        later = json.loads(without_rights("rollout", "cycle", "--json")[1])
        assert (later["phase"], [todo in note for note in later["notes"]]) == ("RolledBack", [True])
        assert published(here / "TemporaryQueue" / "flag.json") is None
        assert len(json.loads(without_rights("triage", "list", "--json")[1])) == 1
    finally:
        here.chmod(0o755)
    config.write_text(config.read_text(encoding="utf-8").replace("true", "false"), encoding="utf-8")
    assert not any("enabled" in note for note in json.loads(without_rights("rollout", "status", "--json")[1])["notes"])


@pytest.mark.parametrize(
    "command",
    [
        ["compare", "--samples", "samples.jsonl", "--at-least", "0.5"],
        ["compare", "--source", "even", "--config", "own.json"],
        ["gate", "--metrics-file", "metrics.json"],
    ],
    ids=" ".join,
)
def test_what_may_not_be_read_is_another_answer_than_what_is_not_there(
    command: list[str], here: Path, without_rights: Command
) -> None:
    folder = here / "TemporaryQueue" if command[0] == "gate" else here
    name = next(word for word in command if word.endswith((".json", ".jsonl")))
    (folder / name).write_text("{}\n", encoding="utf-8")
    (folder / name).chmod(0)
    code, _, err = without_rights(*command)
    assert (code, len(err.splitlines())) == (3, 1) and "ermission denied" in err and name in err
    (folder / name).unlink()
    code, _, err = without_rights(*command)
    assert (code, len(err.splitlines())) == (2 if "own.json" in command else 3, 1)


@pytest.mark.parametrize("option", ["--csv", "--out", "--report"])
def test_an_output_that_may_not_be_written_is_exit_3(option: str, here: Path, without_rights: Command) -> None:
    name = {"--csv": "o.csv", "--out": "o.parquet", "--report": "o.html"}[option]
    (here / "samples.jsonl").write_text('{"case": "a", "samples": [1, 0, 1]}\n', encoding="utf-8")
    with read_only(here):
        code, out, err = without_rights("compare", "--samples", "samples.jsonl", "--at-least", "0.5", option, name)
    assert (code, out, len(err.splitlines())) == (3, "", 1) and "ermission denied" in err


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (PermissionError(13, "Permission denied"), 3),
        (OSError(28, "No space left on device"), 3),
        (OSError(5, "Input/output error"), 3),
        (FileNotFoundError(2, "No such file or directory"), 2),
        (IsADirectoryError(21, "Is a directory"), 2),
        (ValueError("no number"), 2),
        (None, 2),
    ],
)
def test_what_the_system_refuses_is_no_wrong_input_unless_the_name_is_wrong(cause: Exception | None, code: int) -> None:
    error = ConfigError("config.json: cannot be read")
    error.__cause__ = cause
    assert error.exit_code == code


def test_a_configuration_that_nobody_named_and_that_may_not_be_read_is_exit_3(
    here: Path, without_rights: Command
) -> None:
    (here / "config.json").chmod(0)
    code, _, err = without_rights("compare", "--source", "even", "--use-config")
    assert (code, len(err.splitlines())) == (3, 1) and "config.json: cannot be read: Permission denied" in err
