"""What production can be asked about a stage: the ledger, recomputed decisions, and whether they are about this
rollout."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from suffice.config import Stage
from suffice.errors import SufficeError
from suffice.evidence.expected import ChanceOf
from suffice.evidence.measurements import NOTHING_MEASURED, Evidence
from suffice.evidence.reader import EvidenceReader
from suffice.evidence.rebuild import Pair, Rebuild
from suffice.evidence.recompute import Recomputed as Recomputed
from suffice.evidence.recompute import recompute
from suffice.evidence.tally import Counted, ScopeOf
from suffice.resolution.storm import StormPolicy
from suffice.stopping.plan import Plan
from suffice.store.database import Store
from suffice.store.decision_row import DecisionRow
from suffice.store.ledger import Ledger
from suffice.store.signs import last_sign

Recompute: TypeAlias = Callable[[Sequence[Pair], Plan], Recomputed]

RECOMPUTED = 20
"""Decisions of a stage that a fresh process decides again, the newest that the adaptive path took part in."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The evidence of a stage, and a sentence for each thing that could not be measured."""

    evidence: Evidence
    notes: tuple[str, ...] = ()


class Measurement:
    """Measures one rollout again and again; what the ledger had before is not read twice. Raises nothing: what cannot
    be read is not measured. `recomputed` holds how many decisions of a stage (with enough adaptive ones, or not yet)
    were decided again, and how many of them differ."""

    def __init__(
        self,
        store: Store,
        rollout: str,
        service: str,
        policy: StormPolicy,
        plan_of: Callable[[str], Plan],
        rebuild: Rebuild,
        scope: ScopeOf | None = None,
        recompute: Recompute = recompute,
        chance: ChanceOf = lambda _: None,
    ) -> None:
        self._store, self._ledger, self._rollout, self._service = store, Ledger(store), rollout, service
        self._plan_of, self._rebuild, self._recompute = plan_of, rebuild, recompute
        self._reader = EvidenceReader(self._ledger, rollout, policy, scope, chance=chance)
        self.recomputed: dict[tuple[str, bool], Recomputed] = {}

    @property
    def stages(self) -> Mapping[str, Counted]:
        """What was counted of each stage."""
        return self._reader.stages

    def measure(
        self, stage: Stage, began: float, now: float, shadow: str | None = None, *, keep: bool = True
    ) -> Measured:
        """The evidence of a stage that began then, up to now (seconds), beside that of the shadow stage, if any.

        Unless it is to `keep` what it counts, nothing is written.
        """
        try:
            evidence = self._reader.read(stage, began, now, shadow, keep=keep)
            evidence = replace(evidence, age=self._age(began, now))
        except SufficeError as error:
            return Measured(NOTHING_MEASURED, (f"the ledger cannot be counted: {_one_line(error)}",))
        return self._with_recomputed(stage, evidence)

    def _age(self, began: float, now: float) -> float:
        """Seconds since production last showed that it lives: a sign of life, or a row of any stage."""
        with self._store.read() as connection:
            sign = last_sign(connection, self._service)
        seen = [sign, *(counted.newest for counted in self._reader.stages.values())]
        # A moment in the future was before the clock went back; how long ago that is nobody knows.
        return min((abs(now - moment) for moment in seen if moment is not None), default=max(now - began, 0.0))

    def pairs(self, rows: list[DecisionRow]) -> list[Pair]:
        """Those of the rows that can be rebuilt."""
        return self._rebuild(rows)

    def _with_recomputed(self, stage: Stage, evidence: Evidence) -> Measured:
        # Again once there are enough adaptive decisions: a young stage has hardly any.
        enough = (evidence.stopped or 0) >= RECOMPUTED
        why_not: str | None = None
        if evidence.stopped and (stage.name, enough) not in self.recomputed:
            try:
                self.recomputed[stage.name, enough] = self._recomputed(stage.name)
            except SufficeError as error:
                why_not = _one_line(error)
        known = self.recomputed.get((stage.name, enough), Recomputed())
        return Measured(
            replace(
                evidence,
                recomputed=known.decisions,
                differing=known.differing,
                first_differing=known.first,
                not_recomputed=why_not,
            )
        )

    def _recomputed(self, stage: str) -> Recomputed:
        rows = self._ledger.latest(self._rollout, stage, 10 * RECOMPUTED, adaptive_path=True)
        pairs = self._rebuild(rows)[:RECOMPUTED]
        return self._recompute(pairs, self._plan_of(stage)) if pairs else Recomputed()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
