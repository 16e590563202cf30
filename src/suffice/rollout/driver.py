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
from suffice.rollout.baseline import ATTEMPTS, PROBES, publish_from_store, try_baseline
from suffice.rollout.controller import (
    Command,
    Event,
    KeepBaseline,
    Probed,
    PublishBaseline,
    PublishStage,
    Settle,
    State,
    Write,
    advance,
    exposure_of,
)
from suffice.rollout.phases import Phase
from suffice.rollout.saved_state import plain_result, plain_state, state_of
from suffice.rollout.word import note_word, store_word, word_of
from suffice.store.database import Store
from suffice.store.journal import JournalEvent, append_journal
from suffice.store.rollouts import (
    StoredRollout,
    create_rollout,
    load_rollout,
    save_rollout,
)

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
    change nothing more. `clock` gives seconds; it is the rollout's only clock.
    """

    def __init__(
        self,
        store: Store,
        rollout: str,
        flag: FlagAccess,
        settle: Callable[[State, Receipt | None], object],
        clock: Callable[[], float],
    ) -> None:
        self._store, self._id, self._flag = store, rollout, flag
        self._settle, self._clock = settle, clock
        self._receipt: Receipt | None = None

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
        """Do again what the stored state calls for: after a kill, or while the baseline is not observed."""
        state = self.state
        if state.in_force:
            self._do(PublishStage(state.current))
        elif state.phase is Phase.ROLLING_BACK:
            follow = self._do(PublishBaseline())
            return self.handle(follow, "runner") if follow else state
        elif state.phase is Phase.ROLLED_BACK:
            self._do(PublishBaseline())
            self._do(Settle())
        elif state.phase is Phase.HELD_BACK:
            self._do(KeepBaseline())
        return self.state

    def keep_baseline(self) -> None:
        """Publish the baseline again. Raises OutputError."""
        self._publish(None, lambda state: not state.in_force)

    def _decide(self, event: Event, who: str, note: Note | None = None) -> tuple[Command, ...]:
        stored, now = self.stored, self._clock()
        state, commands = advance(state_of(stored.state), event, now)
        changed = replace(stored, phase=state.phase.value, state=plain_state(state), updated_at=now)
        events = [
            JournalEvent(now, self._id, who, command.action, command.why, _numbers(command.results))
            for command in commands
            if isinstance(command, Write)
        ]
        with self._store.write() as connection:
            save_rollout(connection, changed)
            append_journal(connection, [*([replace(note(state), at=now)] if note else []), *events])
            read = store_word(connection, self._folder, word_of(changed, state, self._flag.salt), now)
        note_word(self._folder, read)
        return commands

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
                self._settle(self.state, self._receipt)
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
            time.sleep(0.05)
        raise RolloutError(f"stage {stage.name} was published in {self._flag.path}, but the flag does not answer so")

    def _seen(self, exposure: Exposure | None, region: str | None) -> bool:
        if exposure is None:
            return all(self._flag.client.ask(t, region).resolved for t in self._flag.targets[:1])
        slice_ = self._inside(exposure)
        return all(self._flag.client.ask(target, region).arm.value == "adaptive" for target in slice_)

    def _publish_baseline(self) -> Event:
        probes = [Probe(target, region) for target in self._old_slice() for region in (self._flag.regions or (None,))]
        attempt = try_baseline(self.keep_baseline, self._flag.client, probes)
        self._receipt = attempt.receipt
        return Probed(attempt.observed, attempt.sentence)

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
