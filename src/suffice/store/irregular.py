"""Decisions that have no row of their own in the ledger, counted, so that a rollout knows of them.

Counts are at least what happened once: a process that is killed between the ledger's commit and emptying its spool
counts a reused key once more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from sqlalchemy import Connection, func, select

from suffice.store.database import add_to
from suffice.store.schema import irregularities


class Irregular(Enum):
    """Why a decision has no row of its own."""

    REUSED = "its key was that of an earlier decision of the rollout"
    REFUSED = "the store does not take its row, which was put aside"
    DROPPED = "it could not be kept until the ledger was in reach"


@dataclass(frozen=True, slots=True)
class Irregularities:
    """How many there are of a kind, and when the newest was decided (seconds since the epoch; None: there is none)."""

    count: int = 0
    newest: float | None = None


def note_irregular(connection: Connection, kind: Irregular, rollout: str, stage: str, count: int, at: float) -> None:
    """Count so many more, the newest of this moment, in the caller's write transaction. Rollout and stage are "" where
    nobody can say which it was."""
    row = {"rollout": rollout, "stage": stage, "kind": kind.name, "count": count, "newest": at}
    add_to(connection, irregularities, row, counts="count", latest="newest")


def irregular_of(connection: Connection, rollout: str, stage: str) -> Mapping[Irregular, Irregularities]:
    """What was counted of a stage of a rollout, with what belongs to nobody knows which."""
    c = irregularities.c
    ours = ((c.rollout == rollout) & (c.stage == stage)) | (c.rollout == "")
    query = select(c.kind, func.sum(c["count"]), func.max(c.newest)).where(ours).group_by(c.kind)
    counted = {kind: Irregularities(int(count), newest) for kind, count, newest in connection.execute(query)}
    return {kind: counted.get(kind.name, Irregularities()) for kind in Irregular}


def sentences(irregular: Mapping[Irregular, Irregularities]) -> tuple[str, ...]:
    """One for each kind that there is."""
    ends = {
        Irregular.REUSED: "had keys of earlier ones",
        Irregular.REFUSED: "have a row that was refused, and put aside in spool/refused",
        Irregular.DROPPED: "were returned, but their rows could not be kept",
    }
    return tuple(f"decisions that {ends[kind]}: {of.count:,}" for kind, of in irregular.items() if of.count)
