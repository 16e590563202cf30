"""Chunks give the same results in the same order, whoever does the work and whatever happens to them."""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import suffice
from suffice.comparison import chunks
from suffice.comparison.chunks import Progress, compare_in_chunks
from suffice.comparison.compare import compare
from suffice.comparison.workers import TRIES, Failed, InProcess, Pool, in_order, pool
from suffice.errors import ExecutionError
from suffice.sampling.recorded import Recorded
from suffice.sources.recorded import Unusable
from suffice.sources.recording import LeftOut
from suffice.stopping.plan import Plan
from suffice.stopping.request import Margin
from suffice.verifier.case import Case

RULE, SEED = suffice.Proportion(0.7), 11


def square(x: int) -> int:
    return x * x


def fail_at(bad: int, x: int) -> int:
    if x == bad:
        raise ValueError(f"{x} is\nno good")
    return x


def fail_once(folder: Path, x: int) -> int:
    """Fails, or kills its process, the first time that chunk 3 is done; notes each time that one is finished."""
    mark = folder / "died"
    if x == 3 and not mark.exists():
        mark.touch()
        time.sleep(0.3)
        os._exit(1)
    with (folder / f"{x}.{time.time_ns()}.{os.getpid()}").open("w"):
        return x


def die_at(bad: int, x: int) -> int:
    if x == bad:
        os._exit(1)
    return x


class Backwards(Executor):
    """Finishes what was submitted last first, once there are so many."""

    def __init__(self, hold: int) -> None:
        self._hold = hold
        self._held: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._held.append((future, partial(function, *arguments, **named)))
        if len(self._held) == self._hold:
            for held, call in reversed(self._held):
                held.set_result(call())
            self._held.clear()
        return future


def nothing(executor: Executor) -> None:
    executor.shutdown()


@pytest.mark.parametrize(
    "workers",
    [
        Pool(InProcess, nothing, 1, ahead=0),
        Pool(lambda: ThreadPoolExecutor(4), nothing, 4),
        Pool(partial(Backwards, 6), nothing, 2),
    ],
    ids=["in process", "threads", "backwards"],
)
def test_results_come_in_the_order_of_the_chunks(workers: Pool) -> None:
    assert list(in_order(square, range(60), workers)) == [x * x for x in range(60)]
    workers.close()


@pytest.mark.parametrize("window", [1, 4])
def test_chunks_are_taken_only_when_there_is_room(window: int) -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        while taken < 50:
            taken += 1
            yield taken

    workers = Pool(InProcess, nothing, window, ahead=0)
    for done, _ in enumerate(in_order(square, source(), workers), start=1):
        assert taken <= done + window - 1


def test_a_chunk_that_fails_twice_is_told_and_the_rest_goes_on() -> None:
    with pool() as workers:
        results = list(in_order(partial(fail_at, 2), range(5), workers))
    assert results == [0, 1, Failed(2, "ValueError: 2 is no good"), 3, 4]


def test_a_chunk_that_fails_once_is_done_again() -> None:
    calls: list[int] = []

    def work(x: int) -> int:
        calls.append(x)
        if calls.count(x) < TRIES:
            raise ValueError(x)
        return x

    with pool() as workers:
        assert list(in_order(work, range(4), workers)) == list(range(4))


def test_an_error_of_the_source_ends_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise suffice.errors.DataError("line 2")

    with pool() as workers, pytest.raises(suffice.errors.DataError, match="line 2"):
        list(in_order(square, source(), workers))


def test_a_killed_worker_costs_only_its_chunks(tmp_path: Path) -> None:
    with pool(2) as workers:
        window = workers.window
        assert list(in_order(partial(fail_once, tmp_path), range(30), workers)) == list(range(30))
    times = [name.name.split(".")[0] for name in tmp_path.glob("*.*")]
    assert set(times) == {str(x) for x in range(30)}
    assert len(times) - 30 < window


def test_a_chunk_that_kills_its_worker_is_found_and_no_other_is_blamed() -> None:
    with pool(2) as workers:
        results = list(in_order(partial(die_at, 4), range(12), workers))
    assert [one for one in results if not isinstance(one, Failed)] == [x for x in range(12) if x != 4]
    assert isinstance(results[4], Failed)
    assert (results[4].chunk, "its worker died" in results[4].why) == (4, True)


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused(workers: int) -> None:
    with pytest.raises(ExecutionError, match="at least 1"), pool(workers):
        pass


