"""A rollout whose store is on a PostgreSQL server: all of it, forward on proof and back with a receipt."""

import json
from pathlib import Path

import pytest
from production import CYCLE, corrections, producing
from test_notify import webhook

from postgres_server import Server
from suffice.errors import StoreError
from suffice.flag.document import Exposure
from suffice.flag.file import published
from suffice.rollout.notify import Webhook, deliver
from suffice.rollout.phases import Phase
from suffice.serving.verifier import Verifier
from suffice.store.journal import verify_journal
from suffice.store.ledger import Ledger
from suffice.store.triage import items, receipt_of
from suffice.triage.manifest import check

ID = "verifier-000001"


def test_it_advances_on_proof_to_everybody(tmp_path: Path, postgres: Server) -> None:
    with producing(tmp_path, url=postgres.place()) as production:
        production.until("canary")
        assert published(production.place.flag) == Exposure(50, ID, ("eu",))
        production.until("full")
        production.traffic()
        assert production.cycle().phase is Phase.COMPLETED
        assert production.actions() == ["start", "advance", "advance", "complete"]
        rows = Ledger(production.store).rows(ID)
        assert (len(rows), len({row.key for row in rows})) == (production.sent, production.sent)
        assert not any(row.is_adaptive for row in Ledger(production.store).rows(ID, "staging"))


def test_it_is_rolled_back_by_a_gate_with_receipt_bundle_item_and_notifications(
    tmp_path: Path, postgres: Server
) -> None:
    with producing(tmp_path, url=postgres.place()) as production, webhook() as (url, got):
        production.until("canary")
        production.traffic()
        production.disagreements(60, "canary")
        assert production.cycle().phase is Phase.ROLLED_BACK
        assert production.judged("disagreement")["outcome"] == "Failed"
        with production.store.read() as connection:
            receipt, (item,) = receipt_of(connection, ID), items(connection)
            assert verify_journal(connection).intact
        assert receipt is not None and receipt.fixed == receipt.asked > 0
        assert published(production.place.flag) is None
        assert (
            json.loads(production.place.config.read_text("utf-8"))["verifier"]["adaptive_sampling"]["enabled"] is False
        )
        # The receipt has the server's time, the rows that of the test: what is counted is what came after.
        adaptive = Ledger(production.store).adaptive_after(ID, 0.0)
        production.traffic()
        assert len(Ledger(production.store).rows(ID)) > adaptive == Ledger(production.store).adaptive_after(ID, 0.0)
        bundle = Path(item.bundle)
        assert check(bundle) > 5
        ledger = [json.loads(line) for line in (bundle / "ledger.jsonl").read_text("utf-8").splitlines()]
        assert sum(row["agrees"] is False for row in ledger) == 60
        deliver(production.store, production.clock, [Webhook(url)])
        deliver(production.store, production.clock, [Webhook(url)])
        told = [body["action"] for _, body in got]
        assert told == ["start", "advance", "roll back", "receipt"]
        assert len({key for key, _ in got}) == len(told)
        production.cycle()
        assert {path.name for path in bundle.parent.iterdir()} == {bundle.name, f"{bundle.name}.journal-head"}
    files = [path.read_text("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 8 and not [text for text in files if postgres.password in text]


def test_while_the_server_is_away_decisions_are_made_nothing_advances_and_nothing_is_lost(
    tmp_path: Path, postgres: Server
) -> None:
    postgres.execute("CREATE DATABASE leaving")
    url, cases = postgres.url("leaving"), [correction.case() for correction in corrections(10_000, 30)]
    with producing(tmp_path, url=url) as production:
        production.until("canary")
        production.traffic(300)
        before = production.state
        with Verifier.from_config(production.place.config, queue=production.place.queue, store=url) as verifier:
            served = [verifier.verify(case) for case in cases[:10]]
            with postgres.away("leaving"):
                served += [verifier.verify(case) for case in cases[10:20]]
                with pytest.raises(StoreError, match="is not currently accepting connections"):
                    verifier.flush()
                production.clock.now += CYCLE
                with pytest.raises(StoreError, match="is not currently accepting connections"):
                    production.operator.cycle()
            assert production.state == before
            served += [verifier.verify(case) for case in cases[20:]]
        rows = {row.key: row for row in Ledger(production.store).rows(ID)}
        assert [rows[case.key].decision for case in cases] == [decided.verdict.decision for decided in served]
        assert {rows[case.key].stage for case in cases} == {"canary"}
        production.until("full")
