"""The decision ledger: one row a decision, written once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, func, select, update

from suffice.errors import StoreRefusal
from suffice.store.database import Store, insert_new
from suffice.store.decision_row import (
    LARGEST,
    NAMES,
    DecisionRow,
    WhyFixed,
    plain_row,
    row_of_plain,
    row_of_values,
    too_long,
)
from suffice.store.irregular import Irregular, by_place, note_irregular
from suffice.store.schema import ADAPTIVE_PATH, ASKED_WORD, AUDITS, CHOSE_ADAPTIVE, DISAGREEING, decisions
from suffice.verifier.arm import Arm

_BATCH = 10_000
_AT_ONCE = 500
_COLUMNS = [decisions.c[name] for name in NAMES]


@dataclass(frozen=True, slots=True)
class Portion:
    """What there is to count of a rollout's next decisions, up to the row numbered `last`.

    `alike` are decisions that differ in nothing that is counted, each with how many there are, in the order of their
    last rows. Such a row stands for all of them: its `at` is the latest, its `key` one of theirs, what a draw costs or
    takes their mean, and it names no target. `places` are stage, region, target, and whether any decision there chose
    the adaptive arm; of decisions whose arm a live word chose, not one that was fixed for another reason. `audits` are
    those with both decisions, in ledger order. `full`: there may be more behind it.
    """

    last: int
    full: bool
    alike: list[tuple[DecisionRow, int]]
    places: list[tuple[str, str | None, str, bool]]
    audits: list[DecisionRow]


_RECENT_SECONDS, _RECENT_ROWS = 7 * 86_400.0, 10_000


@dataclass(frozen=True, slots=True)
class Traffic:
    """Recent decisions of a service by region, and the seconds since the first of them."""

    decisions: Mapping[str | None, int]
    seconds: float


_COUNTED = (
    "stage",
    "plan_id",
    "arm",
    "decision",
    "n",
    "fixed_n",
    "reason",
    "audited",
    "shadow",
    "baseline_decision",
    "adaptive_decision",
    "adaptive_n",
    "drawn",
    "agrees",
    "invalid",
    "why_fixed",
    "failure",
)
"""What of a decision is counted, beside where it was made."""

_SUMMED = ("cost", "draw_seconds")
"""What is added up where it is known: of decisions that are alike in all that is counted, it is their mean."""


class Ledger:
    """Reads and writes the decisions of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def append(self, rows: Iterable[DecisionRow], connection: Connection | None = None) -> int:
        """Write the rows in one transaction (the caller's, if there is one), and return how many were new.

        A row whose (rollout, key) is there already changes nothing: a retry never doubles. One of another decision is
        counted as a reused key. Raises StoreRefusal when one of the rows is nothing that a ledger takes, on whatever
        store; raises StoreError; then none of the rows is written.
        """
        if connection is not None:
            return _insert(connection, rows)
        with self.store.write() as own:
            return _insert(own, rows)

    def known(self, rollout: str, keys: Iterable[str], connection: Connection) -> set[str]:
        """Those of the keys that decisions of the rollout have."""
        c, wanted, known = decisions.c, sorted(set(keys)), set[str]()
        for start in range(0, len(wanted), _AT_ONCE):
            some = (c.rollout == rollout) & c.key.in_(wanted[start : start + _AT_ONCE])
            known.update(connection.execute(select(c.key).where(some)).scalars())
        return known

    def rows(self, rollout: str, stage: str | None = None) -> list[DecisionRow]:
        """All decisions, in ledger order."""
        return self._select(_within(rollout, stage))

    def each_row(self, rollout: str, portion: int = _BATCH) -> Iterator[DecisionRow]:
        """All decisions of a rollout, in ledger order, with no more than a portion of them in memory."""
        last, more = 0, True
        while more:
            rows, last = self.rows_after(rollout, last, portion)
            yield from rows
            more = len(rows) == portion

    def adaptive(self, rollout: str, stage: str, portion: int) -> Iterator[list[DecisionRow]]:
        """The decisions of a stage that are in force by the adaptive path, in ledger order, a portion at a time."""
        c, last, more = decisions.c, 0, True
        # Not the bare column: see `rows_after`.
        within = (c.rollout.concat("") == rollout) & (c.stage == stage) & (c.arm == Arm.ADAPTIVE.value)
        while more:
            query = select(c.id, *_COLUMNS).where((c.id > last) & within).order_by(c.id).limit(portion)
            with self.store.read() as connection:
                rows = connection.execute(query).all()
            yield [row_of_values(values[1:]) for values in rows]
            more, last = len(rows) == portion, rows[-1].id if rows else last

    def decided(self, rollout: str, stage: str) -> tuple[int, int]:
        """How many decisions of a stage there are, and how many of them are in force by the adaptive path."""
        adaptive = func.count(case((decisions.c.arm == Arm.ADAPTIVE.value, 1)))
        with self.store.read() as connection:
            every, some = connection.execute(select(func.count(), adaptive).where(_within(rollout, stage))).one()
        return int(every), int(some)

    def rows_after(
        self, rollout: str, last: int, limit: int, connection: Connection | None = None
    ) -> tuple[list[DecisionRow], int]:
        """The first `limit` of the rollout's decisions behind the row numbered `last` (0: from the first), in ledger
        order, and the number that the next portion begins behind.

        Numbers rise in the order of commits, so that no row appears later behind that number.
        """
        if connection is None:
            with self.store.read() as own:
                return self.rows_after(rollout, last, limit, own)
        # Not the bare column: SQLite would take an index over rollouts, and read all rows of this one.
        within = decisions.c.rollout.concat("") == rollout
        query = select(decisions.c.id, *_COLUMNS).where((decisions.c.id > last) & within)
        query = query.order_by(decisions.c.id).limit(limit)
        rows = connection.execute(query).all()
        if len(rows) == limit:
            return [row_of_values(values[1:]) for values in rows], rows[-1].id
        newest = connection.execute(select(func.max(decisions.c.id))).scalar_one()
        return [row_of_values(values[1:]) for values in rows], max(last, newest or 0)

    def portion_after(self, rollout: str, last: int, limit: int, connection: Connection) -> Portion:
        """What the first `limit` of the rollout's decisions behind the row numbered `last` (0: from the first) add up
        to; the database counts what is alike, so that few rows leave it. Numbers are those of `rows_after`."""
        c = decisions.c
        within = c.rollout.concat("") == rollout
        end = select(c.id).where((c.id > last) & within).order_by(c.id).offset(limit - 1).limit(1)
        upto = connection.execute(end).scalar_one_or_none()
        full = upto is not None
        if upto is None:
            upto = max(last, connection.execute(select(func.max(c.id))).scalar_one() or 0)
        within &= (c.id > last) & (c.id <= upto)
        alike = _grouped().where(within)
        chose = func.max(case((CHOSE_ADAPTIVE, 1), else_=0))
        places = (
            select(c.stage, c.region, c.target, chose).where(within & ASKED_WORD).group_by(c.stage, c.region, c.target)
        )
        audits = select(*_COLUMNS).where(within & AUDITS).order_by(c.id)
        return Portion(
            upto,
            full,
            [_alike(values, rollout=rollout) for values in connection.execute(alike.order_by(func.max(c.id)))],
            [(stage, region, target, bool(any_)) for stage, region, target, any_ in connection.execute(places)],
            [row_of_values(values) for values in connection.execute(audits)],
        )

    def each_alike(self) -> list[tuple[DecisionRow, int]]:
        """All decisions of every rollout: of those that differ in nothing that is counted one, with how many there are.

        It stands for all of them as a row of `Portion.alike` does.
        """
        rollout = decisions.c.rollout
        with self.store.read() as connection:
            return [_alike(values) for values in connection.execute(_grouped().add_columns(rollout).group_by(rollout))]

    def disagreements(self, rollout: str, stage: str | None = None) -> list[DecisionRow]:
        """The audited decisions that the baseline would have made otherwise, in ledger order."""
        return self._select(_within(rollout, stage) & DISAGREEING)

    def audits(self, rollout: str, stage: str, count: int) -> list[DecisionRow]:
        """The newest audits of a stage, in ledger order."""
        query = select(*_COLUMNS).where(_within(rollout, stage) & AUDITS).order_by(decisions.c.id.desc()).limit(count)
        with self.store.read() as connection:
            return [row_of_values(values) for values in connection.execute(query)][::-1]

    def latest(self, rollout: str, stage: str, count: int, *, adaptive_path: bool = False) -> list[DecisionRow]:
        """The newest decisions of a stage, newest first; only those that the adaptive path took part in, if asked."""
        within = _within(rollout, stage)
        if adaptive_path:
            within &= ADAPTIVE_PATH
        query = select(*_COLUMNS).where(within).order_by(decisions.c.id.desc()).limit(count)
        with self.store.read() as connection:
            return [row_of_values(values) for values in connection.execute(query)]

    def newest(self, count: int) -> list[DecisionRow]:
        """The newest decisions of all rollouts, and of none, newest first."""
        query = select(*_COLUMNS).order_by(decisions.c.id.desc()).limit(count)
        with self.store.read() as connection:
            return [row_of_values(values) for values in connection.execute(query)]

    def adaptive_after(self, rollout: str, at: float) -> int:
        """How many decisions of a moment later than `at` were adaptive; after a rollback's receipt it must be 0."""
        later = (decisions.c.rollout == rollout) & (decisions.c.arm == Arm.ADAPTIVE.value) & (decisions.c.at > at)
        with self.store.read() as connection:
            return connection.execute(select(func.count()).select_from(decisions).where(later)).scalar_one()

    def _select(self, condition: ColumnElement[bool]) -> list[DecisionRow]:
        query = select(*_COLUMNS).where(condition).order_by(decisions.c.id)
        with self.store.read() as connection:
            return [row_of_values(values) for values in connection.execute(query)]