def recorded_cases(count: int = 240) -> list[Case | Unusable]:
    rng = np.random.default_rng(5)
    cases: list[Case | Unusable] = []
    for i in range(count):
        values = (rng.random((40, 25, 16)[i // 7 % 3]) < 0.4 + 0.6 * i / count).astype(float)
        cases.append(Case(f"case {i}", f"t{i % 9}", Recorded(values), region=("eu", "us", None)[i % 3]))
    cases.insert(50, Unusable("nothing", LeftOut.EMPTY))
    return cases


PLANS: dict[int, list[Plan]] = {}


def plans_for(n: int) -> list[Plan]:
    if n not in PLANS:
        PLANS[n] = [suffice.plan(RULE, n, 0.05), suffice.plan(RULE, n, method="margin", margin=Margin(n0=4))]
    return PLANS[n]


def found(workers: int = 1, seed: int = SEED) -> Progress:
    with pool(workers) as hands:
        return deque(compare_in_chunks(recorded_cases(), RULE, 0, plans_for, seed, hands), maxlen=1).pop()


def test_nothing_depends_on_how_cases_are_cut_or_on_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found()
    monkeypatch.setattr(chunks, "FIRST_CASES", 1)
    one_by_one = found()
    monkeypatch.setattr(chunks, "FIRST_CASES", 17)
    monkeypatch.setattr(chunks, "MOST_CASES", 23)
    two_processes = found(workers=2)
    for other in (one_by_one, two_processes):
        assert other.checksum == whole.checksum
        assert other.cases == whole.cases == 241
        for i in range(2):
            assert other.comparison.summary(i) == whole.comparison.summary(i)
            assert other.comparison.slices(i) == whole.comparison.slices(i)
            assert [r.case.key for r in other.comparison.disagreeing[i]] == [
                r.case.key for r in whole.comparison.disagreeing[i]
            ]


def test_the_checksum_tells_other_decisions() -> None:
    assert found().checksum != found(seed=SEED + 1).checksum


def test_the_slices_are_comparisons_of_their_own_cases() -> None:
    """Each N and each region, compared alone by the plain loop."""
    whole = found().comparison
    cases = [case for case in recorded_cases() if isinstance(case, Case)]
    for n, part in whole.sizes.items():
        mine = [case for case in cases if isinstance(case.sampler, Recorded) and len(case.sampler.values) == n]
        alone = compare(mine, RULE, n, plans_for(n), SEED)
        assert (part.cases, part.invalid) == (len(mine), 0)
        for i in range(2):
            assert whole.only(n).summary(i) == alone.summary(i)
            assert [r.case.key for r in whole.only(n).disagreeing[i]] == [r.case.key for r in alone.disagreeing[i]]
            assert whole.by_n(i)[n] == alone.methods[i].total
    for i in range(2):
        for counted in (whole.by_n(i), whole.by_region(i)):
            assert sum(total.cases for total in counted.values()) == 240
            total = whole.methods[i].total
            assert sum(part.disagreements for part in counted.values()) == total.disagreements
            assert sum(part.adaptive_draws for part in counted.values()) == total.adaptive_draws
    assert {name: total.cases for name, total in whole.by_region(0).items()} == {"": 80, "eu": 80, "us": 80}
    assert dict(whole.left_out) == {LeftOut.EMPTY.value: 1}


def test_with_several_n_the_summary_names_no_single_plan() -> None:
    summary = found().comparison.summary(1)
    assert (summary["n"], summary["plan_id"], summary["guarantee"]) == (None, None, "none")
    assert summary["worst_disagreement"] == max(plans_for(n)[1].worst_disagreement for n in (16, 25, 40))


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    from suffice.comparison import compare as compare_module

    everything = found().comparison
    assert everything.methods[1].total.disagreements > 5
    monkeypatch.setattr(compare_module, "KEPT", 5)
    monkeypatch.setattr(compare_module, "REGIONS", 2)
    few = found().comparison
    assert few.summary(1)["disagreements"] == everything.summary(1)["disagreements"]
    assert [r.case.key for r in few.disagreeing[1]] == [r.case.key for r in everything.disagreeing[1]][:5]
    assert all(len(r.case.sampler.values) == 0 for r in few.disagreeing[1])  # type: ignore[union-attr, arg-type]
    expected = {"eu": 80, "us": 80, compare_module.OTHER_REGIONS: 80}
    for size in (500, 2, 7):
        monkeypatch.setattr(chunks, "FIRST_CASES", size)
        monkeypatch.setattr(chunks, "MOST_CASES", size)
        regions = found().comparison.by_region(0)
        assert {name: total.cases for name, total in regions.items()} == expected, size
