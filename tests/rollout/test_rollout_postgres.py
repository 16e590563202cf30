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
    with producing(tmp_path, url=postgres.place()) as made:
        made.until("canary")
        assert published(made.place.flag) == Exposure(50, ID, ("eu",))
        made.until("full")
        made.traffic()
        assert made.cycle().phase is Phase.COMPLETED
        assert made.actions() == ["start", "advance", "advance", "complete"]
        rows = Ledger(made.store).rows(ID)
        assert (len(rows), len({row.key for row in rows})) == (made.sent, made.sent)
        assert not any(row.is_adaptive for row in Ledger(made.store).rows(ID, "staging"))


def test_it_is_rolled_back_by_a_gate_with_receipt_bundle_item_and_notifications(
    tmp_path: Path, postgres: Server
) -> None:
    with producing(tmp_path, url=postgres.place()) as made, webhook() as (url, got):
        made.until("canary")
        made.traffic()
        made.disagreements(60, "canary")
        assert made.cycle().phase is Phase.ROLLED_BACK
        assert made.judged("disagreement")["outcome"] == "Failed"
        with made.store.read() as connection:
            receipt, (item,) = receipt_of(connection, ID), items(connection)
            assert verify_journal(connection).intact
        assert receipt is not None and receipt.fixed == receipt.asked > 0
        assert published(made.place.flag) is None
        assert json.loads(made.place.config.read_text("utf-8"))["verifier"]["adaptive_sampling"]["enabled"] is False
        # The receipt has the server's time, the rows that of the test: what is counted is what came after.
        adaptive = Ledger(made.store).adaptive_after(ID, 0.0)
        made.traffic()
        assert len(Ledger(made.store).rows(ID)) > adaptive == Ledger(made.store).adaptive_after(ID, 0.0)
        bundle = Path(item.bundle)
        assert check(bundle) > 5
        ledger = [json.loads(line) for line in (bundle / "ledger.jsonl").read_text("utf-8").splitlines()]
        assert sum(row["agrees"] is False for row in ledger) == 60
        deliver(made.store, made.clock, [Webhook(url)])
        deliver(made.store, made.clock, [Webhook(url)])
        told = [body["action"] for _, body in got]
        assert told == ["start", "advance", "roll back", "receipt", "triage", "settle"]
        assert len({key for key, _ in got}) == len(told)
        made.cycle()
        assert {path.name for path in bundle.parent.iterdir()} == {bundle.name, f"{bundle.name}.journal-head"}
    files = [path.read_text("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 8 and not [text for text in files if postgres.password in text]


def test_while_the_server_is_away_decisions_are_made_nothing_advances_and_nothing_is_lost(
    tmp_path: Path, postgres: Server
) -> None:
    postgres.execute("CREATE DATABASE leaving")
    url, cases = postgres.url("leaving"), [it.case() for it in corrections(10_000, 30)]
    with producing(tmp_path, url=url) as made:
        made.until("canary")
        made.traffic(300)
        before = made.state
        with Verifier.from_config(made.place.config, queue=made.place.queue, store=url) as verifier:
            served = [verifier.verify(case) for case in cases[:10]]
            with postgres.away("leaving"):
                served += [verifier.verify(case) for case in cases[10:20]]
                with pytest.raises(StoreError, match="is not currently accepting connections"):
                    verifier.flush()
                made.clock.now += CYCLE
                with pytest.raises(StoreError, match="is not currently accepting connections"):
                    made.operator.cycle()
            assert made.state == before
            served += [verifier.verify(case) for case in cases[20:]]
        rows = {row.key: row for row in Ledger(made.store).rows(ID)}
        assert [rows[case.key].decision for case in cases] == [it.verdict.decision for it in served]
        assert {rows[case.key].stage for case in cases} == {"canary"}
        made.until("full")
