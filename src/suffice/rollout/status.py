"""Answers for an operator: what percent am I at, why am I waiting, what would make me advance or roll back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from suffice.evidence.failures import failures_of
from suffice.evidence.measurements import NOTHING_MEASURED, Evidence
from suffice.flag.file import wrong_with_file
from suffice.gates import disagreement, targets
from suffice.gates.e_process import audits_to_prove
from suffice.gates.outcome import Outcome
from suffice.rollout.controller import State
from suffice.rollout.fleet import OLD_PRIMARY
from suffice.rollout.operator import Operator
from suffice.rollout.phases import Phase
from suffice.rollout.report import legal_commands
from suffice.rollout.saved_state import parts_of, state_of
from suffice.rollout.settle import left_to_do
from suffice.rollout.start import accepted_in_words
from suffice.rollout.subject import stored_config
from suffice.rollout.word import permission
from suffice.serving.situation import Salts
from suffice.store.actions import Action
from suffice.store.irregular import irregular_of, sentences, undecided_of
from suffice.store.leases import read_lease
from suffice.store.outbox import waiting
from suffice.store.triage import item_of, receipt_of
from suffice.store.words import read_word
from suffice.terminal import duration

_PROVEN_BY = {disagreement.GATE: "audits", targets.GATE: "targets"}
"""What more of would prove the limit of a gate."""


@dataclass(frozen=True, slots=True)
class Status:
    """What there is to know about a rollout, from what was stored; nothing is measured anew.

    `command` gives what a person types for words like "rollout resume". `rollback_asked` is the sentence of a rollback
    that was asked for and is not stored.
    """

    rollout: str
    service: str
    state: State
    gates: Sequence[Mapping[str, Any]]
    evidence: Evidence
    notes: Sequence[str]
    judged_at: float | None
    updated_at: float
    changed: Sequence[str]
    confidence: float
    command: Callable[[str], str]
    rollback_asked: str | None
    extra: Mapping[str, Any]

    @property
    def possible(self) -> tuple[str, ...]:
        """What an operator may say next."""
        return ("rollback",) if self.rollback_asked else legal_commands(self.state)

    def says(self, word: str) -> str:
        """What a person types for a word of `suffice rollout`, in backticks."""
        return f"`{self.command(f'rollout {word}')}`"

    @property
    def next_cycle_at(self) -> float | None:
        """When the next cycle is due (seconds since the epoch); None where none is waited for, or none was yet."""
        last = self.state.last_cycle
        waits = last is not None and self.state.phase is not Phase.RELEASED
        return last + self.state.rollout.cycle_seconds if waits and last is not None else None

    @property
    def percent(self) -> int:
        """Of the targets in the stage's regions, how many may be adaptive now."""
        exposure = self.state.exposure("any")
        return exposure.weight if exposure else 0


def status_of(operator: Operator) -> Status:
    """The status of the rollout that counts. Raises MissingDataError when there is none."""
    stored = operator.current
    state = state_of(stored.state)
    wanted = state.exposure(Salts.of(stored.id).arm)
    judged, before = operator.world.journal(stored.id).last_two(Action.JUDGE)
    changed = changed_since(before.numbers, judged.numbers) if before and judged else []
    with operator.store.read() as connection:
        lease = read_lease(connection, operator.place.service)
        permitted, until = permission(read_word(connection, operator.place.service, operator.clock()))
        receipt, item = receipt_of(connection, stored.id), item_of(connection, stored.id)
        irregular = irregular_of(connection, stored.id, state.current.name)
        undecided = undecided_of(connection, stored.id, state.current.name)
        extra = {
            "runner": lease.holder if lease and lease.holder else None,
            "permitted": permitted,
            "permitted_until": until,
            "receipt_at": receipt.at if receipt else None,
            "bundle": item.bundle if item else None,
            "triage_open": item.open if item else None,
            "undecided": undecided,
            "failures": failures_of(connection, stored.id, state.current.name),
            "notifications_waiting": waiting(connection),
            "flag": wrong_with_file(operator.place.flag, wanted) or "as published",
        }
    if judged is not None and judged.numbers.get("stage") != state.current.name:
        judged = None
    numbers = judged.numbers if judged else {}
    return Status(
        stored.id,
        stored.service,
        state,
        numbers.get("gates", ()),
        Evidence.of_plain(numbers["evidence"]) if numbers else NOTHING_MEASURED,
        (
            *numbers.get("notes", ()),
            *([state.alarm] if state.alarm else []),
            *accepted_in_words(stored.config.get("accepted", {}), stored.config.get("waived", ())),
            *sentences(irregular, undecided),
            *_waits_for(operator, state),
        ),
        judged.at if judged else None,
        stored.updated_at,
        changed,
        stored_config(stored.config, stored.id).rollout.acceptance.confidence,
        operator.place.command,
        operator.rollback_asked,
        extra,
    )


