"""Verifiers on several machines, and a rollout that is rolled back while links are cut and processes stopped.

An independent judge reads what came of it, and catches products that leave out one rule.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from checker import LEASE_SECONDS, Span
from fleet import Fleet, until
from links import Proxy, Space, Wire

from postgres_server import Server, running
from suffice.rollout.operator import Start
from suffice.rollout.phases import Phase

CONFIG: dict[str, Any] = {
    "verifier": {
        "rule": "proportion",
        "n_samples": 32,
        "adaptive_sampling": {"enabled": True, "max_disagreement": 0.01},
    },
    "rollout": {
        "cycle": "1h",
        "checks": {"run": []},
        "lapse_cycles": 1,
        "stages": [{"name": "full", "weight": 100, "audit_fraction": 0.1}],
    },
}
STAGED: dict[str, Any] = {
    **CONFIG,
    "rollout": {
        "cycle": "3s",
        "checks": {"run": []},
        "lapse_cycles": 1,
        "inconclusive_limit": 1000,
        "consecutive_error_limit": 1000,
        "acceptance": {"max_disagreement_rate": 0.1, "max_excess_escalations": 0.5, "min_sample_reduction": 0.05},
        "stages": [
            {"name": "shadow", "weight": 0, "shadow": True, "hold": "10s", "min_audits": 50},
            {"name": "full", "weight": 100, "audit_fraction": 0.1},
        ],
    },
}
"""A shadow stage that has to be held, and words that stand for two minutes."""

BACK = (Phase.ROLLING_BACK, Phase.ROLLED_BACK)
BACKUPS = ("stopped copy", "dump", "base backup", "base backup, recovered")
"""All but the recovered one keep the store's identity: the dump but for its rows' transactions."""

FAULTS = 130
"""In each run of the campaign at least: together more than 500."""


def start(fleet: Fleet) -> None:
    with fleet.operator() as operator:
        operator.start("ann", Start(waived=("determinism",)))


def rolled_back(fleet: Fleet) -> None:
    """Roll back, and wait for the receipt: without a runner each cycle of a person's tries again."""
    fleet.tell("rollback", *BACK)
    until(lambda: cycled(fleet) is Phase.ROLLED_BACK, "the rollback is not observed")


def cycled(fleet: Fleet) -> Phase:
    with fleet.operator() as operator:
        return operator.cycle().phase


