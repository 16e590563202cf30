"""The decision ledger: one row a decision, written once."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from enum import Enum, StrEnum
from math import isfinite, nan
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, select, update

from suffice.decision.rule import Decision
from suffice.errors import StoreError, StoreRefusal
from suffice.store.database import Store, insert_new
from suffice.store.irregular import Irregular, note_irregular
from suffice.store.schema import ADAPTIVE_PATH, ASKED_WORD, AUDITS, CHOSE_ADAPTIVE, DISAGREEING, decisions
from suffice.verifier.arm import Arm

LONGEST = 1024
"""Bytes that a key, target or region may have in the ledger: an index of PostgreSQL takes no more than 2,704 in all."""

_BATCH = 10_000
_AT_ONCE = 500


class Reason(StrEnum):
    """Why a decision came when it did: how its run closed (the names of `StopReason`), or that the fixed arm took over
    from an adaptive path that failed."""

    ACCEPT_BOUNDARY = "ACCEPT_BOUNDARY"
    REJECT_BOUNDARY = "REJECT_BOUNDARY"
    REACHED_N = "REACHED_N"
    NON_FINITE = "NON_FINITE"
    FALLBACK = "FALLBACK"


class WhyFixed(Enum):
    """Why a decision took the fixed arm. Only `FALLBACK` says that the adaptive path failed."""

    EXPOSURE = "the word does not put this target on the adaptive arm"
    DISABLED = "the configuration says enabled: false"
    FOREIGN_PLAN = "the word is about another plan"
    NO_WORD = "no word of a rollout is known"
    LAPSED = "the word, or the lease of its last read, has run out"
    FENCED = "the word was taken back while the case was being decided"
    FORCED = "the baseline is forced: by SUFFICE_FORCE_FIXED, by the flag file or by a provider of the host"
    FALLBACK = "the adaptive path failed"


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One production decision.

    `key` is unique within its rollout ("" when there is none). `decision` after `n` draws is the one in force, by
    `arm`; draws that an audit adds are not in `n`. `adaptive_*` and `baseline_*` are what each path decided after how
    many draws, None where it did not run; `agrees` compares them, None where there is nothing to compare or the
    baseline is INVALID. `guarded`: whether the guard for draws of unknown shape was on, None where it does not apply.
    A NaN or infinite `estimate` is stored as NULL and read as NaN. `at` is in seconds since the epoch. `epoch` is that
    of the word that the decision was made under, and `process` the nonce of who made it; rows of versions before these
    have none.

    What is counted of a row is said here, once: `is_adaptive`, `fell_back`, `is_audit`, `stopping_n`.
    """

    key: str
    target: str
    arm: Arm
    decision: Decision
    n: int
    fixed_n: int
    estimate: float
    reason: Reason
    seed: int
    plan_id: str
    at: float
    rollout: str = ""
    stage: str = ""
    region: str | None = None
    audited: bool = False
    shadow: bool = False
    baseline_decision: Decision | None = None
    baseline_n: int | None = None
    adaptive_decision: Decision | None = None
    adaptive_n: int | None = None
    agrees: bool | None = None
    guarded: bool | None = None
    invalid: bool = False
    epoch: int | None = None
    process: str | None = None
    why_fixed: WhyFixed | None = None

    @property
    def is_adaptive(self) -> bool:
        """Whether the decision in force is the adaptive path's."""
        return self.arm is _ADAPTIVE

    @property
    def fell_back(self) -> bool:
        """Whether the fixed arm took over from an adaptive path that failed."""
        return self.reason is _FALLBACK

    @property
    def is_audit(self) -> bool:
        """Whether it holds both decisions to compare."""
        return self.audited and self.agrees is not None

    @property
    def stopping_n(self) -> int | None:
        """Draws up to the adaptive stopping time, in force or in the shadow; None where nothing was decided so."""
        if _INVALID in (self.decision, self.baseline_decision, self.adaptive_decision):
            return None
        if self.adaptive_n is not None:
            return self.adaptive_n
        # A decision that was not audited leaves the stopping time to `n`.
        return self.n if self.arm is _ADAPTIVE else None


# To look a member up in its class takes longer than all the rest.
_ADAPTIVE, _FALLBACK, _INVALID = Arm.ADAPTIVE, Reason.FALLBACK, Decision.INVALID

_NAMES = tuple(field.name for field in fields(DecisionRow))
_DEFAULTS = {field.name: field.default for field in fields(DecisionRow) if field.default is not MISSING}
_values = attrgetter(*_NAMES)
_ESTIMATE = _NAMES.index("estimate")
_COLUMNS = [decisions.c[name] for name in _NAMES]


def _texts(kind: type[Enum], *, optional: bool = False) -> dict[str | None, Enum | None]:
    """The members of an enum by their texts in the store."""
    members: dict[str | None, Enum | None] = {member.value: member for member in kind}
    return {None: None, **members} if optional else members


def _names(kind: type[Enum]) -> dict[str | None, Enum | None]:
    """The members of an enum, and none, by their names."""
    return {None: None, **{member.name: member for member in kind}}


_ENUMS = tuple(
    (_NAMES.index(name), members)
    for name, members in {
        "arm": _texts(Arm),
        "decision": _texts(Decision),
        "reason": _texts(Reason),
        "baseline_decision": _texts(Decision, optional=True),
        "adaptive_decision": _texts(Decision, optional=True),
        "why_fixed": _names(WhyFixed),
    }.items()
)


