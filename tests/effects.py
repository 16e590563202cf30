"""Moments in the life of a process that do not depend on its speed.

A moment is named by what the process does: just before its n-th statement that changes a store, or before the n-th file
that it makes, renames or removes; just after its n-th decision; or a little later, when it may have got anywhere. Only
what the main thread does is counted, so that equal processes do equally much.
"""

import itertools
import random
import signal
import sys
import threading
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlalchemy import Engine, event

from suffice.serving.served import Served
from suffice.serving.verifier import Verifier
from suffice.verifier.case import Case

_FILES = {"os.rename", "os.remove", "os.mkdir"}
_CHANGES = ("INSERT", "UPDATE", "DELETE")


class Effect(Enum):
    STATEMENT = "statements"
    FILE = "files"
    DECISION = "decisions"


@dataclass(frozen=True)
class Moment:
    """At the n-th effect of a kind since the process began to count, or so many seconds later."""

    effect: Effect
    number: int
    delay: float = 0.0
    interrupt: bool = False
    """A person's interrupt instead of a kill."""


def moments(effect: Effect, total: int, times: int, seed: int, *, interrupt: bool = False) -> list[Moment]:
    """Random moments of work that has `total` effects, each counted from where a new process goes on.

    A process that goes on has at least those effects ahead of it that the killed one had: so it meets the next moment
    before it ends, on any machine. The last tenth is left out, so that the time after an effect does not outlast the
    work.
    """
    rng = random.Random(seed)
    places = [0, *sorted(rng.sample(range(1, total * 9 // 10), times))]
    return [
        # Later: from 10 µs to 0.1 s, between two lines or in the middle of what has few effects.
        Moment(effect, after - before, rng.choice((0.0, 10 ** rng.uniform(-5, -1))), interrupt)
        for before, after in itertools.pairwise(places)
    ]


def count_effects(moment: Moment | None) -> Counter[Effect]:
    """Count this process's effects from now on, for its whole life, and stop it at the moment."""
    done = Counter[Effect]()

    def has(effect: Effect) -> None:
        if threading.current_thread() is threading.main_thread():
            done[effect] += 1
            if moment and (effect, done[effect]) == (moment.effect, moment.number):
                # Unless it is caught, this signal ends a process at once, in the middle of whatever it does.
                if moment.delay:
                    signal.setitimer(signal.ITIMER_REAL, moment.delay)
                else:
                    signal.raise_signal(signal.SIGALRM)

    if moment and moment.interrupt:
        # Where the tests run in the background, a shell has made them ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    _tell_of_statements(lambda: has(Effect.STATEMENT))
    _tell_of_files(lambda: has(Effect.FILE))
    _tell_of_decisions(lambda: has(Effect.DECISION))
    return done


def _tell_of_statements(tell: Any) -> None:
    def executing(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(_CHANGES):
            tell()

    event.listen(Engine, "before_cursor_execute", executing)


def _tell_of_files(tell: Any) -> None:
    # Compiled modules would be files that only the first process writes.
    sys.dont_write_bytecode = True

    def audited(name: str, arguments: tuple[Any, ...]) -> None:
        if name in _FILES or (name == "open" and isinstance(arguments[0], str) and arguments[2] & 3):
            tell()

    sys.addaudithook(audited)


def _tell_of_decisions(tell: Any) -> None:
    verify = Verifier.verify

    def telling(self: Verifier, case: Case) -> Served:
        served = verify(self, case)
        tell()
        return served

    Verifier.verify = telling  # type: ignore[method-assign]
