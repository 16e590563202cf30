"""Decisions that have no row of their own in the ledger, and cases without a decision, counted, so that a rollout
knows of them.

Counts are at least what happened once: a process that is killed between the ledger's commit and emptying its spool
counts a reused key once more.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from typing import TypeAlias, TypeVar

from sqlalchemy import Connection, case, func, select, update

from suffice.store.database import add_to
from suffice.store.schema import irregularities
from suffice.telemetry.counters import added_by_type, by_frequency

_UNDECIDED = "UNDECIDED:"
"""How the kind of a case without a decision begins; the error's type follows."""

_REFUSED = "REFUSED:"
"""How the kind of a refused row with a key begins; a digest of the key follows, for an index takes no long texts."""


class Irregular(Enum):
    """Why a decision has no row of its own, or an audit no end."""

    REUSED = "its key was that of an earlier decision of the rollout"
    REFUSED = "the store does not take its row, which was put aside"
    DROPPED = "it could not be kept until the ledger was in reach"
    UNFINISHED = "it was to be audited, and its sampler raised between the adaptive decision and the baseline's"


@dataclass(frozen=True, slots=True)
class Irregularities:
    """How many there are of a kind, and when the newest was decided (seconds since the epoch; None: there is none)."""

    count: int = 0
    newest: float | None = None


Place: TypeAlias = tuple[str, str]
"""A rollout and its stage, both "" where nobody can say which it was."""


T = TypeVar("T", bound=Hashable)


def by_place(moments: Iterable[tuple[T, float]]) -> dict[T, Irregularities]:
    """How many there are at each place, from where and when each was decided."""
    of = dict[T, Irregularities]()
    for place, at in moments:
        before = of.get(place, Irregularities())
        of[place] = Irregularities(before.count + 1, at if before.newest is None else max(before.newest, at))
    return of


def note_irregular(connection: Connection, kind: Irregular, of: Mapping[Place, Irregularities]) -> None:
    """Count so many more at each place, in the caller's write transaction. However many places there are, it is one
    statement: nobody else writes meanwhile."""
    _note(connection, {(*place, kind.name): counted for place, counted in of.items()})


def note_refused(connection: Connection, of: Mapping[tuple[Place, str | None], Irregularities]) -> None:
    """The same of rows that were refused, by their keys (None: it has none), for `note_mended`."""
    _note(connection, {(*place, _refused(key)): counted for (place, key), counted in of.items()})


def note_mended(connection: Connection, rollout: str, keys: Iterable[str]) -> None:
    """Count no more what was refused under these keys: their rows were taken. In the caller's write transaction."""
    c = irregularities.c
    mended = (c.rollout == rollout) & c.kind.in_([_refused(key) for key in keys])
    # Who takes rows may not delete here.
    connection.execute(update(irregularities).where(mended).values(count=0))


def _refused(key: str | None) -> str:
    return Irregular.REFUSED.name if key is None else _REFUSED + sha256(key.encode(errors="surrogatepass")).hexdigest()


def _note(connection: Connection, of: Mapping[tuple[str, str, str], Irregularities]) -> None:
    rows = [
        {"rollout": rollout, "stage": stage, "kind": kind, "count": counted.count, "newest": counted.newest}
        for (rollout, stage, kind), counted in of.items()
    ]
    add_to(connection, irregularities, rows, counts="count", latest="newest")


def irregular_of(connection: Connection, rollout: str, stage: str) -> Mapping[Irregular, Irregularities]:
    """What was counted of a stage of a rollout, with what belongs to nobody knows which."""
    c = irregularities.c
    ours = ((c.rollout == rollout) & (c.stage == stage)) | (c.rollout == "")
    kind_of = case((c.kind.startswith(_REFUSED), Irregular.REFUSED.name), else_=c.kind).label("kind")
    counts = select(kind_of, c["count"], c.newest).where(ours & (c["count"] > 0)).subquery().c
    query = select(counts.kind, func.sum(counts["count"]), func.max(counts.newest)).group_by(counts.kind)
    counted = {kind: Irregularities(int(count), newest) for kind, count, newest in connection.execute(query)}
    return {kind: counted.get(kind.name, Irregularities()) for kind in Irregular}


def note_undecided(connection: Connection, rollout: str, stage: str, by_type: Mapping[str, int], at: float) -> None:
    """Count so many more cases whose sampler raised, by the error's type, in the caller's write transaction; the newest
    of this moment."""
    known = undecided_of(connection, rollout, stage)
    total = added_by_type(known, by_type)
    added = {name: count - known.get(name, 0) for name, count in total.items()}
    _note(
        connection,
        {(rollout, stage, f"{_UNDECIDED}{name}"): Irregularities(count, at) for name, count in added.items() if count},
    )


def undecided_of(connection: Connection, rollout: str, stage: str) -> dict[str, int]:
    """How many cases of a stage were not decided because their sampler raised, by the error's type."""
    c = irregularities.c
    here = (c.rollout == rollout) & (c.stage == stage) & c.kind.startswith(_UNDECIDED, autoescape=True)
    query = select(c.kind, c["count"]).where(here).order_by(c.kind)
    return {kind.removeprefix(_UNDECIDED): int(count) for kind, count in connection.execute(query)}


def sentences(irregular: Mapping[Irregular, Irregularities], undecided: Mapping[str, int]) -> tuple[str, ...]:
    """One for each kind that there is."""
    ends = {
        Irregular.REUSED: "had keys of earlier ones",
        Irregular.REFUSED: "have a row that was refused, and put aside in spool/refused (ingest: FILE.refused)",
        Irregular.DROPPED: "were returned, but their rows could not be kept",
        Irregular.UNFINISHED: "were never returned, because their sampler raised while they were audited",
    }
    without_row = tuple(f"decisions that {ends[kind]}: {of.count:,}" for kind, of in irregular.items() if of.count)
    if not undecided:
        return without_row
    every, types = sum(undecided.values()), by_frequency(undecided)
    return (*without_row, f"cases without a decision, because their sampler raised: {every:,} ({types})")
