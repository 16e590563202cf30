"""Ask/tell in production: on the same draws all is as with `verify`, whoever makes them, at once or one by one."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving_world import PLAN, SEED, Flags, N, case, cases, verifier

from suffice.decision.monte_carlo_p import MonteCarloP
from suffice.decision.paired_mean import PairedMean
from suffice.decision.proportion import Proportion
from suffice.decision.rule import Decision
from suffice.errors import DataError, RunError
from suffice.sampling.distributions import Empirical, Normal
from suffice.sampling.sampler import Draws, Pair
from suffice.sampling.streams import Stream
from suffice.serving.begin import Draw, ServedRun, TrialCancelled
from suffice.serving.counted import counters_of
from suffice.serving.permission import Asked, Told
from suffice.serving.served import Served
from suffice.serving.situation import Situation
from suffice.serving.verifier import Verifier
from suffice.stopping.make import plan
from suffice.stopping.plan import Plan
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow, WhyFixed
from suffice.store.ledger import Ledger
from suffice.telemetry.counters import Counter, Counters
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case

AUDIT_ALL = Situation(rollout="r", stage="canary", audit_fraction=1.0)
QUIET = Situation(rollout="r", stage="canary")
SHADOW = Situation(rollout="r", stage="staging", audit_fraction=1.0, shadow=True)
TOLD = Case("k1", "t1")
BOUNDARY = PLAN.boundaries[0].n


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.db") as opened:
        yield opened


def draws_of(given: Case, n: int = N) -> list[Draw]:
    """The draws that `verify` would make: values, or pairs."""
    return Draws(given.sampler, Stream(SEED, given.key)).take(n).tolist()


def told(process: Verifier, given: Case, draws: list[Draw], at_once: int | None = None) -> Served:
    """Tell the draws in order, as many at once as are needed, or so many."""
    with process.begin(given) as run:
        while run.open:
            run.observe(draws[run.n : run.n + (at_once or run.need)])
    return run.served


def trials(draws: list[Draw], ends: Callable[[int], float] = lambda _: 0.0) -> Callable[[int], Awaitable[Draw]]:
    """Trials that have these results, each after so many turns of the loop."""

    async def trial(number: int) -> Draw:
        for _ in range(int(ends(number))):
            await asyncio.sleep(0)
        return draws[number]

    return trial


async def drawn_at_once(process: Verifier, given: Case, trial: Callable[[int], Awaitable[Draw]], window: int) -> Served:
    async with process.begin(given) as run:
        assert await run.draw(trial, window=window) is run.served
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return run.served


def counts(process: Verifier) -> dict[Counter, int]:
    return dict(process.counters.snapshot().counters)


def to_nan(observed: list[float]) -> list[float]:
    return [float("nan")] * len(observed)


def failing(_: list[float]) -> list[float]:
    raise ZeroDivisionError("the adaptive path broke")


@pytest.mark.parametrize(
    "changes",
    [
        {"situation": lambda: QUIET},
        {"situation": lambda: AUDIT_ALL},
        {"situation": lambda: SHADOW},
        {"flag": Flags(lambda target: int(target[1:]) % 2 == 0)},
        {"flag": Flags(None)},
        {"situation": lambda: replace(AUDIT_ALL, feed=to_nan)},
        {"situation": lambda: replace(AUDIT_ALL, feed=failing)},
        {"situation": lambda: replace(QUIET, plan_id="another")},
    ],
    ids=["adaptive", "audits", "shadow", "both arms", "a broken flag", "an invalid path", "a failing path", "foreign"],
)
def test_told_draws_are_decided_noted_and_counted_as_verify_does(store: Store, changes: dict[str, Any]) -> None:
    asked, one_by_one, at_once = verifier(store, **changes), verifier(store, **changes), verifier(**changes)
    for given in cases(30):
        draws = draws_of(given)
        expected = asked.verify(given)
        bare = Case(given.key, given.target)
        # Blocks may hold draws beyond a NaN; one by one none is made.
        assert replace(told(one_by_one, bare, draws, 1), drawn=expected.drawn) == expected
        assert asyncio.run(drawn_at_once(at_once, bare, trials(draws), 3)).verdict == expected.verdict
    for process in (one_by_one, at_once):
        assert process.counters.snapshot() == asked.counters.snapshot()
    asked.flush()
    before = Ledger(store).rows("r")
    assert len(before) == 30
    with store.write() as connection:
        connection.exec_driver_sql("DELETE FROM decisions")
    one_by_one.flush()
    assert [unmeasured(row) for row in Ledger(store).rows("r")] == [unmeasured(row) for row in before]
    assert counters_of(before).snapshot() == one_by_one.counters.snapshot()


def unmeasured(row: DecisionRow) -> DecisionRow:
    """A row without what differs: the seconds, draws beyond a NaN, and the NaN that equals none."""
    return replace(row, draw_seconds=None, drawn=None, estimate=0.0 if row.invalid else row.estimate)


@pytest.mark.parametrize("method", ["optimal", "curtailed", "fixed"])
@pytest.mark.parametrize(
    "rule, sampler",
    [
        (Proportion(0.7), lambda rng, n: (rng.random(n) < 0.8).astype(float)),
        (Proportion(0.7), Pair(Normal(0.0, 1.0), Normal(0.9, 1.0))),
        (MonteCarloP(0.2), lambda rng, n: (rng.random(n) < 0.1).astype(float)),
        (PairedMean(0.05), Pair(Normal(0.0, 1.0), Empirical((0.0, 0.5, 0.9, 2.0)))),
    ],
    ids=["values", "pairs", "exceedances", "means"],
)
def test_each_rule_and_method_decides_told_draws_as_drawn_ones(rule: Any, sampler: Any, method: Any) -> None:
    made = plan(rule, 32, 0.01, method=method, look_every=8, guarded=isinstance(rule, PairedMean))
    for i in range(8):
        given = Case(f"k{i}", f"t{i}", sampler, direction=1 if i % 2 else -1)
        expected = process_of(made).verify(given)
        draws = draws_of(given, 32)
        assert replace(told(process_of(made), given, draws), drawn=expected.drawn) == expected
        assert asyncio.run(drawn_at_once(process_of(made), given, trials(draws), 5)).verdict == expected.verdict


def process_of(made: Plan) -> Verifier:
    return Verifier(
        made, SEED, Flags(), enabled=True, counters=Counters(), clock=lambda: 1.0, situation=lambda: AUDIT_ALL
    )


def test_told_draws_under_a_t_rule_without_its_guard_are_decided_by_the_baseline() -> None:
    """Nobody can see the shape of draws that are told, whatever sampler the case has."""
    mean = plan(PairedMean(0.05), N, 0.01, method="curtailed", look_every=32)
    known = Case("k", "t", Normal(1.0, 1.0))
    assert process_of(mean).verify(known).arm is Arm.ADAPTIVE
    served = told(process_of(mean), known, draws_of(known))
    assert (served.arm, served.n) == (Arm.FIXED, N)


def test_a_word_that_is_taken_back_in_the_middle_sends_the_case_on_to_the_baseline(store: Store) -> None:
    for window in (1, 8):
        permits = [True]
        process = verifier(store, flag=Flags(lambda _, now=permits: now[0]), situation=lambda: QUIET)  # type: ignore[misc]
        draws = draws_of(case(window, 0.97))
        expected = verifier(flag=Flags(lambda _: False)).verify(case(window, 0.97)).verdict

        async def trial(number: int, draws: list[Draw] = draws, now: list[bool] = permits) -> Draw:
            now[0] = number < BOUNDARY - 1
            return draws[number]

        served = asyncio.run(drawn_at_once(process, Case(f"k{window}", "t"), trial, window))
        assert (served.arm, served.why_fixed, served.verdict) == (Arm.FIXED, WhyFixed.FENCED, expected)
        process.flush()
        assert [row.why_fixed for row in Ledger(store).rows("r")][-1] is WhyFixed.FENCED


def test_the_fence_is_asked_when_the_run_is_entered_and_not_before() -> None:
    asked = list[str]()

    def asks(target: str) -> bool:
        asked.append(target)
        return True

    run = verifier(flag=Flags(asks), situation=lambda: QUIET).begin(TOLD)
    assert asked == []
    with run:
        assert (asked, run.open, run.need) == (["t1"], True, BOUNDARY)
        run.observe([1] * N)
        assert asked == ["t1", "t1"]


class Patience(Told):
    """A permission that notes who could have waited for a word."""

    waited = 0

    def ask_again(self, case: Case) -> Asked:
        self.waited += 1
        return self.ask(case)


def test_on_a_loop_nobody_waits_for_a_word() -> None:
    permission = Patience(Flags(), lambda: QUIET, PLAN.id, lambda: 1.0, enabled=True)
    process = verifier(permission=permission)
    assert asyncio.run(drawn_at_once(process, TOLD, trials([1] * N), 8)).arm is Arm.ADAPTIVE
    assert permission.waited == 0
    assert told(process, TOLD, [1] * N).arm is Arm.ADAPTIVE
    assert permission.waited == 1


def test_an_audit_goes_on_to_n_and_uses_what_was_under_way() -> None:
    made = list[int]()

    async def trial(number: int) -> int:
        made.append(number)
        for _ in range(number % 3):
            await asyncio.sleep(0)
        return 1

    audited = asyncio.run(drawn_at_once(verifier(situation=lambda: AUDIT_ALL), TOLD, trial, 8))
    assert made == list(range(N))
    assert audited.audited and audited.agrees and audited.baseline is not None and audited.baseline.n == N
    made.clear()
    quiet = asyncio.run(drawn_at_once(verifier(situation=lambda: QUIET), TOLD, trial, 8))
    assert quiet.n == audited.n < len(made) < quiet.n + 8


def test_draws_are_decided_in_the_order_in_which_they_were_asked_for() -> None:
    """The last of each window ends first, and failures end before successes."""
    for i in range(12):
        given = case(i, 0.8)
        draws = draws_of(given)
        expected = verifier(situation=lambda: QUIET).verify(given).verdict
        for ends in (lambda number: 0, lambda number: 8 - number % 8, lambda number, d=draws: 20 * d[number]):  # type: ignore[misc]
            process = verifier(situation=lambda: QUIET)
            assert asyncio.run(drawn_at_once(process, given, trials(draws, ends), 8)).verdict == expected  # type: ignore[arg-type]


def test_what_was_under_way_at_the_stop_is_counted_as_drawn_and_changes_nothing(store: Store) -> None:
    """The draws beyond the stop are NaN: fed, they would make the decision INVALID."""
    process = verifier(store, situation=lambda: QUIET)
    stop = told(verifier(situation=lambda: QUIET), TOLD, [1] * N).n
    served = asyncio.run(
        drawn_at_once(process, TOLD, trials([1] * stop + [float("nan")] * N, lambda number: number % 3), 8)
    )
    assert (served.decision, served.n) == (Decision.ACCEPTED, stop)
    process.flush()
    (row,) = Ledger(store).rows("r")
    assert row.drawn is not None and stop < row.drawn < stop + 8
    assert row.draw_seconds is not None and row.draw_seconds > 0


@pytest.mark.parametrize("window", [1, 3, 8])
def test_never_more_than_a_window_is_under_way(window: int) -> None:
    under_way, most = set[int](), 0

    async def trial(number: int) -> int:
        nonlocal most
        under_way.add(number)
        most = max(most, len(under_way))
        for _ in range(20 + number * 7 % 5):
            await asyncio.sleep(0)
        under_way.remove(number)
        return 1

    asyncio.run(drawn_at_once(verifier(situation=lambda: AUDIT_ALL), TOLD, trial, window))
    assert most == window


@pytest.mark.parametrize("wrong", [0, -1, 8.0, None, "8", True, nan])
def test_a_window_of_nothing_is_refused(wrong: Any) -> None:
    with pytest.raises(RunError, match=rf"window is {wrong!r}; allowed: at least 1"):
        asyncio.run(drawn_at_once(verifier(), TOLD, trials([1] * N), wrong))


@pytest.mark.parametrize("wrong", [0, -1.0, "1", True, nan])
def test_a_timeout_of_no_time_is_refused(wrong: Any) -> None:
    async def decided() -> None:
        async with verifier().begin(TOLD) as run:
            await run.draw(trials([1] * N), timeout=wrong)

    with pytest.raises(RunError, match=rf"timeout is {wrong!r}; allowed: seconds above 0, or None"):
        asyncio.run(decided())


def test_a_run_takes_draws_from_one_place_at_a_time() -> None:
    """Seen: two `draw`s at once ended in a bare KeyError, and `observe` between them changed the order."""

    async def at_once() -> None:
        async with verifier().begin(TOLD) as run:
            deciding = asyncio.create_task(run.draw(trials([1] * N, lambda _: 3)))
            await asyncio.sleep(0)
            for other in (run.draw(trials([1] * N)), asyncio.to_thread(run.observe, [1])):
                with pytest.raises(RunError, match="the run of case 'k1' takes draws already; allowed: one source"):
                    await other
            assert (await deciding).decision is Decision.ACCEPTED

    asyncio.run(at_once())
    with verifier().begin(TOLD) as run:
        with pytest.raises(RunError, match="takes draws already"):
            run.observe(run.observe([0]) for _ in range(N))
        run.observe([1] * N)
    assert run.served.decision is Decision.ACCEPTED


def test_a_cancelled_decision_leaves_nothing_under_way_and_nothing_in_the_ledger(store: Store) -> None:
    process, began, ended = verifier(store), list[int](), list[int]()

    async def trial(number: int) -> int:
        began.append(number)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(number)
        return 1

    async def cancelled() -> None:
        deciding = asyncio.create_task(drawn_at_once(process, TOLD, trial, 5))
        while len(began) < 5:
            await asyncio.sleep(0)
        deciding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await deciding
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(cancelled())
    assert sorted(ended) == began == list(range(5))
    process.flush()
    assert Ledger(store).rows("r") == []
    snapshot = process.counters.snapshot()
    assert (snapshot.decisions, snapshot.sampler_errors) == (0, {"Abandoned": 1})
    # The key is free.
    assert told(process, TOLD, [1] * N).decision is Decision.ACCEPTED
    process.flush()
    assert len(Ledger(store).rows("r")) == 1


@pytest.mark.parametrize("as_error", [False, True], ids=["passed on", "turned into an error"])
def test_who_cancels_again_waits_too_and_nothing_is_left_under_way(as_error: bool) -> None:
    """Seen: a second cancellation, while trials closed their connections, left them running."""
    began, closing, ended = list[int](), list[int](), list[int]()
    may_close = asyncio.Event()

    async def trial(number: int) -> int:
        began.append(number)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            closing.append(number)
            await may_close.wait()
            ended.append(number)
            if as_error:
                raise ConnectionError("closed") from None
            raise
        return 1

    async def cancelled() -> None:
        deciding = asyncio.create_task(drawn_at_once(verifier(), replace(TOLD, retries=3), trial, 5))
        for reached in (began, closing):
            while len(reached) < 5:
                await asyncio.sleep(0)
            deciding.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not deciding.done()
        may_close.set()
        with pytest.raises(asyncio.CancelledError):
            await deciding
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(cancelled())
    assert sorted(ended) == began == list(range(5))


def test_a_trial_whose_own_request_was_cancelled_has_raised_and_cancels_nobody() -> None:
    """Seen: the caller's task ended as cancelled, which a task group takes for success."""
    calls = list[int]()

    async def trial(number: int) -> int:
        calls.append(number)
        if number == 3 and calls.count(3) <= 2:
            request = asyncio.create_task(asyncio.Event().wait())
            await asyncio.sleep(0)
            request.cancel()
            await request
        return 1

    async def decided(retries: int) -> Verifier:
        process = verifier(situation=lambda: QUIET)
        async with process.begin(replace(TOLD, retries=retries)) as run:
            await run.draw(trial)
        return process

    assert asyncio.run(decided(2)).counters.snapshot().sampler_errors == {"TrialCancelled": 2}
    calls.clear()
    with pytest.raises(TrialCancelled, match="what the trial waited for was cancelled") as caught:
        asyncio.run(decided(1))
    assert caught.value.__notes__ == ["raised by the trial of case 'k1' at draw 4, after 1 retry"]


