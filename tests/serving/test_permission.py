"""Whether a case may be adaptive, where its decision belongs, and what becomes of one that draws meanwhile."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from serving_world import PLAN, SEED, Flags, N, case

import permitted
from suffice.flag.bucketing import buckets
from suffice.flag.file import publish
from suffice.flag.lowering import FORCE_FIXED
from suffice.serving.agent import Agent
from suffice.serving.fence import LEASE_SECONDS, Read
from suffice.serving.permission import SECOND_WAIT_SECONDS, Asked, Leased, Told, situation_of
from suffice.serving.served import Served
from suffice.serving.situation import Situation
from suffice.serving.verifier import Verifier
from suffice.store.database import Store, open_store
from suffice.store.decision_row import WhyFixed
from suffice.store.words import Word
from suffice.telemetry.counters import Counters
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case
from suffice.verifier.loop import decide_fixed, observations

WORD = replace(permitted.WORD, plan_id=PLAN.id, audit_fraction=0.0)


class Waiting(Agent):
    """The real agent, which remembers for how long somebody waited for a read."""

    waits: tuple[float, ...] = ()

    def wait_for_read(self, after: Read | None, seconds: float) -> Read | None:
        self.waits += (seconds,)
        return super().wait_for_read(after, seconds)


@dataclass
class World:
    """A verifier whose agent takes its steps when the test says so, on clocks that the test moves."""

    store: Store
    agent: Waiting
    verifier: Verifier
    boot: list[float]

    def write(self, word: Word = WORD) -> None:
        permitted.written(self.store, word, 1000.0)

    def leased(self, **changes: Any) -> Leased:
        return Leased(self.agent, **{"plan_id": PLAN.id, "enabled": True, "clock": lambda: 7.0, **changes})

    def decide(self, meanwhile: Callable[[], None]) -> Served:
        """Decide a clear case; something happens while it draws for the first time."""
        drawn = [0]

        def sampler(rng: Generator, n: int) -> NDArray[np.float64]:
            if drawn[0] == 0:
                meanwhile()
            drawn[0] += n
            return (rng.random(n) < 0.97).astype(np.float64)

        served = self.verifier.verify(Case("k", "t", sampler))
        assert drawn[0] == served.n
        return served


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    boot = [50.0]
    with open_store(tmp_path / "store.db") as store:
        agent = permitted.stepped(Waiting, tmp_path / "store.db", lambda: boot[0], plan_id=PLAN.id, folder=tmp_path)
        permission = Leased(agent, plan_id=PLAN.id, enabled=True, clock=lambda: 7.0)
        verifier = Verifier(PLAN, SEED, enabled=True, counters=Counters(), clock=lambda: 7.0, permission=permission)
        world = World(store, agent, verifier, boot)
        world.write()
        agent.step_write()
        agent.step_read()
        yield world
        agent.close()


def test_a_word_that_still_stands_lets_the_verdict_out(world: World) -> None:
    served = world.decide(lambda: None)
    assert (served.arm, served.why_fixed, served.epoch, served.rollout) == (Arm.ADAPTIVE, None, 1, "pump-000001")
    assert served.n < N


def test_a_word_that_was_taken_back_meanwhile_sends_the_case_on_to_the_baseline(world: World) -> None:
    def rollback() -> None:
        world.write(replace(WORD, phase="RollingBack", exposure=None))
        world.agent.step_read()

    served = world.decide(rollback)
    assert (served.arm, served.why_fixed, served.n, served.epoch) == (Arm.FIXED, WhyFixed.FENCED, N, 2)
    assert served.fallback is None

    def fresh(rng: Generator, n: int) -> NDArray[np.float64]:
        return (rng.random(n) < 0.97).astype(np.float64)

    again = decide_fixed(observations(Case("k", "t", fresh), PLAN.rule, N, SEED), PLAN.rule)
    assert served.decision is again.decision


def test_a_lease_that_ran_out_while_nobody_read_fences_the_decision(world: World) -> None:
    def suspended() -> None:
        world.boot[0] += 3600.0

    assert world.decide(suspended).why_fixed is WhyFixed.FENCED


def test_a_read_that_merely_aged_out_is_waited_for_once(world: World) -> None:
    """A sampler that holds the interpreter's lock keeps the reader from its work; the store still says yes."""

    def long_draws() -> None:
        world.boot[0] += 6.0
        threading.Timer(0.05, world.agent.step_read).start()

    assert world.decide(long_draws).why_fixed is None
    assert world.agent.waits == (SECOND_WAIT_SECONDS,)
    assert SECOND_WAIT_SECONDS <= 0.25, "no decision waits longer for a word"


