"""Resolving corrections on a store, in batches that are applied whole or not at all."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Self, cast

from sqlalchemy import Connection

from suffice.errors import StoreConflict
from suffice.resolution.judge import Outcome, Resolution, Validation, Verify, first_record, judge
from suffice.resolution.provenance import content_of, events, resolved_content
from suffice.resolution.storm import StormPolicy
from suffice.serving.verifier import Verifier
from suffice.sources.correction import Correction
from suffice.store.database import Store, insert_all
from suffice.store.events import append_provenance
from suffice.store.records import Change, Record, load_inputs, load_records, save_changes
from suffice.store.schema import resolutions
from suffice.telemetry.counters import Counter, Counters
from suffice.verifier.case import Case

BATCH = 256
"""Corrections a transaction: so many that commits cost little, so few that a kill loses a moment's work."""

_TRIES = 5
_KNOWN = (Outcome.ALREADY, Outcome.REUSED)
_COUNTERS = {
    Outcome.ROLLED_BACK: Counter.ROLLBACKS,
    Outcome.STALE: Counter.STALE,
    Outcome.REUSED: Counter.REUSED_KEYS,
}


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of corrections. `draws` were taken where `fixed_draws` would have been without stopping."""

    corrections: int = 0
    committed: int = 0
    rolled_back: int = 0
    invalid: int = 0
    skipped: int = 0
    unchanged: int = 0
    stale: int = 0
    already: int = 0
    reused: int = 0
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
    `counters` counts what came of batches that are written: rollbacks, escalations, stale measurements and reused keys.
    `fence` is asked in the transaction whether adaptive decisions may still be acted on: those that may not are decided
    anew by the baseline.
    """

    store: Store
    verify: Verify
    policy: StormPolicy
    clock: Callable[[], float]
    scope: str = ""
    batch: int = BATCH
    flush: Callable[[], None] = lambda: None
    counters: Counters = field(default_factory=Counters)
    fence: Verifier | None = None

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
            fence=verifier,
        )

    def resolve(self, corrections: Iterable[Correction]) -> Iterator[Resolution]:
        """Resolve corrections in their order, and yield each once its batch is committed.

        A correction whose key was resolved before, here or earlier, changes nothing: it is ALREADY, or REUSED where the
        measurement is another one (`provenance.content_of`). Several processes may resolve on one store: when another
        one gets in the way of a batch, the batch is judged again.
        Raises StoreError, with nothing of the batch written, and whatever `verify` raises.
        """
        source = iter(corrections)
        while chunk := list(islice(source, self.batch)):
            yield from self._resolve_batch(chunk)

    def _resolve_batch(self, chunk: Sequence[Correction]) -> list[Resolution]:
        decided, conflicts = _Decided(self.verify), 0
        while True:
            try:
                return self._attempt(chunk, decided)
            except _TakenBack as taken:
                for key in taken.keys:
                    decided.decide_anew(key, taken.fence)
            except StoreConflict:
                conflicts += 1
                if conflicts == _TRIES:
                    raise

    def _attempt(self, chunk: Sequence[Correction], decided: "_Decided") -> list[Resolution]:
        with self.store.read() as connection:
            resolved = resolved_content(connection, [correction.key for correction in chunk])
            known = load_records(connection, (correction.target for correction in chunk))
            known = {**load_inputs(connection, known.values()), **known}
        judged = [self._judge(correction, known, resolved, decided) for correction in chunk]
        fresh = [resolution for resolution in judged if resolution.outcome not in _KNOWN]
        if fresh:
            self.flush()
            self._write(fresh, decided)
        self._count(judged, decided)
        return judged

    def _judge(
        self, correction: Correction, known: dict[str, Record], resolved: dict[str, str | None], decided: "_Decided"
    ) -> Resolution:
        record = known.get(correction.target)
        if correction.key in resolved:
            as_is = record or first_record(correction)
            same = resolved[correction.key] in (None, content_of(correction))
            return Resolution(correction, Outcome.ALREADY if same else Outcome.REUSED, as_is, as_is)
        resolution = judge(record, correction, known, decided, self.policy)
        resolved[correction.key] = content_of(correction)
        known[correction.target] = resolution.after
        return resolution

    def _write(self, fresh: Sequence[Resolution], decided: "_Decided") -> None:
        at = self.clock()
        with self.store.write() as connection:
            if self.fence is not None:
                self._check(connection, self.fence, fresh, decided)
            save_changes(connection, [change for resolution in fresh for change in _changes(resolution)])
            insert_all(connection, resolutions, [_row(resolution, self.scope, at) for resolution in fresh])
            append_provenance(connection, [event for resolution in fresh for event in events(resolution, at)])

    def _check(self, connection: Connection, fence: Verifier, fresh: Sequence[Resolution], decided: "_Decided") -> None:
        served = [decided.served[resolution.correction.key] for resolution in fresh if resolution.verdict is not None]
        taken = fence.taken_back(connection, served)
        if taken:
            raise _TakenBack(taken, fence)
        for case, anew in served:
            if case.key in decided.before:
                fence.replace_row(connection, case, anew)

    def _count(self, judged: Sequence[Resolution], decided: "_Decided") -> None:
        if self.fence is not None:
            for key, before in decided.before.items():
                self.fence.count_anew(*decided.served[key], before=before)
        for outcome, counter in _COUNTERS.items():
            self.counters.add(counter, sum(resolution.outcome is outcome for resolution in judged))
        self.counters.add(Counter.ESCALATIONS, sum(resolution.escalated for resolution in judged))


class _TakenBack(Exception):
    """Adaptive decisions of the batch may not be acted on any more; nothing was written."""

    def __init__(self, keys: Sequence[str], fence: Verifier) -> None:
        super().__init__(", ".join(keys))
        self.keys, self.fence = keys, fence


class _Decided:
    """Validates the corrections of one batch, each once, however often the batch is judged; a case that has become
    another one meanwhile is decided again."""

    def __init__(self, verify: Verify) -> None:
        self._verify = verify
        self.served: dict[str, tuple[Case, Any]] = {}
        self.before: dict[str, Any] = {}
        """What was decided adaptively, of those that were decided anew."""

    def __call__(self, case: Case) -> Validation:
        case_before, verdict = self.served.get(case.key, (None, None))
        if case_before != case:
            verdict = self._verify(case)
            self.served[case.key] = case, verdict
            self.before.pop(case.key, None)
        return cast(Validation, verdict)

    def decide_anew(self, key: str, fence: Verifier) -> None:
        """Put the baseline's decision in the place of an adaptive one."""
        case, served = self.served[key]
        self.served[key] = case, fence.decide_anew(case, served)
        self.before[key] = served


def summarise(resolved: Iterable[Resolution]) -> Summary:
    """Count what became of corrections."""
    summary = Summary()
    for resolution in resolved:
        summary = summary.plus(resolution)
    return summary


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
