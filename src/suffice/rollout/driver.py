"""The shell around the controller: desired state in the store, commands carried out at the edge."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import Connection

from suffice.config import Stage
from suffice.errors import RolloutError
from suffice.flag.answer import Flag
from suffice.flag.bucketing import inside, misplaced, record
from suffice.flag.document import Exposure
from suffice.flag.probes import Probe, Receipt
from suffice.gates.outcome import GateResult
from suffice.rollout.baseline import (
    ATTEMPTS,
    PROBES,
    lower_first,
    publish_from_store,
    receipt_and_event,
    try_baseline,
)
from suffice.rollout.controller import (
    Command,
    Event,
    KeepBaseline,
    Probed,
    PublishBaseline,
    PublishStage,
    Reopened,
    RollbackAsked,
    Settle,
    State,
    StoreChanged,
    Write,
    advance,
    exposure_of,
)
from suffice.rollout.fleet import LATE_SECONDS, FleetCount, Lowered, Watched, watch_fleet
from suffice.rollout.phases import Phase
from suffice.rollout.saved_state import plain_result, plain_state, state_of
from suffice.rollout.wish import forget_wish, wish
from suffice.rollout.word import length_of, note_word, store_word, why_foreign, word_of
from suffice.rollout.world import RUNNER
from suffice.serving.fence import BootClock
from suffice.store.actions import Action
from suffice.store.database import Store
from suffice.store.journal import JournalEvent, append_journal
from suffice.store.ledger import Ledger
from suffice.store.note import read_note
from suffice.store.rollouts import (
    StoredRollout,
    create_rollout,
    load_rollout,
    save_rollout,
)
from suffice.store.triage import add_receipt, receipt_of, withdraw_receipt
from suffice.store.words import epoch_of, read_word

Note: TypeAlias = Callable[[State], JournalEvent]
"""The journal's event about the state that an event leads to; its time becomes that of the decision."""

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class FlagAccess:
    """Where the flag is, and with what it is written and asked."""

    path: Path
    salt: str
    client: Flag
    targets: Sequence[str]
    regions: Sequence[str]