def test_a_word_that_lapsed_is_not_waited_for(world: World) -> None:
    world.write(replace(WORD, length=4.0))
    world.agent.step_read()

    def runner_is_gone() -> None:
        world.boot[0] += 4.5

    assert world.decide(runner_is_gone).why_fixed is WhyFixed.FENCED
    assert world.agent.waits == ()


@pytest.mark.parametrize("plan_id", [PLAN.id, "another"])
def test_only_the_second_question_waits_and_only_for_a_read_that_has_aged_out(world: World, plan_id: str) -> None:
    permission = world.leased(plan_id=plan_id)
    permission.ask_again(case(1))
    world.boot[0] += LEASE_SECONDS
    permission.ask(case(1))
    assert world.agent.waits == ()
    assert permission.ask_again(case(1)).why_fixed is WhyFixed.LAPSED
    assert world.agent.waits == (SECOND_WAIT_SECONDS,)


def test_nobody_waits_where_another_reason_would_stay(world: World) -> None:
    world.boot[0] += LEASE_SECONDS
    assert world.leased(enabled=False).ask_again(case(1)).why_fixed is WhyFixed.DISABLED
    world.agent.read = None
    assert world.leased().ask_again(case(1)).why_fixed is WhyFixed.NO_WORD
    assert world.agent.waits == ()


def asked(world: World, number: int = 1, region: str | None = None, **changes: Any) -> Asked:
    return world.leased(**changes).ask(case(number, region=region))


def test_an_answer_says_whose_word_it_is_and_when_it_was_given_by_the_stores_clock(world: World) -> None:
    world.boot[0] += 2.0
    situation = Situation("pump-000001", "canary", audit_salt="pump-000001/audit", plan_id=PLAN.id)
    assert asked(world) == Asked(None, situation, at=1002.0, epoch=1)
    assert world.leased().process == world.agent.nonce
    world.agent.read = None
    assert asked(world) == Asked(WhyFixed.NO_WORD, Situation(), at=7.0)


def test_a_word_that_does_not_count_here_leaves_no_epoch_with_the_decision(world: World) -> None:
    assert world.agent.read is not None
    world.agent.read = replace(world.agent.read, registered=False)
    assert asked(world) == Asked(WhyFixed.NO_WORD, Situation(), at=1000.0)


@pytest.mark.parametrize("value, why", [("1", WhyFixed.FORCED), ("yes", WhyFixed.FORCED), ("0", None), ("", None)])
def test_the_environment_forces_the_baseline(
    world: World, monkeypatch: pytest.MonkeyPatch, value: str, why: WhyFixed | None
) -> None:
    monkeypatch.setenv(FORCE_FIXED, value)
    assert asked(world).why_fixed is why


def test_whoever_is_disabled_has_another_plan_or_can_note_nothing_more_is_fixed(world: World) -> None:
    assert asked(world, enabled=False).why_fixed is WhyFixed.DISABLED
    assert asked(world, plan_id="another").why_fixed is WhyFixed.FOREIGN_PLAN
    assert asked(world, blocked=lambda: True).why_fixed is WhyFixed.FORCED


