"""Processes of a production: verifiers that decide until they are told to stop, and a daemon with a short lease.

They come from a server that has imported everything already, so that a start takes a moment and not seconds.
"""

import multiprocessing
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Event

from production import corrections

from suffice.rollout.daemon import run
from suffice.rollout.lease import Lease
from suffice.rollout.place import Place
from suffice.rollout.service import Service
from suffice.serving.verifier import Verifier

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["suffice.rollout.daemon", "suffice.serving.verifier", "suffice.evaluation.recompute"])


def verifier(folder: Path, number: int, pause: float) -> BaseProcess:
    """A started process that decides cases of its own."""
    return _started(decide_on, folder, number, pause)


def daemon(folder: Path) -> BaseProcess:
    """A started process that runs the rollout until it is done."""
    return _started(run_on, folder)


def decide_on(folder: Path, number: int, pause: float) -> None:
    with Verifier.from_config(folder / "config.json", queue=folder / "queue") as production:
        i = number * 1_000_000
        while not (folder / "stop").exists():
            production.verify(corrections(i, 1)[0].case())
            i += 1
            time.sleep(pause)


def run_on(folder: Path) -> None:
    place = Place(folder / "config.json", folder / "queue")
    with Service(place) as service, Lease(service.store, "verifier", seconds=0.3) as lease:
        lease.acquire()
        lease.start_beating()
        run(service, lease, Event(), until_done=True)


def _started(target: object, *arguments: object) -> BaseProcess:
    process = _CONTEXT.Process(target=target, args=arguments)  # type: ignore[arg-type]
    process.start()
    return process
