"""Chunks of work over any `concurrent.futures.Executor`: in this process, in local processes, or on a Dask cluster.

A chunk's result must be a function of the chunk alone. Results are given in the order of the chunks, so that nothing
that is made from them depends on the executor, on the size of the chunks or on the order in which they finish.
"""

import logging
import multiprocessing
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from suffice.errors import ExecutionError
from suffice.extras import imported_for

Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

AHEAD = 2
"""Chunks that wait for a worker, for each that it works on: none idles, and memory stays bounded."""

TRIES = 2
CONNECT_SECONDS = 20
LOOK_SECONDS = 1
"""How often it is looked whether the workers are still there."""

GONE = "the workers are gone: what they were given was cancelled"


@dataclass(frozen=True, slots=True)
class Failed(Generic[Chunk]):
    """A chunk that failed twice, and how it did the second time."""

    chunk: Chunk
    why: str


class InProcess(Executor):
    """Does the work when it is submitted, in this process."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        try:
            done.set_result(function(*arguments, **named))
        except Exception as error:
            done.set_exception(error)
        return done


class _Sealed(Executor):
    """Hands work to a Dask executor as bytes: a scheduler unpickles whatever else passes through it, to pickle it
    again, and there is one scheduler for all workers."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        from distributed.protocol.pickle import dumps

        try:
            sealed = dumps((function, arguments, named))  # type: ignore[no-untyped-call]
        except Exception as error:
            refused: Future[Any] = Future()
            refused.set_exception(error)
            return refused
        return self._executor.submit(_unsealed, sealed)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        del cancel_futures  # not waiting, a Dask executor takes back what is not done; it has no other way to
        self._executor.shutdown(wait=wait)


def _unsealed(sealed: bytes) -> Any:
    function, arguments, named = pickle.loads(sealed)
    return function(*arguments, **named)


class Pool:
    """An executor of `width` workers that can be replaced by a new one when it broke.

    `lost` tells that all workers are gone for good. An executor does not always tell so: Dask may leave a future open
    for ever when its scheduler goes away.
    """

    def __init__(
        self,
        make: Callable[[], Executor],
        stop: Callable[[Executor], None],
        width: int,
        *,
        ahead: int = AHEAD,
        lost: Callable[[], bool] = lambda: False,
    ) -> None:
        self._make = make
        self._stop = stop
        self.lost = lost
        self._executor: Executor | None = None
        self.window = width * (1 + ahead)

    def submit(self, function: Callable[[Chunk], Result], chunk: Chunk) -> "Future[Result]":
        if self._executor is None:
            self._executor = self._make()
        return self._executor.submit(function, chunk)

    def close(self) -> None:
        """Let go of the executor; the next chunk makes a new one."""
        if self._executor is not None and not self.lost():
            self._stop(self._executor)
        self._executor = None


@contextmanager
def pool(workers: int = 1, cluster: str | None = None) -> Iterator[Pool]:
    """Workers for chunks: this process alone, `workers` local processes, or all of the Dask scheduler at `cluster`.

    Local processes are spawned, so that a program that asks for several must be importable (its work under
    `if __name__ == "__main__"`). Raises ExecutionError for a number below 1 or a cluster that cannot be reached.
    """
    with ExitStack() as open_:
        hands = _cluster_pool(cluster, open_) if cluster is not None else _local_pool(workers)
        open_.callback(hands.close)
        yield hands


def _local_pool(workers: int) -> Pool:
    if workers < 1:
        raise ExecutionError(f"workers is {workers}; allowed: at least 1")
    if workers == 1:
        return Pool(InProcess, _finish, 1, ahead=0)
    # Spawned on every platform: a fork copies threads and locks in whatever state they are.
    context = multiprocessing.get_context("spawn")
    return Pool(lambda: ProcessPoolExecutor(workers, mp_context=context), _finish, workers)


def _cluster_pool(address: str, open_: ExitStack) -> Pool:
    with imported_for("a Dask cluster"):
        from distributed import Client

    open_.enter_context(_silent(logging.getLogger("distributed.client")))
    try:
        client = open_.enter_context(Client(address, timeout=CONNECT_SECONDS, set_as_default=False))  # type: ignore[no-untyped-call]
        width = sum(client.nthreads().values())
    except (OSError, ValueError) as error:
        raise ExecutionError(f"cluster {address}: cannot be reached: {_one_line(error)}") from error
    if width == 0:
        raise ExecutionError(f"cluster {address}: has no workers; start some with `dask worker {address}`")
    return Pool(
        lambda: _Sealed(client.get_executor(pure=False, retries=TRIES)),
        lambda executor: executor.shutdown(wait=False),
        width,
        lost=lambda: client.status != "running",
    )


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """What goes wrong is told by the error that is raised, once and in one line."""
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _finish(executor: Executor) -> None:
    executor.shutdown(wait=True, cancel_futures=True)


@dataclass(slots=True, eq=False)
class _Pending(Generic[Chunk, Result]):
    chunk: Chunk
    future: "Future[Result] | None" = None
    failures: int = 0


def in_order(
    work: Callable[[Chunk], Result], chunks: Iterable[Chunk], workers: Pool
) -> Iterator[Result | Failed[Chunk]]:
    """The result of each chunk, in the order of the chunks; a chunk that fails twice gives `Failed`, and the rest goes
    on.

    Chunks are taken when there is room for them. When a worker dies, only the chunks that were not finished are done
    again: one at a time, so that one that kills its worker is found and the others are not blamed for it.
    """
    waiting: deque[_Pending[Chunk, Result]] = deque()
    source = iter(chunks)
    while True:
        while not _repairing(waiting) and len(waiting) < workers.window:
            try:
                waiting.append(_Pending(next(source)))
            except StopIteration:
                break
            _submit(work, waiting[-1], workers)
        if not waiting:
            return
        result: Result | Failed[Chunk] = _result(work, waiting, workers)
        waiting.popleft()
        yield result


def _repairing(waiting: "deque[_Pending[Chunk, Result]]") -> bool:
    return any(one.future is None for one in waiting)


def _result(
    work: Callable[[Chunk], Result], waiting: "deque[_Pending[Chunk, Result]]", workers: Pool
) -> Result | Failed[Chunk]:
    """What the first waiting chunk gave."""
    first = waiting[0]
    while True:
        if first.future is None:
            _submit(work, first, workers)
        try:
            if first.future is not None:
                return _waited_for(first.future, workers)
            raise BrokenExecutor("the workers died")
        except BrokenExecutor as error:
            workers.close()
            for one in waiting:
                _forget_unless_done(one)
            why = f"its worker died: {_one_line(error)}"
        except CancelledError as error:
            raise ExecutionError(GONE) from error
        except Exception as error:
            first.future, why = None, _one_line(error)
        first.failures += 1
        if first.failures >= TRIES:
            return Failed(first.chunk, why)


def _submit(work: Callable[[Chunk], Result], one: _Pending[Chunk, Result], workers: Pool) -> None:
    # A pool that broke since refuses what is submitted; the chunk then counts as lost.
    try:
        one.future = workers.submit(work, one.chunk)
    except BrokenExecutor:
        one.future = None
    except Exception as error:
        if workers.lost():
            raise ExecutionError(GONE) from error
        raise


def _waited_for(future: "Future[Result]", workers: Pool) -> Result:
    while not wait((future,), timeout=LOOK_SECONDS).done:
        if workers.lost():
            raise CancelledError
    return future.result()


def _forget_unless_done(one: "_Pending[Any, Any]") -> None:
    future = one.future
    if future is not None and not (future.done() and not future.cancelled() and future.exception() is None):
        one.future = None


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
