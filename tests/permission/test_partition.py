"""Verifiers on several machines, and a rollout that is rolled back while links are cut and processes stopped.

An independent judge reads what came of it, and catches products that leave out one rule.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import IO, Any

import pytest
from checker import Campaign, Span, Traced, Wrong, judge
from links import Link, Wire

from postgres_server import Server
from suffice.errors import SufficeError
from suffice.rollout.operator import Operator, Start
from suffice.rollout.phases import Phase
from suffice.rollout.world import Place
from suffice.serving.spool import FOLDER, take_up
from suffice.store.database import open_store
from suffice.store.ledger import Ledger

HERE = Path(__file__).parent
PATIENCE = 120.0
LEASE_SECONDS = 5.0
CONFIG: dict[str, Any] = {
    "verifier": {
        "rule": "proportion",
        "n_samples": 32,
        "adaptive_sampling": {"enabled": True, "max_disagreement": 0.01},
    },
    "rollout": {
        "cycle": "1h",
        "lapse_cycles": 1,
        "stages": [{"name": "full", "weight": 100, "audit_fraction": 0.1}],
    },
}


@dataclass
class Machine:
    """A host with verifiers of its own, behind a link of its own."""

    name: str
    link: Link
    url: str
    workers: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Fleet:
    """Machines, their processes, and what was done to them."""

    folder: Path
    server: Server
    url: str
    machines: list[Machine] = field(default_factory=list)
    pids: dict[str, int] = field(default_factory=dict)
    campaign: Campaign = field(default_factory=lambda: Campaign([], []))
    faults: int = 0

    @property
    def schema(self) -> str:
        return self.url.rpartition("%3D")[2]

    def machine(self, name: str, careless: list[str], link: Link | None = None) -> Machine:
        """A machine with a worker for each rule that is left out; "" leaves out none."""
        link = link or Link(self.server.port)
        url = self.url.replace(f"127.0.0.1:{self.server.port}/", f"{link.host}:{link.port}/")
        machine = Machine(name, link, url)
        for number, rule in enumerate(careless):
            worker = {
                "name": f"{name}{number}",
                "careless": rule,
                "url": url,
                "config": str(self.folder / "config.json"),
            }
            paths = {"queue": str(self.folder / name), "trace": str(self.folder / "traces" / f"{name}{number}.jsonl")}
            machine.workers.append({**worker, **paths})
        self.machines.append(machine)
        return machine

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Every machine's processes decide, and end by themselves at the end."""
        (self.folder / "traces").mkdir()
        with ExitStack() as stack:
            for machine in self.machines:
                stack.callback(machine.link.close)
            errors = stack.enter_context((self.folder / "errors").open("w+", encoding="utf-8"))
            processes = [self._started(prefix, errors, stack) for prefix in {it.link.prefix for it in self.machines}]
            yield
            (self.folder / "traces" / "stop").touch()
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

    def traced(self) -> list[Traced]:
        lines = [
            line for path in (self.folder / "traces").glob("*.jsonl") for line in path.read_text("utf-8").splitlines()
        ]
        return [Traced(**json.loads(line)) for line in lines if line.endswith("}")]

    def all_adaptive(self) -> bool:
        """Whether each process has been adaptive since this was asked first."""
        seen = {it.process for it in self.traced() if it.adaptive}
        return seen == set(self.pids)

    @contextmanager
    def cut(self, machine: Machine) -> Iterator[None]:
        self.faults += 1
        begin = time.time()
        machine.link.cut()
        yield
        end = time.time()
        machine.link.heal()
        self.campaign.cut += [(worker["name"], Span(begin, end)) for worker in machine.workers]

    @contextmanager
    def stopped(self, process: str) -> Iterator[None]:
        self.faults += 1
        os.kill(self.pids[process], signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pids[process], signal.SIGCONT)

    @contextmanager
    def frozen_server(self) -> Iterator[None]:
        self.faults += 1
        postmaster = self.server.process.pid
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text("ascii").split()
        pids = [postmaster, *map(int, children)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def restarted_server(self) -> None:
        self.faults += 1
        self.server.restart()

    def dropped_connections(self) -> None:
        self.faults += 1
        self.server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


@pytest.fixture
def fleet(tmp_path: Path, postgres: Server) -> Fleet:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return Fleet(tmp_path, postgres, postgres.place())


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def operator_of(fleet: Fleet) -> Operator:
    return Operator(Place(fleet.folder / "config.json", fleet.folder / "runner", url=fleet.url))


def rolled_back(fleet: Fleet) -> float:
    """Roll back, whatever it takes; returns the moment of the receipt."""

    def is_done() -> bool:
        try:
            with operator_of(fleet) as operator:
                if operator.state.phase is Phase.ROLLED_BACK:
                    return True
                if operator.state.phase is Phase.ROLLING_BACK:
                    operator.cycle()
                else:
                    operator.tell("rollback", "ann", "the campaign says so")
                return operator.state.phase is Phase.ROLLED_BACK
        except SufficeError:
            return False  # the server is frozen: it is asked for again

    until(is_done, "the rollback is not observed")
    ((at,),) = fleet.server.execute(f"SELECT at FROM {fleet.schema}.receipts")
    return float(at)


def ledger_keys(fleet: Fleet) -> list[str]:
    return [key for (key,) in fleet.server.execute(f"SELECT key FROM {fleet.schema}.decisions")]


def judged(fleet: Fleet) -> set[Wrong]:
    with open_store(fleet.url) as store:
        for machine in fleet.machines:
            take_up(fleet.folder / machine.name / FOLDER, Ledger(store))
    fleet.campaign.decisions, fleet.campaign.ledger = fleet.traced(), ledger_keys(fleet)
    return judge(fleet.campaign)


def any_fault(fleet: Fleet, random: Random) -> None:
    """One fault, healed after a moment."""
    seconds, kind = random.choice((0.1, 0.4, 1.5)), random.randrange(20)
    if kind == 0:
        fleet.restarted_server()
    elif kind < 6:
        with fleet.cut(random.choice(fleet.machines)):
            time.sleep(seconds)
    elif kind < 12:
        with fleet.stopped(random.choice(sorted(fleet.pids))):
            time.sleep(seconds)
    elif kind < 17:
        with fleet.frozen_server():
            time.sleep(min(seconds, 0.4))
    else:
        fleet.dropped_connections()


def rolled_back_through_faults(fleet: Fleet, random: Random, before: int, after: int) -> None:
    """A rollout that is started, and rolled back while a machine is cut off and a process stopped; faults all along."""
    with operator_of(fleet) as operator:
        operator.start("ann", Start(waived=("determinism",)))
    began = time.time()
    with fleet.at_work():
        until(fleet.all_adaptive, "not all are adaptive")
        fleet.campaign.good.append(Span(began, time.time()))
        for _ in range(before):
            any_fault(fleet, random)
        keep_words(fleet)
        with fleet.cut(random.choice(fleet.machines)), fleet.stopped(random.choice(sorted(fleet.pids))):
            after_a_rollback(fleet)
        for _ in range(after):
            any_fault(fleet, random)
        restore_words(fleet)
        time.sleep(1.0)


def test_through_faults_no_promise_is_broken(fleet: Fleet) -> None:
    for name in "abc":
        fleet.machine(name, ["", ""])
    rolled_back_through_faults(fleet, Random(13), before=12, after=8)
    assert fleet.faults >= 20
    assert judged(fleet) == set()


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(10))
def test_in_network_namespaces_no_promise_is_broken(fleet: Fleet, seed: int) -> None:
    random = Random(seed)
    for number in range(3):
        machine = fleet.machine("abc"[number], ["", ""], Wire(fleet.server.port, number))
        machine.link.delay = random.choice((0.0, 0.01, 0.05))
    rolled_back_through_faults(fleet, random, before=25, after=25)
    assert fleet.faults >= 50
    assert judged(fleet) == set()


