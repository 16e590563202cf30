"""What a bundle holds: everything that is known of a rollback, and no file for what went with a deleted rollout."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import suffice
from suffice.decision.rule import Decision
from suffice.errors import DataError
from suffice.flag.file import publish
from suffice.gates.outcome import GateResult, Outcome
from suffice.rollout.world import Place
from suffice.sources.correction import Correction, Estimate
from suffice.sources.recipe import of_correction
from suffice.store.actions import Action
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow, Reason
from suffice.store.journal import JournalEvent, append_journal, verify_journal
from suffice.store.ledger import Ledger
from suffice.store.triage import StoredReceipt, add_receipt
from suffice.telemetry.counters import Counter
from suffice.telemetry.metrics_file import read
from suffice.triage import bundle as bundles
from suffice.triage.bundle import Cases, Faulty, LastView, Rollback, freeze_rollback
from suffice.triage.frozen import explained
from suffice.triage.manifest import check
from suffice.triage.reproduce import reproduce
from suffice.verifier.arm import Arm

ROOT = Path(__file__).parents[2]
PLAN = suffice.plan(suffice.Proportion(0.8), 64, 0.01, look_every=8)
HASTY = suffice.plan(suffice.Proportion(0.8), 64, 0.2, look_every=8)
FAILED = GateResult("disagreement", Outcome.FAILED, "2 of 5 differ, 40 % (limit 1 %)", 0.4, 0.01)

ALWAYS = {
    "TRIAGE.md", "audits.jsonl", "disagreements.jsonl", "environment.json", "events.jsonl", "evidence.json",
    "flag.json", "gates.json", "ledger.jsonl", "metrics.json", "receipt.json",
}  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Five audited decisions of a canary, two of which differ, and three of the stage before."""
    with open_store(tmp_path / "store.db", durable=False) as store:
        Ledger(store).append([*map(decision, range(5)), *(replace(decision(i), stage="staging") for i in range(5, 8))])
        with store.write() as connection:
            add_receipt(connection, StoredReceipt("r-1", 9.0, 20, 20, 1, 0.5))
            append_journal(connection, [JournalEvent(1.0, "r-1", "ann", Action.START, "begun")])
        publish(tmp_path / "flag.json", None)
        yield store


def decision(i: int) -> DecisionRow:
    """An audited decision that was accepted; the baseline rejects the second and the fourth."""
    baseline = Decision.REJECTED if i in (1, 3) else Decision.ACCEPTED
    return DecisionRow(
        f"k{i}", f"t{i}", Arm.ADAPTIVE, Decision.ACCEPTED, 16, 64, 0.9, Reason.ACCEPT_BOUNDARY, 42, PLAN.id, float(i),
        rollout="r-1", stage="canary", audited=True, baseline_decision=baseline, baseline_n=64,
        adaptive_decision=Decision.ACCEPTED, adaptive_n=16, agrees=baseline is Decision.ACCEPTED,
    )  # fmt: skip


def rebuilt(rows: list[DecisionRow]) -> Cases:
    about = Correction("k", "t", Estimate(0.0, 1.0, 1.0), Estimate(1.2, 1.0, 1.0))
    return [(row, of_correction(about)) for row in rows]


def view(**known: Any) -> LastView:
    return LastView(gates=[{"gate": "disagreement"}], evidence={"audits": 5}, **known)


def frozen(store: Store, folder: Path, seen: LastView, **changes: Any) -> Path:
    rollback = Rollback(
        "r-1", "canary", "disagreement failed", (FAILED,), lambda: seen, Place(queue=folder / "queue").command, rebuilt
    )
    bundle = folder / "queue" / "triage" / "r-1"
    freeze_rollback(bundle, replace(rollback, **changes), store, folder / "flag.json")
    return bundle


def names(bundle: Path) -> set[str]:
    return {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()} - {"MANIFEST"}


def lines(bundle: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (bundle / name).read_text(encoding="utf-8").splitlines()]


