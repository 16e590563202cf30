"""Ask/tell in production: the decision of `verify` about draws that its caller makes.

Why the order counts
--------------------
A plan's bound holds for draws in an exchangeable order, and the order in which answers arrive is none: where quick
trials succeed more often, the first eight answers are not a sample of all. So draws are numbered when they are asked
for, and decided in that order. An answer that comes early waits for those before it. A stop is decided on the draws up
to its look alone: whatever was under way at that moment has been paid for, and changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from numbers import Integral
from time import perf_counter
from types import TracebackType
from typing import Protocol, Self, TypeAlias

import numpy as np

from suffice.decision.rule import Rule
from suffice.errors import DataError, RunError, shown
from suffice.sampling.draw import as_number, in_order
from suffice.sampling.sampler import after_retries, note
from suffice.serving.ledger_rows import check_cost
from suffice.serving.served import Served, Spent, Steps
from suffice.telemetry.counters import Counters
from suffice.verifier.case import Case

Draw: TypeAlias = float | Sequence[float]
"""A value, or a pair (before, after)."""

Trial: TypeAlias = Callable[[int], Awaitable[Draw]]
"""Makes the draw with this number, 0 for the first; one that failed is asked for again by its number."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A decision that has asked its first question: its steps, and who is told when it ends without an answer."""

    steps: Steps[Served]
    failed: Callable[[Exception], object]


class Enter(Protocol):
    """Asks the first question. Who is not `patient` never waits for a word that is late."""

    def __call__(self, *, patient: bool) -> Entered: ...


class Abandoned(Exception):
    """Somebody left a run before it had decided. It is counted by this name, and never raised."""


class TrialCancelled(Exception):
    """A trial ended as cancelled although nobody had cancelled it: what it waited for was, a request in a pool, say."""


