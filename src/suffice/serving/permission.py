"""Who answers for a verifier whether a case may be adaptive, and where its decision belongs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy import Connection

from suffice.errors import error_line
from suffice.flag.answer import Flag
from suffice.flag.evaluation import Evaluator
from suffice.flag.lowering import forced
from suffice.serving.agent import Agent
from suffice.serving.fence import IN_FORCE, Read, may_be_adaptive
from suffice.serving.situation import Situation
from suffice.store.decision_row import WhyFixed
from suffice.store.words import Word
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case

SECOND_WAIT_SECONDS = 0.25
"""How long a decision waits for the agent's next read, once, when the last one has merely aged out."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An answer: why the case is fixed (None: it may be adaptive), where its decision belongs, the moment of the
    question on the store's clock (seconds since the epoch), and the epoch of the word, None under no word. `failure`
    says what broke while it was asked."""

    why_fixed: WhyFixed | None
    situation: Situation
    at: float
    epoch: int | None = None
    failure: str | None = None


class Permission(Protocol):
    """Whoever answers for a verifier. It is asked before the first draw and again before the verdict is returned."""

    @property
    def process(self) -> str | None:
        """The process's nonce, None where it registers nowhere."""
        ...

    def ask(self, case: Case) -> Asked:
        """Whether the case may be adaptive now."""
        ...

    def ask_again(self, case: Case) -> Asked:
        """As `ask`; may wait a moment for a fresh word when the last one has only aged out."""
        ...


class Leased:
    """Production's: the fence, on what the agent has read. Files of the host and a provider of its own only lower.

    The fence is asked last: a provider may take its time, and a word may be taken back meanwhile.
    `blocked` says that nothing more can be noted: then decisions are fixed too.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        plan_id: str,
        enabled: bool,
        provider: Flag | None = None,
        blocked: Callable[[], bool] = lambda: False,
        clock: Callable[[], float],
    ) -> None:
        self._agent, self.plan_id, self._enabled = agent, plan_id, enabled
        self._provider, self._blocked, self._clock = provider, blocked, clock
        self._evaluator = Evaluator()

    @property
    def process(self) -> str | None:
        return self._agent.nonce

    def ask(self, case: Case) -> Asked:
        return self._ask(case, self._agent.read)

    def ask_again(self, case: Case) -> Asked:
        read = self._agent.read
        asked = self._ask(case, read)
        if asked.why_fixed is WhyFixed.LAPSED and read is not None and read.has_aged_out(self._agent.boot()):
            return self._ask(case, self._agent.wait_for_read(read, SECOND_WAIT_SECONDS))
        return asked

    def within(self, connection: Connection, service: str, now: float) -> tuple[str | None, Callable[[Case], bool]]:
        """The rollout of the word that a transaction reads, and whether it permits a case in that transaction.

        The transaction holds the store's write lock, as the one that takes a word back does: no lease is needed.
        """
        read = self._agent.read_within(connection, service, now)
        rollout, epoch = (read.word.rollout, read.word.epoch) if read.word else (None, None)
        return rollout, lambda case: self._why_fixed(case, read, 0.0, epoch) is None

    def _ask(self, case: Case, read: Read | None) -> Asked:
        asked = self._fenced(case, read)
        if asked.why_fixed is not None or self._provider is None:
            return asked
        lowered, failure = _guarded(lambda: self._lowered_by_provider(case))
        if lowered is not None:
            return replace(asked, why_fixed=lowered, failure=failure)
        return self._fenced(case, self._agent.read)

    def _fenced(self, case: Case, read: Read | None) -> Asked:
        now = self._agent.boot()
        word = read.known if read else None
        epoch = word.epoch if word else None
        why, failure = _guarded(lambda: self._why_fixed(case, read, now, epoch))
        at = read.store_time + read.age(now) if read else self._clock()
        return Asked(why, situation_of(read, now), at, epoch, failure)

    def _why_fixed(self, case: Case, read: Read | None, now: float, epoch: int | None) -> WhyFixed | None:
        why = may_be_adaptive(
            read,
            now,
            plan_id=self.plan_id,
            enabled=self._enabled,
            forced=forced() or self._blocked(),
            exposed=lambda known: self._is_exposed(known, case),
        )
        lowering = self._agent.lowering
        return WhyFixed.FORCED if why is None and lowering is not None and lowering.outranks(epoch) else why

    def _lowered_by_provider(self, case: Case) -> WhyFixed | None:
        assert self._provider is not None
        return None if self._provider.ask(case.target, case.region).arm is Arm.ADAPTIVE else WhyFixed.FORCED

    def _is_exposed(self, word: Word, case: Case) -> bool:
        return word.exposure is not None and (
            self._evaluator.arm(word.exposure, case.target, case.region) is Arm.ADAPTIVE
        )


def situation_of(read: Read | None, now: float) -> Situation:
    """Where a decision belongs under what was read; audits and the shadow end with the lease."""
    word = read.known if read else None
    if read is None or word is None:
        return Situation()
    if word.phase not in IN_FORCE:
        return Situation(rollout=word.rollout, plan_id=word.plan_id)
    if not read.stands(now):
        return Situation(rollout=word.rollout, stage=word.stage, plan_id=word.plan_id)
    return Situation(
        rollout=word.rollout,
        stage=word.stage,
        audit_fraction=word.audit_fraction,
        audit_salt=word.audit_salt,
        shadow=word.shadow,
        plan_id=word.plan_id,
    )


class Told:
    """That of a verifier outside any rollout, as a scenario or a test makes one: its flag and its situation say it."""

    process = None

    def __init__(
        self,
        flag: Flag | None,
        situation: Callable[[], Situation],
        plan_id: str,
        clock: Callable[[], float],
        *,
        enabled: bool,
    ) -> None:
        self._flag, self._situation, self._plan_id = flag, situation, plan_id
        self._clock, self._enabled = clock, enabled

    def ask(self, case: Case) -> Asked:
        at, situation = self._clock(), self._situation()
        why, failure = _guarded(lambda: self._why_fixed(case, situation))
        return Asked(why, situation, at, failure=failure)

    def ask_again(self, case: Case) -> Asked:
        return self.ask(case)

    def _why_fixed(self, case: Case, situation: Situation) -> WhyFixed | None:
        if forced():
            return WhyFixed.FORCED
        if not self._enabled:
            return WhyFixed.DISABLED
        if situation.plan_id not in (None, self._plan_id):
            return WhyFixed.FOREIGN_PLAN
        if situation.shadow or self._flag is None or self._flag.ask(case.target, case.region).arm is not Arm.ADAPTIVE:
            return WhyFixed.EXPOSURE
        return None


def _guarded(question: Callable[[], WhyFixed | None]) -> tuple[WhyFixed | None, str | None]:
    """The answer, and what broke: whatever that is, the case is fixed."""
    try:
        return question(), None
    except Exception as error:
        return WhyFixed.FALLBACK, error_line(error)
