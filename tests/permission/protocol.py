"""The permission protocol as a model that a machine explores: who may decide adaptively, and when a rollback is done.

One service with one store, one runner and one process: each promise is about every process alone. Each step of anybody
is one transition, so that everybody may be stopped between any two. Time is a tick; what lasts is kept as what is left
or what has passed, which makes the states finite. `explore` visits every state of a *world*, that is of the accidents
that may happen in it, and gives the shortest path to one that breaks a promise:

- *rolled back is rolled back*: after the receipt of a rollback no question is answered "adaptive";
- *nobody is adaptive alone*: when the runner is gone, everybody is fixed after the word and a lease have run out,
  unless a person released the rollout.

Each `Rule` can be left out. Every one of them is needed: without it a promise breaks in some world.
"""

import sys
from collections import deque
from collections.abc import Iterator
from enum import Enum
from itertools import groupby
from typing import NamedTuple

FOREVER = 99


class Rule(Enum):
    """The rules of the protocol, each with what it says."""

    LEASE = "a read is good for one lease from its begin; one that took longer is thrown away"
    LAPSE = "a word that nobody renewed is none"
    REGISTER = "a process acts on no word of a store in which its own row is not committed"
    WAIT = "a receipt waits for a registered process that has not acknowledged, until its lease must have run out"
    DRIFT = "that wait has a margin for a clock that runs slow"
    STANDING = (
        "a receipt is given in a transaction that still finds the rollback in the store, and no other incarnation"
    )
    INCARNATION = "a word that was written in another incarnation of the store is none"
    OLD_WORDS = "in a new incarnation a receipt also waits until each word of the old one must have lapsed"
    RELEASED = (
        "a released word never lapses: there the receipt waits for a person who says that the old primary is gone"
    )
    STARTED = "a receipt is given no sooner than a lease after the store came up"
    PRIMARY = "an answer of a replica is none"
    NOTE = "a store below the highest epoch that was seen is an older copy, and its words are none"


class Accident(Enum):
    """What may happen in a world beside reads, renewals, ticks and a rollback."""

    RESTART = "the process ends and another one starts on its host"
    SLOW = "the process's clock loses a tick during a lease"
    DEATH = "the runner dies and may come back"
    RELEASE = "a person releases the rollout"
    RESTORE = "a backup is restored as another incarnation, without a restart of anything"
    FAILOVER = "a standby takes over; the old primary lives on"
    COPY = "a copy whose word has lapsed is put back with its identity"
    REPLICA = "a replica that lags answers reads"
    OLD_RUNNER = "the old primary has a runner of its own, which goes on"
    FRESH_COPY = "a copy whose word still stands is put back with its identity"
    LOST_NOTES = "a copy is put back, and every note with it"


class World(NamedTuple):
    """What may happen, and how long things last, in ticks. `drift` is what a process's clock may lose in a lease."""

    accidents: frozenset[Accident]
    lease: int = 1
    word: int = 4
    drift: int = 1

    @property
    def late(self) -> int:
        """What a receipt waits for a process that has not acknowledged: lease, drift of its clock, and a margin."""
        return self.lease + self.drift + 1


class Stored(NamedTuple):
    """What a database holds: the word (for how many more ticks it stands, in which incarnation it was written), whether
    the process's row is there, and which epoch it has acknowledged."""

    epoch: int = 1
    adaptive: bool = True
    left: int = 0
    written_in: int = 0
    registered: bool = False
    acknowledged: int = 0


class Answer(NamedTuple):
    """What a read brought: the epoch of a word that counts (0: none does), for how many ticks it permits, and which
    incarnation answered."""

    epoch: int
    permits: int
    incarnation: int


class State(NamedTuple):
    """Everything. `permit` is for how many more ticks of its own clock the process would answer "adaptive"; `begun` how
    long ago its read began; `waited` the ticks since the rollback's commit; `since_known` those since the runner took
    over the present incarnation (FOREVER: it is the first)."""

    store: Stored
    incarnation: int = 0
    up: int = FOREVER
    backup: Stored | None = None
    old_primary: Stored | None = None
    restored: bool = False
    # the runner
    alive: bool = True
    gone: int = 0
    released: bool = False
    confirmed: bool = False
    runner_note: int = 1
    known: int = 0
    since_known: int = FOREVER
    rollback: int = 0
    waited: int = 0
    receipt: bool = False
    # the process
    note: int = 0
    permit: int = 0
    begun: int | None = None
    answer: Answer | None = None
    lost: int = 0
    restarts: int = 0


