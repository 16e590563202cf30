"""`suffice rollout`, `triage` and `promote` on the command line: JSON, exit codes, help, and the daemon."""

import inspect
import json
import re
import resource
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from store_places import store_at
from suffice.cli import rollout, triage
from suffice.cli.main import run
from suffice.config import load, set_enabled
from suffice.flag.client import FlagClient
from suffice.flag.document import Exposure
from suffice.flag.file import publish, published
from suffice.rollout.world import Place
from suffice.serving.agent import Agent
from suffice.store.address import NOTE
from suffice.store.schema import HEAD
from suffice.verifier.arm import Arm

COMMANDS = (
    *(("rollout", command.name) for command in rollout.app.registered_commands),
    *(("triage", command.name) for command in triage.app.registered_commands),
    ("promote",),
)

CONFIG = {
    "verifier": {"rule": "proportion", "n_samples": 32, "adaptive_sampling": {"enabled": True}},
    "rollout": {
        "cycle": "1s",
        "checks": {"run": []},
        "stages": [
            {"name": "staging", "weight": 0, "shadow": True, "hold": "1s", "min_audits": 10},
            {"name": "full", "weight": 100, "audit_fraction": 0.1},
        ],
    },
}


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUFFICE_WEBHOOK", raising=False)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")


def asked(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Exit code, what was printed as JSON (None for nothing), and the line on stderr."""
    code = run([*arguments, "--json"])
    printed = capsys.readouterr()
    return code, json.loads(printed.out) if printed.out else None, printed.err.strip()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_says_what_it_does(
    command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f" {' '.join(command)} [OPTIONS]" in out and "--json" in out
    assert len(out.splitlines()) > 8


def test_help_shows_what_stands_in_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rollout", "status", "--help"]) == 0
    assert "[default: ./config.json]" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("before", "illegal", "legal"),
    [
        ((), ("resume", "approve"), "pause, advance, rollback"),
        (("pause",), ("pause", "approve", "advance"), "resume, rollback"),
        (("rollback", "--reason", "x"), ("pause", "resume", "approve", "advance"), "start, rollback"),
    ],
    ids=["Progressing", "Paused", "RolledBack"],
)
def test_what_the_phase_does_not_allow_is_refused_with_what_it_does(
    before: tuple[str, ...], illegal: tuple[str, ...], legal: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(capsys, "rollout", "start", "--waive", "determinism")
    if before:
        assert asked(capsys, "rollout", *before)[0] == 0
    seen = asked(capsys, "rollout", "history")
    for command in illegal:
        code, printed, err = asked(capsys, "rollout", command)
        assert (code, printed) == (2, None)
        assert err.startswith(f"suffice: {command} is not possible while ") and err.endswith(f"possible: {legal}")
    assert asked(capsys, "rollout", "history") == seen


def test_without_a_rollout_it_cannot_tell_and_says_what_to_do_next(capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--queue", "an odd queue", "--service", "pumps"]
    start = "suffice rollout start --queue 'an odd queue' --service pumps"
    for command in ("status", "explain", "history", "cycle", "pause", "resume", "approve", "advance"):
        code, printed, err = asked(capsys, "rollout", command, *where)
        assert (code, printed) == (3, None)
        assert err == (
            "suffice: an odd queue/store.db: there is no store; "
            f"possible: start (`{start}`), or another place by --queue or --store"
        )
    code, printed, err = asked(capsys, "rollout", "rollback", "--reason", "x", *where)
    assert (code, printed) == (3, None)
    assert "there is no store; nothing was ever published here, so nobody is adaptive by it" in err
    assert not Path("an odd queue").exists()
    assert asked(capsys, *shlex.split(start)[1:], "--waive", "determinism")[0] == 0
    code, _, err = asked(capsys, "rollout", "status", "--queue", "an odd queue")
    assert code == 3
    assert err.endswith("(`suffice rollout start --queue 'an odd queue'`), or --service pumps, which has one")


@pytest.mark.parametrize("url", ["", "sqlite:///elsewhere.db"])
def test_each_command_that_is_printed_can_be_pasted(capsys: pytest.CaptureFixture[str], url: str) -> None:
    """Seen: `a person says suffice rollout resume`, which found no store where the queue has another name."""
    Path("config.json").rename("other.json")
    where = ["--queue", "an odd queue", "--service", "pumps", "--config", "other.json"]
    where += ["--store", url] if url else []
    assert asked(capsys, "rollout", "start", "--waive", "determinism", *where)[0] == 0
    assert asked(capsys, "rollout", "pause", "--reason", "lunch", *where)[0] == 0
    code, status, _ = asked(capsys, "rollout", "status", *where)
    assert code == 3
    printed = re.findall("`(suffice[^`]+)`", "\n".join(status["advances_when"] + status["rolls_back_when"]))
    assert len(printed) == 2
    assert [asked(capsys, *shlex.split(command)[1:])[0] for command in printed] == [0, 0]
    assert asked(capsys, "rollout", "status", *where)[1]["phase"] == "RolledBack"
    item = Path("an odd queue/triage/pumps-000001/TRIAGE.md").read_text(encoding="utf-8")
    commands = re.findall("^suffice .*", item, re.MULTILINE)
    assert [command.split()[1:3] for command in commands] == [
        ["triage", "check"],
        ["triage", "explain"],
        ["rollout", "history"],
        ["triage", "close"],
    ]
    assert [asked(capsys, *shlex.split(command)[1:])[0] for command in commands] == [0, 0, 0, 0]


def test_a_command_that_is_printed_has_no_password_and_what_the_environment_says_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "postgresql://ann:hush@db/name"
    monkeypatch.delenv("SUFFICE_STORE_URL", raising=False)
    place = Place(Path("c.json"), Path("q"), url=url)
    assert place.command("rollout status") == (
        "suffice rollout status --queue q --store postgresql://ann@db/name --config c.json"
    )
    assert place.command("triage list") == "suffice triage list --queue q --store postgresql://ann@db/name"
    monkeypatch.setenv("SUFFICE_STORE_URL", url)
    assert place.command("triage list") == "suffice triage list --queue q"
    assert Place().command("rollout status") == "suffice rollout status"


def test_from_start_to_rollback_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, started, _ = asked(capsys, "rollout", "start", "--waive", "determinism", "--who", "ann")
    assert (code, started["phase"], started["stage"]) == (0, "Progressing", "staging")
    code, status, _ = asked(capsys, "rollout", "status")
    assert (code, status["percent"], status["possible"]) == (0, 0, ["pause", "advance", "rollback"])
    code, report, _ = asked(capsys, "rollout", "cycle")
    assert code == 0
    assert {gate["gate"] for gate in report["gates"]} >= {"disagreement", "sample_reduction", "health", "flag", "plan"}
    code, explained, _ = asked(capsys, "rollout", "explain")
    assert any("0 of 10" in sentence for sentence in explained["advances_when"])
    assert any("rollback --reason" in sentence for sentence in explained["rolls_back_when"])
    assert asked(capsys, "rollout", "pause", "--reason", "lunch")[0] == 0
    assert asked(capsys, "rollout", "cycle")[0] == 3
    code, _, err = asked(capsys, "rollout", "approve")
    assert (code, err) == (2, "suffice: approve is not possible while Paused; possible: resume, rollback")
    code, back, _ = asked(capsys, "rollout", "rollback", "--reason", "no appetite", "--who", "ann")
    assert (code, back["phase"], back["why"]) == (0, "RolledBack", "no appetite")
    assert back["notes"][0].startswith("no process has registered; 20 of 20 probes answer fixed, after ")
    assert asked(capsys, "rollout", "cycle")[0] == 2
    code, history, _ = asked(capsys, "rollout", "history")
    assert (code, history["intact"]) == (0, True)
    number, _, digest = history["head"].partition(":")
    assert int(number) >= len(history["events"]) and len(digest) == 64
    assert [event["action"] for event in history["events"]][:3] == ["start", "pause", "roll back"]


def test_triage_items_are_listed_shown_checked_and_closed(capsys: pytest.CaptureFixture[str]) -> None:
    asked(capsys, "rollout", "start", "--waive", "determinism")
    asked(capsys, "rollout", "rollback", "--reason", "no appetite")
    code, (item,), _ = asked(capsys, "triage", "list")
    assert (code, item["id"], item["open"]) == (0, "verifier-000001", True)
    assert asked(capsys, "triage", "check", "verifier-000001")[1]["intact"]
    assert run(["triage", "show", "verifier-000001"]) == 0
    assert "# Triage: verifier-000001 was rolled back in stage staging" in capsys.readouterr().out
    assert asked(capsys, "triage", "close", "verifier-000001", "--note", "was hungry", "--who", "ann")[0] == 0
    assert asked(capsys, "triage", "list")[1] == []
    code, _, err = asked(capsys, "triage", "close", "verifier-000001", "--note", "again")
    assert (code, err) == (2, "suffice: item verifier-000001 is closed already, by ann: was hungry")
    assert asked(capsys, "triage", "show", "verifier-000009")[0] == 3


def test_a_broken_chain_of_the_journal_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sqlite3

    asked(capsys, "rollout", "start", "--waive", "determinism")
    raw = sqlite3.connect(tmp_path / "TemporaryQueue" / "store.db")
    with raw:
        raw.execute("UPDATE audit_events SET who = 'somebody else'")
    raw.close()
    code, history, err = asked(capsys, "rollout", "history")
    assert (code, history["intact"]) == (2, False)
    assert err.startswith("suffice: the journal's chain is broken at event 1: ")


def test_dry_runs_store_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, foreseen, _ = asked(capsys, "rollout", "start", "--waive", "determinism", "--dry-run")
    assert (code, foreseen["dry_run"]) == (0, True)
    assert asked(capsys, "rollout", "status")[0] == 3
    asked(capsys, "rollout", "start", "--waive", "determinism")
    code, foreseen, _ = asked(capsys, "rollout", "rollback", "--reason", "x", "--dry-run")
    assert (code, foreseen["phase"]) == (0, "RollingBack")
    assert asked(capsys, "rollout", "status")[1]["phase"] == "Progressing"


@pytest.mark.parametrize("store", [(), ("--store", "sqlite:///elsewhere.db")], ids=["folder", "url"])
def test_a_dry_run_and_a_refused_start_leave_nothing(
    store: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    code, foreseen, _ = asked(capsys, "rollout", "start", "--waive", "determinism", "--dry-run", *store)
    assert (code, foreseen["rollout"], foreseen["stage"]) == (0, "verifier-000001", "staging")
    assert asked(capsys, "rollout", "start", "--waive", "disagreement", *store)[0] == 2
    set_enabled(tmp_path / "config.json", enabled=False)
    for dry in ((), ("--dry-run",)):
        code, _, err = asked(capsys, "rollout", "start", "--waive", "determinism", *dry, *store)
        assert code == 2 and "enabled is false" in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_start_says_which_limits_of_silence_no_hold_can_reach(
    dry: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = asked(capsys, "rollout", "start", "--waive", "determinism", *dry)
    unnoticed = "production may be silent for all of it, and the gate health does not notice"
    assert code == 0
    assert err.splitlines() == [
        f"suffice: rollout.health.max_age is 1h, longer than the hold of stage staging (1s): {unnoticed}",
        f"suffice: rollout.health.max_silence is 6h, longer than the hold of stage staging (1s): {unnoticed}",
    ]


def test_a_start_whose_limits_are_shorter_than_its_holds_says_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    limits = {"health": {"max_age": "1s", "max_silence": "1s"}}
    config = {**CONFIG, "rollout": {**CONFIG["rollout"], **limits}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    code, _, err = asked(capsys, "rollout", "start", "--waive", "determinism")
    assert (code, err) == (0, "")


def test_a_start_that_cannot_enable_the_configuration_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the file itself is mounted into a container: it can be written, and not replaced."""
    set_enabled(tmp_path / "config.json", enabled=False)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*")}

    def busy(source: str, target: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr("os.replace", busy)
    code, _, err = asked(capsys, "rollout", "start", "--enable", "--waive", "determinism")
    assert code == 3 and "set verifier.adaptive_sampling.enabled to true in line 1" in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*")} == before
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert asked(capsys, "rollout", "start", "--enable", "--waive", "determinism")[0] == 0
    assert load(tmp_path / "config.json").verifier.adaptive_sampling.enabled


DRY = (
    *(("rollout", name) for name in ("start", "cycle", "run", "resume", "approve", "advance")),
    *(("rollout", name, "--reason", "x") for name in ("pause", "release", "rollback")),
    ("rollout", "prune", "--older-than", "1d"),
    ("rollout", "roles", "--read", "anybody"),
)


def test_a_dry_run_leaves_a_store_of_an_older_schema_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "TemporaryQueue" / "store.db"
    store.parent.mkdir()
    store_at(store, "0003").dispose()
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    before = store.read_bytes()
    for words in DRY:
        code, printed, err = asked(capsys, *words, "--dry-run")
        assert (words, code, printed) == (words, 3, None)
        assert f"schema 0003 is older than {HEAD}, and nothing is to be changed; suffice rollout status" in err
        assert store.read_bytes() == before
    assert asked(capsys, "rollout", "status")[0] == 3
    assert asked(capsys, "rollout", "start", "--waive", "determinism", "--dry-run")[0] == 0


def test_every_command_with_a_dry_run_is_asked_for_one() -> None:
    named = {words[1] for words in DRY}
    have = {
        str(command.name)
        for command in rollout.app.registered_commands
        if command.callback and "dry_run" in str(inspect.signature(command.callback))
    }
    assert named == have


def test_a_dry_run_of_a_rollback_keeps_what_somebody_asked_for(
    tmp_path: Path, exposed: FlagClient, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seen: a dry run that failed removed the file that lowers this host."""
    asking = tmp_path / "TemporaryQueue" / "rollback.asked"
    store, aside = tmp_path / "TemporaryQueue" / "store.db", tmp_path / "aside"
    store.rename(aside)
    asking.touch()
    dry = ("rollout", "rollback", "--reason", "x", "--dry-run")
    assert asked(capsys, *dry)[0] == 3
    assert asking.exists()
    aside.replace(store)
    assert asked(capsys, "rollout", "cycle")[1]["phase"] == "RolledBack"
    asking.touch()
    assert asked(capsys, *dry)[0] == 0
    assert asking.exists()


def test_a_start_that_the_store_refuses_does_not_bind_the_folder_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = ("--store", "sqlite:///elsewhere.db")
    assert asked(capsys, "rollout", "start", "--waive", "determinism", *store)[0] == 0
    assert (tmp_path / "TemporaryQueue" / NOTE).read_text(encoding="utf-8") == "elsewhere.db\n"
    code, _, err = asked(capsys, "rollout", "start", "--waive", "determinism", "--queue", "another", *store)
    assert code == 2 and "verifier-000001 is Progressing" in err
    assert not (tmp_path / "another").exists()


def test_a_second_cycle_waits_for_the_runner_and_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    from suffice.rollout.lease import Lease
    from suffice.store.database import open_store

    asked(capsys, "rollout", "start", "--waive", "determinism")
    with open_store("TemporaryQueue/store.db") as store, Lease(store, "verifier", holder="another") as held:
        held.acquire()
        code, _, err = asked(capsys, "rollout", "cycle", "--wait", "0.2")
    assert code == 2
    assert "another runs this rollout; allowed: one runner at a time" in err


def test_a_flag_that_is_not_as_published_is_seen_in_the_status(capsys: pytest.CaptureFixture[str]) -> None:
    asked(capsys, "rollout", "start", "--waive", "determinism")
    publish(Path("TemporaryQueue/flag.json"), Exposure(100, "x"))
    assert "says 100 % adaptive in all regions" in asked(capsys, "rollout", "status")[1]["flag"]


def daemon(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "suffice.cli.main", "rollout", "run", "--json", "--lease", "1", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_daemon_runs_cycles_hands_over_and_ends_cleanly_on_sigterm(capsys: pytest.CaptureFixture[str]) -> None:
    asked(capsys, "rollout", "start", "--waive", "determinism")
    first = daemon()
    assert first.stdout is not None
    lines = [json.loads(first.stdout.readline()) for _ in range(2)]
    assert all(line["report"]["phase"] == "Progressing" for line in lines)
    second = daemon()
    assert second.stderr is not None and second.stdout is not None
    assert "runs this rollout; waiting until it ends" in second.stderr.readline()
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=30)
    assert first.returncode == 0
    assert json.loads(second.stdout.readline())["report"]["phase"] == "Progressing"
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=30)
    assert second.returncode == 0
    assert asked(capsys, "rollout", "status")[1]["runner"] is None


def test_the_daemon_until_done_ends_with_the_code_of_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    asked(capsys, "rollout", "start", "--waive", "determinism")
    asked(capsys, "rollout", "rollback", "--reason", "x")
    process = daemon("--until-done")
    process.communicate(timeout=60)
    assert process.returncode == 2


def on_a_full_disk(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A command none of whose files can grow."""

    def full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    command = [sys.executable, "-m", "suffice.cli.main", "rollout", *arguments]
    return subprocess.run(command, preexec_fn=full, capture_output=True, text=True, check=False)


def test_on_a_full_disk_nothing_is_stored_and_nothing_advances(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked(capsys, "rollout", "start", "--waive", "determinism")
    before, seen = asked(capsys, "rollout", "status")[1], asked(capsys, "rollout", "history")
    for command in (["cycle"], ["pause"], ["advance"], ["rollback", "--reason", "x"]):
        done = on_a_full_disk(*command)
        assert done.returncode == 3
        assert len(done.stderr.splitlines()) == 1 and "store.db" in done.stderr
    assert asked(capsys, "rollout", "history") == seen
    after = asked(capsys, "rollout", "status")[1]
    assert (after["stage"], after["phase"], after["held_seconds"]) == ("staging", "Progressing", before["held_seconds"])
    assert published(tmp_path / "TemporaryQueue" / "flag.json") is None


@pytest.fixture
def exposed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[FlagClient]:
    """A rollout that has come to 100 %, and a client that sees it."""
    from suffice.rollout.operator import Operator, Start
    from suffice.rollout.world import Place

    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config["rollout"]["stages"] = [{"name": "full", "weight": 100, "audit_fraction": 0.1}]
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with Operator(Place(Path("config.json"))) as operator:
        operator.start("ann", Start(waived=("determinism",)))
    with FlagClient.from_file(Path("TemporaryQueue/flag.json")) as flag:
        assert flag.arm("anybody") is Arm.ADAPTIVE
        yield flag


def everybody_becomes_fixed(flag: FlagClient) -> bool:
    return any(flag.arm("anybody") is Arm.FIXED or time.sleep(0.05) for _ in range(600))


def test_a_rollback_on_a_full_disk_takes_the_flag_away_and_is_carried_out_when_there_is_room(
    exposed: FlagClient, capsys: pytest.CaptureFixture[str]
) -> None:
    done = on_a_full_disk("rollback", "--reason", "the disk is full", "--who", "ann")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)
    assert "flag.json cannot be written and was removed, and 20 of 20 probes answer fixed" in done.stderr
    assert "the next `suffice rollout cycle` that can write the store carries the rollback out" in done.stderr
    assert everybody_becomes_fixed(exposed)
    code, _, err = asked(capsys, "rollout", "start", "--waive", "determinism")
    assert code == 2 and "rollback.asked: a rollback was asked for" in err
    code, report, _ = asked(capsys, "rollout", "cycle")
    assert (code, report["phase"]) == (2, "RolledBack")
    (back,) = [event for event in asked(capsys, "rollout", "history")[1]["events"] if event["action"] == "roll back"]
    assert back["who"] == "somebody" and "while the store did not answer" in back["why"]
    assert asked(capsys, "rollout", "status")[1]["triage_open"]
    assert not Path("TemporaryQueue/rollback.asked").exists()


def test_a_rollback_on_a_store_that_a_newer_version_migrated_lowers_word_and_flag(
    exposed: FlagClient, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect("TemporaryQueue/store.db", isolation_level=None)) as store:
        [epoch] = store.execute("SELECT epoch FROM words WHERE exposure IS NOT NULL").fetchone()
        store.execute("UPDATE alembic_version SET version_num = '9999'")
        code, _, err = asked(capsys, "rollout", "rollback", "--reason", "the new version", "--who", "ann")
        assert code == 3 and f"the word was lowered all the same, epoch {epoch + 1}" in err
        assert "schema 9999 is newer than" in err
        row = store.execute("SELECT epoch, exposure, phase FROM words").fetchall()
        assert row == [(epoch + 1, None, "RollingBack")]
        assert everybody_becomes_fixed(exposed)
        store.execute("UPDATE alembic_version SET version_num = ?", [HEAD])
    code, report, _ = asked(capsys, "rollout", "cycle")
    assert (code, report["phase"], report["why"]) == (2, "RolledBack", "the new version")
    (back,) = [event for event in asked(capsys, "rollout", "history")[1]["events"] if event["action"] == "roll back"]
    assert back["who"] == "ann"


@pytest.mark.parametrize("broken", ["damaged", "gone"])
def test_a_rollback_without_a_store_publishes_the_baseline_and_remembers_who_asked(
    broken: str, exposed: FlagClient, capsys: pytest.CaptureFixture[str]
) -> None:
    store, aside = Path("TemporaryQueue/store.db"), Path("TemporaryQueue/aside")
    store.rename(aside)
    if broken == "damaged":
        store.write_bytes(b"no database at all" * 100)
    code, printed, err = asked(capsys, "rollout", "rollback", "--reason", "no appetite", "--who", "ann")
    assert (code, printed) == (3, None)
    assert "the baseline was published without it, and 20 of 20 probes answer fixed" in err and "\n" not in err
    assert everybody_becomes_fixed(exposed)
    assert published(Path("TemporaryQueue/flag.json")) is None
    aside.replace(store)
    code, report, _ = asked(capsys, "rollout", "cycle")
    assert (code, report["phase"], report["why"]) == (2, "RolledBack", "no appetite")
    (back,) = [event for event in asked(capsys, "rollout", "history")[1]["events"] if event["action"] == "roll back"]
    assert back["who"] == "ann"


def test_promote_refuses_outside_of_git_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = asked(capsys, "promote", "--source", "codata")
    assert code == 2
    assert "a promotion needs a git work tree" in err and "\n" not in err
    code, _, err = asked(capsys, "promote", "--pr")
    assert (code, err) == (
        2,
        "suffice: --pr needs --push REMOTE: a pull request is about a branch that others can see",
    )


def test_the_fleet_is_listed_and_a_receipt_that_is_not_waited_for_is_finished_by_a_cycle(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked(capsys, "rollout", "start", "--waive", "determinism")
    agent = Agent("TemporaryQueue/store.db", "verifier", plan_id="plan", enabled=True, folder=Path("TemporaryQueue"))
    try:
        agent.step_write()
        agent.step_read()
        agent.step_write()
        code, (process,), _ = asked(capsys, "rollout", "fleet")
        assert code == 0
        assert list(process) == FLEET
        assert (process["id"], process["state"], process["epoch"]) == (agent.nonce, "acknowledged", 1)
        code, report, _ = asked(capsys, "rollout", "rollback", "--reason", "enough", "--no-wait")
        assert (code, report["phase"]) == (2, "RollingBack")
        assert asked(capsys, "rollout", "fleet")[1][0]["state"] == "waiting"
        agent.step_read()
        agent.step_write()
        code, report, _ = asked(capsys, "rollout", "cycle")
        assert (code, report["phase"]) == (2, "RolledBack")
        (line,) = report["notes"]
        events = asked(capsys, "rollout", "history")[1]["events"]
        receipt = next(event for event in events if event["action"] == "receipt")
        assert receipt["why"].startswith("observed by 1 of 1 processes: 1 acknowledged; ")
        assert line == receipt["why"]
        assert run(["rollout", "status"]) == 2
        assert f"note: {line}" in capsys.readouterr().out
        counts = {"processes": 1, "acknowledged": 1, "fenced": 0, "gone": 0, "not_covered": 0}
        assert receipt["numbers"].items() >= counts.items()
    finally:
        agent.close()


FLEET = [
    "id",
    "host",
    "pid",
    "started",
    "version",
    "plan_id",
    "enabled",
    "epoch",
    "seen_at",
    "lease_left_s",
    "rows_waiting",
    "state",
]


def test_old_primaries_and_releases_are_refused_where_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    asked(capsys, "rollout", "start", "--waive", "determinism")
    gone = ("rollback", "--reason", "x", "--old-primary-is-gone")
    for command, complaint in (
        (gone, "no old primary is waited for"),
        (("release", "--reason", "x"), "release is not possible while Progressing"),
    ):
        code, printed, line = asked(capsys, "rollout", *command)
        assert (code, printed) == (2, None)
        assert complaint in line
    assert not Path("TemporaryQueue/rollback.asked").exists()
