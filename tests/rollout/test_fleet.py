"""The receipt covers the fleet: every process has seen the baseline, has signed off, or has no lease any more."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from production import Production, again, producing
from sqlalchemy import text

from suffice.cli.rollout_view import print_fleet
from suffice.errors import RolloutError
from suffice.flag.lowering import ASKED_FILE
from suffice.rollout.driver import Driver
from suffice.rollout.fleet import (
    LATE_SECONDS,
    OLD_PRIMARY,
    FleetCount,
    Lowered,
    Seen,
    clocks_ahead,
    obstacle_of,
    plain_member,
)
from suffice.rollout.operator import Operator
from suffice.rollout.phases import Phase
from suffice.rollout.status import status_of
from suffice.rollout.wish import leave_wish
from suffice.rollout.word import length_of
from suffice.serving.agent import Agent
from suffice.serving.fence import LEASE_SECONDS, may_be_adaptive
from suffice.serving.lent_word import Lender, LentWord
from suffice.store.decision_row import WhyFixed
from suffice.store.incarnation import Standing
from suffice.store.ledger import Ledger
from suffice.store.processes import DAMAGED, write_process
from suffice.store.processes import fleet as registered
from suffice.store.triage import receipt_of
from suffice.store.words import Word, WordRead, read_word, write_word
from suffice.verifier.arm import Arm

SERVICE, ID = "verifier", "verifier-000001"


@dataclass
class Boot:
    """A boot clock that a test moves on."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def permitted(agent: Agent, plan: str) -> WhyFixed | None:
    """What the fence says to a target that every exposure of the stage would hold."""
    return may_be_adaptive(agent.read, agent.boot(), plan_id=plan, exposed=lambda _: True)


@dataclass
class Fleet:
    """A production with processes that read and write when they are told to."""

    production: Production
    agents: list[Agent]
    boot: Boot

    @property
    def plan(self) -> str:
        return str(self.production.operator.current.config["plan"])

    def step(self) -> None:
        for agent in self.agents:
            agent.step_write()
            agent.step_read()
            agent.step_write()

    def join(self, folder: Path | None = None) -> Agent:
        place = self.production.place
        agent = Agent(
            place.store,
            SERVICE,
            plan_id=self.plan,
            enabled=True,
            folder=folder or place.queue,
            now=self.production.clock,
            boot=self.boot,
        )
        self.agents.append(agent)
        return agent

    def use_boot_clock(self) -> Driver:
        """Let the runner wait by the clock of the test, which moves on with every look."""
        driver = self.production.operator.monitor.driver
        driver._boot = self._ticking
        return driver

    def _ticking(self) -> float:
        self.boot.now += 0.5
        return self.boot.now


@contextmanager
def fleet_in(folder: Path, processes: int = 2, url: str | None = None) -> Iterator[Fleet]:
    with ExitStack() as stack:
        production = stack.enter_context(producing(folder, url=url))
        fleet = Fleet(production, [], Boot())
        stack.callback(lambda: [agent.close() for agent in fleet.agents])
        for _ in range(processes):
            fleet.join()
        fleet.step()
        production.until("canary")
        fleet.step()
        yield fleet


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with fleet_in(tmp_path) as production:
        yield production


def receipt(fleet: Fleet) -> tuple[int | None, ...]:
    with fleet.production.store.read() as connection:
        stored = receipt_of(connection, ID)
    assert stored is not None
    return stored.processes, stored.acknowledged, stored.fenced, stored.gone, stored.not_covered


def test_two_machines_on_one_store_are_both_fixed_before_the_receipt(fleet: Fleet, tmp_path: Path) -> None:
    """Seen: the receipt said 20 of 20 fixed, and decisions of the second machine, with a folder of its own, went on."""
    second = fleet.join(tmp_path / "second")
    (tmp_path / "second").mkdir()
    fleet.step()
    assert [permitted(agent, fleet.plan) for agent in fleet.agents] == [None] * 3
    production = fleet.production
    driver = production.operator.monitor.driver
    waits: list[str] = []

    def others_are_told() -> float:
        # While the runner waits, nobody has seen the baseline but those who are stepped here.
        waits.append(production.state.phase.value)
        fleet.step()
        return fleet.boot.now

    driver._boot = others_are_told
    assert production.operator.tell("rollback", "ann", "enough").phase is Phase.ROLLED_BACK
    assert waits
    assert permitted(second, fleet.plan) is WhyFixed.EXPOSURE
    assert receipt(fleet) == (3, 3, 0, 0, 0)