class Explored(NamedTuple):
    """How many states were seen, the shortest path to a broken promise (None: none breaks), and whether the process
    was ever permitted: a protocol that is always fixed keeps every promise and is of no use."""

    states: int
    path: tuple[str, ...] | None
    promise: str | None
    ever_adaptive: bool


ALL = frozenset(Rule)

WORLDS = {
    "processes": World(frozenset({Accident.RESTART, Accident.SLOW})),
    "runner": World(frozenset({Accident.DEATH, Accident.RELEASE, Accident.SLOW})),
    "restore": World(frozenset({Accident.RESTORE, Accident.RESTART})),
    "failover": World(frozenset({Accident.FAILOVER, Accident.RELEASE}), word=2),
    "copy": World(frozenset({Accident.COPY, Accident.RESTART})),
    "replica": World(frozenset({Accident.REPLICA, Accident.RELEASE})),
}
"""In each of these the protocol keeps its promises."""

OPEN = {
    "fresh copy": World(frozenset({Accident.FRESH_COPY})),
    "lost notes": World(frozenset({Accident.LOST_NOTES})),
    "old runner": World(frozenset({Accident.FAILOVER, Accident.OLD_RUNNER}), word=2),
}
"""What no rule covers: a promise breaks, and docs/permission.md says so."""

NEEDED = {
    Rule.LEASE: "processes",
    Rule.LAPSE: "runner",
    Rule.REGISTER: "processes",
    Rule.WAIT: "processes",
    Rule.DRIFT: "processes",
    Rule.STANDING: "restore",
    Rule.INCARNATION: "restore",
    Rule.OLD_WORDS: "restore",
    Rule.RELEASED: "failover",
    Rule.STARTED: "copy",
    Rule.PRIMARY: "replica",
    Rule.NOTE: "copy",
}
"""For each rule a world in which a promise breaks without it."""


def explore(world: World, rules: frozenset[Rule] = ALL, limit: int = 300_000) -> Explored:
    """Visit every state that can be reached. Raises RuntimeError beyond `limit` states: then nothing was shown."""
    first = State(Stored(left=world.word))
    came: dict[State, tuple[str, State] | None] = {first: None}
    queue, ever_adaptive = deque([first]), False
    while queue:
        state = queue.popleft()
        promise = _broken(state, world)
        if promise:
            return Explored(len(came), _path(came, state), promise, ever_adaptive)
        ever_adaptive = ever_adaptive or state.permit > 0
        for name, following in _steps(state, world, rules):
            if following not in came:
                came[following] = name, state
                queue.append(following)
        if len(came) > limit:
            raise RuntimeError(f"more than {limit:,} states")
    return Explored(len(came), None, None, ever_adaptive)


def _broken(state: State, world: World) -> str | None:
    """The promise that this state breaks."""
    if not state.permit:
        return None
    if state.receipt:
        return "adaptive after the receipt"
    if not state.alive and not state.released and state.gone > world.word + world.lease + world.drift:
        return "adaptive without a runner"
    return None


def _steps(state: State, world: World, rules: frozenset[Rule]) -> Iterator[tuple[str, State]]:
    yield from _time(state, world)
    yield from _store(state, world)
    yield from _runner(state, world, rules)
    yield from _process(state, world, rules)


def _time(state: State, world: World) -> Iterator[tuple[str, State]]:
    shared = state._replace(
        store=_later(state.store),
        backup=state.backup and _later(state.backup),
        old_primary=state.old_primary and _later(state.old_primary),
        up=_counted(state.up, world.late),
        gone=0 if state.alive else min(state.gone + 1, world.word + world.lease + world.drift + 1),
        waited=min(state.waited + 1, world.late) if state.rollback else 0,
        since_known=_counted(state.since_known, world.word + world.late),
    )
    if Accident.SLOW in world.accidents and state.lost < world.drift and (state.permit or state.begun is not None):
        yield "a tick that the process's clock loses", shared._replace(lost=state.lost + 1)
    yield (
        "a tick",
        shared._replace(
            permit=state.permit if state.permit == FOREVER else max(state.permit - 1, 0),
            begun=None if state.begun is None else min(state.begun + 1, world.word),
        ),
    )