def traffic_of(connection: Connection, service: str, now: float) -> Traffic | None:
    """The decisions of the last week, of the newest 10,000 in the store, that can become adaptive; None without any.

    `now` is in seconds since the epoch. Decisions outside any rollout count too: they name no service.
    """
    c = decisions.c
    eligible = c.why_fixed.is_(None) | (c.why_fixed != WhyFixed.INELIGIBLE.name)
    recent = (c.at > now - _RECENT_SECONDS) & eligible & _recent(service)
    counted = connection.execute(select(c.region, func.count(), func.min(c.at)).where(recent).group_by(c.region)).all()
    if not counted:
        return None
    return Traffic({region: count for region, count, _ in counted}, max(now - min(at for *_, at in counted), 0.0))


def unfit_lately(connection: Connection, service: str, plan_id: str) -> tuple[int, int]:
    """Of the newest 100 decisions of the service with this plan: how many have draws that it does not hold for, and
    how many decisions these are."""
    c = decisions.c
    lately = _recent(service) & (c.plan_id == plan_id)
    whys = connection.scalars(select(c.why_fixed).where(lately).order_by(c.id.desc()).limit(100)).all()
    return whys.count(WhyFixed.UNFIT.name), len(whys)


def _recent(service: str) -> ColumnElement[bool]:
    """Decisions of a service, and those outside any rollout, of the newest in the store."""
    c = decisions.c
    newest = select(func.coalesce(func.max(c.id), 0)).scalar_subquery()
    # Not LIKE, to which a service's "_" is any letter.
    ours = (c.rollout == "") | (func.substr(c.rollout, 1, len(service) + 1) == f"{service}-")
    return (c.id > newest - _RECENT_ROWS) & ours