def test_a_process_that_does_not_answer_is_waited_for_until_its_lease_has_run_out(fleet: Fleet) -> None:
    silent = fleet.agents.pop()
    assert permitted(silent, fleet.plan) is None
    driver, committed = fleet.use_boot_clock(), fleet.boot.now
    production = fleet.production
    try:
        assert production.operator.tell("rollback", "ann", "enough").phase is Phase.ROLLED_BACK
    finally:
        fleet.agents.append(silent)
    assert fleet.boot.now - committed >= LATE_SECONDS
    assert permitted(silent, fleet.plan) is WhyFixed.LAPSED
    assert receipt(fleet) == (2, 0, 2, 0, 0)
    event_of = next(event for event in production.operator.history() if event.action == "receipt")
    assert event_of.why.startswith("observed by 2 of 2 processes: 0 acknowledged, 2 fenced at ")
    assert driver.state.phase is Phase.ROLLED_BACK


@pytest.mark.parametrize("asked_again", [False, True], ids=["asked once", "asked again after the rollback"])
def test_a_word_that_was_lent_is_waited_for_until_its_lease_has_run_out(fleet: Fleet, asked_again: bool) -> None:
    """Who is lent a word may act on it for as long as it says, and nobody hears of it; nor does another who asks on the
    same host, and learns of the rollback, speak for the first."""
    production, place = fleet.production, fleet.production.place
    for agent in fleet.agents:
        agent.close()
    fleet.agents.clear()

    def ask() -> LentWord:
        with closing(
            Lender(place.store, SERVICE, place.queue, enabled=True, now=production.clock, boot=lambda: fleet.boot.now)
        ) as lender:
            return lender.ask()

    word = ask()
    assert word.adaptive and word.asked_boot_s is not None
    ends = word.asked_boot_s + word.remaining_s
    driver = fleet.use_boot_clock()
    if asked_again:
        ticking = driver._boot

        def others_ask() -> float:
            assert not ask().adaptive or production.state.phase is not Phase.ROLLING_BACK
            return ticking()

        driver._boot = others_ask
    assert production.operator.tell("rollback", "ann", "enough").phase is Phase.ROLLED_BACK
    assert fleet.boot.now >= ends
    assert receipt(fleet) == (3, 0, 1, 2, 0)


