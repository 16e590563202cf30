"""The agent: what a process runs in the background so that no decision waits for bookkeeping.

Theory of operation
-------------------
Two step functions of two clocks (the store's, where it has none of its own, and the process's boot clock), and no state
that both change:

- `step_read` looks at the host's files and reads the word, whether the process's own row is committed, and the time: in
  one transaction that changes nothing. Only it replaces `read`. Decisions look at `read` and wait for nothing.
- `step_write` brings the process's row up to date, notes on the host what was seen, and delivers what waits: ledger
  rows, counters, signs of life. Each of these may fail by itself; it is said once, and tried again. Between two steps
  a word that changes is acknowledged and noted at once, and nothing else.

Production calls them from two threads, so that nothing that a write waits for delays a read. A rehearsal calls them
itself, at the moments that it simulates. A read that fails leaves the last one, whose lease then runs out. One that
succeeds replaces it, also by the knowledge that there is no word.

The row comes first: it is committed before the first read that may be acted on, which the read itself checks. A process
is its nonce; after a fork the child is another process, with an agent of its own.
"""

import logging
import os
import secrets
import socket
import time
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Condition, Event, Thread

from sqlalchemy import Connection

from suffice.errors import DataError, StoreError, StoreTimeout, SufficeError
from suffice.flag.lowering import Lowering, LoweringFiles, forced
from suffice.serving.fence import BootClock, Read
from suffice.store.bell import Bell
from suffice.store.database import AGENT_SECONDS, Store, agents_store, is_current, open_store
from suffice.store.note import NAME, Note, read_note, write_note
from suffice.store.processes import ProcessRow, Pruner, is_registered, sign_off, write_process
from suffice.store.words import WordRead, read_word

POLL_SECONDS = 0.25
"""The longest pause between two reads of the word; on PostgreSQL a word that changes ends it."""

BEAT_SECONDS = 1.0
"""The longest pause between two writes: what waits for the ledger waits no longer while the store answers."""

PRUNE_SECONDS = 600.0

OLDER_COPY = "the store is an older copy of the one that this host has seen"
"""Why a word is none whose epoch, or whose store's position, is below what was noted."""

_log = logging.getLogger(__name__)
_agents: "weakref.WeakSet[Agent]" = weakref.WeakSet()