def _waits_for(operator: Operator, state: State) -> list[str]:
    """The receipt of a rollback; what keeps it from one, or would."""
    journal = operator.world.journal(operator.current.id)
    if state.phase is Phase.ROLLED_BACK:
        receipt = journal.last(Action.RECEIPT)
        return [note for note in (receipt and receipt.why, left_to_do(journal, operator.place.config)) if note]
    if state.phase is Phase.ROLLING_BACK:
        stuck = journal.last(Action.NOT_OBSERVED)
        return [f"the baseline is not observed yet: {stuck.why}{_told_how(operator, state)}"] if stuck else []
    return [f"a rollback would wait: {OLD_PRIMARY}{_told_how(operator, state)}"] if state.old_primary else []


def _told_how(operator: Operator, state: State) -> str:
    """How a person says that the server of the store's old incarnation is gone, where that is waited for."""
    command = operator.place.command("rollout rollback --reason … --old-primary-is-gone")
    return f" (`{command}`)" if state.old_primary else ""


def meanwhile(status: Status) -> str | None:
    """What the gates say now of a stage that is paused, whose `why` is of the moment of its pause; None elsewhere."""
    if status.state.phase is not Phase.PAUSED or not status.gates:
        return None
    others = [
        f"{gate['gate']} is {gate['outcome']}: {gate['sentence']}"
        for gate in status.gates
        if gate["outcome"] != Outcome.SUCCESSFUL.value
    ]
    return "; ".join(others) if others else f"every gate is Successful: {status.says('resume')} goes on"


def plain_status(status: Status) -> dict[str, Any]:
    """A status as plain JSON values."""
    state, stage = status.state, status.state.current
    return {
        "rollout": status.rollout,
        "service": status.service,
        "phase": state.phase.value,
        "stage": stage.name,
        "stages": [stage.name for stage in state.rollout.stages],
        "percent": status.percent,
        "regions": list(stage.regions),
        "shadow": stage.shadow,
        "why": state.why,
        "meanwhile": meanwhile(status),
        "held_seconds": state.held,
        "hold_seconds": stage.hold_seconds,
        "audits": _audits(status),
        "min_audits": stage.min_audits,
        "audit_fraction": stage.audit_fraction,
        "errors": state.errors,
        "extended_to_seconds": state.extended_to,
        "inconclusive": state.inconclusive,
        "awaits_approval": state.phase is Phase.AWAITING_APPROVAL,
        "possible": list(status.possible),
        "rollback_asked": status.rollback_asked,
        "gates": list(status.gates),
        "notes": list(status.notes),
        "judged_at": status.judged_at,
        "updated_at": status.updated_at,
        "next_cycle_at": status.next_cycle_at,
        "changed": list(status.changed),
        "advances_when": advances_when(status),
        "rolls_back_when": rolls_back_when(status),
        "pauses_when": pauses_when(status),
        **status.extra,
    }


def advances_when(status: Status) -> list[str]:
    """What is still missing before the stage ends, a sentence each."""
    state, stage = status.state, status.state.current
    if status.rollback_asked:
        return []
    if state.phase is Phase.PAUSED:
        return [f"a person says {status.says('resume')}", *_missing(status)]
    if state.phase is Phase.AWAITING_APPROVAL:
        return [f"a person says {status.says('approve')}"]
    if state.phase is Phase.HELD_BACK:
        return [f"a person says {status.says('resume')}, which publishes the stage again"]
    if state.phase is Phase.PENDING:
        return [f"the next cycle ({status.says('cycle')}) begins the first stage"]
    if state.phase is not Phase.PROGRESSING:
        return []
    if stage.approval and not state.approved:
        return [*_missing(status), f"a person approves the stage ({status.says('approve')}), once all of this is there"]
    missing = _missing(status)
    return ["the next cycle: the stage is approved"] if state.approved and not missing else missing


