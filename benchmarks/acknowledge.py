"""How soon a fleet knows of a rollback: `python -m benchmarks.acknowledge [--rounds N]`.

Twelve processes on a PostgreSQL server of its own. The word is lowered and raised again, round after round; each time
is from the server's time of that commit until the last process has acknowledged it in the store: with NOTIFY, then by
polling only. Then a rollout is rolled back while one process is stopped, and while one is cut off: from the journal's
rollback to the receipt, by the store's clock.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np
import psycopg
from tests.permission.links import Proxy
from tests.postgres_server import running

from benchmarks.verify import CONFIG
from suffice.rollout.operator import Operator, Start
from suffice.rollout.word import store_word
from suffice.rollout.world import Place
from suffice.serving.verifier import Verifier
from suffice.store.actions import Action
from suffice.store.bell import Bell
from suffice.store.words import Word, read_word

PROCESSES, ROUNDS = 12, 20
Watch: TypeAlias = "psycopg.Connection[Any]"


def idle(folder: Path, name: str, url: str, *, notified: bool) -> int:
    """Fork a process that decides nothing, but may; returns its number."""
    child = os.fork()
    if child:
        return child
    try:
        if not notified:
            Bell._listens = lambda _: False  # type: ignore[method-assign]
        Verifier.from_config(folder / "config.json", queue=folder / name, store=url)
        signal.pause()
    finally:
        os._exit(1)


@contextmanager
def fleet(folder: Path, url: str, *, notified: bool = True, last: str | None = None) -> Iterator[list[int]]:
    """Twelve processes; the last one reaches the store by a URL of its own."""
    urls = [*[url] * (PROCESSES - 1), last or url]
    pids = [idle(folder, f"host{i}", each, notified=notified) for i, each in enumerate(urls)]
    try:
        yield pids
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def acknowledged(watch: Watch, epoch: int) -> float:
    """Wait until all have; returns the server's time of the last one's commit, seconds since the epoch."""
    committed = "extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::double precision"
    query = f"SELECT count(*), {committed} FROM processes WHERE epoch >= %s"
    while True:
        count, last = watch.execute(query, [epoch]).fetchone() or (0, 0.0)
        if count == PROCESSES:
            return float(last)
        # Whoever looks more often takes the processor from those who are looked at.
        time.sleep(0.005)


def rounds(watch: Watch, operator: Operator, count: int) -> list[float]:
    """Seconds from the commit of a lowered word until all have acknowledged it."""
    with operator.store.read() as connection:
        raised = read_word(connection, "verifier", operator.clock()).word
    assert raised is not None
    lowered = replace(raised, phase="RollingBack", exposure=None)
    acknowledged(watch, raised.epoch)
    seconds = []
    for _ in range(count):
        epoch, committed = written(watch, operator, lowered)
        seconds.append(acknowledged(watch, epoch) - committed)
        acknowledged(watch, written(watch, operator, raised)[0])
    return seconds


def written(watch: Watch, operator: Operator, word: Word) -> tuple[int, float]:
    """The epoch of a word that was written, and the server's time of its commit."""
    with operator.store.write() as connection:
        store_word(connection, operator.place.queue, word, operator.clock())
    query = "SELECT epoch, extract(epoch FROM pg_xact_commit_timestamp(xmin))::double precision FROM words"
    epoch, at = watch.execute(query).fetchone() or (0, 0.0)
    return int(epoch), float(at)


def receipt(watch: Watch, operator: Operator) -> dict[str, object]:
    """Roll back; seconds until the receipt, and whom it covers."""
    operator.tell("rollback", "benchmark", "to measure")
    events = {event.action: event for event in operator.history()}
    query = "SELECT at FROM receipts ORDER BY at DESC"
    (at,) = watch.execute(query).fetchone() or (float("nan"),)
    return {"seconds": round(at - events[Action.ROLL_BACK].at, 3), "receipt": events[Action.RECEIPT].why}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often the word is lowered")
    count = parser.parse_args(arguments).rounds
    measured: dict[str, object] = {"cpus": os.cpu_count(), "load": os.getloadavg(), "processes": PROCESSES}
    with TemporaryDirectory() as name, running() as server, psycopg.connect(server.url(), autocommit=True) as watch:
        folder, url = Path(name), server.url()
        (folder / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
        place = Place(folder / "config.json", folder / "runner", url=url)
        begin = Start(waived=("determinism",), enable=True)
        with Operator(place) as operator:
            operator.start("benchmark", begin)
        for how, notified in (("NOTIFY", True), ("polling only", False)):
            with fleet(folder, url, notified=notified), Operator(place) as operator:
                milliseconds = 1e3 * np.array(rounds(watch, operator, count))
            measured[f"acknowledged by all, ms: {how}"] = {
                "median": round(float(np.median(milliseconds)), 1),
                "longest": round(float(milliseconds.max()), 1),
            }
            watch.execute("DELETE FROM processes")
        link = Proxy(server.port)
        by_link = url.replace(f":{server.port}/", f":{link.port}/")
        for what in ("all answer", "one is stopped", "one is cut off"):
            with fleet(folder, url, last=by_link) as pids, Operator(place) as operator:
                if what != "all answer":
                    operator.start("benchmark", begin)
                acknowledged(watch, 1)
                if what == "one is stopped":
                    os.kill(pids[0], signal.SIGSTOP)
                elif what == "one is cut off":
                    link.cut()
                measured[f"receipt: {what}"] = receipt(watch, operator)
                link.heal()
            watch.execute("DELETE FROM processes")
        link.close()
    sys.stdout.write(json.dumps(measured, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