def keep_words(fleet: Fleet) -> None:
    fleet.server.execute(f"CREATE TABLE {fleet.schema}.kept AS SELECT * FROM {fleet.schema}.words")


def restore_words(fleet: Fleet) -> None:
    """A logical restore: the rows are as they were, but not written by their own transactions."""
    schema = fleet.schema
    fleet.server.execute(f"DELETE FROM {schema}.words; INSERT INTO {schema}.words SELECT * FROM {schema}.kept")


def lapse(fleet: Fleet) -> None:
    """The word as it is when the runner has been gone for almost as long as it stands."""
    fleet.server.execute(
        f"UPDATE {fleet.schema}.words SET txid = pg_current_xact_id()::xid::text, "
        "valid_until = extract(epoch FROM clock_timestamp()) + 0.5"
    )
    fleet.campaign.fixed.append(Span(time.time() + 0.5 + LEASE_SECONDS, float("inf")))


def after_a_rollback(fleet: Fleet) -> None:
    fleet.campaign.fixed.append(Span(rolled_back(fleet), float("inf")))


def while_one_is_cut_off(fleet: Fleet) -> None:
    with fleet.cut(fleet.machines[1]):
        after_a_rollback(fleet)
        time.sleep(1.0)


def and_the_store_restored(fleet: Fleet) -> None:
    keep_words(fleet)
    after_a_rollback(fleet)
    restore_words(fleet)


SITUATIONS: dict[str, Callable[[Fleet], None]] = {
    "fence": after_a_rollback,
    "second question": after_a_rollback,
    "valid_until": lapse,
    "registration": while_one_is_cut_off,
    "incarnation": and_the_store_restored,
}


@pytest.mark.parametrize("rule", SITUATIONS)
def test_a_product_that_leaves_out_a_rule_is_caught_and_nobody_else(fleet: Fleet, rule: str) -> None:
    fleet.machine("honest", [""])
    fleet.machine("careless", [rule])
    with operator_of(fleet) as operator:
        operator.start("ann", Start(waived=("determinism",)))
    began = time.time()
    with fleet.at_work():
        until(fleet.all_adaptive, "not all are adaptive")
        fleet.campaign.good.append(Span(began, time.time()))
        SITUATIONS[rule](fleet)
        # Time for several reads of what is in the store now.
        later = max(time.time(), fleet.campaign.fixed[0].begin) + 1.5
        until(lambda: {it.process for it in fleet.traced() if it.drawn > later} == set(fleet.pids), "not all go on")
    wrong = judged(fleet)
    assert {it.process for it in wrong} == {"careless0"}
    assert Wrong("adaptive where everybody is fixed", "careless0") in wrong


@pytest.mark.campaign
def test_an_agent_gives_up_a_connection_whose_answer_is_lost(postgres: Server) -> None:
    wire = Wire(postgres.port, 9)
    url = postgres.url().replace(f"127.0.0.1:{postgres.port}/", f"{wire.host}:{wire.port}/")
    program = (
        "import sys; from sqlalchemy import text; from suffice.store.database import agents_store\n"
        "with agents_store(sys.argv[1]).read() as connection:\n"
        "    connection.execute(text('SELECT 1')); print('asks', flush=True)\n"
        "    connection.execute(text('SELECT pg_sleep(1)'))\n"
    )
    command = [*wire.prefix, sys.executable, "-c", program, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            assert process.stdout.readline() == "asks\n"
            time.sleep(0.5)
            wire.cut()
            assert process.wait(30) == 1
            assert "StoreError" in process.stderr.read()
        finally:
            process.kill()
            wire.close()
