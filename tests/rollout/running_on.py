"""Processes of a production: verifiers that decide until they are told to stop, a runner with a short lease, and a
client that does nothing but read the flag. Each notes what it saw in a file of its own, without a buffer.

They come from a server that has imported everything already, so that a start takes a moment and not seconds.
"""

import itertools
import json
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from production import corrections

from suffice.config import load
from suffice.flag.client import FlagClient
from suffice.rollout.daemon import run
from suffice.rollout.lease import Lease
from suffice.rollout.operator import Operator
from suffice.rollout.world import Place
from suffice.serving.permission import Asked
from suffice.serving.situation import Situation
from suffice.serving.verifier import Verifier
from suffice.sources.correction import Correction, Estimate
from suffice.stopping.cache import default_cache
from suffice.stopping.make import configured_plan
from suffice.verifier.case import Case

TARGETS = 25
"""Targets that the client asks for."""

_CONTEXT = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Clock:
    """Seconds since the epoch, from a moment on so many times as fast; the same in all processes."""

    began: float = 0.0
    factor: float = 1.0

    def __call__(self) -> float:
        return self.began + (time.time() - self.began) * self.factor


class Pause(Event):
    """An event that is waited for by such a clock."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(None if timeout is None else timeout / self._factor)


def verifier(folder: Path, number: int, pause: float, clock: Clock) -> BaseProcess:
    """A started process that decides cases of its own. With a `degraded.json` in the folder, that configuration's plan
    takes the place of its own from the stage `half` on."""
    return _started(decide_on, folder, number, pause, clock)


def daemon(folder: Path, clock: Clock) -> BaseProcess:
    """A started process that runs the rollout until it is done."""
    return _started(run_on, folder, clock)


def client(folder: Path, clock: Clock) -> BaseProcess:
    """A started process that notes whenever the flag answers otherwise."""
    return _started(watch, folder, clock)


def decide_on(folder: Path, number: int, pause: float, clock: Clock) -> None:
    config, queue = folder / "config.json", folder / "queue"
    (folder / "returned").mkdir(exist_ok=True)
    with (
        Verifier.from_config(config, queue=queue, fault=degrading(folder), clock=clock) as production,
        (folder / "returned" / f"{number}.txt").open("ab", buffering=0) as returned,
    ):
        i = number * 1_000_000
        while not (folder / "stop").exists():
            case, asked = mixed(i).case(), clock()
            served = production.verify(case)
            returned.write(f"{case.key} {served.arm.value} {asked!r}\n".encode())
            i += 1
            time.sleep(pause)


def asker(folder: Path, number: int, url: str | None) -> BaseProcess:
    """A started process that decides, and notes of each decision its arm and when its last question was asked."""
    return _started(note_questions, folder, number, url)


def note_questions(folder: Path, number: int, url: str | None) -> None:
    """Its draws take a while, so that whoever stops it finds it in the midst of a decision, more often than not."""
    asked_at = [0.0]

    def noting(ask: Callable[[Case], Asked]) -> Callable[[Case], Asked]:
        def question(case: Case) -> Asked:
            asked_at[0] = time.time()
            return ask(case)

        return question

    def draws(rng: Generator, n: int) -> NDArray[np.float64]:
        time.sleep(0.005)
        return (rng.random(n) < 0.97).astype(np.float64)

    with (
        Verifier.from_config(folder / "config.json", queue=folder / "queue", store=url) as production,
        (folder / f"asked-{number}").open("ab", buffering=0) as notes,
    ):
        permission: Any = production._permission
        permission.ask, permission.ask_again = noting(permission.ask), noting(permission.ask_again)
        for i in itertools.count():
            if (folder / "stop").exists():
                return
            served = production.verify(Case(f"{number}/{i}", f"t{i % 500}", draws, "eu"))
            notes.write(f"{served.arm.value} {asked_at[0]!r}\n".encode())


def degrading(folder: Path) -> Callable[[Situation], Situation]:
    path = folder / "degraded.json"
    if not path.exists():
        return lambda situation: situation
    plan = configured_plan(load(path).verifier, default_cache(), folder)
    return lambda situation: replace(situation, plan=plan) if situation.stage == "half" else situation


def mixed(i: int) -> Correction:
    """Half of them clear, half of them close to the threshold, where plans that stop too early show."""
    clear = corrections(i, 1)[0]
    return clear if i % 4 < 2 else replace(clear, measurement=Estimate(0.9, 1.0, 1.0))


def run_on(folder: Path, clock: Clock) -> None:
    place = Place(folder / "config.json", folder / "queue")
    with Operator(place, clock=clock) as operator, Lease(operator.store, "verifier", seconds=0.3) as lease:
        lease.acquire()
        lease.start_beating()
        run(operator, lease, Pause(clock.factor), until_done=True)


def watch(folder: Path, clock: Clock) -> None:
    seen: dict[str, int] = {}
    with (
        FlagClient.from_file(folder / "queue" / "flag.json") as flag,
        (folder / "client.jsonl").open("ab", buffering=0) as file,
    ):
        while not (folder / "stop").exists():
            answers = [flag.ask(f"t{i}", "eu") for i in range(TARGETS)]
            arms = [answer.arm.value for answer in answers if answer.resolved]
            now = {arm: arms.count(arm) for arm in ("adaptive", "fixed")}
            if now != seen:
                seen = now
                file.write((json.dumps({"at": clock(), **seen}) + "\n").encode())
            time.sleep(0.01)


def _started(target: object, *arguments: object) -> BaseProcess:
    process = _CONTEXT.Process(target=target, args=arguments)  # type: ignore[arg-type]
    process.start()
    return process