def _later(stored: Stored) -> Stored:
    return stored if stored.left in (0, FOREVER) else stored._replace(left=stored.left - 1)


def _counted(ticks: int, most: int) -> int:
    return FOREVER if ticks == FOREVER else min(ticks + 1, most)


def _store(state: State, world: World) -> Iterator[tuple[str, State]]:
    accidents = world.accidents
    if Accident.OLD_RUNNER in accidents and state.old_primary is not None and state.old_primary.adaptive:
        renewed = state.old_primary._replace(left=world.word)
        yield "the old primary's runner renews its word", state._replace(old_primary=renewed)
    if state.restored or not accidents - {Accident.RESTART, Accident.SLOW, Accident.DEATH, Accident.RELEASE}:
        return
    if state.backup is None:
        yield "a backup is taken", state._replace(backup=state.store)
        return
    back = state._replace(store=state.backup, backup=None, restored=True, up=0)
    if Accident.RESTORE in accidents:
        yield "the backup is restored", back._replace(incarnation=1, up=state.up)
    if Accident.FAILOVER in accidents:
        yield (
            "a standby takes over; the old primary lives on",
            back._replace(incarnation=1, old_primary=state.store),
        )
    if Accident.COPY in accidents and state.backup.left == 0:
        yield "the copy is put back with its identity", back
    if Accident.FRESH_COPY in accidents and state.backup.left:
        yield "the copy is put back with its identity while its word stands", back
    if Accident.LOST_NOTES in accidents and state.backup.left == 0:
        epoch = state.backup.epoch
        yield "the copy is put back, and every note", back._replace(runner_note=epoch, note=min(state.note, epoch))


def _runner(state: State, world: World, rules: frozenset[Rule]) -> Iterator[tuple[str, State]]:
    if not state.alive:
        yield "the runner comes back", state._replace(alive=True, gone=0, waited=0)
        return
    if Accident.DEATH in world.accidents:
        yield "the runner dies", state._replace(alive=False)
    store = state.store
    if state.rollback and not state.receipt and _receipt_is_due(state, world, rules):
        yield "the receipt is given", state._replace(receipt=True)
    if _is_foreign(state, rules):
        yield "the runner writes the baseline", _lowered(state)
        return
    if store.adaptive and store.left != FOREVER:
        yield "the runner renews the word", _written(state, left=world.word)
        if Accident.RELEASE in world.accidents and not state.released:
            # Known on the host that released it: a failover may lose the commit, not the note.
            yield "a person releases the rollout", _written(state, left=FOREVER)._replace(released=True)
    if not state.rollback:
        if store.adaptive:
            epoch = _next_epoch(state)
            lowered = _written(state, epoch=epoch, adaptive=False, left=0)
            yield "a rollback is committed", lowered._replace(rollback=epoch, waited=0)
        else:
            raised = _written(state, epoch=_next_epoch(state), adaptive=True, left=world.word)
            yield "a person resumes the stage", raised
    if state.released and not state.confirmed and state.since_known != FOREVER:
        gone = state._replace(confirmed=True, since_known=0, old_primary=None)
        yield "a person says that the old primary is gone", gone


def _is_foreign(state: State, rules: frozenset[Rule]) -> bool:
    """Whether the runner finds itself in a store that it has not taken over."""
    moved = state.store.written_in != state.incarnation or state.known != state.incarnation
    older = state.store.epoch < state.runner_note
    return (moved and Rule.INCARNATION in rules) or (older and Rule.NOTE in rules)


def _next_epoch(state: State) -> int:
    return max(state.store.epoch, state.runner_note) + 1


def _written(state: State, **word: int) -> State:
    store = state.store._replace(written_in=state.incarnation, **word)
    return state._replace(store=store, runner_note=max(state.runner_note, store.epoch))


def _lowered(state: State) -> State:
    """The baseline with a higher epoch, before anything else; a rollback that was under way waits anew."""
    epoch = _next_epoch(state)
    moved = state.incarnation != state.known
    lowered = _written(state, epoch=epoch, adaptive=False, left=0)._replace(known=state.incarnation)
    if moved:
        lowered = lowered._replace(since_known=0, confirmed=False)
    return lowered._replace(rollback=epoch, waited=0) if state.rollback and not state.receipt else lowered


