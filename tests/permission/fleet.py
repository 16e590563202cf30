"""Machines with their processes, a server and a runner, and what a campaign does to them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import IO, Any

from checker import Books, Campaign, Resolved, Span, Traced, Wrong, judge
from links import Link, Proxy

from postgres_server import DATABASE, Server
from suffice.errors import SufficeError
from suffice.rollout.operator import Operator
from suffice.rollout.phases import Phase
from suffice.rollout.world import Place
from suffice.serving.spool import FOLDER, take_up
from suffice.store.address import STORE_URL
from suffice.store.database import open_store
from suffice.store.ledger import Ledger

HERE = Path(__file__).parent
PATIENCE = 180.0
MOMENTS = (0.1, 0.1, 0.4, 0.4, 1.5)
LONG_SECONDS = 6.0
"""A fault of such a length outlives a lease."""


@dataclass
class Machine:
    """A host with processes of its own, behind a link of its own."""

    name: str
    link: Link
    url: str
    workers: list[dict[str, Any]] = field(default_factory=list)


class Traces:
    """What the processes have noted so far; each line is read once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._offsets: Counter[Path] = Counter()
        self.decisions: list[Traced] = []
        self.told: list[tuple[str, str]] = []

    def read(self) -> list[Traced]:
        self.decisions += [Traced(**one) for one in self._new("*.jsonl")]
        self.told += [(one["key"], one["process"]) for one in self._new("*.resolved")]
        return self.decisions

    def _new(self, pattern: str) -> Iterator[dict[str, Any]]:
        for path in self.folder.glob(pattern):
            with path.open("rb") as file:
                file.seek(self._offsets[path])
                for line in file:
                    if line.endswith(b"\n"):
                        self._offsets[path] += len(line)
                        yield json.loads(line)