def test_a_trial_that_takes_too_long_is_made_again_as_often_as_the_case_says() -> None:
    calls = list[int]()

    async def trial(number: int) -> int:
        calls.append(number)
        if number == 3 and calls.count(3) <= 2:
            await asyncio.Event().wait()
        return 1

    async def decided(retries: int) -> Verifier:
        process = verifier(situation=lambda: QUIET)
        async with process.begin(replace(TOLD, retries=retries)) as run:
            await run.draw(trial, window=4, timeout=0.001)
        return process

    patient = asyncio.run(decided(2))
    assert patient.counters.snapshot().sampler_errors == {"TimeoutError": 2}
    assert counts(patient)[Counter.SAMPLER_RETRIES] == 2 and calls.count(3) == 3
    calls.clear()
    with pytest.raises(TimeoutError) as caught:
        asyncio.run(decided(1))
    assert caught.value.__notes__ == ["raised by the trial of case 'k1' at draw 4, after 1 retry"]


def test_neither_what_was_cancelled_nor_a_draw_that_no_rule_can_use_is_asked_for_again() -> None:
    calls = list[int]()

    async def decided(trial: Callable[[int], Awaitable[Draw]]) -> None:
        async with process.begin(replace(TOLD, retries=3)) as run:
            await run.draw(trial, window=4)

    async def cancelled(number: int) -> Draw:
        calls.append(number)
        raise CancelledError

    async def half(number: int) -> Draw:
        calls.append(number)
        return 0.5

    process = verifier()
    for trial, error in ((cancelled, CancelledError), (half, DataError)):
        calls.clear()
        with pytest.raises(error):
            asyncio.run(decided(trial))
        assert calls.count(0) == 1
    assert process.counters.snapshot().sampler_errors == {"CancelledError": 1, "DataError": 1}


