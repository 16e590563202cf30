"""The decision ledger: one row a decision, written once, and the evidence that gates ask of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from math import isfinite, nan
from operator import attrgetter
from typing import Any, Literal

from sqlalchemy import BigInteger, ColumnElement, Connection, Select, and_, case, cast, func, select

from suffice.store.database import Store, insert_new
from suffice.store.schema import ADAPTIVE_PATH, DISAGREEING, decisions

Arm = Literal["fixed", "adaptive"]

_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One production decision.

    `key` is unique within its rollout ("" when there is none). `decision` after `n` draws is the one in force, by
    `arm`; draws that an audit adds are not in `n`. `adaptive_*` and `baseline_*` are what each path decided after how
    many draws, None where it did not run; `agrees` compares them, None where there is nothing to compare or the
    baseline is INVALID. `guarded`: whether the guard for draws of unknown shape was on, None where it does not apply.
    A NaN or infinite `estimate` is stored as NULL and read as NaN. `at` is in seconds since the epoch.
    """

    key: str
    target: str
    arm: Arm
    decision: str
    n: int
    fixed_n: int
    estimate: float
    reason: str
    seed: int
    plan_id: str
    at: float
    rollout: str = ""
    stage: str = ""
    region: str | None = None
    audited: bool = False
    shadow: bool = False
    baseline_decision: str | None = None
    baseline_n: int | None = None
    adaptive_decision: str | None = None
    adaptive_n: int | None = None
    agrees: bool | None = None
    guarded: bool | None = None
    invalid: bool = False


@dataclass(frozen=True, slots=True)
class StageEvidence:
    """What the ledger says of one stage; invalid decisions are counted in `decisions`, by arm and in `invalid` only.

    `audits` have both decisions to compare. `stopped` adaptive decisions, in force or in the shadow, took
    `stopping_draws` up to their stopping times (their squares sum to `stopping_draws_squared`), where the baseline
    takes `stopping_fixed_draws`; `early` of them stopped before N. Audits of decisions in force added `audit_draws`.
    """

    decisions: int = 0
    fixed: int = 0
    adaptive: int = 0
    invalid: int = 0
    audits: int = 0
    disagreements: int = 0
    stopped: int = 0
    early: int = 0
    stopping_draws: int = 0
    stopping_draws_squared: int = 0
    stopping_fixed_draws: int = 0
    audit_draws: int = 0


_NAMES = tuple(field.name for field in fields(DecisionRow))
_values = attrgetter(*_NAMES)
_ESTIMATE = _NAMES.index("estimate")
_COLUMNS = [decisions.c[name] for name in _NAMES]


class Ledger:
    """Reads and writes the decisions of a store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def append(self, rows: Iterable[DecisionRow], connection: Connection | None = None) -> int:
        """Write the rows in one transaction (the caller's, if there is one), and return how many were new.

        A row whose (rollout, key) is there already changes nothing: a retry never doubles. Raises StoreError, with
        none of the rows written.
        """
        if connection is not None:
            return _insert(connection, rows)
        with self.store.write() as own:
            return _insert(own, rows)

    def evidence(self, rollout: str, stage: str | None = None) -> StageEvidence:
        """The evidence of a stage, or of all stages of the rollout; all zero where there is none."""
        with self.store.read() as connection:
            counts = connection.execute(_evidence().where(_within(rollout, stage))).one()
        return StageEvidence(**{name: int(value or 0) for name, value in counts._mapping.items()})

    def rows(self, rollout: str, stage: str | None = None) -> list[DecisionRow]:
        """All decisions, in ledger order."""
        return self._select(_within(rollout, stage))

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
            return [_row(values[1:]) for values in rows], rows[-1].id
        newest = connection.execute(select(func.max(decisions.c.id))).scalar_one()
        return [_row(values[1:]) for values in rows], max(last, newest or 0)

    def audited_rows(self, rollout: str, stage: str | None = None) -> list[DecisionRow]:
        """The audited decisions, in ledger order; those whose baseline is INVALID have `agrees` None."""
        return self._select(_within(rollout, stage) & decisions.c.audited)

    def disagreements(self, rollout: str, stage: str | None = None) -> list[DecisionRow]:
        """The audited decisions that the baseline would have made otherwise, in ledger order."""
        return self._select(_within(rollout, stage) & DISAGREEING)

    def latest(self, rollout: str, stage: str, count: int, *, adaptive_path: bool = False) -> list[DecisionRow]:
        """The newest decisions of a stage, newest first; only those that the adaptive path took part in, if asked."""
        within = _within(rollout, stage)
        if adaptive_path:
            within &= ADAPTIVE_PATH
        query = select(*_COLUMNS).where(within).order_by(decisions.c.id.desc()).limit(count)
        with self.store.read() as connection:
            return [_row(values) for values in connection.execute(query)]

    def adaptive_after(self, rollout: str, at: float) -> int:
        """How many decisions of a moment later than `at` were adaptive; after a rollback's receipt it must be 0."""
        later = (decisions.c.rollout == rollout) & (decisions.c.arm == "adaptive") & (decisions.c.at > at)
        with self.store.read() as connection:
            return connection.execute(select(func.count()).select_from(decisions).where(later)).scalar_one()

    def _select(self, condition: ColumnElement[bool]) -> list[DecisionRow]:
        query = select(*_COLUMNS).where(condition).order_by(decisions.c.id)
        with self.store.read() as connection:
            return [_row(values) for values in connection.execute(query)]


def _insert(connection: Connection, rows: Iterable[DecisionRow]) -> int:
    values = [_as_columns(row) for row in rows]
    parts = (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))
    return sum(insert_new(connection, decisions, ["rollout", "key"], part) for part in parts)


def _as_columns(row: DecisionRow) -> dict[str, Any]:
    values = dict(zip(_NAMES, _values(row), strict=True))
    if not isfinite(row.estimate):
        values["estimate"] = None
    return values


def _row(values: Sequence[Any]) -> DecisionRow:
    row = DecisionRow(*values)
    return row if values[_ESTIMATE] is not None else replace(row, estimate=nan)


def _within(rollout: str, stage: str | None) -> ColumnElement[bool]:
    in_rollout = decisions.c.rollout == rollout
    return in_rollout if stage is None else and_(in_rollout, decisions.c.stage == stage)


def _evidence() -> Select[Any]:
    c = decisions.c
    valid, adaptive = ~c.invalid, c.arm == "adaptive"
    # A decision that was not audited may leave the stopping time to `n`.
    stopping = func.coalesce(c.adaptive_n, case((adaptive, c.n)))
    stopped = valid & stopping.is_not(None)
    audited = valid & c.audited & c.agrees.is_not(None)
    columns: list[ColumnElement[Any]] = [
        func.count().label("decisions"),
        _count(c.arm == "fixed").label("fixed"),
        _count(adaptive).label("adaptive"),
        _count(c.invalid).label("invalid"),
        _count(audited).label("audits"),
        _count(audited & ~c.agrees).label("disagreements"),
        _count(stopped).label("stopped"),
        _count(stopped & (stopping < c.fixed_n)).label("early"),
        func.sum(case((stopped, stopping))).label("stopping_draws"),
        # PostgreSQL multiplies integers of 32 bits within 32 bits.
        func.sum(case((stopped, cast(stopping, BigInteger) * stopping))).label("stopping_draws_squared"),
        func.sum(case((stopped, c.fixed_n))).label("stopping_fixed_draws"),
        func.sum(case((audited & adaptive, c.baseline_n - stopping))).label("audit_draws"),
    ]
    return select(*columns).select_from(decisions)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0))
