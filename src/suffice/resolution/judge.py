"""One correction: from the record as it is to the record as it should be. Pure, but for the draws of `verify`."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from suffice.decision.rule import Decision
from suffice.resolution.classify import Kind, classify, is_mismatch
from suffice.resolution.storm import StormPolicy, StormState
from suffice.resolution.strategy import STRATEGIES, Inputs, Strategy, propose
from suffice.sampling.sampler import Pair
from suffice.sources.correction import Correction, Estimate
from suffice.sources.times import is_older
from suffice.store.records import Record, Status
from suffice.verifier.case import Case


class Validation(Protocol):
    """What validation answers. It may also have an `arm`."""

    @property
    def decision(self) -> Decision: ...

    @property
    def n(self) -> int: ...

    @property
    def fixed_n(self) -> int: ...


Verify = Callable[[Case], Validation]


class Outcome(Enum):
    """What became of a correction; the value is the sentence a person reads."""

    COMMITTED = "Validation accepted the correction: the record has a new version."
    ROLLED_BACK = "Validation rejected the correction: the record is as it was."
    INVALID = "A draw was NaN or infinite, nothing could be decided: the record is as it was."
    SKIPPED = "The record needs review: nothing is applied to it until a person closes the review."
    UNCHANGED = "Record and measurement have the same value: there is nothing to correct."
    STALE = "The measurement is older than what the record holds: the record is as it was."
    ALREADY = "The correction was resolved before; it is not applied twice."
    REUSED = (
        "The key was resolved before, about another measurement: nothing is applied. Give this one a key of its own."
    )


@dataclass(frozen=True, slots=True)
class Resolution:
    """What became of one correction; `before` is the snapshot.

    `first_seen` says that the store did not know the target. Kind, strategy, `proposed` and `verdict` are None when
    nothing was proposed.
    """

    correction: Correction
    outcome: Outcome
    before: Record
    after: Record
    first_seen: bool = False
    kind: Kind | None = None
    strategy: Strategy | None = None
    proposed: Record | None = None
    verdict: Validation | None = None

    @property
    def escalated(self) -> bool:
        """Whether this correction made its target need review."""
        return self.after.status is Status.NEEDS_REVIEW and self.before.status is Status.ACTIVE

    @property
    def arm(self) -> str | None:
        """The arm that decided, where the verdict names one."""
        arm = getattr(self.verdict, "arm", None)
        return arm.value if isinstance(arm, Enum) else arm

    @property
    def reason(self) -> str:
        """Why this became of it, in a sentence with its numbers."""
        if self.verdict is None:
            sentence: str = self.outcome.value
            if self.outcome is Outcome.STALE:
                sentence = f"{sentence} Measured: {self.correction.time}; held: {self.before.time}."
            return sentence
        decided = f"{self.verdict.decision.value} after {self.verdict.n} of {self.verdict.fixed_n} draws"
        if self.outcome is Outcome.ROLLED_BACK and self.verdict.decision is Decision.ACCEPTED:
            return f"{decided}, but the proposal moves away from the measurement"
        return decided


def first_record(correction: Correction) -> Record:
    """The record of a target that the store does not know yet, as the correction gives it."""
    record = correction.record
    return Record(
        correction.target,
        record.value,
        record.u_plus,
        record.u_minus,
        correction.record_context,
        correction.record_time,
    )


def judge(
    known: Record | None, correction: Correction, inputs: Inputs, verify: Verify, policy: StormPolicy
) -> Resolution:
    """Snapshot, classify, propose, validate, and commit or roll back, for one correction.

    Validation compares the proposal with the correction's own record, not with the store's. So a correction that was
    rejected does not change the pair of the next one. It calls `verify` at most once, and only where something is
    proposed. A proposal that moves away from the measurement is never committed, whatever is decided, and neither is a
    measurement that is older than what the record holds.
    """
    before = known or first_record(correction)
    untouched = Resolution(correction, Outcome.UNCHANGED, before, before, first_seen=known is None)
    if is_older(correction.time, before.time):
        return replace(untouched, outcome=Outcome.STALE)
    if not is_mismatch(correction):
        return untouched
    if before.status is Status.NEEDS_REVIEW:
        return replace(untouched, outcome=Outcome.SKIPPED)
    kind = classify(before, correction)
    proposed = propose(kind, before, correction, inputs)
    verdict = verify(case_of(correction, proposed))
    outcome = _OUTCOMES[verdict.decision]
    if outcome is Outcome.COMMITTED and _moves_away(correction, proposed):
        outcome = Outcome.ROLLED_BACK
    return replace(
        untouched,
        outcome=outcome,
        after=_settle(before, proposed, outcome, policy),
        kind=kind,
        strategy=STRATEGIES[kind],
        proposed=proposed,
        verdict=verdict,
    )


def case_of(correction: Correction, proposed: Record) -> Case:
    """The case that asks whether a drawn pair (correction's record, proposal) moves towards the measurement."""
    after = Estimate(proposed.value, proposed.u_plus, proposed.u_minus)
    case = correction.case()
    if after == correction.measurement:
        return case
    return replace(case, sampler=Pair(correction.record.distribution(), after.distribution()))


_OUTCOMES = {
    Decision.ACCEPTED: Outcome.COMMITTED,
    Decision.REJECTED: Outcome.ROLLED_BACK,
    Decision.INVALID: Outcome.INVALID,
}


def _moves_away(correction: Correction, proposed: Record) -> bool:
    """Recomputing a derived record may do that, and a two-sided rule accepts a clear change in either direction."""
    claimed = correction.measurement.value - correction.record.value
    return (proposed.value - correction.record.value) * claimed < 0


def _settle(before: Record, proposed: Record, outcome: Outcome, policy: StormPolicy) -> Record:
    if outcome is Outcome.INVALID:
        return before
    state = policy.after(StormState(before.consecutive_rollbacks), accepted=outcome is Outcome.COMMITTED)
    return replace(
        proposed if outcome is Outcome.COMMITTED else before,
        consecutive_rollbacks=state.consecutive_rollbacks,
        status=Status.NEEDS_REVIEW if state.needs_review else Status.ACTIVE,
    )
