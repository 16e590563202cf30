"""Processes that decide cases for a campaign, each with a trace of its own; some leave out a rule of the product.

`python deciding.py WORKERS` forks one process for each entry of the JSON list: `name`, `config`, `queue`, `url`,
`trace`, `resolves` (whether a thread of it resolves corrections too), and `careless`, the rule that it leaves out. They
work until their trace's folder has a file `stop`.
"""

import json
import os
import signal
import sys
import time
import traceback
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from threading import Thread
from types import FrameType
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

import suffice.serving.agent
import suffice.serving.permission
from suffice.errors import StoreError, SufficeError
from suffice.resolution.resolve import Resolver
from suffice.resolution.storm import StormPolicy
from suffice.serving.fence import Read
from suffice.serving.permission import Leased
from suffice.serving.verifier import Verifier
from suffice.sources.correction import Correction, Estimate
from suffice.store.decision_row import WhyFixed
from suffice.store.words import Word
from suffice.verifier.case import Case

PAUSE_SECONDS = 0.1
BATCH = 4
LATE_SECONDS = 8.0
"""So late are some corrections committed after they were decided: longer than a lease."""

LONG_SECONDS = 3.0
"""So long draws the process that asks no second question: longer than a receipt takes for which all answer."""


class Slow:
    """Trials that take a while, and note how long that was, and when the last one was drawn."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.slept, self.drawn_at = seconds, 0.0, 0.0

    def __call__(self, rng: Generator, n: int) -> NDArray[np.float64]:
        if self.seconds:
            began = time.monotonic()
            time.sleep(self.seconds)
            self.seconds, self.slept = 0.0, time.monotonic() - began
        self.drawn_at = time.time()
        return (rng.random(n) < 0.97).astype(np.float64)


class Blocked:
    """For how long the thread that made it was blocked: it neither ran nor waited for a processor."""

    def __init__(self) -> None:
        self._kernel = Path("/proc/thread-self/schedstat").open("rb")  # noqa: SIM115
        self._began = time.monotonic() - self._busy()

    def __call__(self) -> float:
        return time.monotonic() - self._busy() - self._began

    def _busy(self) -> float:
        self._kernel.seek(0)
        ran, queued, _ = self._kernel.read().split()
        return (int(ran) + int(queued)) / 1e9


def no_fence() -> None:
    suffice.serving.permission.may_be_adaptive = lambda *_, **__: None


def no_second_question() -> None:
    Leased.ask_again = Leased.ask  # type: ignore[method-assign]
    first = Leased.ask
    asked: dict[str, Any] = {}

    def once(leased: Leased, case: Case) -> Any:
        if case.key not in asked:
            asked.clear()
            asked[case.key] = first(leased, case)
        return asked[case.key]

    Leased.ask = Leased.ask_again = once  # type: ignore[method-assign]


def no_lapse() -> None:
    Read.stands = lambda read, now: read.known is not None and not read.has_aged_out(now)  # type: ignore[method-assign]


def no_registration() -> None:
    suffice.serving.agent.is_registered = lambda *_: True
    suffice.serving.agent.write_process = lambda *_: None


def any_incarnation() -> None:
    def known(read: Read) -> Word | None:
        return read.word

    Read.known = property(known)  # type: ignore[assignment]


def asks_the_store() -> None:
    asks = Leased.ask

    def ask(leased: Leased, case: Case) -> Any:
        with suppress(SufficeError):
            leased._agent.step_read()
        return asks(leased, case)

    Leased.ask = ask  # type: ignore[method-assign]


def always_fixed() -> None:
    suffice.serving.permission.may_be_adaptive = lambda *_, **__: WhyFixed.NO_WORD


def commits_all() -> None:
    Verifier.taken_back = lambda *_: []  # type: ignore[method-assign]


CARELESS = {
    "fence": no_fence,
    "second question": no_second_question,
    "valid_until": no_lapse,
    "registration": no_registration,
    "incarnation": any_incarnation,
    "own time": asks_the_store,
    "benefit": always_fixed,
    "corrections": commits_all,
}


def closed(verifier: Verifier) -> None:
    """Close it; rows that the store does not take now stay in the spool, as a service's do that ends in an outage."""
    with suppress(StoreError):
        verifier.close()


def resolve(worker: dict[str, Any], verifier: Verifier, stop: Path) -> None:
    """Resolve corrections, each until its commit is known, and note that; some a while after they were decided."""
    name, random, number = worker["name"], Random(worker["name"]), 0
    with Path(worker["trace"]).with_suffix(".resolved").open("a", encoding="utf-8") as lines:
        while not stop.exists():
            numbers = range(number, number + BATCH)
            number += BATCH
            record, measurement = Estimate(0.0, 1.0, 1.0), Estimate(3.0, 1.0, 1.0)
            batch = [Correction(f"{name}/c{i}", f"{name} record {i}", record, measurement) for i in numbers]
            late = LATE_SECONDS if worker["careless"] == "corrections" else random.choice((0.0, 0.3, 1.0, LATE_SECONDS))

            def flush(seconds: float = late) -> None:
                verifier.flush()
                wait(seconds, stop)

            while not stop.exists():
                with suppress(SufficeError):
                    resolver = replace(Resolver.of(verifier, StormPolicy(3)), flush=flush)
                    for resolution in resolver.resolve(batch):
                        lines.write(json.dumps({"key": resolution.correction.key, "process": name}) + "\n")
                        lines.flush()
                    break
                wait(PAUSE_SECONDS, stop)


def wait(seconds: float, stop: Path) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stop.exists():
        time.sleep(PAUSE_SECONDS)


def decide(worker: dict[str, Any]) -> None:
    """Decide until told to stop, and note each decision after it was returned."""
    name, trace, careless = worker["name"], Path(worker["trace"]), worker["careless"]
    if careless:
        CARELESS[careless]()
    random, number, blocked = Random(name), 0, Blocked()
    stop = trace.parent / "stop"
    with trace.open("a", encoding="utf-8") as lines, ExitStack() as stack:
        verifier = Verifier.from_config(worker["config"], queue=worker["queue"], store=worker["url"])
        stack.callback(closed, verifier)
        if worker["resolves"]:
            resolving = Thread(target=resolve, args=(worker, verifier, stop))
            resolving.start()
            stack.callback(resolving.join)
        while not stop.exists():
            number += 1
            long = LONG_SECONDS if careless == "second question" else random.choice((0.0, 0.0, 0.0, 0.3))
            sampler = Slow(long)
            key = f"{name}/{number}"
            began, blocked_before = time.time(), blocked()
            served = verifier.verify(Case(key, f"target {random.randrange(1000)}", sampler))
            line = {
                "key": key,
                "process": name,
                "began": began,
                "drawn": sampler.drawn_at,
                "ended": time.time(),
                "blocked": blocked() - blocked_before - sampler.slept,
                "arm": served.arm.value,
            }
            lines.write(json.dumps(line) + "\n")
            lines.flush()
            time.sleep(PAUSE_SECONDS)


def main(workers: list[dict[str, Any]]) -> None:
    children = {}
    for worker in workers:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                decide(worker)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        children[worker["name"]] = child
    sys.stdout.write(json.dumps(children) + "\n")
    sys.stdout.flush()

    def end(_: int, __: FrameType | None) -> None:
        for child in children.values():
            os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGTERM, end)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children.values()))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