def test_a_file_lowers_unless_it_was_exported_from_an_older_word(world: World, tmp_path: Path) -> None:
    world.write(replace(WORD, stage="expand"))
    for epoch, why in ((None, WhyFixed.FORCED), (2, WhyFixed.FORCED), (1, None)):
        publish(tmp_path / "flag.json", None, epoch=epoch)
        world.agent.step_read()
        assert asked(world).why_fixed is why


@pytest.mark.parametrize("word", [replace(WORD, exposure=None), replace(WORD, shadow=True)])
def test_a_file_is_no_reason_where_the_word_itself_puts_nobody_on_the_adaptive_arm(
    world: World, tmp_path: Path, word: Word, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(word)
    publish(tmp_path / "flag.json", None, epoch=2)
    world.agent.step_read()
    assert world.agent.lowering is not None
    assert asked(world).why_fixed is WhyFixed.EXPOSURE
    monkeypatch.setenv(FORCE_FIXED, "1")
    assert asked(world).why_fixed is WhyFixed.FORCED, "the environment is the reason whatever the word says"


def test_a_provider_of_the_host_may_lower_and_never_raises(world: World) -> None:
    only_first = Flags(lambda target: target == "t1")
    assert [asked(world, number, provider=only_first).why_fixed for number in (1, 2)] == [None, WhyFixed.FORCED]
    broken = asked(world, provider=Flags(None))
    assert (broken.why_fixed, broken.failure) == (WhyFixed.FALLBACK, "RuntimeError: the flag broke")
    world.write(replace(WORD, exposure=None))
    world.agent.step_read()
    for number in (1, 2):
        assert asked(world, number, provider=only_first).why_fixed is WhyFixed.EXPOSURE, "the first reason is told"


@pytest.mark.parametrize("meanwhile", ["rolled back", "nothing read"])
def test_a_provider_that_takes_its_time_is_no_last_word(world: World, meanwhile: str) -> None:
    """It answered adaptive after the receipt before: the fence was asked first, and not again."""

    def slow(_: str) -> bool:
        if meanwhile == "rolled back":
            world.write(replace(WORD, phase="RollingBack", exposure=None))
            world.agent.step_read()
        else:
            world.boot[0] += LEASE_SECONDS + 1
        return True

    answer = asked(world, provider=Flags(slow))
    assert answer.why_fixed is (WhyFixed.EXPOSURE if meanwhile == "rolled back" else WhyFixed.LAPSED)
    assert answer.epoch == (2 if meanwhile == "rolled back" else 1)


def test_a_provider_is_not_asked_in_a_transaction(world: World) -> None:
    asked_for = list[str]()
    permission = world.leased(provider=Flags(lambda target: bool(asked_for.append(target)) or True))
    with world.store.write() as connection:
        rollout, may = permission.within(connection, WORD.service, 1000.0)
        assert (rollout, may(case(1))) == (WORD.rollout, True)
    assert asked_for == []


def test_a_target_is_adaptive_in_its_bucket_and_region_only(world: World) -> None:
    world.write(replace(WORD, exposure={"weight": 50, "salt": "salt", "regions": ["eu"]}))
    world.agent.step_read()
    placed = buckets("salt", [f"t{number}" for number in range(40)])
    for number in range(40):
        inside = placed[f"t{number}"] < 50
        assert asked(world, number, "eu").why_fixed is (None if inside else WhyFixed.EXPOSURE)
        assert asked(world, number, "us").why_fixed is asked(world, number).why_fixed is WhyFixed.EXPOSURE
    world.write(replace(WORD, exposure={"weight": 50}))
    world.agent.step_read()
    assert asked(world).why_fixed is WhyFixed.NO_WORD


def test_within_a_write_transaction_the_word_itself_is_asked_and_no_lease(world: World, tmp_path: Path) -> None:
    world.boot[0] += 3600.0
    permission = world.leased()

    def told(now: float = 1000.0, service: str = "pump") -> tuple[str | None, bool]:
        with world.store.write() as connection:
            rollout, may = permission.within(connection, service, now)
            return rollout, may(case(1))

    assert told() == ("pump-000001", True)
    assert told(now=1000.0 + 119.9) == ("pump-000001", True)
    assert told(now=1000.0 + 120.0) == ("pump-000001", False), "it has lapsed"
    assert told(service="another") == (None, False)
    world.write(replace(WORD, length=0.5))
    assert told() == ("pump-000001", True), "it is as old as the transaction, however short it stands"
    world.write(replace(WORD, exposure=None))
    assert told() == ("pump-000001", False)
    world.write(replace(WORD, stage="expand"))
    assert told() == ("pump-000001", True)
    publish(tmp_path / "flag.json", None, epoch=4)
    world.agent.step_read()
    assert told() == ("pump-000001", False), "a file exported from this word, or a newer one, lowers"
    publish(tmp_path / "flag.json", None, epoch=3)
    world.agent.step_read()
    assert told() == ("pump-000001", True)


READ = Read(
    replace(WORD, audit_fraction=0.3, audit_salt="salted", shadow=True, incarnation="here"),
    began=50.0,
    remaining=60.0,
    store_time=1000.0,
    incarnation="here",
    primary=True,
    registered=True,
)
ENDED = Situation(rollout="pump-000001", plan_id=PLAN.id)


@pytest.mark.parametrize(
    "read, now, situation",
    [
        (None, 50.0, Situation()),
        (replace(READ, word=None), 50.0, Situation()),
        (replace(READ, registered=False), 50.0, Situation()),
        (READ, 50.0, Situation("pump-000001", "canary", 0.3, "salted", shadow=True, plan_id=PLAN.id)),
        (READ, 50.0 + LEASE_SECONDS, replace(ENDED, stage="canary")),
        (replace(READ, word=replace(WORD, phase="RolledBack", incarnation="here")), 50.0, ENDED),
    ],
)
def test_a_decision_belongs_to_the_stage_and_its_audits_end_with_the_lease(
    read: Read | None, now: float, situation: Situation
) -> None:
    assert situation_of(read, now) == situation


def outside(flag: Flags | None = None, situation: Situation | None = None, *, enabled: bool = True) -> Told:
    return Told(flag, lambda: situation or Situation("r", "s"), PLAN.id, lambda: 7.0, enabled=enabled)


@pytest.mark.parametrize(
    "permission, why",
    [
        (outside(Flags()), None),
        (outside(Flags(), Situation("r", "s", plan_id=PLAN.id)), None),
        (outside(Flags(), Situation("r", "s", plan_id="another")), WhyFixed.FOREIGN_PLAN),
        (outside(Flags(), Situation("r", "s", shadow=True)), WhyFixed.EXPOSURE),
        (outside(Flags(lambda target: False)), WhyFixed.EXPOSURE),
        (outside(None), WhyFixed.EXPOSURE),
        (outside(Flags(), enabled=False), WhyFixed.DISABLED),
    ],
)
def test_outside_a_rollout_flag_and_situation_say_it(permission: Told, why: WhyFixed | None) -> None:
    first, again = permission.ask(case(1)), permission.ask_again(case(1))
    assert (first.why_fixed, first.at, first.epoch, first.failure) == (why, 7.0, None, None)
    assert first == again
    assert first.situation.rollout == "r"
    assert permission.process is None


def test_outside_a_rollout_the_environment_and_what_breaks_mean_fixed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert outside(Flags(None)).ask(case(1)) == Asked(
        WhyFixed.FALLBACK, Situation("r", "s"), 7.0, failure="RuntimeError: the flag broke"
    )
    monkeypatch.setenv(FORCE_FIXED, "1")
    assert outside(Flags()).ask(case(1)).why_fixed is WhyFixed.FORCED
