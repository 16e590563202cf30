"""What follows an observed rollback in production: receipt, configuration, bundle, triage item."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from suffice.config import set_enabled
from suffice.errors import OutputError, RolloutError, SufficeError
from suffice.evidence.measurements import Evidence
from suffice.evidence.production import Measurement
from suffice.flag.probes import Receipt
from suffice.gates.outcome import GateResult
from suffice.rollout.checks import Checks
from suffice.rollout.controller import State
from suffice.rollout.saved_state import plain_result, plain_state
from suffice.rollout.world import World
from suffice.store.actions import Action
from suffice.store.database import Store
from suffice.store.journal import JournalEvent, append_journal, journal_of, last_event
from suffice.store.ledger import Ledger
from suffice.store.triage import StoredReceipt, TriageItem, add_receipt, open_item, receipt_of
from suffice.triage.bundle import (
    ROWS,
    evidence_files,
    ledger_files,
    plain_json,
    plan_file,
    subject_files,
    triage_text,
)
from suffice.triage.manifest import freeze


@dataclass(frozen=True, slots=True)
class Judged:
    """What the last cycle saw."""

    evidence: Evidence
    results: tuple[GateResult, ...]


def is_settled(store: Store, rollout: str) -> bool:
    """Whether everything that follows a rollback has been done."""
    with store.read() as connection:
        return last_event(connection, rollout, Action.SETTLE) is not None


def keep_receipt(world: World, rollout: str, receipt: Receipt) -> None:
    """Store a rollout's receipt, and that there is one; the first one stays."""
    now = world.clock()
    stored = StoredReceipt(rollout, now, receipt.asked, receipt.fixed, receipt.attempts, receipt.seconds)
    why = f"{receipt.fixed} of {receipt.asked} probes answer fixed, after {receipt.seconds:.2f} s"
    with world.store.write() as connection:
        if add_receipt(connection, stored):
            numbers = {"asked": receipt.asked, "fixed": receipt.fixed, "seconds": receipt.seconds}
            append_journal(connection, [JournalEvent(now, rollout, "runner", Action.RECEIPT, why, numbers)])


class ProductionSettler:
    """Settles the rollback of one rollout, safety first.

    Every step may be repeated: the first receipt stays, as do bundle and item, and a file that says `enabled: false`
    is not touched. A step that fails does not keep the others from being done; it is reported at the end, and tried
    again by whoever settles next.
    """

    def __init__(
        self,
        world: World,
        rollout: str,
        about: Mapping[str, Any],
        measurement: Measurement,
        judged: Callable[[State], Judged],
        checks: Checks,
    ) -> None:
        self._world, self._store, self._place, self._clock = world, world.store, world.place, world.clock
        self._rollout, self._about = rollout, about
        self._measurement, self._judged, self._checks = measurement, judged, checks

    @property
    def settled(self) -> bool:
        """Whether everything has been done."""
        return is_settled(self._store, self._rollout)

    @property
    def bundle(self) -> Path:
        return self._place.bundle(self._rollout)

    def settle(self, state: State, receipt: Receipt | None, reason: str, failed: Sequence[GateResult]) -> None:  # noqa: ARG002
        """Do what is not done yet. Raises RolloutError when the baseline was not observed, or a step failed.

        The failed gates are those of `state`.
        """
        if receipt is None or not receipt.observed:
            raise RolloutError(f"{self._rollout}: the baseline is not observed to be in force; nothing else is done")
        keep_receipt(self._world, self._rollout, receipt)
        wrong: list[str] = []
        for step in (self._switch_off, lambda: self._freeze(state, reason), lambda: self._open(state, reason)):
            try:
                step()
            except SufficeError as error:
                wrong.append(str(error))
        if wrong:
            raise RolloutError(f"{self._rollout}: rolled back and observed, but not settled: {'; '.join(wrong)}")
        self._record_settled()

    def _switch_off(self) -> None:
        set_enabled(self._place.config, enabled=False)

    def _freeze(self, state: State, reason: str) -> None:
        if self.bundle.exists():
            return
        ledger, stage, judged = Ledger(self._store), state.current.name, self._judged(state)
        differing = ledger.disagreements(self._rollout, stage)
        cases = self._measurement.pairs(differing)
        with self._store.read() as connection:
            receipt, events = receipt_of(connection, self._rollout), journal_of(connection, self._rollout)
        first = cases[0][0].key if cases else None
        rows, faulty = ledger.latest(self._rollout, stage, ROWS), self._world.rehearsed.faulty(stage)
        other = {}
        if faulty is not None:
            # What is decided again must be made faulty again, by the plan that really ran.
            cases = [(replace(row, plan_id=faulty.plan.id), estimates) for row, estimates in cases]
            if faulty.plan.id != self._about["plan"]:
                other = {plan_file(faulty.plan.id): plain_json(faulty.plan.to_dict())}
        files = {
            "flag.json": text_of(self._place.flag),
            **evidence_files(plain_state(state), list(map(plain_result, judged.results)), judged.evidence, receipt),
            **ledger_files(rows, differing, cases, events, faulty.name if faulty else None),
            **subject_files(self._about),
            **other,
            **{f"checks/{name}": text for name, text in self._checks.outputs(stage).items()},
            "TRIAGE.md": triage_text(
                self._rollout, reason, state.current.name, state.failed, len(differing), first, self.bundle
            ),
        }
        try:
            freeze(self.bundle, files)
        except OutputError:
            # Another process may have frozen it in the meantime; both saw the same rows.
            if not self.bundle.exists():
                raise

    def _open(self, state: State, reason: str) -> None:
        now = self._clock()
        item = TriageItem(self._rollout, self._place.service, state.current.name, reason, str(self.bundle), now)
        with self._store.write() as connection:
            if open_item(connection, item):
                append_journal(
                    connection, [JournalEvent(now, self._rollout, "runner", Action.TRIAGE, f"item {item.id} is open")]
                )

    def _record_settled(self) -> None:
        why = f"enabled is false, the evidence is in {self.bundle}"
        with self._store.write() as connection:
            if last_event(connection, self._rollout, Action.SETTLE) is None:
                append_journal(connection, [JournalEvent(self._clock(), self._rollout, "runner", Action.SETTLE, why)])


def text_of(path: Path) -> str:
    """What the file says. Raises OutputError."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: cannot be frozen: {error.strerror or error}") from error