def test_a_bundle_holds_everything_that_is_known(store: Store, tmp_path: Path) -> None:
    seen = view(state={"stage": 1}, plan=PLAN.to_dict(), config={"verifier": {}}, outputs={"run_eval.out": "PASS\n"})
    bundle = frozen(store, tmp_path, seen)
    assert names(bundle) == ALWAYS | {"state.json", "plan.json", "config.json", "checks/run_eval.out"}
    assert check(bundle) == len(names(bundle))
    assert json.loads((bundle / "receipt.json").read_text(encoding="utf-8"))["asked"] == 20
    assert [event["action"] for event in lines(bundle, "events.jsonl")] == ["start"]


def test_the_head_of_the_journal_is_noted_beside_it(store: Store, tmp_path: Path) -> None:
    with store.write() as connection:
        append_journal(connection, [JournalEvent(1.0, "r-1", "ann", Action.START, "why")])
    bundle = frozen(store, tmp_path, view())
    with store.read() as connection:
        head = verify_journal(connection).head
    assert bundle.with_name("r-1.journal-head").read_text(encoding="ascii").strip().partition(":")[2] == head


def test_what_went_with_a_deleted_rollout_has_no_file(store: Store, tmp_path: Path) -> None:
    bundle = frozen(store, tmp_path, view(), failed=(), cases=lambda _: ())
    assert names(bundle) == ALWAYS
    text = (bundle / "TRIAGE.md").read_text(encoding="utf-8")
    assert "- none: a person asked for it\n" in text
    assert "# no disagreeing decision can be rebuilt\n" in text
    with pytest.raises(DataError, match="no disagreeing decision that can be decided again; that needs the service's"):
        reproduce(bundle, None)


def test_where_nothing_differs_nothing_is_said_to_be_missing(tmp_path: Path) -> None:
    """Seen: a rollback that a person asked for was told to start with --source, as it had been."""
    publish(tmp_path / "flag.json", None)
    with open_store(tmp_path / "other.db") as store:
        bundle = frozen(store, tmp_path, view())
    assert "# no audited decision differs\n" in (bundle / "TRIAGE.md").read_text(encoding="utf-8")
    with pytest.raises(DataError, match="no audited decision of the stage differs from the baseline"):
        reproduce(bundle, None)


@pytest.mark.parametrize(("rows", "kept"), [(10_000, ["k1", "k3", "k4", "k2", "k0"]), (2, ["k1", "k3", "k4"])])
def test_the_window_begins_with_what_differs_and_holds_each_decision_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, kept: list[str]
) -> None:
    monkeypatch.setattr(bundles, "ROWS", rows)
    assert [row["key"] for row in lines(frozen(store, tmp_path, view()), "ledger.jsonl")] == kept


@pytest.mark.parametrize(("most", "kept"), [(10_000, ["k0", "k1", "k2", "k3", "k4"]), (2, ["k3", "k4"])])
def test_the_audits_are_those_of_the_stage_in_order_the_newest_where_there_are_many(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, kept: list[str]
) -> None:
    monkeypatch.setattr(bundles, "AUDITS", most)
    assert [row["key"] for row in lines(frozen(store, tmp_path, view()), "audits.jsonl")] == kept


def test_the_item_has_the_command_that_explains_only_where_that_tells_something(store: Store, tmp_path: Path) -> None:
    text = (frozen(store, tmp_path, view(plan=PLAN.to_dict(), config={})) / "TRIAGE.md").read_text(encoding="utf-8")
    assert "Cause: unknown. " in text
    assert "of none of 5 audits" in text.lower()
    assert "triage explain" not in text


def test_item_and_explain_name_the_gate_that_rolled_back_where_it_judges_no_differences(
    store: Store, tmp_path: Path
) -> None:
    failed = GateResult("determinism", Outcome.FAILED, "1 of 9 decisions differ (limit 0), the first of key 'k2'", 1, 0)
    state = {"failed": [{"gate": failed.gate, "sentence": failed.sentence}]}
    bundle = frozen(store, tmp_path, view(plan=PLAN.to_dict(), state=state), failed=(failed,))
    told = f"Cause: other. Not how often audits disagree rolled it back. The gate determinism: {failed.sentence}. "
    assert told in (bundle / "TRIAGE.md").read_text(encoding="utf-8")
    assert explained(bundle).text.startswith(told)


