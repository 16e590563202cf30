"""Rights on PostgreSQL: each role can do its work, and one that decides can neither promote nor delete."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import text

from postgres_server import Server
from store_places import ROW
from suffice.cli.main import run
from suffice.errors import StoreError
from suffice.evidence.reader import EvidenceReader
from suffice.resolution.storm import StormPolicy
from suffice.store.database import Store, agents_store, open_store
from suffice.store.events import ProvenanceEvent, append_provenance
from suffice.store.journal import verify_journal
from suffice.store.ledger import Ledger
from suffice.store.processes import ProcessRow, Pruner, fleet, sign_off, write_process
from suffice.store.rollouts import StoredRollout, create_rollout, save_rollout
from suffice.store.schema import metadata
from suffice.store.signs import note_sign
from suffice.store.words import Word, lower_word, read_word, write_word

EXPOSURE = {"weight": 5, "salt": "pump-000001", "regions": []}
WORD = Word("pump", "pump-000001", "plan", "Progressing", "canary", EXPOSURE, 0.1, "salt", shadow=False, length=60.0)
ROLLOUT = StoredRollout("pump-000001", "pump", "Progressing", {}, {}, 1.0, 1.0)


@dataclass(frozen=True)
class Rights:
    """A store on a server, and how each of its three roles gets there."""

    server: Server
    database: str

    def opened(self, role: str) -> Store:
        return agents_store(f"postgresql://{role}:{role}@127.0.0.1:{self.server.port}/{self.database}")


@pytest.fixture(scope="module")
def rights(postgres: Server) -> Iterator[Rights]:
    postgres.execute("CREATE DATABASE rights")
    for role in ("decides", "runs", "reads"):
        postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{role}'")
    url = postgres.url("rights")
    assert run(["rollout", "roles", "--store", url, "--decide", "decides", "--run", "runs", "--read", "reads"]) == 0
    with open_store(url) as store, store.write() as connection:
        create_rollout(connection, ROLLOUT)
        write_word(connection, WORD, 100.0)
    yield Rights(postgres, "rights")


def test_who_decides_registers_reads_the_word_and_writes_its_rows_and_records(rights: Rights) -> None:
    with rights.opened("decides") as store:
        with store.touch() as connection:
            write_process(connection, ProcessRow("n1", "pump", "host", 17, "1", 10.0, "plan", enabled=True))
            sign_off(connection, "n1", 9.0)
            pruner = Pruner()
            assert (pruner.prune(connection, 0.0), pruner.prune(connection, 3600.0)) == (0, 1)
        with store.read() as connection:
            assert read_word(connection, "pump", 100.0).counts
        assert Ledger(store).append([replace(ROW, key="k1"), replace(ROW, key="k2")]) == 2
        assert Ledger(store).append([replace(ROW, key="k1", at=7.0)]) == 0
        with store.write() as connection:
            note_sign(connection, "pump", 1.0)
            assert append_provenance(connection, [ProvenanceEvent(1.0, "t", "classified")]) == 1


@pytest.mark.parametrize(
    "attempt",
    [
        "UPDATE rollouts SET phase = 'Completed'",
        "UPDATE words SET exposure = '{}'",
        "INSERT INTO audit_events SELECT * FROM audit_events",
        "UPDATE receipts SET fixed = 0",
        "UPDATE leases SET holder = ''",
        "UPDATE rollups SET counts = '{}'",
        *(f"DELETE FROM {table}" for table in sorted(set(metadata.tables) - {"processes"})),
        "TRUNCATE decisions",
        "DROP TABLE decisions",
        "UPDATE alembic_version SET version_num = '9999'",
        "CREATE TABLE own (x int)",
    ],
)
@pytest.mark.parametrize("role", ["decides", "reads"])
def test_who_decides_or_looks_can_neither_promote_nor_delete(role: str, attempt: str, rights: Rights) -> None:
    refused = pytest.raises(StoreError, match=r"permission denied|must be owner")
    with rights.opened(role) as store, refused, store.touch() as connection:
        connection.execute(text(attempt))


def test_who_runs_changes_rollout_word_and_counts(rights: Rights) -> None:
    with rights.opened("runs") as store:
        with store.write() as connection:
            changed = save_rollout(connection, ROLLOUT)
            assert changed.version == 2
            assert lower_word(connection, "pump", "Paused") is not None
            write_word(connection, WORD, 100.0)
        Ledger(store).append([replace(ROW, key="k3")])
        EvidenceReader(Ledger(store), "r", StormPolicy(3)).catch_up()


def test_who_looks_sees_everything(rights: Rights) -> None:
    with rights.opened("reads") as store, store.read() as connection:
        assert read_word(connection, "pump", 100.0).counts
        assert fleet(connection, "pump") == []
        assert verify_journal(connection).intact


def test_roles_are_named_and_are_those_of_a_server(capsys: pytest.CaptureFixture[str], tmp_path: object) -> None:
    assert run(["rollout", "roles", "--queue", str(tmp_path)]) == 2
    assert "no role was named; allowed: --decide, --run, --read" in capsys.readouterr().err
    assert run(["rollout", "roles", "--queue", str(tmp_path), "--read", "ann"]) == 2
    assert "rights are PostgreSQL's; on SQLite those of the store's file" in capsys.readouterr().err