DAMAGES = {
    "text for an epoch": "epoch = 'x'",
    "a broken epoch": "epoch = 1e99",
    "no epoch": "epoch = NULL",
    "bytes for a host": "host = x'ff'",
    "text that is none for a host": "host = CAST(x'ff' AS TEXT)",
    "bytes for an id": "nonce = x'ff'",
    "bytes for a plan": "plan_id = x'ff'",
    "bytes for a service": "service = x'ff'",
    "text for the last read": "seen_at = 'x'",
    "a last read that is never": "seen_at = 9e999",
    "a last read of no calendar": "seen_at = 1e15",
    "bytes for the host's time": "beat_at = x'ff'",
    "text for a start": "started = 'x'",
    "text for a number": "pid = 'x', rows_waiting = 'x'",
    "text for its end": "left_at = 'x'",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_row_is_a_process_that_has_acknowledged_nothing(
    fleet: Fleet, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seen: each cycle, `fleet` and `rollback` raised TypeError, and no receipt could be given."""
    production, nonces = fleet.production, [agent.nonce for agent in fleet.agents]
    with production.store.write() as connection:
        # Without what keeps NULL out.
        for statement in (
            "CREATE TABLE kept AS SELECT * FROM processes",
            "DROP TABLE processes",
            "ALTER TABLE kept RENAME TO processes",
            f"UPDATE processes SET {damage} WHERE nonce = '{nonces[0]}'",
        ):
            connection.execute(text(statement))
    listed = production.operator.fleet()
    assert sorted(member.epoch == DAMAGED for member in listed) == [False, True]
    assert {member.state for member in listed} == {Seen.WAITING, Seen.ACKNOWLEDGED}
    print_fleet(listed)
    assert capsys.readouterr().out.count("damaged") == 1
    assert "NaN" not in json.dumps([plain_member(member) for member in listed])
    assert production.cycle().phase is Phase.PROGRESSING
    driver, committed = fleet.use_boot_clock(), fleet.boot.now
    assert production.operator.tell("rollback", "ann", "enough").phase is Phase.ROLLED_BACK
    assert fleet.boot.now - committed >= LATE_SECONDS
    assert receipt(fleet) == (2, 0, 2, 0, 0)
    assert driver.state.phase is Phase.ROLLED_BACK
    fleet.agents.clear()


def test_who_signed_off_is_gone_and_not_waited_for(fleet: Fleet) -> None:
    for agent in fleet.agents:
        agent.close()
    fleet.agents.clear()
    assert fleet.production.operator.tell("rollback", "ann", "enough").phase is Phase.ROLLED_BACK
    assert receipt(fleet) == (2, 0, 0, 2, 0)


def test_who_is_gone_is_listed_last(fleet: Fleet) -> None:
    first = fleet.production.operator.fleet()[0].id
    leaving = next(agent for agent in fleet.agents if agent.nonce == first)
    leaving.close()
    fleet.agents.remove(leaving)
    listed = fleet.production.operator.fleet()
    assert [member.state for member in listed] == [Seen.ACKNOWLEDGED, Seen.GONE]
    assert listed[-1].id == first


def test_without_patience_it_lowers_at_once_and_the_next_cycle_finishes(fleet: Fleet) -> None:
    production = fleet.production
    hasty = Operator(production.place, clock=production.clock, patience=lambda: False)
    with hasty:
        report = hasty.tell("rollback", "ann", "enough")
    assert report.phase is Phase.ROLLING_BACK
    assert "2 waited for" in report.notes[0]
    fleet.step()
    assert [permitted(agent, fleet.plan) for agent in fleet.agents] == [WhyFixed.EXPOSURE] * 2
    assert production.cycle() is not None
    assert production.state.phase is Phase.ROLLED_BACK
    assert receipt(fleet) == (2, 2, 0, 0, 0)


def test_a_restarted_runner_waits_anew(fleet: Fleet) -> None:
    production = fleet.production
    with Operator(production.place, clock=production.clock, patience=lambda: False) as hasty:
        hasty.tell("rollback", "ann", "enough")
    fleet.boot.now += LATE_SECONDS
    with Operator(production.place, clock=production.clock, patience=lambda: False) as other:
        # Long since by any clock, but this runner has not seen it pass.
        assert other.cycle().phase is Phase.ROLLING_BACK


def test_a_decision_that_was_adaptive_after_the_receipt_reopens_the_rollback(fleet: Fleet) -> None:
    production = fleet.production
    for agent in fleet.agents:
        agent.close()
    fleet.agents.clear()
    production.traffic(4)
    row = Ledger(production.store).rows(ID)[0]
    production.operator.tell("rollback", "ann", "enough")
    production.clock.now += 60
    late = replace(row, key="late", arm=Arm.ADAPTIVE, at=production.clock(), process="p")
    Ledger(production.store).append([late])
    production.clock.now += 60
    production.cycle()
    assert production.actions()[-4:] == ["settle", "reopen", "observed", "receipt"]
    told = next(event for event in production.operator.history() if event.action == "reopen")
    assert told.why == "1 decisions were adaptive after the receipt; allowed: none"
    production.cycle()
    assert production.actions()[-1] == "receipt"


def test_versions_that_cannot_acknowledge_are_listed_as_not_covered(fleet: Fleet) -> None:
    production = fleet.production
    production.disagreements(1, "canary")
    states = [member.state for member in production.operator.fleet()]
    assert states.count(Seen.NOT_COVERED) == 1
    for agent in fleet.agents:
        agent.close()
    fleet.agents.clear()
    production.operator.tell("rollback", "ann", "enough")
    assert receipt(fleet) == (3, 0, 0, 2, 1)


def test_the_sentence_of_a_receipt() -> None:
    counted = FleetCount(acknowledged=11, fenced=1, fenced_at=14 * 3600 + 3 * 60 + 5)
    assert counted.sentence == "observed by 12 of 12 processes: 11 acknowledged, 1 fenced at 14:03:05"


def test_the_fleet_is_listed_with_what_each_has_seen(fleet: Fleet) -> None:
    listed = fleet.production.operator.fleet()
    assert [member.state for member in listed] == [Seen.ACKNOWLEDGED] * 2
    assert {member.id for member in listed} == {agent.nonce for agent in fleet.agents}
    assert all(0 < member.lease_left_s <= LEASE_SECONDS for member in listed)
    fleet.production.clock.now += LATE_SECONDS
    assert {member.lease_left_s for member in fleet.production.operator.fleet()} == {0.0}
    with Operator(fleet.production.place, clock=fleet.production.clock, patience=lambda: False) as operator:
        operator.tell("rollback", "ann", "enough")
        assert [member.state for member in operator.fleet()] == [Seen.FENCED] * 2


def test_a_runner_that_is_gone_leaves_nobody_adaptive(fleet: Fleet) -> None:
    """Seen: adaptive for ever, and status says 0."""
    production = fleet.production
    length = length_of(production.state.rollout)
    assert length == 2 * 600 + 60
    production.clock.now += length
    fleet.step()
    assert [permitted(agent, fleet.plan) for agent in fleet.agents] == [WhyFixed.LAPSED] * 2
    why = status_of(production.operator).extra["permitted"]
    assert why == "nobody: no cycle has renewed the word for 1,260 s; is a runner at work?"


def backup_of(production: Production, to: Path) -> None:
    """A copy of the store as it is now."""
    path = production.place.queue / "store.db"
    with closing(sqlite3.connect(path)) as connection, closing(sqlite3.connect(to)) as copy:
        connection.backup(copy)


def restored(fleet: Fleet, backup: Path) -> Operator:
    """The runner of the store that a backup was put in place of; no process has the old file open."""
    production = fleet.production
    for agent in fleet.agents:
        agent.close()
    fleet.agents.clear()
    production.operator.close()
    path = production.place.queue / "store.db"
    for suffix in ("-wal", "-shm"):
        path.with_name(f"{path.name}{suffix}").unlink(missing_ok=True)
    shutil.copy(backup, path.with_name("new"))
    path.with_name("new").replace(path)
    return again(production).operator


def test_a_store_that_is_restored_to_before_the_rollback_is_held_back(fleet: Fleet, tmp_path: Path) -> None:
    """Seen: the runner raised the flag again."""
    production = fleet.production
    backup_of(production, tmp_path / "backup.db")
    production.operator.tell("rollback", "ann", "enough")
    with restored(fleet, tmp_path / "backup.db") as operator:
        assert operator.cycle().phase is Phase.HELD_BACK
        assert operator.state.weight == 0
        with operator.store.read() as reading:
            read = read_word(reading, SERVICE, production.clock())
        assert read.counts
        assert read.word is not None
        assert (read.word.phase, read.word.exposure) == ("HeldBack", None)
        assert "targeting" not in production.place.flag.read_text()
        assert operator.cycle().phase is Phase.HELD_BACK
        assert operator.tell("rollback", "ann", "really").phase is Phase.ROLLING_BACK
        assert operator.history()[-1].why.startswith("words of the store's old incarnation may stand until ")
        production.clock.now += length_of(operator.state.rollout) + LATE_SECONDS
        assert operator.cycle().phase is Phase.ROLLED_BACK


def test_resume_publishes_the_stage_of_a_restored_store_again(fleet: Fleet, tmp_path: Path) -> None:
    production = fleet.production
    backup_of(production, tmp_path / "backup.db")
    with restored(fleet, tmp_path / "backup.db") as operator:
        assert operator.cycle().phase is Phase.HELD_BACK
        assert operator.tell("resume", "ann").phase is Phase.PROGRESSING
        with operator.store.read() as reading:
            word = read_word(reading, SERVICE, production.clock()).word
        assert word is not None
        assert (word.stage, word.exposure) == ("canary", {"weight": 50, "salt": ID, "regions": ["eu"]})
        assert "targeting" in production.place.flag.read_text()


def test_a_word_that_was_released_in_an_old_primary_is_waited_for_until_a_person_says_that_it_is_gone(
    fleet: Fleet, tmp_path: Path
) -> None:
    production = fleet.production
    completed(production)
    # Taken before the release: only the note of the folder knows of it.
    backup_of(production, tmp_path / "backup.db")
    production.operator.tell("release", "ann", "the runner's host goes")
    with restored(fleet, tmp_path / "backup.db") as operator:
        assert operator.cycle().phase is Phase.HELD_BACK
        assert (
            status_of(operator)
            .notes[-1]
            .startswith(f"a rollback would wait: {OLD_PRIMARY} (`suffice rollout rollback ")
        )
        assert operator.tell("rollback", "ann", "really").phase is Phase.ROLLING_BACK
        production.clock.now += 1e6
        assert operator.cycle().phase is Phase.ROLLING_BACK
        assert operator.history()[-1].why.endswith("a rollback with --old-primary-is-gone says so")
        waiting = f"the baseline is not observed yet: {OLD_PRIMARY}"
        assert status_of(operator).notes[-1].startswith(f"{waiting} (`suffice rollout rollback ")
        operator.old_primary_is_gone("ann")
        # Whoever read the old primary a moment ago, and is in no row of this store, may act on it for a lease.
        assert operator.tell("rollback", "ann", "really").phase is Phase.ROLLING_BACK
        assert operator.history()[-1].why.startswith("words of the store's old incarnation may stand until ")
        production.clock.now += LATE_SECONDS
        assert operator.tell("rollback", "ann", "really").phase is Phase.ROLLED_BACK
        with pytest.raises(RolloutError, match="no old primary is waited for"):
            operator.old_primary_is_gone("ann")


def test_that_an_old_primary_is_gone_can_be_said_before_any_cycle_has_seen_the_new_store(
    fleet: Fleet, tmp_path: Path
) -> None:
    production = fleet.production
    completed(production)
    backup_of(production, tmp_path / "backup.db")
    production.operator.tell("release", "ann", "the runner's host goes")
    with restored(fleet, tmp_path / "backup.db") as operator:
        operator.old_primary_is_gone("ann")
        assert operator.state.phase is Phase.HELD_BACK
        operator.tell("rollback", "ann", "really")
        production.clock.now += length_of(operator.state.rollout) + LATE_SECONDS
        assert operator.cycle().phase is Phase.ROLLED_BACK


@pytest.mark.parametrize(
    ("up_since", "epoch", "said"),
    [
        (None, 3, ""),
        (1000.0 - LATE_SECONDS, 3, ""),
        (1000.0 - LATE_SECONDS + 0.1, 3, "the server came up less than a lease ago"),
        (None, 4, "the store is not at the rollback's epoch any more"),
    ],
)
def test_what_the_store_itself_holds_against_a_receipt(up_since: float | None, epoch: int, said: str) -> None:
    standing = Standing(1000.0, primary=True, incarnation="a", up_since=up_since)
    word = Word(SERVICE, ID, "plan", "RollingBack", "", None, 0.0, "", shadow=False, length=120.0, epoch=epoch)
    assert obstacle_of(WordRead(standing, word, 120.0), Lowered(3, 0.0), None).startswith(said)
    assert bool(said) == bool(obstacle_of(WordRead(standing, word, 120.0), Lowered(3, 0.0), None))


def completed(production: Production) -> None:
    production.until("full")
    for _ in range(3):
        production.traffic()
        production.cycle()
    assert production.state.phase is Phase.COMPLETED


def test_a_completed_rollout_can_be_released_and_stands_without_a_runner(tmp_path: Path) -> None:
    with fleet_in(tmp_path, processes=1) as fleet:
        production = fleet.production
        with pytest.raises(RolloutError, match="release is not possible while Progressing"):
            production.operator.tell("release", "ann", "too early")
        completed(production)
        production.operator.tell("release", "ann", "the runner's host goes")
        production.clock.now += 1e7
        fleet.step()
        assert permitted(fleet.agents[0], fleet.plan) is None
        with pytest.raises(RolloutError, match="release is refused"):
            content = production.place.config.read_text().replace('"n_samples": 32', '"n_samples": 40')
            production.place.config.write_text(content)
            production.operator.tell("release", "ann", "again")


def test_one_process_that_cannot_be_adaptive_holds_the_stage_with_its_number(fleet: Fleet) -> None:
    production = fleet.production
    with production.store.touch() as connection:
        one, other = registered(connection, SERVICE)
        seen_at = production.clock() + 10
        write_process(connection, replace(one, enabled=False, rows_waiting=7, seen_at=seen_at))
        write_process(connection, replace(other, rows_waiting=5, seen_at=seen_at))
    assert production.cycle(10).phase is Phase.PROGRESSING
    health = {part["gate"]: part for part in production.judged("health")["parts"]}
    assert (health["processes"]["outcome"], health["processes"]["sentence"]) == (
        "Inconclusive",
        "1 of 2 processes cannot be adaptive (limit 0): 1 has adaptive sampling disabled, or the baseline forced; "
        "restart them with the rollout's configuration",
    )
    assert health["spools"]["numbers"] == {"waiting": 12, "decisions": 0}


@pytest.mark.parametrize("change", [{"enabled": False}, {"plan_id": "another"}])
def test_a_stage_in_which_no_process_can_be_adaptive_says_so_in_the_first_cycle_and_pauses(
    fleet: Fleet, change: dict[str, Any]
) -> None:
    production = fleet.production
    with production.store.touch() as connection:
        for listed in registered(connection, SERVICE):
            write_process(connection, replace(listed, **change, seen_at=production.clock() + 10))
    assert production.cycle(10).phase is Phase.PAUSED
    assert production.state.why.startswith("none of 2 processes can be adaptive: 2 have ")
    with production.store.touch() as connection:
        (one, _) = registered(connection, SERVICE)
        write_process(connection, replace(one, enabled=True, plan_id=fleet.plan, seen_at=production.clock() + 10))
    production.operator.tell("resume", "ann")
    assert production.cycle(10).phase is Phase.PROGRESSING


def test_a_host_of_the_fleet_whose_clock_is_off_is_an_error_with_its_name(fleet: Fleet) -> None:
    production = fleet.production
    with production.store.touch() as connection:
        (one, _) = registered(connection, SERVICE)
        write_process(connection, replace(one, host="pump-7", beat_at=(one.seen_at or 0.0) + 1800))
    production.traffic(10)
    production.cycle()
    assert "the clock of host pump-7 is 1,800 s ahead of the store's (limit 60 s)" in production.state.why


def test_a_process_that_reads_or_writes_late_and_one_that_is_gone_say_nothing_of_a_hosts_clock(fleet: Fleet) -> None:
    production = fleet.production

    def ahead() -> set[int]:
        with production.store.read() as connection:
            return {round(seconds) for seconds in clocks_ahead(connection, SERVICE).values()}

    # Reads fail for ten minutes, or the process stands still between a read and the write.
    for clock in (production.clock, fleet.boot):
        clock.now += 600.0
    for agent in fleet.agents:
        agent.step_write()
    assert ahead() == {0}
    # Killed while the host's clock was off, which it is no more.
    with production.store.touch() as connection:
        (one, _) = registered(connection, SERVICE)
        write_process(connection, replace(one, nonce="zzz", beat_at=one.beat_at + 1800))
    production.clock.now += 1.0
    fleet.boot.now += 1.0
    fleet.step()
    assert ahead() == {0}


def test_a_rollback_lowers_this_host_at_once_also_while_the_store_is_locked(fleet: Fleet) -> None:
    production = fleet.production
    path = production.place.queue / "store.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asking = Thread(target=lambda: production.operator.tell("rollback", "ann", "enough"))
        asking.start()
        wish = production.place.queue / ASKED_FILE
        while not wish.exists():
            assert asking.is_alive()
        # The store is locked, and stays so: nothing of the rollback is in it.
        for agent in fleet.agents:
            agent.step_read()
        assert production.state.phase is Phase.PROGRESSING
        assert all(agent.lowering is not None and agent.lowering.outranks(10**9) for agent in fleet.agents)
        other.execute("ROLLBACK")
    while asking.is_alive():
        fleet.step()
        asking.join(0.05)
    assert production.state.phase is Phase.ROLLED_BACK
    assert not wish.exists()


@pytest.mark.parametrize("asked", [None, ("alice", "customers see wrong verdicts")])
def test_a_row_that_was_lowered_before_a_kill_is_carried_out_by_whoever_comes_next(
    asked: tuple[str, str] | None, fleet: Fleet
) -> None:
    """Seen: who had asked for it, and why, was nowhere afterwards."""
    production = fleet.production
    driver = production.operator.monitor.driver
    with production.store.read() as connection:
        word = read_word(connection, SERVICE, production.clock()).word
    assert word is not None
    with production.store.touch() as connection:
        write_word(connection, replace(word, phase="RollingBack", stage="", exposure=None), production.clock())
    driver._boot = lambda: (fleet.step(), fleet.boot.now)[1]
    if asked:
        leave_wish(production.place.queue, *asked)
    assert production.cycle().phase is Phase.ROLLED_BACK
    who, why = asked or ("runner", "a rollback was begun, and its word is in the store")
    assert production.state.why == why
    back = [(event.who, event.why) for event in production.operator.history() if event.action == "roll back"]
    assert back == [(who, why)]
    bundled = json.loads((production.place.bundle(ID) / "state.json").read_text(encoding="utf-8"))
    assert bundled["why"] == why
    assert not (production.place.queue / ASKED_FILE).exists()