def test_through_faults_no_promise_is_broken(
    tmp_path: Path, postgres: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet, random = Fleet(tmp_path, postgres, CONFIG), Random(13)
    for name in "abc":
        fleet.machine(name, ["", ""])
    start(fleet)
    began = time.time()
    with fleet.at_work():
        until(lambda: fleet.adaptive_since(began), "not all are adaptive")
        fleet.campaign.good.append(Span(began, time.time()))
        while fleet.faults.total() < 14:
            fleet.any_fault(random, long=0.0)
        fleet.keep_words()
        with fleet.cut(random.choice(fleet.machines)), fleet.stopped(random.choice(sorted(fleet.pids))):
            rolled_back(fleet)
        while fleet.faults.total() < 20:
            fleet.any_fault(random, long=0.0)
        fleet.restore_words()
        time.sleep(1.0)
    wrong = fleet.judged()
    with capsys.disabled():
        sys.stdout.write(f"\n{fleet.figures()}")
    assert wrong == set()


@contextmanager
def five_machines(folder: Path, config: dict[str, Any]) -> Iterator[Fleet]:
    """A server, a runner, and three machines with two processes each, every one in a network namespace of its own."""
    with ExitStack() as stack:
        spaces = [Space() for _ in range(5)]
        for space in spaces:
            stack.callback(space.close)
        own, runner, *others = spaces

        def reached_at(port: int) -> int:
            door = Proxy(port, far=own)
            stack.callback(door.close)
            return door.port

        server = stack.enter_context(running(own.prefix, reached_at))
        fleet = Fleet(folder, server, config)
        for name, space in zip("abc", others, strict=True):
            fleet.machine(name, ["", ""], Wire(own, server.own_port, space, delayed=name != "a"))
        stack.enter_context(fleet.runner(Wire(own, server.own_port, runner)))
        yield fleet


@pytest.mark.campaign
@pytest.mark.parametrize("kind", BACKUPS)
def test_in_network_namespaces_no_promise_is_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    random = Random(kind)
    with five_machines(tmp_path, STAGED) as fleet:

        def faults(count: int) -> None:
            for _ in range(count):
                fleet.any_fault(random)

        began = time.time()
        start(fleet)
        with fleet.at_work():
            while not fleet.adaptive_since(began):
                fleet.any_fault(random)
            shadow = next(at for at, action in fleet.books().journal if action == "advance")
            fleet.campaign.fixed.append(Span(began, shadow))
            fleet.campaign.good.append(Span(shadow, time.time()))
            faults(10)
            restore = fleet.backup(kind)
            faults(5)
            with fleet.cut(random.choice(fleet.machines)), fleet.stopped(random.choice(sorted(fleet.pids))):
                fleet.tell("rollback", *BACK)
                until(lambda: fleet.receipts() != [], "the rollback is not observed")
            faults(5)
            # A copy whose word still stands permits whoever knows nothing of the rollback: docs/permission.md says so.
            epoch = fleet.epoch()
            until(lambda: fleet.have_acknowledged(epoch), "not all have seen the rollback")
            fleet.restore(kind, restore)
            faults(5)
            until(lambda: fleet.phase() is Phase.HELD_BACK, "the runner does not notice that the store is another one")
            fleet.configure()
            began = time.time()
            fleet.tell("resume", Phase.PROGRESSING)
            until(lambda: fleet.adaptive_since(began), "not all are adaptive again")
            fleet.campaign.good.append(Span(began, time.time()))
            faults(5)
            fleet.keep_words()
            fleet.tell("rollback", *BACK)
            while not fleet.receipts() or fleet.faults.total() < FAULTS:
                fleet.any_fault(random)
            fleet.restore_words()
            faults(3)
        wrong = fleet.judged()
        with capsys.disabled():
            sys.stdout.write(f"\n{fleet.figures()}")
        assert wrong == set()


@contextmanager
def lapsed(fleet: Fleet) -> Iterator[None]:
    """The word stands no more, as when the runner has been gone for long; at the end a cycle renews it."""
    fleet.server.execute(
        f"UPDATE {fleet.schema}.words SET txid = pg_current_xact_id()::xid::text, "
        "valid_until = extract(epoch FROM clock_timestamp())"
    )
    time.sleep(LEASE_SECONDS)
    begin = time.time()
    yield
    fleet.campaign.fixed.append(Span(begin, time.time()))
    cycled(fleet)


def go_on(fleet: Fleet, *processes: str) -> None:
    """Each of these has decided under what is in the store now."""
    later = time.time() + 1.0
    until(
        lambda: {decision.process for decision in fleet.traces.read() if decision.drawn > later} >= set(processes),
        f"not all go on: {', '.join(processes)}",
    )


LATE, ADAPTIVE = "adaptive where everybody is fixed", "never adaptive in good times"
BLAMED = {
    "fence": LATE,
    "second question": LATE,
    "valid_until": LATE,
    "registration": LATE,
    "incarnation": LATE,
    "own time": "a call waits for somebody",
    "benefit": ADAPTIVE,
    "corrections": "a correction is committed adaptively where everybody is fixed",
}


def test_products_that_leave_out_a_rule_are_caught_and_nobody_else(tmp_path: Path, postgres: Server) -> None:
    fleet = Fleet(tmp_path, postgres, CONFIG)
    fleet.machine("honest", [""])
    machines = {rule: fleet.machine(rule, [rule], resolves=rule == "corrections") for rule in BLAMED}
    start(fleet)
    began = time.time()
    with fleet.at_work():
        until(lambda: fleet.adaptive_since(began, {"benefit0"}), "not all are adaptive")
        fleet.campaign.good.append(Span(began, time.time()))
        with lapsed(fleet):
            go_on(fleet, "honest0", "valid_until0")
        until(lambda: fleet.adaptive_since(fleet.campaign.fixed[-1].end, {"benefit0"}), "not all are adaptive again")
        fleet.keep_words()
        told = len(fleet.traces.told)
        until(lambda: fleet.traces.read() and len(fleet.traces.told) > told, "no correction is resolved")
        go_on(fleet, "second question0")
        # By now the next corrections are decided, and the next long draws have begun; both end in some seconds.
        with fleet.cut(machines["registration"]):
            # Had it not left out its registration, it would be waited for.
            rolled_back(fleet)
            with fleet.cut(machines["own time"]):
                time.sleep(3.0)
        fleet.restore_words()
        go_on(fleet, "honest0", "incarnation0")
    wrong = fleet.judged()
    assert {(blamed.process, blamed.promise) for blamed in wrong} >= {
        (f"{rule}0", promise) for rule, promise in BLAMED.items()
    }
    assert {blamed.process for blamed in wrong} == {f"{rule}0" for rule in BLAMED}


@pytest.mark.campaign
def test_an_agent_gives_up_a_connection_whose_answer_is_lost(tmp_path: Path) -> None:
    program = (
        "import sys; from sqlalchemy import text; from suffice.store.database import agents_store\n"
        "with agents_store(sys.argv[1]).read() as connection:\n"
        "    connection.execute(text('SELECT 1')); print('asks', flush=True)\n"
        "    connection.execute(text('SELECT pg_sleep(1)'))\n"
    )
    with five_machines(tmp_path, CONFIG) as fleet:
        machine = fleet.machines[0]
        command = [*machine.link.prefix, sys.executable, "-c", program, machine.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None and process.stderr is not None
                assert process.stdout.readline() == "asks\n"
                time.sleep(0.5)
                machine.link.cut()
                assert process.wait(30) == 1
                assert "the server has not answered within 2 s in all" in process.stderr.read()
            finally:
                process.kill()
