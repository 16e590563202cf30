"""Evidence of every stage, from a ledger whose rows are each counted once, however many processes ask in turn."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from sqlalchemy import Connection

from suffice.config import Stage
from suffice.errors import StoreConflict, StoreError
from suffice.evidence.expected import ChanceOf, Expected
from suffice.evidence.measurements import EarlierStage, Evidence, Slice
from suffice.evidence.saving import Saving
from suffice.evidence.tally import Counted, ScopeOf, Tally
from suffice.resolution.storm import StormPolicy
from suffice.store.decision_row import DecisionRow
from suffice.store.irregular import Irregular, irregular_of
from suffice.store.ledger import Ledger, Portion
from suffice.store.rollups import (
    Audited,
    Place,
    Rollup,
    Scope,
    StoredStorm,
    known_audited,
    known_storms,
    known_targets,
    load_rollup,
    save_rollup,
)


@dataclass(slots=True)
class _Aside:
    """What was counted beyond the roll-up and is not kept in the store, by who may only look."""

    seen: Rollup | None = None
    targets: dict[Place, bool] = field(default_factory=dict)
    storms: dict[Scope, StoredStorm] = field(default_factory=dict)
    audited: set[Audited] = field(default_factory=set)

    def count_on(self, counted: Rollup, tally: Tally) -> None:
        self.seen = counted
        self.targets |= tally.targets
        self.storms |= tally.storms
        self.audited |= tally.audited


PORTION = 100_000
"""Rows that are counted in one transaction; a kill costs the counting of one portion at most."""


class EvidenceReader:
    """Counts each ledger row of a rollout once, into its stage; numbers come from the ledger alone.

    What was counted is kept in the store, so that the next reader, also of another process, goes on from there; readers
    at once count no row twice and miss none. For audited decisions the storm policy is replayed in both worlds, by
    `scope` of a row (its target, unless given), which must be the same for all readers of a rollout. `chance` is what
    the plan says of an audit.
    """

    def __init__(
        self,
        ledger: Ledger,
        rollout: str,
        policy: StormPolicy,
        scope: ScopeOf | None = None,
        portion: int = PORTION,
        chance: ChanceOf = lambda _: None,
    ) -> None:
        self._ledger, self._rollout, self._policy, self._portion = ledger, rollout, policy, portion
        self._chance = chance
        self._scope = scope or _target
        self._rule = f"1, max_rollbacks {policy.max_rollbacks}"
        self.stages: dict[str, Counted] = {}

    def read(self, stage: Stage, began: float, now: float, shadow: str | None = None, *, keep: bool = True) -> Evidence:
        """The evidence of a stage that began then, with all that was written up to now (seconds).

        `shadow` names the shadow stage that it is compared with, None where there was none. Unless it is to `keep` what
        it counts, nothing is written. Raises StoreError.
        """
        self.catch_up(keep=keep)
        counted = self.stages.setdefault(stage.name, Counted())
        before = self.stages.get(shadow, Counted()) if shadow else Counted()
        adaptive_targets, fixed_targets = counted.targets_within(stage)
        with self._ledger.store.read() as connection:
            irregular = irregular_of(connection, self._rollout, stage.name)
        lost = [irregular[kind] for kind in (Irregular.REFUSED, Irregular.DROPPED)]
        newest = max((one.newest for one in lost if one.newest is not None), default=None)
        return Evidence(
            decisions=counted.decisions,
            adaptive=counted.adaptive,
            invalid=counted.invalid,
            audits=counted.audits,
            disagreements=counted.disagreements,
            stopped=counted.stopped,
            stopping_draws=counted.stopping_draws,
            fixed_draws=counted.stopping_fixed_draws,
            reductions=dict(counted.reductions),
            saving=replace(counted.saving),
            audit_draws=counted.audit_draws,
            fallbacks=counted.fallbacks,
            audited_targets=counted.audited_targets,
            excess=counted.excess,
            spared=counted.spared,
            adaptive_targets=adaptive_targets,
            fixed_targets=fixed_targets,
            age=0.0,
            silence=max(now - (began if counted.newest is None else counted.newest), 0.0),
            plans=dict(counted.plans),
            watched=counted.watched,
            disagreed_at=tuple(counted.disagreed_at),
            slices=dict(sorted(counted.slices.items(), key=lambda item: (item[1].family, item[1].number))),
            expected=counted.expected,
            earlier={
                name: EarlierStage(other.audits, other.disagreements, other.watched, tuple(other.disagreed_at))
                for name, other in self.stages.items()
                if name != stage.name and other.audits
            },
            failures=counted.failures,
            targets=counted.targets,
            rollout_audits=sum(stage.audits for stage in self.stages.values()),
            first_audits=sum(stage.first_audits for stage in self.stages.values()),
            first_disagreements=sum(stage.first_disagreements for stage in self.stages.values()),
            shadow_decisions=before.decisions,
            shadow_invalid=before.invalid,
            reused=irregular[Irregular.REUSED].count,
            refused=sum(one.count for one in lost),
            refused_age=None if newest is None else abs(now - newest),
            ineligible=counted.ineligible,
            unfinished=irregular[Irregular.UNFINISHED].count,
        )

    def catch_up(self, *, keep: bool = True) -> None:
        """Count what was written since, into `stages`. Raises StoreError; what was counted until then is kept."""
        aside = None if keep else _Aside()
        while not self._count_portion(aside):
            pass

    def _count_portion(self, aside: _Aside | None) -> bool:
        """Count the next rows, and keep that, in the store or aside; whether they were the last ones."""
        with self._ledger.store.read() as connection:
            seen = (aside and aside.seen) or self._seen(connection)
            portion = self._ledger.portion_after(self._rollout, seen.last, self._portion, connection)
            places = [((stage, region or "", target), chose) for stage, region, target, chose in portion.places]
            tally = self._tally(connection, seen, portion, [place for place, _ in places], aside)
        for row, times in portion.alike:
            self._count(tally, row, times)
        for place, chose_adaptive in places:
            tally.place(place, chose_adaptive=chose_adaptive)
        for row in portion.audits:
            tally.watch(row)
            tally.meet(row)
            tally.replay(row, self._scope(row))
        if portion.last > seen.last:
            counts = {name: asdict(counted) for name, counted in tally.stages.items()}
            counted = replace(seen, last=portion.last, counts=counts)
            if aside is not None:
                aside.count_on(counted, tally)
            elif not self._saved(seen, counted, tally):
                # Another reader has counted these rows; go on behind them.
                return False
        self.stages = tally.stages
        return not portion.full

    def _saved(self, seen: Rollup, counted: Rollup, tally: Tally) -> bool:
        try:
            with self._ledger.store.write() as connection:
                save_rollup(connection, seen, counted, tally.targets, tally.storms, tally.audited)
        except StoreConflict:
            return False
        return True

    def _count(self, tally: Tally, row: DecisionRow, times: int) -> None:
        try:
            tally.count(row, times)
        except (TypeError, ValueError) as error:
            raise StoreError(f"decision {row.key} of {self._rollout} cannot be counted: {error}") from error

    def _seen(self, connection: Connection) -> Rollup:
        seen = load_rollup(connection, self._rollout) or Rollup(self._rollout, self._rule)
        if seen.rule != self._rule:
            raise StoreError(f"{self._rollout} was counted by rule {seen.rule}; allowed: {self._rule}")
        return seen

    def _tally(
        self, connection: Connection, seen: Rollup, portion: Portion, places: list[Place], aside: _Aside | None
    ) -> Tally:
        targets = known_targets(connection, self._rollout, places)
        storms = known_storms(connection, self._rollout, ((row.stage, self._scope(row)) for row in portion.audits))
        audited = known_audited(connection, self._rollout, (row.target for row in portion.audits))
        if aside is not None:
            targets |= aside.targets
            storms |= aside.storms
            audited |= aside.audited
        return Tally(self._policy, _stages(seen.counts), targets, storms, audited, self._chance)


def _stages(counts: Mapping[str, Any]) -> dict[str, Counted]:
    # What an earlier version counted beside is left out.
    known = {one.name for one in fields(Counted)}
    stages = dict[str, Counted]()
    for stage, values in counts.items():
        slices = {name: Slice(**part) for name, part in values.get("slices", {}).items()}
        own = {name: value for name, value in values.items() if name in known}
        own |= {"saving": Saving(**values.get("saving", {})), "expected": Expected(**values.get("expected", {}))}
        stages[stage] = Counted(**{**own, "slices": slices})
    return stages


def _target(row: DecisionRow) -> str:
    return row.target