def test_the_counters_are_those_of_the_whole_rollout(store: Store, tmp_path: Path) -> None:
    counts = read(frozen(store, tmp_path, view()) / "metrics.json").counts
    # k1 and k3 of the canary differ; the stage before counts too.
    expected = {Counter.ADAPTIVE_USED: 8, Counter.ADAPTIVE_SAMPLES: 128, Counter.AUDITS: 8, Counter.DISAGREEMENTS: 2}
    assert counts.decisions == 8
    assert {counter: counts.counters[counter] for counter in expected} == expected


def test_a_faulty_decision_is_decided_again_by_the_plan_that_really_ran(store: Store, tmp_path: Path) -> None:
    bundle = frozen(store, tmp_path, view(plan=PLAN.to_dict(), faulty=Faulty("hasty", HASTY)))
    assert names(bundle) == ALWAYS | {"plan.json", f"plans/{HASTY.id}.json"}
    assert {(case["fault"], case["plan_id"]) for case in lines(bundle, "disagreements.jsonl")} == {("hasty", HASTY.id)}
    assert {row["plan_id"] for row in lines(bundle, "audits.jsonl")} == {HASTY.id}
    assert reproduce(bundle, "k1")["fault"] == "hasty"


def test_a_fault_that_keeps_the_plan_adds_no_other(store: Store, tmp_path: Path) -> None:
    bundle = frozen(store, tmp_path, view(plan=PLAN.to_dict(), faulty=Faulty("nan", PLAN)))
    assert names(bundle) == ALWAYS | {"plan.json"}


def test_the_first_evidence_stays_and_nothing_is_asked_again(store: Store, tmp_path: Path) -> None:
    bundle = frozen(store, tmp_path, view())
    before = {name: (bundle / name).read_bytes() for name in names(bundle)}

    def unasked() -> LastView:
        raise AssertionError("the view was asked for though the bundle is there")

    frozen(store, tmp_path, view(), view=unasked)
    assert {name: (bundle / name).read_bytes() for name in names(bundle)} == before


def test_the_item_names_reason_gate_and_the_commands_to_begin_with(store: Store, tmp_path: Path) -> None:
    bundle = frozen(store, tmp_path, view(), reason="costs $5 and more")
    text = (bundle / "TRIAGE.md").read_text(encoding="utf-8")
    queue = tmp_path / "queue"
    for expected in (
        "# Triage: r-1 was rolled back in stage canary\n\ncosts $5 and more\n",
        "- disagreement: 2 of 5 differ, 40 % (limit 1 %)\n",
        "2 audited decisions of the stage differ",
        f"suffice triage check {bundle} --queue {queue}\nsuffice triage reproduce r-1 --key k1 --queue {queue}\n",
        f"suffice triage close r-1 --note 'what it was' --queue {queue}\n",
    ):
        assert expected in text


def test_the_item_names_what_the_checks_printed_where_they_did(store: Store, tmp_path: Path) -> None:
    printed = "What the checks printed: `checks/ops.out`, `checks/run_eval.out`.\n"
    outputs = {"ops.out": "disk full\n", "run_eval.out": "- a: FAIL\n"}
    assert "printed" not in (frozen(store, tmp_path, view()) / "TRIAGE.md").read_text(encoding="utf-8")
    shutil.rmtree(tmp_path / "queue")
    bundle = frozen(store, tmp_path, view(outputs=outputs))
    assert printed in (bundle / "TRIAGE.md").read_text(encoding="utf-8")
    assert (bundle / "checks" / "ops.out").read_text(encoding="utf-8") == "disk full\n"


def test_the_documentation_names_each_file(store: Store, tmp_path: Path) -> None:
    seen = view(state={}, plan=PLAN.to_dict(), config={}, outputs={"run_eval.out": ""}, faulty=Faulty("hasty", HASTY))
    text = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    table = text[text.index("| file | what it holds |") :].partition("\n\n")[0]
    named = {name.partition("/")[0] for name in re.findall(r"`([\w./]+)`", table) if "." in name or "/" in name}
    assert named == {name.partition("/")[0] for name in names(frozen(store, tmp_path, seen))}