def replace_decision(connection: Connection, row: DecisionRow) -> None:
    """Put what was decided anew into the place of the row with this key and rollout, which keeps number and stage."""
    values = {
        name: value for name, value in plain_row(row).items() if name not in ("key", "rollout", "stage", "region")
    }
    same = (decisions.c.rollout == row.rollout) & (decisions.c.key == row.key)
    connection.execute(update(decisions).where(same).values(values))


def _insert(connection: Connection, rows: Iterable[DecisionRow]) -> int:
    values, new = list[dict[str, Any]](), 0
    for row in rows:
        reason = too_long(row.key, row.target, row.region)
        if reason:
            raise StoreRefusal(f"decision {row.key[:64]}… of rollout {row.rollout!r}: {reason}")
        values.append(plain_row(row))
    for start in range(0, len(values), _BATCH):
        part = values[start : start + _BATCH]
        try:
            added = insert_new(connection, decisions, ["rollout", "key"], part)
        except (OverflowError, UnicodeEncodeError) as error:
            raise StoreRefusal(f"a row cannot be stored: {error}") from error
        if added < len(part):
            _note_reused(connection, part)
        new += added
    return new


def _note_reused(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Count those whose key in the ledger is that of another decision: of another moment, process or target."""
    c, stored = decisions.c, dict[tuple[str, str], tuple[Any, ...]]()
    for rollout in {row["rollout"] for row in rows}:
        keys = sorted({row["key"] for row in rows if row["rollout"] == rollout})
        for start in range(0, len(keys), _AT_ONCE):
            some = (c.rollout == rollout) & c.key.in_(keys[start : start + _AT_ONCE])
            for key, *own in connection.execute(select(c.key, c.at, c.process, c.target).where(some)):
                stored[rollout, key] = tuple(own)
    reused = (
        ((row["rollout"], row["stage"]), row["at"])
        for row in rows
        if stored[row["rollout"], row["key"]] != (row["at"], row["process"], row["target"])
    )
    note_irregular(connection, Irregular.REUSED, by_place(reused))


def _grouped() -> Select[Any]:
    """Decisions that are alike, and how many."""
    c = decisions.c
    summed = [c[name] for name in _SUMMED]
    usable = [case((column.between(0, LARGEST), column)).label(column.name) for column in summed]
    # Where it is not known stays apart, or the mean would be of others than are counted.
    known = [case((column.between(0, LARGEST), 1), else_=0) for column in summed]
    counted = [c[name] for name in _COUNTED]
    means = [func.avg(column).label(column.name) for column in usable]
    columns = (func.min(c.key).label("key"), func.max(c.at).label("at"), func.count().label("times"))
    return select(*counted, *means, *columns).group_by(*counted, *known)


def _alike(values: Row[Any], **more: Any) -> tuple[DecisionRow, int]:
    known = {**values._mapping, **more}
    times = known.pop("times")
    return row_of_plain({"target": "", "estimate": None, "seed": 0, **known}), times


def _within(rollout: str, stage: str | None) -> ColumnElement[bool]:
    in_rollout = decisions.c.rollout == rollout
    return in_rollout if stage is None else and_(in_rollout, decisions.c.stage == stage)
