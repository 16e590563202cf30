"""The counters once more, from the ledger: of all decisions, and of the stage that a service's word is about."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suffice.evidence.saving import Saving
from suffice.gates import disagreement, health
from suffice.serving.counted import count
from suffice.store.actions import Action
from suffice.store.address import STORE_URL, store_of
from suffice.store.database import open_store
from suffice.store.journal import last_event
from suffice.store.ledger import Ledger
from suffice.store.words import read_word
from suffice.telemetry.counters import Counter, Counters, Counts
from suffice.telemetry.metrics_file import LEDGER, Metrics

_ELSEWHERE = (
    Counter.ROLLBACKS,
    Counter.ESCALATIONS,
    Counter.STALE,
    Counter.REUSED_KEYS,
    Counter.SAMPLER_ERRORS,
    Counter.SAMPLER_RETRIES,
)
"""What a decision's row says nothing of: what happened to records, and errors of samplers."""


@dataclass(frozen=True, slots=True)
class OfStage:
    """What is recorded of one stage; `health` are the checks of that gate, as its last cycle saw them, with outcome and
    sentence, `slices` the regions in which audits disagree, and `saved` is by decisions in force."""

    rollout: str
    name: str
    metrics: Metrics
    health: Sequence[Mapping[str, Any]] = ()
    slices: Sequence[Mapping[str, Any]] = ()
    saved: Saving = field(default_factory=Saving)


@dataclass(frozen=True, slots=True)
class FromLedger:
    """What is recorded of all decisions, what those in force `saved`, and the stage that is under way, if one is."""

    metrics: Metrics
    stage: OfStage | None
    saved: Saving


def count_ledger(queue: Path, service: str) -> FromLedger:
    """Count the ledger of the store of a queue folder, which the environment may name.

    Raises MissingDataError when there is none, StoreError.
    """
    with open_store(store_of(queue, os.environ.get(STORE_URL)), create=False) as store:
        with store.read() as connection:
            word = read_word(connection, service, 0.0).word
            judged = last_event(connection, word.rollout, Action.JUDGE) if word else None
        every, of_stage = Counters(), Counters()
        saved, saved_in_stage = Saving(), Saving()
        for row, times in Ledger(store).each_alike():
            count(row, every, times)
            in_force = times if row.is_adaptive else 0
            saved.count(row, in_force)
            if word is not None and (row.rollout, row.stage) == (word.rollout, word.stage):
                count(row, of_stage, times)
                saved_in_stage.count(row, in_force)
    if word is None or not word.stage:
        return FromLedger(_metrics(queue, every), None, saved)
    seen = judged.numbers if judged and judged.numbers.get("stage") == word.stage else {"gates": ()}
    parts = {gate["gate"]: gate.get("parts", ()) for gate in seen["gates"]}
    checks, slices = parts.get(health.GATE, ()), parts.get(disagreement.GATE, ())
    stage = OfStage(word.rollout, word.stage, _metrics(queue, of_stage), checks, slices, saved_in_stage)
    return FromLedger(_metrics(queue, every), stage, saved)


def _metrics(queue: Path, counters: Counters) -> Metrics:
    counts = counters.snapshot()
    known = {name: value for name, value in counts.counters.items() if name not in _ELSEWHERE}
    return Metrics(queue, Counts(counts.decisions, known), LEDGER)
