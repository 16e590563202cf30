"""Processes that decide cases for a campaign, each with a trace of its own; some leave out a rule of the product.

`python deciding.py WORKERS` forks one process for each entry of the JSON list: `name`, `config`, `queue`, `url`,
`trace`, and `careless`, the rule that it leaves out. They work until their trace's folder has a file `stop`.
"""

import json
import os
import signal
import sys
import time
import traceback
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

import suffice.serving.agent
import suffice.serving.permission
from suffice.errors import StoreError
from suffice.serving.fence import Read
from suffice.serving.permission import Leased
from suffice.serving.verifier import Verifier
from suffice.store.words import Word
from suffice.verifier.case import Case

PAUSE_SECONDS = 0.1
LONG_SECONDS = 6.0
"""Draws of the process that asks no second question take so long: longer than a lease."""


class Slow:
    """Trials that take a while, and note when the last one was drawn."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.drawn_at = seconds, 0.0

    def __call__(self, rng: Generator, n: int) -> NDArray[np.float64]:
        time.sleep(self.seconds)
        self.seconds, self.drawn_at = 0.0, time.time()
        return (rng.random(n) < 0.97).astype(np.float64)


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


CARELESS = {
    "fence": no_fence,
    "second question": no_second_question,
    "valid_until": no_lapse,
    "registration": no_registration,
    "incarnation": any_incarnation,
}


def closed(verifier: Verifier) -> None:
    """Close it; rows that the store does not take now stay in the spool, as a service's do that ends in an outage."""
    with suppress(StoreError):
        verifier.close()


def decide(worker: dict[str, Any]) -> None:
    """Decide until told to stop, and note each decision after it was returned."""
    name, trace, careless = worker["name"], Path(worker["trace"]), worker["careless"]
    if careless:
        CARELESS[careless]()
    random, number = Random(name), 0
    stop = trace.parent / "stop"
    with trace.open("a", encoding="utf-8") as lines, ExitStack() as stack:
        verifier = Verifier.from_config(worker["config"], queue=worker["queue"], store=worker["url"])
        stack.callback(closed, verifier)
        while not stop.exists():
            number += 1
            long = LONG_SECONDS if careless == "second question" else random.choice((0.0, 0.0, 0.0, 0.3))
            sampler = Slow(long)
            key = f"{name}/{number}"
            began = time.time()
            served = verifier.verify(Case(key, f"target {random.randrange(1000)}", sampler))
            noted = {"key": key, "process": name, "began": began, "drawn": sampler.drawn_at, "ended": time.time()}
            lines.write(json.dumps({**noted, "arm": served.arm.value}) + "\n")
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
