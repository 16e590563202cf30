"""Resolving corrections on a store, in batches that are applied whole or not at all."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Self

from sqlalchemy import Connection, insert, select

from suffice.errors import StoreConflict
from suffice.resolution.judge import Outcome, Resolution, Verify, first_record, judge
from suffice.resolution.provenance import events
from suffice.resolution.storm import StormPolicy
from suffice.serving.verifier import Verifier
from suffice.sources.correction import Correction
from suffice.store.database import Store
from suffice.store.events import append_provenance
from suffice.store.records import Change, Record, load_inputs, load_records, save_changes
from suffice.store.schema import resolutions
from suffice.telemetry.counters import Counter, Counters

BATCH = 256
"""Corrections a transaction: so many that commits cost little, so few that a kill loses a moment's work."""

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of corrections. `draws` were taken where `fixed_draws` would have been without stopping."""

    corrections: int = 0
    committed: int = 0
    rolled_back: int = 0
    invalid: int = 0
    skipped: int = 0
    unchanged: int = 0
    already: int = 0
    escalations: int = 0
    draws: int = 0
    fixed_draws: int = 0

    def plus(self, resolution: Resolution) -> "Summary":
        """The summary with one more resolution."""
        name, verdict = resolution.outcome.name.lower(), resolution.verdict
        counted: dict[str, int] = {name: getattr(self, name) + 1}
        return replace(
            self,
            corrections=self.corrections + 1,
            escalations=self.escalations + resolution.escalated,
            draws=self.draws + (verdict.n if verdict else 0),
            fixed_draws=self.fixed_draws + (verdict.fixed_n if verdict else 0),
            **counted,
        )


@dataclass(frozen=True, slots=True)
class Resolver:
    """Applies corrections to a store.

    `verify` validates each correction, outside of any transaction. Then one transaction writes a whole batch: records,
    versions, resolutions and provenance. `flush` is called between the two, so that what `verify` has to keep (its
    ledger rows) is kept before anything is built on it. A kill at any moment leaves whole batches. The next start skips
    what is done, and asks `verify` again about the rest, with the same keys.
    `clock` gives seconds since the epoch. `scope` is stored with each resolution (a rollout and pass, or "").
    `counters` counts the rollbacks and escalations of batches that are written.
    """

    store: Store
    verify: Verify
    policy: StormPolicy
    clock: Callable[[], float]
    scope: str = ""
    batch: int = BATCH
    flush: Callable[[], None] = lambda: None
    counters: Counters = field(default_factory=Counters)

    @classmethod
    def of(cls, verifier: Verifier, policy: StormPolicy) -> Self:
        """Production's resolver: it uses the store, the clock and the counters of `verifier`, which stays the caller's.

        Raises StoreError when the verifier has no store.
        """
        return cls(
            verifier.store,
            verifier.verify,
            policy,
            verifier.clock,
            flush=verifier.flush,
            counters=verifier.counters,
        )

    def resolve(self, corrections: Iterable[Correction]) -> Iterator[Resolution]:
        """Resolve corrections in their order, and yield each once its batch is committed.

        A correction whose key was resolved before, here or earlier, is ALREADY and changes nothing. Several processes
        may resolve on one store: when another one gets in the way of a batch, the batch is judged again.
        Raises StoreError, with nothing of the batch written, and whatever `verify` raises.
        """
        source = iter(corrections)
        while chunk := list(islice(source, self.batch)):
            yield from self._resolve_batch(chunk)

    def _resolve_batch(self, chunk: Sequence[Correction]) -> list[Resolution]:
        for _ in range(_TRIES - 1):
            try:
                return self._attempt(chunk)
            except StoreConflict:
                continue
        return self._attempt(chunk)

    def _attempt(self, chunk: Sequence[Correction]) -> list[Resolution]:
        with self.store.read() as connection:
            resolved = _resolved(connection, chunk)
            known = load_records(connection, (correction.target for correction in chunk))
            known = {**load_inputs(connection, known.values()), **known}
        judged = [self._judge(correction, known, resolved) for correction in chunk]
        fresh = [resolution for resolution in judged if resolution.outcome is not Outcome.ALREADY]
        if fresh:
            self.flush()
            self._write(fresh)
            self._count(fresh)
        return judged

    def _judge(self, correction: Correction, known: dict[str, Record], resolved: set[str]) -> Resolution:
        record = known.get(correction.target)
        if correction.key in resolved:
            as_is = record or first_record(correction)
            return Resolution(correction, Outcome.ALREADY, as_is, as_is)
        resolution = judge(record, correction, known, self.verify, self.policy)
        resolved.add(correction.key)
        known[correction.target] = resolution.after
        return resolution

    def _write(self, fresh: Sequence[Resolution]) -> None:
        at = self.clock()
        with self.store.write() as connection:
            save_changes(connection, [change for resolution in fresh for change in _changes(resolution)])
            connection.execute(insert(resolutions), [_row(resolution, self.scope, at) for resolution in fresh])
            append_provenance(connection, [event for resolution in fresh for event in events(resolution, at)])

    def _count(self, fresh: Sequence[Resolution]) -> None:
        rolled_back = sum(resolution.outcome is Outcome.ROLLED_BACK for resolution in fresh)
        self.counters.add(Counter.ROLLBACKS, rolled_back)
        self.counters.add(Counter.ESCALATIONS, sum(resolution.escalated for resolution in fresh))


def summarise(resolved: Iterable[Resolution]) -> Summary:
    """Count what became of corrections."""
    summary = Summary()
    for resolution in resolved:
        summary = summary.plus(resolution)
    return summary


def _resolved(connection: Connection, chunk: Sequence[Correction]) -> set[str]:
    keys = [correction.key for correction in chunk]
    query = select(resolutions.c.correction_key).where(resolutions.c.correction_key.in_(keys))
    return set(connection.execute(query).scalars())


def _changes(resolution: Resolution) -> list[Change]:
    before, after, key = resolution.before, resolution.after, resolution.correction.key
    first = [Change(None, before, "first seen", key)] if resolution.first_seen else []
    return [*first, Change(before, after, resolution.reason, key)] if before != after else first


def _row(resolution: Resolution, scope: str, at: float) -> dict[str, Any]:
    verdict = resolution.verdict
    return {
        "correction_key": resolution.correction.key,
        "target": resolution.correction.target,
        "outcome": resolution.outcome.name.lower(),
        "kind": resolution.kind.name.lower() if resolution.kind else None,
        "strategy": resolution.strategy.name.lower() if resolution.strategy else None,
        "decision": verdict.decision.value if verdict else None,
        "n": verdict.n if verdict else None,
        "fixed_n": verdict.fixed_n if verdict else None,
        "arm": resolution.arm,
        "reason": resolution.reason,
        "scope": scope,
        "at": at,
    }
