"""The word, lent to a process that has no agent: one in another language, or a script.

Theory of operation
-------------------
Who is lent a word acts on it for `LEASE_SECONDS` from the moment the store was asked, and tells nobody when it stops.
So the lender's row in the fleet acknowledges nothing: a receipt waits until whatever was lent before the rollback has
run out, as it does for a process of ours that has died. One row stands for all that is lent on a host: it is committed
before the read that is lent, as rule REGISTER of docs/permission.md asks, and outlives the lender. Once nobody has
asked for an hour, no receipt waits for it any more.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from suffice import __version__
from suffice.errors import DataError, SufficeError
from suffice.flag.evaluation import exposure_of
from suffice.flag.lowering import FORCE_FIXED, forced
from suffice.serving.agent import POLL_SECONDS, Agent
from suffice.serving.background import FIRST_WORD_SECONDS, SIGN_SECONDS
from suffice.serving.fence import IN_FORCE, LEASE_SECONDS, BootClock, Read, may_be_adaptive
from suffice.serving.permission import situation_of
from suffice.store.database import Store
from suffice.store.decision_row import WhyFixed
from suffice.store.processes import LENT
from suffice.store.signs import note_sign
from suffice.store.words import Word

TELL_SECONDS = 1.0
"""A word that is followed is told again so often, also when nothing in it has changed."""


@dataclass(frozen=True, slots=True)
class LentWord:
    """What a service in another language may act on, for `remaining_s` seconds from the moment the store was asked.

    That moment is `asked_at` on the store's clock (seconds since the epoch) and `asked_boot_s` on the machine's boot
    clock (on Linux the first number of /proc/uptime; None where other processes cannot read it). `exposure` is None
    unless its targets may be adaptive; `why_fixed` is then the name of the reason and `why` a sentence. A row of the
    service repeats `rollout`, `stage`, `epoch`, `plan_id` and `process`.
    """

    adaptive: bool
    why_fixed: str | None
    why: str
    service: str
    rollout: str
    stage: str
    phase: str
    plan_id: str
    epoch: int | None
    exposure: Mapping[str, Any] | None
    audit_fraction: float
    audit_salt: str
    shadow: bool
    remaining_s: float
    asked_at: float | None
    asked_boot_s: float | None
    process: str

    @property
    def plain(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @property
    def is_known(self) -> bool:
        """Whether there is a word at all, whatever it says."""
        return self.why_fixed != WhyFixed.NO_WORD.name

    def says_as(self, other: "LentWord | None") -> bool:
        """Whether it says the same as another one, at another moment."""
        return other is not None and _timeless(self) == _timeless(other)


class Lender:
    """Reads the word of a service for processes that have no agent. `folder` holds the host's files (flag, note).

    `now` stands in for the clock that SQLite has not. Not safe to share between threads. Close it.
    """

    def __init__(
        self,
        where: str | Path,
        service: str,
        folder: Path,
        *,
        enabled: bool,
        now: Callable[[], float] = time.time,
        boot: Callable[[], float] | None = None,
    ) -> None:
        self.boot = boot or BootClock()
        self._service, self._enabled, self._plan_id = service, enabled, ""
        self._now, self._signed = now, float("-inf")
        self._agent = Agent(
            where,
            service,
            plan_id="",
            enabled=enabled,
            version=__version__,
            folder=folder,
            duties={"sign": self._sign},
            now=now,
            boot=self.boot,
            nonce=f"{LENT}{service}@{platform.node()}",
            lends=True,
        )

    @property
    def is_shared(self) -> bool:
        """Whether who is lent a word can read the clock that its lease runs on."""
        return not isinstance(self.boot, BootClock) or self.boot.is_shared

    def ask(self) -> LentWord:
        """The word as it stands now. Raises nothing for a store that does not answer: then none is known."""
        try:
            self._agent.step_read()
            self._follow_plan()
            self._agent.step_write()
            self._agent.step_read()
        except SufficeError as error:
            return self._lent(None, str(error))
        return self._lent(self._agent.read, self._agent.obstacle)

    def follow(self, stop: Event) -> Iterator[LentWord]:
        """The word whenever it says something else, and every `TELL_SECONDS`, until `stop` is set."""
        self._agent.start()
        self._agent.wait_until_registered(FIRST_WORD_SECONDS)
        told, at = None, 0.0
        while not stop.is_set():
            self._follow_plan()
            read = self._agent.read
            lent = self._lent(read, self._agent.obstacle)
            if not lent.says_as(told) or self.boot() - at >= TELL_SECONDS:
                told, at = lent, self.boot()
                yield lent
            self._agent.wait_for_read(read, POLL_SECONDS)

    def close(self) -> None:
        """Stop reading. What was lent stays lent, so its row stays."""
        self._agent.close()

    def _sign(self, store: Store) -> None:
        """Who asks for the word lives."""
        if self.boot() - self._signed >= SIGN_SECONDS:
            with store.write() as connection:
                note_sign(connection, self._service, self._now())
            self._signed = self.boot()

    def _follow_plan(self) -> None:
        """By which plan the others decide nobody here knows; they are told to compare it with that of the word."""
        word = self._agent.read.word if self._agent.read else None
        if word is not None and word.plan_id != self._plan_id:
            self._plan_id = word.plan_id
            self._agent.decide_by(word.plan_id)

    def _lent(self, read: Read | None, obstacle: str) -> LentWord:
        now = self.boot()
        word, situation = (read.known if read else None), situation_of(read, now)
        why, sentence = self._why_fixed(read, word, now, obstacle)
        stands = read is not None and read.stands(now)
        return LentWord(
            adaptive=why is None,
            why_fixed=why.name if why else None,
            why=sentence,
            service=self._service,
            rollout=situation.rollout,
            stage=situation.stage,
            phase=word.phase if word else "",
            plan_id=word.plan_id if word else "",
            epoch=word.epoch if word else None,
            exposure=dict(word.exposure) if word and word.exposure and why is None else None,
            audit_fraction=situation.audit_fraction,
            audit_salt=situation.audit_salt,
            shadow=situation.shadow,
            # Downwards: a lease must not end later for being told in milliseconds.
            remaining_s=int(1000 * min(LEASE_SECONDS, read.remaining)) / 1000 if read and stands else 0.0,
            asked_at=read.store_time if read else None,
            # /proc/uptime has two digits: a later look at it must not be before the question.
            asked_boot_s=int(100 * read.began) / 100 if read and self.is_shared else None,
            process=self._agent.nonce,
        )

    def _why_fixed(
        self, read: Read | None, word: Word | None, now: float, obstacle: str
    ) -> tuple[WhyFixed | None, str]:
        plan_id, epoch = (word.plan_id, word.epoch) if word else ("", None)
        try:
            why = may_be_adaptive(
                read, now, plan_id=plan_id, enabled=self._enabled, forced=forced(), exposed=_reaches_somebody
            )
        except DataError as error:
            return WhyFixed.FALLBACK, str(error)
        lowering = self._agent.lowering
        if why is None and lowering is not None and lowering.outranks(epoch):
            return WhyFixed.FORCED, lowering.why
        if why is WhyFixed.FORCED:
            return why, f"{FORCE_FIXED} is set"
        if why is WhyFixed.NO_WORD:
            return why, obstacle or why.value
        if why is WhyFixed.EXPOSURE and word is not None:
            return why, _nobody(word)
        return why, why.value if why else ""


def _reaches_somebody(word: Word) -> bool:
    return word.exposure is not None and exposure_of(word.exposure).weight > 0


def _nobody(word: Word) -> str:
    if word.phase in IN_FORCE and word.shadow:
        return "a shadow stage: nobody is adaptive, and audited targets are drawn to N"
    return f"the word says the baseline ({word.phase})"


def _timeless(lent: LentWord) -> LentWord:
    return replace(lent, remaining_s=0.0, asked_at=None, asked_boot_s=None)
