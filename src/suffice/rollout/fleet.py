"""The fleet: who has registered with a service, and who of them has seen the baseline.

A process that decides has a row in the store, committed before it acts on its first word. So a receipt can cover all:
each has acknowledged the epoch of the rollback, or has signed off, or what it read before has run out. The last is
counted by whoever waits, on its own boot clock from the answer to its commit: no clock of another machine is asked.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, select

from suffice.rollout.controller import State
from suffice.serving.fence import LEASE_SECONDS
from suffice.store.database import Store
from suffice.store.processes import DAMAGED, ProcessRow, fleet
from suffice.store.schema import decisions
from suffice.store.words import WordRead, read_word
from suffice.verifier.arm import Arm

MARGIN_SECONDS = 0.5
"""Beyond its lease, for a process whose clock runs slow."""

LATE_SECONDS = LEASE_SECONDS + MARGIN_SECONDS
"""After so long nobody acts on what was read before a commit."""

UNREGISTERED = "unregistered"
"""The id of those who decide adaptively and have no row: versions that cannot acknowledge."""

OLD_PRIMARY = (
    "a word that stands without a runner was written in the store's old incarnation; when that server is gone, "
    "a rollback with --old-primary-is-gone says so"
)
"""What a receipt waits for, where such a word may live on."""

_PAUSE_SECONDS = 0.05
_NEWEST, _RECENT_SECONDS = 10_000, 3600.0


class Seen(StrEnum):
    """What is known of a process about the word in the store."""

    ACKNOWLEDGED = "acknowledged"
    WAITING = "waiting"
    FENCED = "fenced"
    GONE = "gone"
    NOT_COVERED = "not_covered"


@dataclass(frozen=True, slots=True)
class Member:
    """A process of the fleet. Moments are in seconds since the epoch, by the store's clock but for `started`;
    `lease_left_s` is for how long it may act on what it had read when its row was written last. The epoch is `DAMAGED`
    where its row cannot be understood."""

    id: str
    host: str
    pid: int
    started: float
    version: str
    plan_id: str
    enabled: bool
    epoch: int
    seen_at: float | None
    lease_left_s: float
    rows_waiting: int
    state: Seen


@dataclass(frozen=True, slots=True)
class FleetCount:
    """How many processes have seen an epoch; `fenced_at` is when the leases of those who have not had run out, on the
    clock of whoever waited."""

    acknowledged: int = 0
    fenced: int = 0
    gone: int = 0
    not_covered: int = 0
    waiting: int = 0
    fenced_at: float | None = None

    @property
    def processes(self) -> int:
        return self.acknowledged + self.fenced + self.gone + self.not_covered + self.waiting

    @property
    def numbers(self) -> dict[str, int]:
        """The counts that a receipt carries."""
        names = ("processes", "acknowledged", "fenced", "gone", "not_covered")
        return {name: getattr(self, name) for name in names}

    @property
    def sentence(self) -> str:
        """As a person reads it: observed by 12 of 12 processes: 11 acknowledged, 1 fenced at 14:03:05."""
        if not self.processes:
            return "no process has registered"
        covered = self.acknowledged + self.fenced + self.gone
        parts = [f"{self.acknowledged} acknowledged"]
        if self.fenced:
            at = "" if self.fenced_at is None else f" at {datetime.fromtimestamp(self.fenced_at, UTC):%H:%M:%S}"
            parts.append(f"{self.fenced} fenced{at}")
        parts += [
            f"{count} {name}"
            for count, name in (
                (self.gone, "gone"),
                (self.waiting, "waited for"),
                (self.not_covered, "not covered (a version that cannot acknowledge)"),
            )
            if count
        ]
        return f"observed by {covered} of {self.processes} processes: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Lowered:
    """A baseline that was committed: its epoch, and when the answer to the commit came, on the waiter's boot clock."""

    epoch: int
    at: float

    def stands(self, read: WordRead) -> bool:
        """Whether the store still is at this baseline."""
        word = read.word
        return read.counts and word is not None and word.epoch == self.epoch and word.exposure is None


@dataclass(frozen=True, slots=True)
class Watched:
    """What a watch over the fleet came to; `obstacle` is why no receipt can be given yet, whoever has acknowledged."""

    count: FleetCount
    obstacle: str = ""

    @property
    def observed(self) -> bool:
        return not self.obstacle and not self.count.waiting


def watch_fleet(
    store: Store,
    service: str,
    rollout: str,
    lowered: Lowered,
    state: State | None,
    clock: Callable[[], float],
    boot: Callable[[], float],
    patience: Callable[[], bool],
) -> Watched:
    """Wait until every process has seen the baseline or cannot act on what it read before; at most `LATE_SECONDS` from
    the commit, and only while there is `patience`. Raises StoreError."""
    while True:
        over = boot() - lowered.at >= LATE_SECONDS
        with store.read() as connection:
            read = read_word(connection, service, clock())
            processes = members(connection, service, rollout, lowered.epoch, read.standing.at)
        watched = Watched(
            count(processes, fenced_at=read.standing.at if over else None), obstacle_of(read, lowered, state)
        )
        if watched.observed or over or not patience():
            return watched
        time.sleep(_PAUSE_SECONDS)