class Fleet:
    """Machines, their processes, and what was done to them. `url` names the store as the tests reach it."""

    def __init__(self, folder: Path, server: Server, config: dict[str, Any]) -> None:
        self.folder, self.server, self.url = folder, server, server.place()
        self.schema = self.url.rpartition("%3D")[2]
        self.machines: list[Machine] = []
        self.pids: dict[str, int] = {}
        self._runner: Machine | None = None
        self.campaign = Campaign(holds=[int(stage.get("hold", "0s")[:-1]) for stage in config["rollout"]["stages"]])
        self.faults: Counter[str] = Counter()
        self._config, self._books = json.dumps(config), list[Books]()
        self.traces = Traces(folder / "traces")
        self.traces.folder.mkdir()
        self.configure()

    def configure(self) -> None:
        """Write the configuration, which a rollback has changed."""
        (self.folder / "config.json").write_text(self._config, encoding="utf-8")

    def machine(self, name: str, careless: list[str], link: Link | None = None, *, resolves: bool = True) -> Machine:
        """A machine with a process for each rule that is left out; "" leaves out none. The first may resolve too."""
        link = link or Proxy(self.server.own_port)
        machine = Machine(name, link, self._url_by(link))
        for number, rule in enumerate(careless):
            process = f"{name}{number}"
            worker = {"name": process, "careless": rule, "url": machine.url, "resolves": resolves and number == 0}
            paths = {"queue": self.folder / name, "trace": self.traces.folder / f"{process}.jsonl"}
            paths["config"] = self.folder / "config.json"
            machine.workers.append({**worker, **{what: str(path) for what, path in paths.items()}})
        self.machines.append(machine)
        return machine

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Every machine's processes decide, and end by themselves at the end."""
        with ExitStack() as stack:
            for machine in self.machines:
                stack.callback(machine.link.close)
            errors = stack.enter_context((self.folder / "errors").open("w+", encoding="utf-8"))
            processes = [
                self._started(prefix, errors, stack) for prefix in {machine.link.prefix for machine in self.machines}
            ]
            yield
            (self.traces.folder / "stop").touch()
            for process in processes:
                assert process.wait(PATIENCE) == 0, (self.folder / "errors").read_text(encoding="utf-8")[-2000:]

    def _started(self, prefix: tuple[str, ...], errors: IO[str], stack: ExitStack) -> "subprocess.Popen[str]":
        """One program that forks the processes of all machines with this prefix."""
        workers = [worker for machine in self.machines if machine.link.prefix == prefix for worker in machine.workers]
        command = [*prefix, sys.executable, str(HERE / "deciding.py"), json.dumps(workers)]
        process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True))
        stack.callback(process.terminate)
        assert process.stdout is not None
        self.pids |= json.loads(process.stdout.readline())
        return process

    @contextmanager
    def runner(self, link: Link) -> Iterator[None]:
        """The daemon runs the rollout from a machine of its own."""
        command = [*link.prefix, sys.executable, "-m", "suffice.cli.main", "rollout", "run", "--json"]
        where = ["--config", str(self.folder / "config.json"), "--queue", str(self.folder / "runner")]
        environment = {**os.environ, STORE_URL: self._url_by(link)}
        with (self.folder / "runner.log").open("w", encoding="utf-8") as log:
            process = subprocess.Popen([*command, *where], stdout=log, stderr=log, env=environment)
        self._runner = Machine("runner", link, "")
        self._runner_pid = process.pid
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            finally:
                process.kill()
                process.wait()
                link.close()

    def _url_by(self, link: Link) -> str:
        return self.url.replace(f"127.0.0.1:{self.server.port}/", f"{link.host}:{link.port}/")

    def operator(self) -> Operator:
        """A person at the runner's folder."""
        return Operator(Place(self.folder / "config.json", self.folder / "runner", url=self.url))

    def tell(self, command: str, *phases: Phase) -> None:
        """Tell the rollout something, whatever it takes, until it is in one of these phases."""

        def is_done() -> bool:
            with self.operator() as operator:
                if operator.state.phase not in phases:
                    operator.tell(command, "ann", "the campaign says so")
                return operator.state.phase in phases

        until(is_done, f"{command} is not possible")

    def phase(self) -> Phase:
        with self.operator() as operator:
            return operator.state.phase

    def adaptive_since(self, moment: float, careless: Collection[str] = ()) -> bool:
        """Whether each process has been adaptive since then, but for those that never are."""
        seen = {decision.process for decision in self.traces.read() if decision.adaptive and decision.drawn > moment}
        return seen >= set(self.pids) - set(careless)

    def have_acknowledged(self, epoch: int) -> bool:
        """Whether each process has read this epoch or a later one."""
        rows = self.server.execute(f"SELECT epoch FROM {self.schema}.processes WHERE left_at IS NULL")
        return len(rows) == len(self.pids) and all(seen >= epoch for (seen,) in rows)

    def epoch(self) -> int:
        ((epoch,),) = self.server.execute(f"SELECT epoch FROM {self.schema}.words")
        return int(epoch)

    def receipts(self) -> list[float]:
        """When the receipts of this store were given."""
        return [at for (at,) in self.server.execute(f"SELECT at FROM {self.schema}.receipts")]

    # What is done to them.

    def any_fault(self, random: Random, long: float = 0.1) -> None:
        """A fault that is healed after a moment, sometimes while a process is stopped besides; `long` is the share of
        those that outlive a lease."""
        seconds = LONG_SECONDS if random.random() < long else random.choice(MOMENTS)
        with ExitStack() as stack:
            stack.enter_context(self._fault(random))
            if random.random() < 0.25:
                stack.enter_context(self.stopped(random.choice(sorted(self.pids))))
            time.sleep(seconds)

    def _fault(self, random: Random) -> Any:
        machine, process = random.choice(self.machines), random.choice(sorted(self.pids))
        faults: list[tuple[int, Callable[[], Any]]] = [
            (5, lambda: self.cut(machine)),
            (5, lambda: self.stopped(process)),
            (3, self.frozen_server),
            (2, self.dropped_connections),
            (1, self.restarted_server),
            (3, lambda: self.delayed(random)),
        ]
        if self._runner is not None:
            runner = self._runner
            faults += [(2, lambda: self.cut(runner)), (2, self.stopped_runner), (1, self.cut_server)]
        (chosen,) = random.choices([act for _, act in faults], [weight for weight, _ in faults])
        return chosen()

    @contextmanager
    def cut(self, *machines: Machine) -> Iterator[None]:
        self.faults["a machine is cut off" if len(machines) == 1 else "the server's machine is cut off"] += 1
        for machine in machines:
            machine.link.cut()
        begin = time.time()
        try:
            yield
        finally:
            end = time.time()
            for machine in machines:
                machine.link.heal()
            names = [worker["name"] for machine in machines for worker in machine.workers]
            self.campaign.cut += [(name, Span(begin, end)) for name in names]

    def cut_server(self) -> Any:
        return self.cut(*self.machines, *([self._runner] if self._runner else []))

    @contextmanager
    def stopped(self, process: str) -> Iterator[None]:
        self.faults["a process is stopped"] += 1
        begin = time.time()
        os.kill(self.pids[process], signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pids[process], signal.SIGCONT)
            self.campaign.stopped.append((process, Span(begin, time.time())))

    @contextmanager
    def stopped_runner(self) -> Iterator[None]:
        self.faults["the runner is stopped"] += 1
        os.kill(self._runner_pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._runner_pid, signal.SIGCONT)

    @contextmanager
    def frozen_server(self) -> Iterator[None]:
        self.faults["the server is frozen"] += 1
        postmaster = self.server.process.pid
        os.kill(postmaster, signal.SIGSTOP)
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text("ascii").split()
        for pid in map(int, children):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        begin = time.time()
        try:
            yield
        finally:
            self.campaign.cut += [(process, Span(begin, time.time())) for process in self.pids]
            for pid in (*map(int, children), postmaster):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextmanager
    def restarted_server(self) -> Iterator[None]:
        self.faults["the server is restarted"] += 1
        yield
        self.server.restart()

    @contextmanager
    def dropped_connections(self) -> Iterator[None]:
        self.faults["all connections are ended"] += 1
        yield
        self.server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    @contextmanager
    def delayed(self, random: Random) -> Iterator[None]:
        self.faults["links are slow"] += 1
        seconds = random.choice((0.02, 0.1, 0.5))
        for machine in self.machines:
            machine.link.delay(seconds)
        yield
        for machine in self.machines:
            machine.link.delay(0.0)

    def backup(self, kind: str) -> Callable[[], None]:
        """Take a backup; what is returned restores it, while nobody reaches the server."""
        copy = self.folder / "backup"
        if kind == "dump":
            self.server.run("pg_dump", "--format=custom", f"--schema={self.schema}", f"--file={copy}", DATABASE)
            again = ("--clean", "--if-exists", "--single-transaction", f"--dbname={DATABASE}", copy)
            return lambda: self.server.run("pg_restore", *again)
        if kind == "stopped copy":
            self.server.stop()
            shutil.copytree(self.server.data, copy)
            self.server.start()
        else:
            self.server.run("pg_basebackup", f"--pgdata={copy}", "--checkpoint=fast", "--no-sync")
        return lambda: self.server.restore(copy, to_new_timeline=kind == "base backup, recovered")

    def restore(self, kind: str, act: Callable[[], None]) -> None:
        """Give up the store, and go on with its backup; what it says last is kept for the judge."""
        self.faults[f"the store is restored: {kind}"] += 1
        with self.cut_server():
            # Who waits within the server must not write there any more, nor hold what is restored.
            self.server.restart()
            self._books.append(self.books())
            act()

    def keep_words(self) -> None:
        self.server.execute(f"CREATE TABLE {self.schema}.kept AS SELECT * FROM {self.schema}.words")

    def restore_words(self) -> None:
        """The rows are as they were, but not written by their own transactions."""
        self.faults["the words are restored"] += 1
        schema = self.schema
        self.server.execute(f"DELETE FROM {schema}.words; INSERT INTO {schema}.words SELECT * FROM {schema}.kept")

    # What the judge reads.

    def books(self) -> Books:
        schema, ask = self.schema, self.server.execute
        committed = "extract(epoch FROM pg_xact_commit_timestamp(xmin))::double precision"
        return Books(
            [key for (key,) in ask(f"SELECT key FROM {schema}.decisions")],
            [Resolved(*row) for row in ask(f"SELECT correction_key, arm, {committed} FROM {schema}.resolutions")],
            ask(f"SELECT at, action FROM {schema}.audit_events ORDER BY seq"),
            self.receipts(),
        )

    def judged(self) -> set[Wrong]:
        """What the judge says, once all have ended."""
        with open_store(self.url) as store:
            for machine in self.machines:
                take_up(self.folder / machine.name / FOLDER, Ledger(store))
        self.campaign.decisions, self.campaign.told = self.traces.read(), self.traces.told
        self.campaign.books = [*self._books, self.books()]
        return judge(self.campaign)

    def figures(self) -> str:
        """What the campaign came to, in words."""
        decisions, books = self.campaign.decisions, self.campaign.books
        corrections = {one.key: one for store in reversed(books) for one in store.corrections}.values()
        receipts = {event for store in books for event in store.journal if event[1] == "receipt"}
        share = sum(decision.adaptive for decision in decisions) / len(decisions)
        committed = sum(one.arm == "adaptive" for one in corrections)
        ((fenced,),) = self.server.execute(
            f"SELECT count(*) FROM {self.schema}.decisions WHERE why_fixed = 'FENCED' AND key LIKE '%/c%'"
        )
        longest = max((decision.blocked for decision in decisions if not self._was_stopped(decision)), default=0.0)
        lines = [
            f"faults: {self.faults.total()}: " + ", ".join(f"{n} × {what}" for what, n in self.faults.most_common()),
            f"decisions: {len(decisions)} by {len(self.pids)} processes, {100 * share:.1f} % adaptive",
            f"corrections: {len(corrections)}, {committed} committed adaptively, {fenced} fenced in the last store",
            f"receipts: {len(receipts)}; stores: {len(books)}",
            f"longest that a call was blocked: {longest:.3f} s",
        ]
        return "\n".join(lines) + "\n"

    def _was_stopped(self, decision: Traced) -> bool:
        call = Span(decision.began, decision.ended)
        return any(process == decision.process and span.meets(call) for process, span in self.campaign.stopped)


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until it holds; an error of the product is a no."""
    deadline, error = time.monotonic() + PATIENCE, ""
    while True:
        try:
            if holds():
                return
        except SufficeError as wrong:
            error = str(wrong)
        assert time.monotonic() < deadline, f"{what}: {error}"
        time.sleep(0.1)