class Driver:
    """Runs one rollout of a store.

    Every event is one transaction: the new state by compare-and-swap, with its journal events and the word of the
    rollout, which says who may be adaptive now and for how long without a further event. Commands follow; they
    are idempotent, and `reconcile` carries out again what the stored state calls for, so that a kill between the two
    loses nothing. `settle` does what follows an observed rollback; it is called again after a crash, and must then
    change nothing more. `clock` gives seconds; it is the rollout's only clock, but for `boot`, which counts leases.
    A receipt is waited for while there is `patience`. `after_word` is called when a word was committed.
    """

    def __init__(
        self,
        store: Store,
        rollout: str,
        flag: FlagAccess,
        settle: Callable[[State], object],
        clock: Callable[[], float],
        *,
        boot: Callable[[], float] | None = None,
        patience: Callable[[], bool] = lambda: True,
        after_word: Callable[[], object] = lambda: None,
    ) -> None:
        self._store, self._id, self._flag = store, rollout, flag
        self._settle, self._clock = settle, clock
        self._boot, self._patience, self._after_word = boot or BootClock(), patience, after_word
        self._receipt: Receipt | None = None
        self._fleet: FleetCount | None = None
        self._lowered: Lowered | None = None

    @property
    def stored(self) -> StoredRollout:
        """The rollout as it is stored. Raises RolloutError when there is none."""
        with self._store.read() as connection:
            stored = load_rollout(connection, self._id)
        if stored is None:
            raise RolloutError(f"there is no rollout {self._id} in {self._store.name}")
        return stored

    @property
    def state(self) -> State:
        return state_of(self.stored.state)

    def create(self, state: State, service: str, config: dict[str, Any]) -> None:
        """Store a new rollout that is Pending."""
        now = self._clock()
        new = StoredRollout(self._id, service, state.phase.value, plain_state(state), config, now, now)
        with self._store.write() as connection:
            create_rollout(connection, new)

    def handle(self, event: Event, who: str, note: Note | None = None) -> State:
        """Let the controller decide about an event, store what it decided, and do it.

        The `note` and the state that it is about are stored together, or neither is. A baseline that is not observed
        is left to the next `reconcile`. Raises RolloutError, StoreConflict.
        """
        pending: list[tuple[Event, str]] = [(event, who)]
        while pending:
            happened, actor = pending.pop(0)
            commands = self._decide(happened, actor, note if happened is event else None)
            pending += [(follow, "runner") for command in commands if (follow := self._do(command))]
        return self.state

    def reconcile(self) -> State:
        """Do again what the stored state calls for: after a kill, or while the baseline is not observed.

        Raises RolloutError, StoreError, OutputError.
        """
        state = self.state
        if state.in_force:
            self._do(PublishStage(state.current))
        elif state.phase is Phase.ROLLING_BACK:
            follow = self._do(PublishBaseline())
            return self.handle(follow, "runner") if follow else state
        elif state.phase is Phase.ROLLED_BACK:
            if self._without_receipt():
                return self.handle(Reopened("no receipt was kept"), RUNNER)
            self._do(KeepBaseline())
            self._do(Settle())
        elif state.phase is Phase.HELD_BACK:
            self._do(KeepBaseline())
        return self.state

    def check_store(self) -> None:
        """Ask whether the store is the one that this folder knows; of another one the baseline is written first.

        Raises StoreError, OutputError, DataError.
        """
        stored, note = self.stored, read_note(self._folder)
        with self._store.read() as connection:
            read = read_word(connection, stored.service, self._clock())
        state, word = state_of(stored.state), read.word
        begun = word is not None and (word.rollout, word.phase) == (self._id, Phase.ROLLING_BACK.value)
        if read.counts and begun and state.in_force:
            # Whoever lowered the row was killed before it had stored the state, or could not open the store.
            who, why = wish(self._folder) or (RUNNER, "a rollback was begun, and its word is in the store")
            self.handle(RollbackAsked(why), who)
            return
        reason = why_foreign(read, note)
        if reason is not None:
            lapsed = read.standing.at + length_of(state.rollout) + LATE_SECONDS
            self.handle(StoreChanged(reason, lapsed, note.released), RUNNER)

    def check_receipt(self) -> None:
        """Ask whether decisions were adaptive after the receipt; then the rollback is reopened. Raises StoreError."""
        with self._store.read() as connection:
            receipt = receipt_of(connection, self._id)
        late = Ledger(self._store).adaptive_after(self._id, receipt.at) if receipt else 0
        if late:
            self.handle(Reopened(f"{late:,} decisions were adaptive after the receipt; allowed: none"), RUNNER)

    def keep_baseline(self) -> None:
        """Publish the baseline again. Raises OutputError."""
        self._publish(None, lambda state: not state.in_force)

    def _decide(self, event: Event, who: str, note: Note | None = None) -> tuple[Command, ...]:
        stored, now = self.stored, self._clock()
        before = state_of(stored.state)
        state, commands = advance(before, event, now)
        changed = replace(stored, phase=state.phase.value, state=plain_state(state), updated_at=now)
        word = word_of(changed, state, self._flag.salt)
        events = [
            JournalEvent(now, self._id, who, command.action, command.why, _numbers(command.results))
            for command in commands
            if isinstance(command, Write)
        ]
        if before.in_force and state.phase is Phase.ROLLING_BACK:
            lower_first(self._store, self._folder, word, who, state.why, now)
        with self._store.write() as connection:
            if state.phase is Phase.ROLLED_BACK and before.phase is Phase.ROLLING_BACK:
                events.append(self._keep_receipt(connection, now))
            if isinstance(event, Reopened):
                withdraw_receipt(connection, self._id)
            save_rollout(connection, changed)
            append_journal(connection, [*([replace(note(state), at=now)] if note else []), *events])
            read = store_word(connection, self._folder, word, now)
        committed = self._boot()
        note_word(self._folder, read)
        if state.phase is Phase.ROLLING_BACK and read.word is not None:
            self._lowered = Lowered(read.word.epoch, committed)
        self._after_word()
        return commands

    def _keep_receipt(self, connection: Connection, now: float) -> JournalEvent:
        """The receipt, in the transaction that still finds the store at the rollback's epoch."""
        receipt, fleet, lowered = self._receipt, self._fleet, self._lowered
        read = read_word(connection, self.stored.service, now)
        if receipt is None or fleet is None or lowered is None or not lowered.stands(read):
            gone = "the store is not at the rollback's epoch any more"
            raise RolloutError(f"{self._id}: {gone}; the next cycle waits anew")
        event = JournalEvent(read.standing.at, self._id, RUNNER, Action.RECEIPT, "", {})
        stored, told = receipt_and_event(event, receipt, fleet)
        add_receipt(connection, stored)
        return replace(told, at=now)

    def _without_receipt(self) -> bool:
        with self._store.read() as connection:
            return receipt_of(connection, self._id) is None

    @property
    def _folder(self) -> Path:
        return self._flag.path.parent

    def _do(self, command: Command) -> Event | None:
        match command:
            case PublishStage(stage):
                self._publish_stage(stage)
            case PublishBaseline():
                return self._publish_baseline()
            case KeepBaseline():
                self.keep_baseline()
            case Settle():
                self._settle(self.state)
            case Write():
                pass
        return None

    def _publish_stage(self, stage: Stage) -> None:
        """Publish, and wait until the flag answers so; traffic of a stage begins when the stage is observed."""
        exposure = exposure_of(stage, self._flag.salt)

        def wanted(state: State) -> bool:
            return state.in_force and state.current == stage

        if not self._publish(exposure, wanted):
            return
        sample = record(self._flag.salt, self._flag.targets[:PROBES])
        region = (stage.regions or (None,))[0]
        for _ in range(ATTEMPTS):
            # Audits of a stage whose exposure nobody sees would prove nothing about it.
            if not misplaced(sample, exposure, self._flag.client, region) and self._seen(exposure, region):
                return
            if not wanted(self.state):
                return
            if not self._patience():
                break
            time.sleep(0.05)
        raise RolloutError(f"stage {stage.name} was published in {self._flag.path}, but the flag does not answer so")

    def _seen(self, exposure: Exposure | None, region: str | None) -> bool:
        if exposure is None:
            return all(self._flag.client.ask(t, region).resolved for t in self._flag.targets[:1])
        slice_ = self._inside(exposure)
        return all(self._flag.client.ask(target, region).arm.value == "adaptive" for target in slice_)

    def _publish_baseline(self) -> Event:
        probes = [Probe(target, region) for target in self._old_slice() for region in (self._flag.regions or (None,))]
        # Leases run meanwhile: whoever waits for the fleet next waits for the rest of them only.
        attempt = try_baseline(self._export_baseline, self._flag.client, probes, patience=self._patience)
        seen = self._watch_fleet()
        self._receipt, self._fleet = attempt.receipt, seen.count
        sentence = seen.obstacle or f"{seen.count.sentence}; {attempt.sentence}"
        return Probed(seen.observed and attempt.observed, sentence)

    def _export_baseline(self) -> None:
        self.keep_baseline()
        # From here on row and file say it: the wish need not lower any more.
        forget_wish(self._folder)

    def _watch_fleet(self) -> Watched:
        state, service = self.state, self.stored.service
        with self._store.read() as connection:
            epoch = epoch_of(connection, service)
        if epoch is None:
            epoch = self._write_first_word(state)
        if self._lowered is None or self._lowered.epoch != epoch:
            # Another process committed it, at the latest just now.
            self._lowered = Lowered(epoch, self._boot())
        return watch_fleet(
            self._store, service, self._id, self._lowered, state, self._clock, self._boot, self._patience
        )

    def _write_first_word(self, state: State) -> int:
        """The word of a rollback that a version without words began."""
        with self._store.write() as connection:
            read = store_word(connection, self._folder, word_of(self.stored, state, self._flag.salt), self._clock())
        note_word(self._folder, read)
        self._after_word()
        return read.word.epoch if read.word else 0

    def _publish(self, exposure: Exposure | None, wanted: Callable[[State], bool]) -> bool:
        """Publish, unless the stored state wants something else by now; returns whether it was done."""

        def still_wanted(connection: Connection) -> bool:
            stored = load_rollout(connection, self._id)
            return stored is not None and wanted(state_of(stored.state))

        return publish_from_store(self._store, self._flag.path, exposure, still_wanted, self.stored.service)

    def _old_slice(self) -> Sequence[str]:
        stage = self.state.current
        exposure = exposure_of(stage, self._flag.salt)
        within = self._inside(exposure) if exposure else ()
        return within or self._flag.targets[:PROBES]

    def _inside(self, exposure: Exposure) -> Sequence[str]:
        """The first targets of a slice; all of them may be many, and asking for each is slow."""
        targets, within = self._flag.targets, list[str]()
        for start in range(0, len(targets), _AT_ONCE):
            within += inside(exposure, targets[start : start + _AT_ONCE])
            if len(within) >= PROBES:
                break
        return within[:PROBES]


def _numbers(results: Sequence[GateResult]) -> dict[str, Any]:
    return {result.gate: plain_result(result) for result in results}