def test_a_trial_that_raises_passes_its_error_on_and_no_draw_is_lost() -> None:
    """Its error comes in its turn; those that ended before it, and those after it that had ended, are kept."""
    broken, calls = [True], list[int]()

    async def trial(number: int) -> int:
        calls.append(number)
        if number == 5 and broken[0]:
            raise ConnectionError("no answer")
        return 1

    async def decided() -> ServedRun:
        async with process.begin(TOLD) as run:
            with pytest.raises(ConnectionError, match="no answer"):
                await run.draw(trial, window=8)
            assert (run.n, run.open) == (5, True)
            assert asyncio.all_tasks() == {asyncio.current_task()}
            broken[0] = False
            await run.draw(trial, window=8)
        return run

    process = verifier(situation=lambda: QUIET)
    run = asyncio.run(decided())
    assert run.served.verdict == told(verifier(situation=lambda: QUIET), TOLD, [1] * N).verdict
    assert calls.count(5) == 2 and {calls.count(number) for number in calls if number != 5} == {1}
    assert counts(process)[Counter.SAMPLER_ERRORS] == 0


def test_an_error_beyond_the_stop_is_nobodys() -> None:
    stop = told(verifier(situation=lambda: QUIET), TOLD, [1] * N).n

    async def trial(number: int) -> int:
        if number >= stop:
            raise ConnectionError("too late")
        await asyncio.sleep(0)
        return 1

    process = verifier(situation=lambda: QUIET)
    assert asyncio.run(drawn_at_once(process, TOLD, trial, 8)).n == stop
    assert counts(process)[Counter.SAMPLER_ERRORS] == 0


