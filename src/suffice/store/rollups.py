"""Roll-ups: what was counted of a rollout's decisions, kept, so that no ledger row is read twice.

A roll-up contains the rows up to `last`. Its counts, and what is known of the targets in them, change in one
transaction with `last`, by compare-and-swap: of two that counted the same rows one is refused, and a killed one leaves
what was.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from sqlalchemy import Connection, select, update

from suffice.errors import StoreConflict
from suffice.store.chain import understood
from suffice.store.database import insert_new, insert_or_update
from suffice.store.schema import rollup_audited, rollup_storms, rollup_targets, rollups

Place: TypeAlias = tuple[str, str, str]
"""Stage, region ("" for none) and target."""

Scope: TypeAlias = tuple[str, str]
"""Stage, and what the storm policy counts for there: a target, or a pass of one."""

Audited: TypeAlias = tuple[str, str]
"""A target, and a stage in which it was audited."""

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Rollup:
    """What was counted of the ledger's rows up to `last`; `counts` are plain JSON values.

    `rule` names how it was counted: counts by another rule are not to be continued.
    """

    rollout: str
    rule: str
    last: int = 0
    counts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredStorm:
    """The storm policy's state in both worlds: adaptive decisions in force, and the baseline's."""

    adaptive_rollbacks: int = 0
    adaptive_review: bool = False
    baseline_rollbacks: int = 0
    baseline_review: bool = False


def load_rollup(connection: Connection, rollout: str) -> Rollup | None:
    """The roll-up of a rollout, None when nothing was counted yet."""
    row = connection.execute(select(rollups).where(rollups.c.rollout == rollout)).one_or_none()
    return (
        None
        if row is None
        else Rollup(**{**row._mapping, "counts": understood(row.counts, f"the roll-up of {rollout}")})
    )


def save_rollup(
    connection: Connection,
    seen: Rollup,
    counted: Rollup,
    targets: Mapping[Place, bool],
    storms: Mapping[Scope, StoredStorm],
    audited: Set[Audited],
) -> None:
    """Replace the roll-up that was `seen`, with the targets (whether any decision chose the adaptive arm) and storms
    that changed and the audited targets that are new, in the caller's write transaction.

    Raises StoreConflict, to be raised on so that nothing is written, when somebody else has counted on since.
    """
    if seen.last == 0:
        insert_new(connection, rollups, ["rollout"], [_columns(seen)])
    unchanged = (rollups.c.rollout == seen.rollout) & (rollups.c.last == seen.last) & (rollups.c.rule == seen.rule)
    if connection.execute(update(rollups).where(unchanged).values(_columns(counted))).rowcount != 1:
        raise StoreConflict(f"the roll-up of {seen.rollout} does not end with row {seen.last} any more; count again")
    key = {"rollout": seen.rollout}
    places = [
        {**key, "stage": stage, "region": region, "target": target, "adaptive": adaptive}
        for (stage, region, target), adaptive in targets.items()
    ]
    insert_or_update(connection, rollup_targets, places)
    scopes = [{**key, "stage": stage, "scope": scope, **asdict(storm)} for (stage, scope), storm in storms.items()]
    insert_or_update(connection, rollup_storms, scopes)
    pairs = [{**key, "target": target, "stage": stage} for target, stage in sorted(audited)]
    insert_new(connection, rollup_audited, ["rollout", "target", "stage"], pairs)


def known_targets(connection: Connection, rollout: str, places: Iterable[Place]) -> dict[Place, bool]:
    """Which of these are in the roll-up, and whether any decision there chose the adaptive arm."""
    c, targets = rollup_targets.c, dict[Place, bool]()
    for (stage, region), some in _portions(((stage, region), target) for stage, region, target in places):
        query = select(c.target, c.adaptive).where((c.rollout == rollout) & (c.stage == stage) & (c.region == region))
        for target, adaptive in connection.execute(query.where(c.target.in_(some))):
            targets[stage, region, target] = adaptive
    return targets


def known_storms(connection: Connection, rollout: str, scopes: Iterable[Scope]) -> dict[Scope, StoredStorm]:
    """The storm states of these, where the roll-up has one."""
    c, storms = rollup_storms.c, dict[Scope, StoredStorm]()
    columns = (c.adaptive_rollbacks, c.adaptive_review, c.baseline_rollbacks, c.baseline_review)
    for (stage,), some in _portions(((stage,), scope) for stage, scope in scopes):
        query = select(c.scope, *columns).where((c.rollout == rollout) & (c.stage == stage) & c.scope.in_(some))
        for scope, *state in connection.execute(query):
            storms[stage, scope] = StoredStorm(*state)
    return storms


def known_audited(connection: Connection, rollout: str, targets: Iterable[str]) -> set[Audited]:
    """In which stages these were audited, as far as the roll-up has it."""
    c, audited = rollup_audited.c, set[Audited]()
    for _, some in _portions(((), target) for target in targets):
        query = select(c.target, c.stage).where((c.rollout == rollout) & c.target.in_(some))
        audited.update((target, stage) for target, stage in connection.execute(query))
    return audited


def _portions(pairs: Iterable[tuple[tuple[str, ...], str]]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Distinct names by group, in order and some at a time: neighbours in the index are read together."""
    groups = defaultdict[tuple[str, ...], set[str]](set)
    for group, name in pairs:
        groups[group].add(name)
    for group, names in sorted(groups.items()):
        wanted = sorted(names)
        for start in range(0, len(wanted), _AT_ONCE):
            yield group, wanted[start : start + _AT_ONCE]


def _columns(rollup: Rollup) -> dict[str, Any]:
    return {
        "rollout": rollup.rollout,
        "rule": rollup.rule,
        "last": rollup.last,
        "counts": json.dumps(rollup.counts, sort_keys=True),
    }