def plain_row(row: DecisionRow) -> dict[str, Any]:
    """The row as plain JSON values: enums by their texts, an estimate that is no number as None."""
    values = dict(zip(_NAMES, _values(row), strict=True))
    # `_value_` is what `value` looks up, several times as slowly.
    values["arm"], values["decision"], values["reason"] = row.arm._value_, row.decision._value_, row.reason._value_
    if row.baseline_decision is not None:
        values["baseline_decision"] = row.baseline_decision._value_
    if row.adaptive_decision is not None:
        values["adaptive_decision"] = row.adaptive_decision._value_
    if row.why_fixed is not None:
        values["why_fixed"] = row.why_fixed._name_
    if not isfinite(row.estimate):
        values["estimate"] = None
    return values


def row_of_plain(plain: Mapping[str, Any]) -> DecisionRow:
    """The row that `plain_row` described; what a row of an earlier version lacks has its default.

    Raises StoreError, naming the row, when a value is missing, not known or misspelt.
    """
    values = {**_DEFAULTS, **plain}
    wrong = sorted(set(_NAMES) ^ values.keys())
    if wrong:
        raise StoreError(
            f"decision {plain.get('key')!r} of rollout {plain.get('rollout')!r}: {wrong[0]} is "
            f"{'missing' if wrong[0] in _NAMES else 'not known'}"
        )
    return _row([values[name] for name in _NAMES])


@dataclass(frozen=True, slots=True)
class Portion:
    """What there is to count of a rollout's next decisions, up to the row numbered `last`.

    `alike` are decisions that differ in nothing that is counted, each with how many there are, in the order of their
    last rows. Such a row stands for all of them: its `at` is the latest, its `key` one of theirs, and it names no
    target. `places` are stage, region, target, and whether any decision there chose the adaptive arm; of decisions
    whose arm a live word chose, not one that was fixed for another reason. `audits` are those with both decisions, in
    ledger order. `full`: there may be more behind it.
    """

    last: int
    full: bool
    alike: list[tuple[DecisionRow, int]]
    places: list[tuple[str, str | None, str, bool]]
    audits: list[DecisionRow]


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
    "agrees",
    "invalid",
    "why_fixed",
)
"""What of a decision is counted, beside where it was made."""


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
        counted = [c[name] for name in _COUNTED]
        alike = select(*counted, func.min(c.key), func.max(c.at), func.count()).where(within).group_by(*counted)
        chose = func.max(case((CHOSE_ADAPTIVE, 1), else_=0))
        places = (
            select(c.stage, c.region, c.target, chose).where(within & ASKED_WORD).group_by(c.stage, c.region, c.target)
        )
        audits = select(*_COLUMNS).where(within & AUDITS).order_by(c.id)
        return Portion(
            upto,
            full,
            [_alike(rollout, *values) for values in connection.execute(alike.order_by(func.max(c.id)))],
            [(stage, region, target, bool(any_)) for stage, region, target, any_ in connection.execute(places)],
            [_row(values) for values in connection.execute(audits)],
        )

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
        later = (decisions.c.rollout == rollout) & (decisions.c.arm == Arm.ADAPTIVE.value) & (decisions.c.at > at)
        with self.store.read() as connection:
            return connection.execute(select(func.count()).select_from(decisions).where(later)).scalar_one()

    def _select(self, condition: ColumnElement[bool]) -> list[DecisionRow]:
        query = select(*_COLUMNS).where(condition).order_by(decisions.c.id)
        with self.store.read() as connection:
            return [_row(values) for values in connection.execute(query)]


def too_long(key: str, target: str, region: str | None) -> str | None:
    """Which of these is longer than the ledger takes, in words; None when none is."""
    for name, text in (("key", key), ("target", target), ("region", region or "")):
        # No character takes more than four bytes, so that most texts need not be encoded.
        if 4 * len(text) > LONGEST and len(text.encode(errors="surrogatepass")) > LONGEST:
            return f"its {name} is longer than {LONGEST:,} bytes"
    return None


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
    counts, newest = Counter[tuple[str, str]](), dict[tuple[str, str], float]()
    for row in rows:
        if stored[row["rollout"], row["key"]] != (row["at"], row["process"], row["target"]):
            place = row["rollout"], row["stage"]
            counts[place] += 1
            newest[place] = max(row["at"], newest.get(place, row["at"]))
    for (rollout, stage), count in counts.items():
        note_irregular(connection, Irregular.REUSED, rollout, stage, count, newest[rollout, stage])


def _row(values: Sequence[Any]) -> DecisionRow:
    """The row with these values of its columns. Raises StoreError for a text that is no member of its enum."""
    typed = list(values)
    try:
        for place, members in _ENUMS:
            typed[place] = members[typed[place]]
    except (KeyError, TypeError) as error:
        raise _misspelt(values) from error
    if typed[_ESTIMATE] is None:
        typed[_ESTIMATE] = nan
    return DecisionRow(*typed)


def _alike(rollout: str, *values: Any) -> tuple[DecisionRow, int]:
    *counted, key, at, times = values
    known = {**dict(zip(_COUNTED, counted, strict=True)), "rollout": rollout, "key": key, "at": at}
    blank = {**_DEFAULTS, "target": "", "estimate": None, "seed": 0}
    return _row([known[name] if name in known else blank[name] for name in _NAMES]), times


def _misspelt(values: Sequence[Any]) -> StoreError:
    row = dict(zip(_NAMES, values, strict=True))
    place, members = next((place, members) for place, members in _ENUMS if values[place] not in list(members))
    allowed = ", ".join("none" if text is None else text for text in members)
    return StoreError(
        f"decision {row['key']} of rollout {row['rollout']!r}: {_NAMES[place]} is {values[place]!r}; allowed: {allowed}"
    )


def _within(rollout: str, stage: str | None) -> ColumnElement[bool]:
    in_rollout = decisions.c.rollout == rollout
    return in_rollout if stage is None else and_(in_rollout, decisions.c.stage == stage)