class ServedRun:
    """One production decision in progress, made by `Verifier.begin`: its caller makes the draws, and tells them.

    Guarantees the decision that `verify` would have come to on the same draws, with all that belongs to it: the fence
    before the first draw and before the end, audits that go on to N, the shadow, the ledger row and the counters. Use
    it as a context, `with` or `async with`; one thread or task feeds it. While it is `open` it `need`s so many draws;
    then `served` is the decision. Who leaves it open has decided nothing: no row is written, the error that ended it
    (or `Abandoned`) is counted as a sampler's, and the key is free.

    The shape of told draws is unknown, whatever sampler the case has: under a t rule that is not guarded the arm is
    fixed. Within `async with` nothing waits for a word that is late; such a decision goes on to N.
    """

    def __init__(self, case: Case, rule: Rule, n: int, enter: Enter, spent: Spent, counters: Counters) -> None:
        self._case, self._rule, self._ask = case, rule, enter
        self._spent, self._counters = spent, counters
        # Refuses what no rule can use before the decision sees it: that would be an error of its own, not the draw's.
        self._tally = rule.tally()
        self._pairs: bool | None = None
        self._entered: Entered | None = None
        self._steps: Steps[Served] | None = None
        self._need = 0
        self._served: Served | None = None
        self._tasks: dict[int, asyncio.Task[Draw]] = {}
        self._under_way: dict[int, float] = {}
        self._seconds: float | None = 0.0
        self._is_fed = False
        self.fixed_n = n
        """The draws that the baseline takes."""

    @property
    def open(self) -> bool:
        """Whether more draws are needed."""
        return self._steps is not None

    @property
    def need(self) -> int:
        """Draws to the next look, or to N where the decision goes on to it; 0 when the run is closed."""
        return self._need

    @property
    def n(self) -> int:
        """Draws observed so far, those of an audit among them."""
        return self._tally.n

    @property
    def served(self) -> Served:
        """The decision. Raises RunError while there is none."""
        if self._served is None:
            raise RunError(f"case {self._case.key!r} is not decided after {self.n} draws; needed for now: {self.need}")
        return self._served

    def spend(self, cost: float) -> None:
        """Note what draws have cost, in your own unit: in whatever portions, before the draw that closes the run.

        The ledger's cost of one draw is the mean over all draws that ended; without it, that of the case. Raises
        DataError for a cost that is none, alone or with those before, RunError when the run is closed.
        """
        self._check_open()
        check_cost(self._case.key, cost)
        total = float(cost) + (self._spent.cost or 0.0)
        check_cost(self._case.key, total)
        self._spent.cost = total

    def observe(self, draws: Iterable[Draw]) -> int:
        """Take draws in order until the run closes or there are no more; returns how many were taken.

        Draws after the closing one are not read. Raises RunError when the run is closed or draws come from elsewhere
        meanwhile, DataError when a draw is nothing that the rule can use, or draws come in no order. What the draws
        themselves raise passes through. In each case the draws before that are observed, because they were paid for,
        and the run goes on. The seconds of an iterator are measured; those of a list that was made before are not
        known.
        """
        with self._fed():
            before, source = self.n, in_order(draws)
            if not isinstance(draws, Iterator):
                self._seconds = None
            while self.open and self._take(islice(source, self.need)):
                pass
            return self.n - before

    async def draw(self, trial: Trial, *, window: int = 8, timeout: float | None = None) -> Served:
        """Make draws by `trial(0)`, `trial(1)`, …, up to `window` of them at once, until the run closes.

        They are decided in this order, whenever they end. A trial that raises, or takes longer than `timeout` seconds,
        is made again as often as the case's `retries` say; then its error passes through in its turn. After that, as
        after a cancellation, no trial is under way: those that had ended are kept for the next `draw`, the others are
        cancelled, waited for until they have ended, and made again then. A trial that ends as cancelled by itself has
        raised TrialCancelled. Raises RunError when the run is closed, or draws come from elsewhere meanwhile, or
        `window` or `timeout` is none; DataError as `observe` does.
        """
        if isinstance(window, bool) or not isinstance(window, Integral) or window < 1:
            raise RunError(f"window is {shown(window)}; allowed: at least 1 draw at once, a whole number")
        seconds = as_number(timeout)
        if timeout is not None and (seconds is None or not seconds > 0):
            raise RunError(f"timeout is {shown(timeout)}; allowed: seconds above 0, or None for no limit")
        with self._fed():
            try:
                while self.open:
                    for number in range(self.n, min(self.n + window, self.fixed_n)):
                        if number not in self._tasks:
                            self._tasks[number] = asyncio.create_task(self._made(trial, number, seconds))
                    task = self._tasks[self.n]
                    if not task.done():
                        # Who awaited the task itself would hand it every cancellation, also while it is closing.
                        await asyncio.wait([task])
                    del self._tasks[self.n]
                    self._tell([self._observation(task.result())])
            finally:
                await self._let_go()
        return self.served

    async def _made(self, trial: Trial, number: int, timeout: float | None) -> Draw:
        # Here, since a task that is cancelled before it begins has drawn nothing.
        self._spent.drawn += 1
        self._under_way[number] = perf_counter()
        retries = 0
        try:
            while True:
                try:
                    async with asyncio.timeout(timeout):
                        value = await self._answer(trial, number)
                    self._spent.ended += 1
                    return value
                except Exception as error:
                    # A trial that makes an error of its cancellation has been let go all the same.
                    if retries == self._case.retries or isinstance(error, CancelledError) or _is_cancelled():
                        self._spent.ended += 1
                        where = f"case {self._case.key!r} at draw {number + 1}"
                        note(error, f"raised by the trial of {where}{after_retries(retries)}")
                        raise
                    self._counters.sampler_raised(error, retried=True)
                retries += 1
        finally:
            self._took(perf_counter() - self._under_way.pop(number))

    async def _answer(self, trial: Trial, number: int) -> Draw:
        try:
            return await trial(number)
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            # Passed on as it is, it would end the caller's task, whom nobody has cancelled.
            raise TrialCancelled("what the trial waited for was cancelled, the trial itself was not") from error

    async def _let_go(self) -> None:
        """End what is under way, and keep what has ended well."""
        tasks, self._tasks = self._tasks, {}
        for task in tasks.values():
            task.cancel()
        again: asyncio.CancelledError | None = None
        while under_way := [task for task in tasks.values() if not task.done()]:
            try:
                await asyncio.wait(under_way)
            except asyncio.CancelledError as cancelled:
                # Whoever cancels once more waits for them too, or they would outlive their decision.
                again = cancelled
        # To look at an exception is also to tell asyncio that somebody has.
        self._tasks = {i: task for i, task in tasks.items() if not task.cancelled() and task.exception() is None}
        if again is not None:
            raise again

    def _took(self, seconds: float) -> None:
        self._seconds = None if self._seconds is None else self._seconds + seconds

    def _take(self, draws: Iterator[Draw]) -> int:
        """Observe what these draws give, also when they raise."""
        block, began = list[float](), perf_counter()
        try:
            for draw in draws:
                block.append(self._observation(draw, ahead=len(block)))
        finally:
            self._took(perf_counter() - began)
            self._spent.drawn += len(block)
            self._spent.ended += len(block)
            if block:
                self._tell(block)
        return len(block)

    def _observation(self, draw: Draw, ahead: int = 0) -> float:
        """The number that a draw is observed as."""
        pair = isinstance(draw, tuple | list) or getattr(draw, "ndim", 0) > 0
        numbers = [as_number(member) for member in draw] if pair else []  # type: ignore[union-attr]
        if self._pairs not in (None, pair) or (pair and (len(numbers) != 2 or None in numbers)):
            allowed = "a value, as the draws before" if self._pairs is False else "a pair (before, after) of numbers"
            raise DataError(f"case {self._case.key!r}: draw {self.n + ahead + 1} is {shown(draw)}; allowed: {allowed}")
        self._pairs = pair
        if not pair:
            number = as_number(draw)
            # What is no number, or a truth value, is for the tally to refuse or to take.
            return draw if number is None else number  # type: ignore[return-value]
        return float(self._rule.of_pairs(np.array([numbers], np.float64), self._case.direction)[0])

    def _tell(self, block: list[float]) -> None:
        before = self.n
        try:
            self._tally.add(block)
        except DataError:
            good = block[: self.n - before]
            if good:
                self._send(good)
            raise
        self._send(block)

    def _send(self, block: list[float] | None) -> None:
        assert self._steps is not None
        now = perf_counter()
        running = sum(now - began for began in self._under_way.values())
        self._spent.seconds = None if self._seconds is None else self._seconds + running
        steps, self._steps, self._need = self._steps, None, 0
        try:
            self._need = steps.send(block)  # type: ignore[arg-type]
            self._steps = steps
        except StopIteration as closed:
            self._served = closed.value

    @contextmanager
    def _fed(self) -> Iterator[None]:
        """Keeps anybody else from feeding the run meanwhile: no one could say in which order those draws are."""
        self._check_open()
        if self._is_fed:
            raise RunError(f"the run of case {self._case.key!r} takes draws already; allowed: one source at a time")
        self._is_fed = True
        try:
            yield
        finally:
            self._is_fed = False

    def _check_open(self) -> None:
        if self._steps is None:
            where = f"closed after {self.n} draws" if self._served else "not entered, or was left"
            raise RunError(f"the run of case {self._case.key!r} is {where}; begin a new one, as a context")

    def _enter(self, *, patient: bool) -> Self:
        if self._entered is not None:
            raise RunError(f"the run of case {self._case.key!r} was entered before; begin a new one")
        self._entered = self._ask(patient=patient)
        self._steps = self._entered.steps
        self._send(None)
        return self

    def _leave(self, error: BaseException | None) -> None:
        if self._served is None and self._entered is not None:
            self._entered.failed(error if isinstance(error, Exception) else Abandoned())
        self._steps, self._need = None, 0

    def __enter__(self) -> Self:
        return self._enter(patient=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    async def __aenter__(self) -> Self:
        return self._enter(patient=False)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)


def _is_cancelled() -> bool:
    """Whether somebody has cancelled the task at work, or its time is up."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