def test_draws_before_an_error_are_kept_and_the_run_goes_on() -> None:
    def breaking() -> Iterator[float]:
        yield from [1, 1, 1, 1, 1]
        raise OSError("the node is gone")

    with verifier(situation=lambda: QUIET).begin(TOLD) as run:
        with pytest.raises(OSError, match="the node is gone"):
            run.observe(breaking())
        assert (run.n, run.need) == (5, BOUNDARY - 5)
        with pytest.raises(DataError, match=r"draw 7 is 0\.5"):
            run.observe([1, 0.5, 1])
        assert (run.n, run.need) == (6, BOUNDARY - 6)
        while run.open:
            run.observe(1 for _ in range(run.need))
    assert run.served.verdict == told(verifier(situation=lambda: QUIET), TOLD, [1] * N).verdict
    assert run.served.fallback is None


@pytest.mark.parametrize("wrong", [(1.0,), (1.0, 2.0, 3.0), (1.0, "2"), 1.0])
def test_a_run_that_is_told_pairs_is_told_nothing_else(wrong: Draw) -> None:
    with verifier().begin(TOLD) as run:
        run.observe([(0.0, 1.0), [0.0, 1.0]])
        with pytest.raises(DataError, match=r"case 'k1': draw 3 is .*; allowed: a pair \(before, after\) of numbers"):
            run.observe([wrong])
        run.observe(np.array([[0.0, 1.0]] * N))
    with verifier().begin(TOLD) as run:
        run.observe([1])
        with pytest.raises(DataError, match=r"draw 2 is \(0\.0, 1\.0\); allowed: a value, as the draws before"):
            run.observe([(0.0, 1.0)])
        run.observe([1] * N)


