"""The ask/tell run: executes a table of boundaries, draw by draw."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from enum import Enum
from itertools import islice, pairwise
from math import inf, isfinite, isnan, nan
from types import NoneType
from typing import Any

from suffice.decision.rule import Decision, Rule
from suffice.decision.rules import rule_of
from suffice.errors import PlanError, RunError, shown
from suffice.sampling.draw import in_order
from suffice.stopping.guard import Guard, guard_of

RUN_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Boundary:
    """At n draws: stop and reject when the statistic ≤ reject_at, stop and accept when it is ≥ accept_at; None for
    never."""

    n: int
    reject_at: float | None
    accept_at: float | None


class StopReason(Enum):
    """Why a run closed, as the sentence a person reads."""

    ACCEPT_BOUNDARY = "Stopped early: the sample reached the accept boundary of this look."
    REJECT_BOUNDARY = "Stopped early: the sample reached the reject boundary of this look."
    REACHED_N = "All draws were used: this is the fixed-sample decision itself."
    NON_FINITE = "A draw was NaN or infinite: nothing can be decided."


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """What a closed run decided: after n of fixed_n draws, with the estimate at that point (NaN when INVALID).

    `guarded` tells that the applicability guard for draws of unknown shape was on. Verdicts are equal when all of this
    is, a NaN estimate being equal to another one.
    """

    decision: Decision
    n: int
    fixed_n: int
    estimate: float
    reason: StopReason
    guarded: bool = False

    @property
    def early(self) -> bool:
        return self.n < self.fixed_n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Verdict) and _verdict_dict(self) == _verdict_dict(other)

    def __hash__(self) -> int:
        return hash(tuple(_verdict_dict(self).values()))


class Run:
    """One decision in progress: `need` says how many draws to the next look, `observe` takes them, `verdict` is the
    result.

    Guarantees the same verdict whether draws come one at a time or in blocks of any size. One driver for every rule and
    method: the limit N and the non-finite check live here, so that no method can forget them.
    """

    __slots__ = ("_accept", "_at", "_guard", "_look", "_n", "_reject", "_rule", "_tally", "_verdict")

    def __init__(self, rule: Rule, n: int, boundaries: Sequence[Boundary], guard: Guard | None = None) -> None:
        used = [b for b in boundaries if b.n < n and not (b.reject_at is None and b.accept_at is None)]
        self._rule = rule
        self._n = n
        self._at = [*(b.n for b in used), n]
        self._reject = [-inf if b.reject_at is None else b.reject_at for b in used]
        self._accept = [inf if b.accept_at is None else b.accept_at for b in used]
        self._guard = guard
        self._tally = rule.tally() if guard is None else guard.tally()
        self._look = 0
        self._verdict: Verdict | None = None

    def __repr__(self) -> str:
        closed = self._verdict
        state = f"needs {self.need} more" if closed is None else closed.decision.value
        return f"<Run {self._rule} {self.n} of {self._n} draws, {state}>"

    def __copy__(self) -> "Run":
        """A run of its own that has observed the same."""
        other = object.__new__(type(self))
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        other._tally = copy(self._tally)
        return other

    @property
    def open(self) -> bool:
        """Whether more draws are needed."""
        return self._verdict is None

    @property
    def need(self) -> int:
        """Draws until the next look; 0 when the run is closed."""
        return self._at[self._look] - self._tally.n if self._verdict is None else 0

    @property
    def n(self) -> int:
        """Draws observed so far."""
        return self._tally.n if self._verdict is None else self._verdict.n

    @property
    def guarded(self) -> bool:
        """Whether the applicability guard for draws of unknown shape is on."""
        return self._guard is not None and self._guard.shape

    @property
    def verdict(self) -> Verdict:
        """The result. Raises RunError while the run is open."""
        if self._verdict is None:
            raise RunError(
                f"the run is open after {self.n} draws; observe {self.need} more before asking for its verdict"
            )
        return self._verdict

    @property
    def statistic(self) -> float:
        """The number that the boundaries are compared with, of what was observed so far."""
        return self._tally.statistic

    @property
    def effect(self) -> float:
        """How far what was observed is from the decision boundary, in standard errors; positive accepts."""
        return self._rule.effect(self._tally)

    def observe(self, draws: Iterable[float]) -> int:
        """Take draws in order until the run closes or there are no more; returns how many were taken.

        Draws after the closing one are not read. Raises RunError when the run was closed before, DataError when a draw
        has a value that the rule cannot have, or when there are no draws in an order. What the draws themselves
        raise passes through. In each case the draws before that are observed: they were paid for.
        """
        if self._verdict is not None:
            raise RunError(f"the run is closed after {self.n} draws; start a new one")
        tally = self._tally
        before = tally.n
        # A list that ends at this look or before, which is what a loop over `need` gives, needs no copy.
        if type(draws) is list and 0 < len(draws) <= self._at[self._look] - before:
            self._take(draws)
            return tally.n - before
        source = in_order(draws)
        while self._verdict is None and (block := self._next(source)):
            self._take(block)
        return tally.n - before

    def _next(self, source: Iterator[float]) -> list[float]:
        """The draws to the next look, or as many as there are."""
        block: list[float] = []
        try:
            block.extend(islice(source, self.need))
        except BaseException:
            if block:
                self._take(block)
            raise
        return block

    def _take(self, block: list[float]) -> None:
        if not self._tally.add(block):
            self._close(Decision.INVALID, StopReason.NON_FINITE)
        elif self._tally.n == self._at[self._look]:
            self._consider()

    def _consider(self) -> None:
        tally, look = self._tally, self._look
        if look == len(self._accept):
            self._close(self._rule.decide(tally), StopReason.REACHED_N)
            return
        statistic = tally.statistic
        if statistic >= self._accept[look] and self._may_accept(look):
            self._close(Decision.ACCEPTED, StopReason.ACCEPT_BOUNDARY)
        elif statistic <= self._reject[look] and self._may_reject(look):
            self._close(Decision.REJECTED, StopReason.REJECT_BOUNDARY)
        else:
            self._look = look + 1

    def _may_accept(self, look: int) -> bool:
        return self._tally.may_accept and (self._guard is None or self._guard.confirms(self._tally, self._accept[look]))

    def _may_reject(self, look: int) -> bool:
        return self._guard is None or self._guard.confirms_reject(self._tally, self._reject[look])

    def _close(self, decision: Decision, reason: StopReason) -> None:
        estimate = nan if decision is Decision.INVALID else self._tally.estimate
        self._verdict = Verdict(decision, self._tally.n, self._n, estimate, reason, self.guarded)

    def to_dict(self) -> dict[str, Any]:
        """All that is needed to go on elsewhere, as plain JSON values: rule, table, and what was observed so far."""
        return {
            "schema": RUN_SCHEMA,
            "rule": self._rule.name,
            "parameters": dict(self._rule.parameters),
            "n": self._n,
            "guarded": self.guarded,
            "boundaries": [
                {"n": n, "reject_at": None if low == -inf else low, "accept_at": None if high == inf else high}
                for n, low, high in zip(self._at, self._reject, self._accept, strict=False)
            ],
            "tally": self._tally.state if self._verdict is None else None,
            "verdict": None if self._verdict is None else _verdict_dict(self._verdict),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Run":
        """The run that `to_dict` described; it goes on as that one would. Raises RunError when it is no such state."""
        if not isinstance(content, Mapping):
            raise RunError(f"the run's state is {shown(content)}; allowed: what to_dict gave")
        if content.get("schema") != RUN_SCHEMA:
            raise RunError(f"run schema is {shown(content.get('schema'))}; allowed: {RUN_SCHEMA}")
        try:
            rule, n = rule_of(content["rule"], content["parameters"]), content["n"]
            guarded = checked("guarded", content["guarded"], bool)
            run = cls(
                rule, checked("n", n, int), boundaries_of(content["boundaries"]), guard_of(rule, n, guarded=guarded)
            )
            if content["verdict"] is None:
                run._resume(content["tally"])
            else:
                run._verdict = _verdict_of(content["verdict"])
        except (AttributeError, KeyError, OverflowError, PlanError, TypeError, ValueError) as error:
            raise RunError(f"the run's state lacks or garbles {error}") from error
        return run

    def _resume(self, state: Mapping[str, object]) -> None:
        self._tally.restore(state)
        if self._tally.n >= self._n:
            raise RunError(f"the run's state has {self._tally.n} draws and no verdict; N is {self._n}")
        self._look = bisect_right(self._at, self._tally.n)


def checked(name: str, value: Any, *kinds: type) -> Any:
    """A plain JSON value that is of one of these types, a finite one. Raises TypeError, which names it."""
    if type(value) not in kinds or (isinstance(value, float) and not isfinite(value)):
        raise TypeError(f"{name}: {shown(value)}")
    return value


def boundaries_of(plain: Any) -> tuple[Boundary, ...]:
    """The boundaries that plain JSON values are, at rising looks. Raises KeyError, TypeError or ValueError."""
    numbers = (int, float, NoneType)
    boundaries = tuple(
        Boundary(
            checked("n", each["n"], int),
            checked("reject_at", each["reject_at"], *numbers),
            checked("accept_at", each["accept_at"], *numbers),
        )
        for each in checked("boundaries", plain, list)
    )
    looks = [0, *(boundary.n for boundary in boundaries)]
    for before, look in pairwise(looks):
        if look <= before:
            raise ValueError(f"the look {look} after {before}")
    return boundaries


def _verdict_dict(verdict: Verdict) -> dict[str, Any]:
    return {
        "decision": verdict.decision.value,
        "n": verdict.n,
        "fixed_n": verdict.fixed_n,
        "estimate": None if isnan(verdict.estimate) else verdict.estimate,
        "reason": verdict.reason.name,
        "guarded": verdict.guarded,
    }


def _verdict_of(content: Mapping[str, Any]) -> Verdict:
    estimate = nan if content["estimate"] is None else content["estimate"]
    decision, reason = Decision(content["decision"]), StopReason[content["reason"]]
    return Verdict(decision, content["n"], content["fixed_n"], estimate, reason, content["guarded"])