class Agent:
    """Keeps the last read of a service's word, and writes what the process has to say.

    `folder` holds the host's files (flag, note), None where there is none. `duties` are what else the writer does, each
    by its name, with the store that it is given; `waiting` tells how many rows wait for it. `now` stands in for the
    clock that SQLite has not. An agent that `lends` reads for others, who may act on a word after it was replaced: so
    its row acknowledges none, and never signs off. The threads raise nothing; `obstacle` is the sentence of what is
    wrong now, "" when nothing is.
    """

    def __init__(
        self,
        where: str | Path,
        service: str,
        *,
        plan_id: str,
        enabled: bool,
        version: str = "",
        folder: Path | None = None,
        duties: Mapping[str, Callable[[Store], object]] | None = None,
        waiting: Callable[[], int] = lambda: 0,
        now: Callable[[], float] = time.time,
        boot: Callable[[], float] | None = None,
        nonce: str | None = None,
        lends: bool = False,
    ) -> None:
        self.where, self.service, self.nonce = where, service, nonce or secrets.token_hex(8)
        self.store = agents_store(where)
        self.boot = boot or BootClock()
        self.read: Read | None = None
        self.lowering: Lowering | None = None
        self.forked = False
        self._plan_id, self._enabled, self._version, self._lends = plan_id, enabled, version, lends
        self._duties, self._waiting, self._now = duties or {}, waiting, now
        self._folder, self._files = folder, LoweringFiles(folder) if folder else None
        self._note, self._noted = Note(), 0
        self._started = now()
        self._prepared, self._pruned, self._left_behind = False, float("-inf"), False
        self._pruner = Pruner(self.nonce)
        self._told: tuple[int, float] | None = None
        self._ends = float("inf")
        self._wrong: dict[str, str] = {}
        self._threads: list[Thread] = []
        self._stop, self._due, self._changed = Event(), Event(), Condition()
        _agents.add(self)

    @property
    def obstacle(self) -> str:
        """Why no word counts here now, in one sentence."""
        wrong = next(iter(self._wrong.copy().values()), "")
        read = self.read
        if wrong or read is None:
            return wrong or "the store has not been read yet"
        return read.obstacle or ("" if read.registered else "this process is not registered yet")

    def read_within(self, connection: Connection, service: str, now: float) -> Read:
        """The word as a write transaction of this process reads it; it counts at age 0.

        A process that was stopped meanwhile may know less than its host, so the host's note is asked too.
        """
        # Before the store is asked: it moves on, and the note with it.
        notes, obstacle = [self._note], ""
        try:
            notes += [read_note(self._folder)] if self._folder else []
        except DataError as error:
            obstacle = str(error)
        told = read_word(connection, service, now)
        standing, epoch = told.standing, told.word.epoch if told.word else 0
        if any(note.is_above(standing.incarnation, epoch, standing.position) for note in notes):
            obstacle = OLDER_COPY
        return Read(
            told.word,
            began=0.0,
            remaining=told.remaining,
            store_time=standing.at,
            incarnation=standing.incarnation,
            primary=standing.primary,
            registered=True,
            obstacle=told.obstacle or obstacle,
        )

    def start(self) -> None:
        """Read and write on two threads from now on; they keep no process alive."""
        for name, work in (("suffice-reader", self._keep_reading), ("suffice-writer", self._keep_writing)):
            thread = Thread(target=work, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def wait_for_read(self, after: Read | None, seconds: float) -> Read | None:
        """The first read after this one, or whatever is known when the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.read is not after, seconds)
        return self.read

    def wait_until_registered(self, seconds: float) -> None:
        """Wait until a read has seen this process's own row, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: self.read is not None and self.read.registered, seconds)

    def step_read(self) -> None:
        """Read the host's files and the word. Raises StoreError or DataError, with the last read left in force."""
        if self._files is not None:
            self.lowering = self._files.read()
        self._take_note()
        began = self.boot()
        with self.store.read() as connection:
            word_read = read_word(connection, self.service, self._now())
            registered = is_registered(connection, self.nonce)
        read = self._understood(word_read, began, registered=registered)
        with self._changed:
            before, self.read = self.read, None if self._stop.is_set() else read
            self._changed.notify_all()
        if not registered or before is None or _epoch(before) != _epoch(read):
            self._due.set()

    def step_write(self) -> None:
        """Register or acknowledge, note what was seen, deliver what waits. Raises nothing."""
        if self._acknowledge():
            for name, duty in self._duties.items():
                self._try(name, partial(duty, self.store))

    def _acknowledge(self) -> bool:
        """Bring the row up to date, and the note; whether the store is there at all."""
        if not self._try("prepare", self.prepare):
            return False
        self._try("register", self._register)
        self._try("note", self._keep_note)
        return True

    def decide_by(self, plan_id: str) -> None:
        """From now on the process decides by this plan, and its row is to say so."""
        self._plan_id = plan_id
        self._due.set()

    def stop(self) -> bool:
        """Stop both threads, and say whether both have ended: one that waits for the store is left to its deadline.
        From now on nothing is known, so nothing is permitted."""
        self._stop.set()
        self._due.set()
        for thread in self._threads:
            thread.join(AGENT_SECONDS)
        self.read = None
        return not any(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        """Stop, and sign off where the store answers and nothing was lent. Allowed twice.

        A thread that still waits for the store lets go of it when it ends.
        """
        ended = self.stop()
        self._left_behind = True
        if ended and not self._lends:
            self._try("sign off", self._sign_off)
        if ended or not any(thread.is_alive() for thread in self._threads):
            self.store.close()

    def _keep_reading(self) -> None:
        bell = Bell(self.store)
        while not self._stop.is_set():
            if not self._try("read", self.step_read):
                bell.close()
            bell.wait(POLL_SECONDS, self._stop)
        bell.close()
        self._let_go()

    def _keep_writing(self) -> None:
        while not self._stop.is_set():
            self._due.clear()
            self.step_write()
            beat = self.boot() + BEAT_SECONDS
            # A whole fleet acknowledges a word at once, often on few processors: all else waits for the next beat.
            while (left := beat - self.boot()) > 0 and self._due.wait(left) and not self._stop.is_set():
                self._due.clear()
                self._acknowledge()
        self._let_go()

    def _let_go(self) -> None:
        if self._left_behind:
            self.store.close()

    def _try(self, what: str, act: Callable[[], object]) -> bool:
        try:
            act()
        except Exception as error:
            sentence = str(error) if isinstance(error, SufficeError) else f"{type(error).__name__}: {error}"
            if self._wrong.get(what) != sentence:
                # Until the writer has looked, a store that is not made yet is nothing to warn of.
                expected = what == "read" and not self._prepared
                _log.log(logging.DEBUG if expected else logging.WARNING, "%s: %s", what, sentence)
            self._wrong[what] = sentence
            return False
        self._wrong.pop(what, None)
        return True

    def _understood(self, read: WordRead, began: float, *, registered: bool) -> Read:
        standing, epoch = read.standing, read.word.epoch if read.word else 0
        obstacle = read.obstacle
        if not obstacle:
            if self._note.is_above(standing.incarnation, epoch, standing.position):
                obstacle = OLDER_COPY
            else:
                self._note = self._note.raised(standing.incarnation, epoch, standing.position)
        elif read.word is not None:
            # A connection to a file that was replaced, or to an old primary, would never see the new one.
            self.store.close()
        remaining = self._ends_at(read, began) - began
        return Read(
            read.word, began, remaining, standing.at, standing.incarnation, standing.primary, registered, obstacle
        )

    def _ends_at(self, read: WordRead, began: float) -> float:
        """When the word ends, on the boot clock. While nobody renews it, a clock that is set makes it no longer."""
        ends = began + read.remaining
        if read.word is None or read.until is None:
            return ends
        told = read.word.epoch, read.until
        self._ends = min(ends, self._ends) if told == self._told else ends
        self._told = told
        return self._ends

    def _take_note(self) -> None:
        """Learn what other processes of this host have seen."""
        changed = _changed_at(self._folder / NAME) if self._folder else 0
        if self._folder is not None and changed != self._noted:
            noted, own = read_note(self._folder), self._note
            self._note = noted if own.incarnation is None else noted.raised(own.incarnation, own.epoch, own.position)
            self._noted = changed

    def prepare(self) -> None:
        """Make the store, or bring it to the current schema: the reader never does.

        That has no deadline, for it takes as long as it takes. A look whether it is needed has.
        """
        if not self._prepared:
            if not self._is_current():
                open_store(self.where).close()
            self._prepared = True

    def _is_current(self) -> bool:
        try:
            return is_current(self.store)
        except StoreTimeout:
            raise
        except StoreError:
            # Who opens it makes what is missing, or says what is wrong.
            return False

    def _register(self) -> None:
        read, now = self.read, self._now()
        row = ProcessRow(
            nonce=self.nonce,
            service=self.service,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=self._version,
            started=self._started,
            plan_id=self._plan_id,
            enabled=self._enabled and not forced() and not self._is_lowered(),
            epoch=0 if self._lends else _epoch(read),
            seen_at=read.store_time if read else None,
            # Of the read, as `seen_at` is: however late this is written, the two tell how this host's clock is off.
            beat_at=now - read.age(self.boot()) if read else now,
            rows_waiting=self._waiting(),
        )
        try:
            with self.store.touch() as connection:
                write_process(connection, row)
                boot = self.boot()
                if boot - self._pruned >= PRUNE_SECONDS:
                    self._pruner.prune(connection, boot)
                    self._pruned = boot
        except StoreError as error:
            # A store that answers so may be an empty one, in the place of one that was lost: it is made anew.
            self._prepared = isinstance(error, StoreTimeout)
            raise

    def _is_lowered(self) -> bool:
        """Whether a file of this host takes back what the word gives."""
        word, lowering = self.read.known if self.read else None, self.lowering
        return word is not None and word.exposure is not None and lowering is not None and lowering.outranks(word.epoch)

    def _keep_note(self) -> None:
        known = self._note
        if self._folder is None or known.incarnation is None:
            return
        noted = read_note(self._folder)
        raised = noted.raised(known.incarnation, known.epoch, known.position)
        # The position moves with every write of anybody: it goes along with what is noted for another reason.
        if (raised.incarnation, raised.epoch) != (noted.incarnation, noted.epoch):
            write_note(self._folder, raised)

    def _sign_off(self) -> None:
        with self.store.touch() as connection:
            sign_off(connection, self.nonce, self._now(), self._waiting())


def _epoch(read: Read | None) -> int:
    """The epoch that a read acknowledges: that of a word that counts for this process."""
    return read.known.epoch if read and read.known else 0


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _forked() -> None:
    for agent in list(_agents):
        agent.forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