def test_who_leaves_a_run_open_has_decided_nothing(store: Store) -> None:
    process = verifier(store)
    with process.begin(TOLD) as run:
        run.observe([1, 1])
    assert (run.open, run.need) == (False, 0)
    with pytest.raises(RunError, match="is not decided after 2 draws"):
        _ = run.served
    with pytest.raises(RunError, match="begin a new one"):
        run.observe([1])
    with pytest.raises(KeyError, match="body"), process.begin(TOLD) as run:
        raise KeyError("the body broke")
    snapshot = process.counters.snapshot()
    assert (snapshot.decisions, snapshot.sampler_errors) == (0, {"Abandoned": 1, "KeyError": 1})
    process.flush()
    assert Ledger(store).rows("r") == []


def test_a_run_is_entered_once_and_closed_for_good() -> None:
    run = verifier(situation=lambda: QUIET).begin(TOLD)
    with pytest.raises(RunError, match="not entered"):
        run.observe([1])
    with run:
        run.observe([1] * N)
        with pytest.raises(RunError, match="closed after"):
            run.observe([1])
        with pytest.raises(RunError, match="closed after"):
            run.spend(1.0)
    with pytest.raises(RunError, match="entered before"), run:
        pass


def test_an_error_after_the_decision_is_not_the_samplers() -> None:
    process = verifier(situation=lambda: QUIET)
    with pytest.raises(KeyError), process.begin(TOLD) as run:
        run.observe([1] * N)
        raise KeyError("the body broke")
    assert counts(process)[Counter.SAMPLER_ERRORS] == 0 and process.counters.snapshot().decisions == 1


