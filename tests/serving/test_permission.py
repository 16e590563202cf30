"""The second question: what becomes of a decision whose permission ends while it draws."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from serving_world import PLAN, SEED, N

import permitted
from suffice.serving.agent import Agent
from suffice.serving.permission import Leased
from suffice.serving.served import Served
from suffice.serving.verifier import Verifier
from suffice.store.database import Store, open_store
from suffice.store.decision_row import WhyFixed
from suffice.store.words import Word
from suffice.telemetry.counters import Counters
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case
from suffice.verifier.loop import decide_fixed, observations

WORD = replace(permitted.WORD, plan_id=PLAN.id, audit_fraction=0.0)


@dataclass
class World:
    """A verifier whose agent takes its steps when the test says so, on clocks that the test moves."""

    store: Store
    agent: Agent
    verifier: Verifier
    boot: list[float]

    def write(self, word: Word = WORD) -> None:
        permitted.written(self.store, word, 1000.0)

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
        agent = permitted.stepped(Agent, tmp_path / "store.db", lambda: boot[0], plan_id=PLAN.id)
        permission = Leased(agent, plan_id=PLAN.id, enabled=True, clock=lambda: 7.0)
        verifier = Verifier(PLAN, SEED, enabled=True, counters=Counters(), clock=lambda: 7.0, permission=permission)
        made = World(store, agent, verifier, boot)
        made.write()
        agent.step_write()
        agent.step_read()
        yield made
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


def test_a_word_that_lapsed_is_not_waited_for(world: World) -> None:
    world.write(replace(WORD, length=4.0))
    world.agent.step_read()

    def runner_is_gone() -> None:
        world.boot[0] += 4.5

    assert world.decide(runner_is_gone).why_fixed is WhyFixed.FENCED