def obstacle_of(read: WordRead, lowered: Lowered, state: State | None) -> str:
    """Why the store itself allows no receipt yet, "" when it does. `state`: None of a rollout that is deleted."""
    standing = read.standing
    if not lowered.stands(read):
        return read.obstacle or "the store is not at the rollback's epoch any more"
    if standing.up_since is not None and standing.at - standing.up_since < LATE_SECONDS:
        return "the server came up less than a lease ago: what was read before it is not in its rows"
    if state is None:
        return ""
    if state.old_words_until is not None and standing.at < state.old_words_until:
        until = datetime.fromtimestamp(state.old_words_until, UTC)
        return f"words of the store's old incarnation may stand until {until:%Y-%m-%d %H:%M:%S} UTC"
    if state.old_primary:
        return OLD_PRIMARY
    return ""


def members(connection: Connection, service: str, rollout: str, epoch: int, now: float) -> list[Member]:
    """The processes of a service as they stand to this epoch, at `now` by the store's clock; who is gone comes last."""
    registered = [_member(row, epoch, now) for row in fleet(connection, service)]
    return sorted([*registered, *_unregistered(connection, rollout, now)], key=lambda member: member.state is Seen.GONE)


def count(members: list[Member], *, fenced_at: float | None = None) -> FleetCount:
    """Count them. `fenced_at`: since then the leases of all who have not acknowledged have run out, whatever their rows
    say; without it they are waited for."""
    states = [member.state for member in members]
    # What a row tells of a lease is by the clock of the store; a receipt rests on the clock of whoever waits.
    silent = states.count(Seen.WAITING) + states.count(Seen.FENCED)
    over = fenced_at is not None
    return FleetCount(
        acknowledged=states.count(Seen.ACKNOWLEDGED),
        fenced=silent if over else 0,
        gone=states.count(Seen.GONE),
        not_covered=states.count(Seen.NOT_COVERED),
        waiting=0 if over else silent,
        fenced_at=fenced_at if silent else None,
    )


def able(members: Iterable[Member], plan_id: str) -> dict[str, Any]:
    """How many processes are at work, how many of them cannot be adaptive, and the rows in their spools."""
    live = [member for member in members if member.lease_left_s and member.state in (Seen.ACKNOWLEDGED, Seen.WAITING)]
    understood = [member for member in live if member.epoch != DAMAGED]
    return {
        "processes": len(live),
        "disabled": sum(not member.enabled for member in understood),
        "foreign": sum(member.enabled and member.plan_id != plan_id for member in understood),
        "rows_waiting": sum(max(member.rows_waiting, 0) for member in understood),
    }


def why_nobody_can(members: Iterable[Member], plan_id: str) -> str | None:
    """Why no process of the fleet can be adaptive, whatever the word says; None when one can, or none is there."""
    counted = able(members, plan_id)
    live, disabled, foreign = (counted[name] for name in ("processes", "disabled", "foreign"))
    if not live or disabled + foreign < live:
        return None
    what = [f"{disabled} have adaptive sampling disabled, or the baseline forced"] if disabled else []
    what += [f"{foreign} have another plan than {plan_id[:12]}"] if foreign else []
    return f"none of {live} processes can be adaptive: {' and '.join(what)}; restart them with the rollout's"


def clocks_ahead(connection: Connection, service: str) -> dict[str, float]:
    """By how many seconds the clock of each host of the fleet was ahead of the store's at the newest read there."""
    listed = [row for row in fleet(connection, service) if row.epoch != DAMAGED]
    rows = [row for row in listed if row.left_at is None and row.seen_at is not None]
    # Both moments are that of one read: by the host's clock, and by the store's.
    newest_last = sorted(rows, key=lambda row: row.seen_at or 0.0)
    return {row.host: row.beat_at - (row.seen_at or 0.0) for row in newest_last}


def plain_member(member: Member) -> dict[str, Any]:
    """A process as plain JSON values."""
    return {**asdict(member), "state": member.state.value}


def _member(row: ProcessRow, epoch: int, now: float) -> Member:
    if row.seen_at is not None:
        left = max(row.seen_at + LATE_SECONDS - now, 0.0)
    else:
        # Of a damaged row it is not known: that process may have read just now.
        left = LATE_SECONDS if row.epoch == DAMAGED else 0.0
    if row.left_at is not None:
        state = Seen.GONE
    elif row.epoch >= epoch:
        state = Seen.ACKNOWLEDGED
    else:
        state = Seen.WAITING if left else Seen.FENCED
    return Member(
        id=row.nonce,
        host=row.host,
        pid=row.pid,
        started=row.started,
        version=row.version,
        plan_id=row.plan_id,
        enabled=row.enabled,
        epoch=row.epoch,
        seen_at=row.seen_at,
        lease_left_s=round(min(left, LEASE_SECONDS), 3),
        rows_waiting=row.rows_waiting,
        state=state,
    )


def _unregistered(connection: Connection, rollout: str, now: float) -> list[Member]:
    newest = select(func.coalesce(func.max(decisions.c.id), 0)).scalar_subquery()
    query = select(func.max(decisions.c.at)).where(
        decisions.c.id > newest - _NEWEST,
        decisions.c.rollout == rollout,
        decisions.c.arm == Arm.ADAPTIVE.value,
        decisions.c.process.is_(None),
        decisions.c.at > now - _RECENT_SECONDS,
    )
    at = connection.execute(query).scalar_one_or_none()
    if at is None:
        return []
    unknown = Member(
        UNREGISTERED,
        "",
        0,
        0.0,
        "",
        "",
        enabled=True,
        epoch=0,
        seen_at=at,
        lease_left_s=0.0,
        rows_waiting=0,
        state=Seen.NOT_COVERED,
    )
    return [unknown]
