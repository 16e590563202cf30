"""What follows an observed rollback: the receipt is kept, `enabled` goes off, the evidence is frozen, an item opens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from suffice.config import set_enabled
from suffice.errors import OutputError, RolloutError, SufficeError
from suffice.flag.probes import Receipt
from suffice.gates.outcome import GateResult
from suffice.rollout.world import Journal, World
from suffice.store.actions import Action
from suffice.store.journal import append_journal, journal_of
from suffice.store.ledger import DecisionRow, Ledger
from suffice.store.triage import StoredReceipt, TriageItem, add_receipt, open_item, receipt_of
from suffice.triage.bundle import ROWS, environment_files, ledger_files, plain_json, plan_file, triage_text
from suffice.triage.manifest import freeze

Cases: TypeAlias = Sequence[tuple[DecisionRow, Mapping[str, Any]]]
"""Decisions with all that is needed to decide them again."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """A rollback whose baseline was observed, and what is known of it.

    `evidence` gives files of the bundle, and `cases` those of some decisions that can be decided again; both are asked
    only when the bundle is frozen.
    """

    rollout: str
    stage: str
    reason: str
    receipt: Receipt
    failed: tuple[GateResult, ...]
    evidence: Callable[[], Mapping[str, str]]
    cases: Callable[[list[DecisionRow]], Cases] = lambda _: ()


def is_settled(journal: Journal) -> bool:
    """Whether everything that follows a rollback has been done."""
    return journal.last(Action.SETTLE) is not None


def settle(world: World, rollback: Rollback) -> None:
    """Do what is not done yet, safety first. Raises RolloutError when a step failed.

    Every step may be repeated: the first receipt stays, as do bundle and item, and a file that says `enabled: false`
    is not touched. A step that fails does not keep the others from being done; it is reported at the end, and tried
    again by whoever settles next.
    """
    journal, bundle = world.journal(rollback.rollout), world.place.bundle(rollback.rollout)
    _keep_receipt(journal, rollback.receipt)
    wrong: list[str] = []
    for step in (_switch_off, _freeze, _open):
        try:
            step(world, rollback, bundle)
        except SufficeError as error:
            wrong.append(str(error))
    if wrong:
        raise RolloutError(f"{rollback.rollout}: rolled back and observed, but not settled: {'; '.join(wrong)}")
    journal.write_once(Action.SETTLE, f"enabled is false, the evidence is in {bundle}")


def _keep_receipt(journal: Journal, receipt: Receipt) -> None:
    stored = StoredReceipt(
        journal.rollout, journal.clock(), receipt.asked, receipt.fixed, receipt.attempts, receipt.seconds
    )
    why = f"{receipt.sentence}, after {receipt.seconds:.2f} s"
    numbers = {"asked": receipt.asked, "fixed": receipt.fixed, "seconds": receipt.seconds}
    with journal.store.write() as connection:
        if add_receipt(connection, stored):
            append_journal(connection, [journal.event(Action.RECEIPT, why, numbers)])


def _switch_off(world: World, _rollback: Rollback, _bundle: Path) -> None:
    set_enabled(world.place.config, enabled=False)


def _freeze(world: World, rollback: Rollback, bundle: Path) -> None:
    if bundle.exists():
        return
    ledger, rollout, stage = Ledger(world.store), rollback.rollout, rollback.stage
    differing, faulty = ledger.disagreements(rollout, stage), world.rehearsed.faulty(stage)
    cases, plans = rollback.cases(differing), dict[str, str]()
    if faulty is not None:
        # What is decided again must be made faulty again, by the plan that really ran.
        cases = [(replace(row, plan_id=faulty.plan.id), estimates) for row, estimates in cases]
        plans = {plan_file(faulty.plan.id): plain_json(faulty.plan.to_dict())}
    with world.store.read() as connection:
        receipt, events = receipt_of(connection, rollout), journal_of(connection, rollout)
    first, rows = cases[0][0].key if cases else None, ledger.latest(rollout, stage, ROWS)
    files = {
        "flag.json": _text_of(world.place.flag),
        "receipt.json": plain_json(asdict(receipt) if receipt else None),
        **environment_files(),
        **ledger_files(rows, differing, cases, events, faulty.name if faulty else None),
        **plans,
        **rollback.evidence(),
        "TRIAGE.md": triage_text(rollout, rollback.reason, stage, rollback.failed, len(differing), first, bundle),
    }
    try:
        freeze(bundle, files)
    except OutputError:
        # Another process may have frozen it in the meantime; both saw the same rows.
        if not bundle.exists():
            raise


def _open(world: World, rollback: Rollback, bundle: Path) -> None:
    journal, service = world.journal(rollback.rollout), world.place.service
    item = TriageItem(rollback.rollout, service, rollback.stage, rollback.reason, str(bundle), world.clock())
    with world.store.write() as connection:
        if open_item(connection, item):
            append_journal(connection, [journal.event(Action.TRIAGE, f"item {item.id} is open")])


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be frozen: {error.strerror or error}") from error