def changed_since(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What one cycle saw otherwise than the one before it, a sentence each."""
    if now["stage"] != before["stage"]:
        return [f"stage {now['stage']} follows {before['stage']}: it has gates and evidence of its own"]
    changed = [f"{name}: {before[name]}, then {now[name]}" for name in ("phase", "weight") if now[name] != before[name]]
    earlier = {gate["gate"]: gate for gate in before["gates"]}
    for gate in now["gates"]:
        was = earlier.pop(gate["gate"], None)
        if was is None:
            changed.append(f"{gate['gate']} is asked now: {gate['outcome']}")
        elif gate["outcome"] != was["outcome"]:
            changed.append(f"{gate['gate']}: {was['outcome']}, then {gate['outcome']}: {gate['sentence']}")
        elif gate["sentence"] != was["sentence"]:
            changed.append(f"{gate['gate']}: {was['sentence']}; then {gate['sentence']}")
    return [*changed, *(f"{gate} is not asked any more" for gate in earlier)]


def rolls_back_when(status: Status) -> list[str]:
    """What would roll back, a sentence each."""
    state = status.state
    if status.rollback_asked:
        return [status.rollback_asked]
    if not state.in_force:
        return []
    more = f"more than {state.rollout.failure_limit} times in this stage" if state.rollout.failure_limit else "once"
    sentences = [f"any gate answers Failed {more}, in any cycle, also while paused"]
    gate = _disagreement(status)
    if gate is not None and gate["limit"] is not None:
        alarm = disagreement.until_failed(status.evidence, gate["limit"])
        if alarm is not None:
            sentences.append(f"disagreement: {alarm} more audits that disagree, with none that agree between, would do")
    return [*sentences, f"a person says {status.says('rollback --reason …')}"]


def pauses_when(status: Status) -> list[str]:
    """What would pause it for a person, a sentence each, with how often that was seen."""
    state = status.state
    if status.rollback_asked or state.phase is not Phase.PROGRESSING:
        return []
    limits = state.rollout
    errors = f"more than {limits.consecutive_error_limit} cycles in a row cannot measure ({state.errors} so far)"
    if not state.current.needs_proof:
        return [errors]
    unproven = f"more than {limits.inconclusive_limit} cycles after hold and extension are without proof"
    deadline = duration(limits.progress_deadline.total_seconds())
    stalled = f"past its hold, the stage has no new audit for {deadline} of watched time"
    idle = f"{duration(state.held - state.grown_at)} so far"
    return [
        errors,
        f"{unproven} ({state.inconclusive} so far); a check that has not answered counts",
        f"{stalled} ({idle})" + ("" if state.slow else ", or is not over so long after it"),
    ]


def _missing(status: Status) -> list[str]:
    state, stage = status.state, status.state.current
    missing = []
    if state.held < stage.hold_seconds:
        rest = stage.hold_seconds - state.held
        missing.append(f"the hold of {duration(stage.hold_seconds)} is over: {duration(rest)} of watched time left")
    audits = _audits(status)
    if audits is None or audits < stage.min_audits:
        missing.append(f"audits: {'none measured' if audits is None else format(audits, ',')} of {stage.min_audits:,}")
    for gate in status.gates:
        if gate["outcome"] != Outcome.SUCCESSFUL.value and (
            stage.needs_proof or gate["outcome"] == Outcome.ERROR.value
        ):
            missing.append(
                f"{gate['gate']} is {gate['outcome']}: {gate['sentence']}{_distance(gate, status.confidence)}"
            )
            missing += [
                f"{name} is {part['outcome']}: {part['sentence']}"
                for name, part in parts_of(gate)
                if part["outcome"] != Outcome.SUCCESSFUL.value and part["sentence"] != gate["sentence"]
            ]
    if not status.gates:
        missing.append("the first cycle in this stage: no gate has been judged yet")
    return missing


def _distance(gate: Mapping[str, Any], confidence: float) -> str:
    """How many agreeing audits more, or targets, would prove the limit."""
    numbers, what = gate["numbers"], _PROVEN_BY.get(gate["gate"])
    if what is None or what not in numbers or gate["outcome"] != Outcome.INCONCLUSIVE.value:
        return ""
    unfinished, limit = int(numbers.get("unfinished", 0)), gate["limit"]
    n, k = int(numbers[what]) + unfinished, int(numbers["disagreements"]) + unfinished
    needed = audits_to_prove(k, limit, confidence)
    if needed is None or needed <= n:
        return ""
    return f"; {needed - n:,} more {what} that all agree would prove it at {100 * confidence:g} %"


def _audits(status: Status) -> int | None:
    gate = _disagreement(status)
    audits = gate["numbers"].get("audits") if gate else None
    return None if audits is None else int(audits)


def _disagreement(status: Status) -> Mapping[str, Any] | None:
    return next((gate for gate in status.gates if gate["gate"] == disagreement.GATE), None)
