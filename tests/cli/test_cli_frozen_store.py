"""Commands while PostgreSQL stands still: each ends with one line and exit 3, and a rollback has lowered this host."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from postgres_server import Server
from suffice.cli.main import run
from suffice.evidence.reader import EvidenceReader
from suffice.flag.file import published
from suffice.flag.lowering import ASKED_FILE
from suffice.rollout.driver import Driver
from suffice.store import database

CONFIG = {
    "verifier": {"rule": "proportion", "n_samples": 32, "adaptive_sampling": {"enabled": True}},
    "rollout": {
        "cycle": "1s",
        "checks": {"run": []},
        "stages": [{"name": "full", "weight": 100, "audit_fraction": 0.1}],
    },
}
QUEUE = Path("TemporaryQueue")


@pytest.fixture
def thaw(tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    """A rollout at 100 % whose store is on the server; leaving this thaws it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SUFFICE_WEBHOOK", raising=False)
    monkeypatch.setenv("SUFFICE_STORE_URL", postgres.place())
    # Shorter than production's, for the test's sake.
    monkeypatch.setattr(database, "CONNECT_SECONDS", 2)
    monkeypatch.setattr(database, "SILENT_SECONDS", 1.0)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    assert run(["rollout", "start", "--waive", "determinism"]) == 0
    assert published(QUEUE / "flag.json") is not None
    with ExitStack() as stack:
        yield stack


def frozen_before(monkeypatch: pytest.MonkeyPatch, kind: type, name: str, freeze: Callable[[], Any]) -> None:
    """The server freezes when this method is called for the first time."""
    method, times = getattr(kind, name), list[int]()

    def called(*arguments: Any, **options: Any) -> Any:
        if not times:
            times.append(1)
            freeze()
        return method(*arguments, **options)

    monkeypatch.setattr(kind, name, called)


@pytest.mark.parametrize("moment", ["from the start", "in the midst of it"])
@pytest.mark.parametrize("command", ["status", "cycle", "rollback"])
def test_it_ends_with_one_line_and_cannot_tell(
    command: str,
    moment: str,
    thaw: ExitStack,
    postgres: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def freeze() -> None:
        thaw.enter_context(postgres.frozen())

    if moment == "from the start":
        freeze()
    elif command == "cycle":
        frozen_before(monkeypatch, EvidenceReader, "catch_up", freeze)
    elif command == "rollback":
        frozen_before(monkeypatch, Driver, "_decide", freeze)
    else:
        frozen_before(monkeypatch, database.Store, "read", freeze)
    capsys.readouterr()
    code = run(["rollout", command, *(["--reason", "enough"] if command == "rollback" else [])])
    problem = capsys.readouterr().err
    assert (code, len(problem.splitlines())) == (3, 1), problem
    if command == "rollback":
        assert published(QUEUE / "flag.json") is None
        assert (QUEUE / ASKED_FILE).exists()
        thaw.close()
        assert run(["rollout", "cycle"]) == 2
        config = json.loads(Path("config.json").read_text(encoding="utf-8"))
        assert config["verifier"]["adaptive_sampling"]["enabled"] is False