def _receipt_is_due(state: State, world: World, rules: frozenset[Rule]) -> bool:
    store = state.store
    if Rule.STANDING in rules and (store.epoch < state.rollback or store.written_in != state.incarnation):
        return False
    if Rule.OLD_WORDS in rules and state.since_known < world.word + world.late:
        return False
    if Rule.RELEASED in rules and state.released and not state.confirmed and state.since_known != FOREVER:
        return False
    if Rule.STARTED in rules and state.up < world.late:
        return False
    if not store.registered or store.acknowledged >= state.rollback or Rule.WAIT not in rules:
        return True
    return state.waited >= (world.late if Rule.DRIFT in rules else world.lease)


def _process(state: State, world: World, rules: frozenset[Rule]) -> Iterator[tuple[str, State]]:
    if not state.store.registered:
        yield "the process registers", state._replace(store=state.store._replace(registered=True))
    if state.begun is None:
        lost = state.lost if state.permit else 0
        yield "the process begins a read", state._replace(begun=0, lost=lost)
    elif state.answer is None:
        yield "the store answers", _answered(state, state.store, state.incarnation, world, rules)
        if state.old_primary is not None:
            yield "the old primary answers", _answered(state, state.old_primary, 0, world, rules)
        if Accident.REPLICA in world.accidents and state.backup is not None:
            if Rule.PRIMARY in rules:
                yield "a replica answers", state._replace(answer=Answer(0, 0, state.incarnation))
            else:
                yield "a replica answers", _answered(state, state.backup, state.incarnation, world, rules)
    else:
        yield "the process has read", _has_read(state, world, rules)
    if Accident.RESTART in world.accidents and not state.restarts:
        # Another process on the same host: it knows the host's note, and its row is another one.
        row = state.store._replace(registered=False, acknowledged=0)
        yield "the process restarts", state._replace(store=row, permit=0, begun=None, answer=None, lost=0, restarts=1)


def _answered(state: State, by: Stored, incarnation: int, world: World, rules: frozenset[Rule]) -> State:
    foreign = Rule.INCARNATION in rules and by.written_in != incarnation
    older = Rule.NOTE in rules and by.epoch < state.note
    unknown = Rule.REGISTER in rules and not by.registered
    if foreign or older or unknown:
        return state._replace(answer=Answer(0, 0, incarnation))
    permits = 0
    if by.adaptive:
        permits = by.left if Rule.LAPSE in rules else FOREVER
        permits = min(permits, world.lease) if Rule.LEASE in rules else permits
    return state._replace(answer=Answer(by.epoch, permits, incarnation))


def _has_read(state: State, world: World, rules: frozenset[Rule]) -> State:
    assert state.answer is not None and state.begun is not None
    epoch, permits, incarnation = state.answer
    idle = state._replace(begun=None, answer=None)
    if Rule.LEASE in rules and state.begun >= world.lease:
        return idle
    permit = permits if permits == FOREVER else max(permits - state.begun, 0)
    store = state.store
    if epoch and incarnation == state.incarnation and store.registered:
        store = store._replace(acknowledged=max(store.acknowledged, epoch))
    return idle._replace(permit=permit, note=max(state.note, epoch), store=store)


def _path(came: dict[State, tuple[str, State] | None], state: State) -> tuple[str, ...]:
    path = []
    while (before := came[state]) is not None:
        name, state = before
        path.append(name)
    return tuple(reversed(path))


def told(name: str, explored: Explored) -> str:
    """What an exploration showed, in one line."""
    if explored.path is None:
        return f"{name}: {explored.states:,} states, every promise is kept"
    steps = [f"{count} × {step}" if count > 1 else step for step, count in _runs(explored.path)]
    return f"{name}: {explored.promise} after {len(explored.path)} steps: {', '.join(steps)}"


def _runs(path: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    return ((step, len(list(same))) for step, same in groupby(path))


if __name__ == "__main__":
    lines = [told(name, explore(world)) for name, world in WORLDS.items()]
    lines += [
        told(f"without {rule.name} ({name})", explore(WORLDS[name], ALL - {rule})) for rule, name in NEEDED.items()
    ]
    lines += [told(f"open ({name})", explore(world)) for name, world in OPEN.items()]
    sys.stdout.writelines(f"{line}\n" for line in lines)