def test_what_draws_cost_is_told_in_any_portions_and_noted_for_one(store: Store) -> None:
    process = verifier(store, situation=lambda: QUIET)

    async def priced() -> None:
        async def trial(number: int) -> int:
            run.spend(0.25 if number % 2 else 0.75)
            return 1

        async with process.begin(Case("a", "t")) as run:
            await run.draw(trial, window=1)

    asyncio.run(priced())
    for key, cost in (("b", None), ("c", 2.0)):
        with process.begin(Case(key, "t", cost=cost)) as run:
            while run.open:
                if key == "b":
                    run.spend(run.need * 3.0)
                run.observe([1] * run.need)
    process.flush()
    rows = Ledger(store).rows("r")
    assert [row.cost for row in rows] == [0.5, 3.0, 2.0]
    # A list does not tell how long it took.
    assert [row.draw_seconds is None for row in rows] == [False, True, True]
    with process.begin(TOLD) as run, pytest.raises(DataError, match="a draw costs -1; allowed"):
        run.spend(-1)
    with process.begin(TOLD) as run, pytest.raises(DataError, match="a draw costs 12000000"):
        run.spend(6e14)
        run.spend(6e14)


def test_draws_under_way_at_the_stop_have_taken_their_seconds_too() -> None:
    stop, began = told(verifier(situation=lambda: QUIET), TOLD, [1] * N).n, dict[int, float]()
    seconds = list[float]()

    async def trial(number: int) -> int:
        began[number] = time.perf_counter()
        if number >= stop:
            await asyncio.Event().wait()
        while number == stop - 1 and stop + 3 not in began:
            await asyncio.sleep(0)
        if number == stop - 1:
            time.sleep(0.002)
            now = time.perf_counter()
            seconds.extend(now - begin for at, begin in began.items() if at >= stop)
        return 1

    served = asyncio.run(drawn_at_once(verifier(situation=lambda: QUIET), TOLD, trial, 8))
    assert len(seconds) >= 4 and served.drawn == stop + len(seconds)
    assert served.draw_seconds is not None and served.draw_seconds > sum(seconds)


