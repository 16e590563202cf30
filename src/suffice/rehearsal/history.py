"""What each cycle of a rehearsal saw, a row each, from the journal of its rollout."""

from collections.abc import Iterable, Mapping
from typing import Any

from suffice.gates import disagreement, sample_reduction
from suffice.rehearsal.traffic import DAY
from suffice.store.actions import Action
from suffice.store.journal import JournalEvent


def rows_of(events: Iterable[JournalEvent], start: float) -> list[dict[str, Any]]:
    """What each cycle saw of its stage, and the phase and weight that it led to; `start` is when day 0 began."""
    return [_row(event.at, event.numbers, start) for event in events if event.action is Action.JUDGE]


def _row(at: float, numbers: Mapping[str, Any], start: float) -> dict[str, Any]:
    by_gate = {gate["gate"]: gate for gate in numbers["gates"]}
    proof, saving, evidence = by_gate[disagreement.GATE], by_gate[sample_reduction.GATE], numbers["evidence"]
    return {
        "at": at,
        "day": (at - start) / DAY,
        "stage": numbers["stage"],
        "phase": numbers["phase"],
        "weight": numbers["weight"],
        "audits": evidence["audits"],
        "disagreements": evidence["disagreements"],
        "disagreement_upper": proof["numbers"].get("upper"),
        "disagreement_lower": proof["numbers"].get("lower"),
        "sample_reduction": saving["value"],
        "net": saving["numbers"].get("net"),
        "excess": evidence["excess"],
        "spared": evidence["spared"],
        "evidence": evidence,
        "gates": numbers["gates"],
    }