def test_numbers_of_every_kind_are_told() -> None:
    kinds: list[Any] = [Decimal(1), 1.0, np.int64(1), True, Fraction(1), np.float32(1)]
    expected = told(verifier(situation=lambda: AUDIT_ALL), TOLD, [1.0] * N)
    assert told(verifier(situation=lambda: AUDIT_ALL), TOLD, (kinds * N)[:N]) == expected
    assert expected.fallback is None


@pytest.mark.parametrize("wrong", ["11", b"\1\1", bytearray(2), {1.0: 2}, {1.0, 0.0}, None, 5, np.float64(1)])
def test_what_has_no_draws_in_an_order_is_refused(wrong: Any) -> None:
    with verifier().begin(TOLD) as run:
        with pytest.raises(DataError, match=r"draws are .*; allowed: numbers or pairs in an order"):
            run.observe(wrong)
        assert run.n == 0
        run.observe([1] * N)
    with pytest.raises(DataError, match=r"draws are .*; allowed: numbers or pairs in an order"):
        PLAN.start().observe(wrong)


def test_the_seconds_of_a_generator_are_measured() -> None:
    with verifier(situation=lambda: QUIET).begin(TOLD) as run:
        run.observe(1 for _ in range(N))
    assert run.served.draw_seconds is not None and run.served.draw_seconds > 0
    assert run.served.drawn == run.served.n


def test_a_case_without_a_sampler_is_for_told_draws_alone() -> None:
    process = verifier()
    with pytest.raises(DataError, match=r"case 'k1': it has no sampler; allowed: one, or .*Verifier\.begin"):
        process.verify(TOLD)
    assert counts(process)[Counter.SAMPLER_ERRORS] == 0
    with pytest.raises(DataError, match="cannot be stored"):
        process.begin(Case("k\0", "t"))
