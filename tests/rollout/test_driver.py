"""The runner: the flag follows the stored state, and a kill between any two steps loses and repeats nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from suffice.config import RolloutConfig, Stage
from suffice.errors import RolloutError, StoreConflict
from suffice.flag.answer import FlagAnswer
from suffice.flag.client import FlagClient
from suffice.flag.document import Exposure, epoch_of
from suffice.flag.file import published
from suffice.gates.outcome import GateResult, Outcome
from suffice.rollout import baseline, driver
from suffice.rollout.controller import (
    Command,
    Cycle,
    Event,
    Paused,
    Resumed,
    RollbackAsked,
    Started,
    State,
    Write,
    exposure_of,
)
from suffice.rollout.driver import Driver, FlagAccess, Note
from suffice.rollout.phases import Phase
from suffice.store.actions import Action
from suffice.store.database import Store, open_store
from suffice.store.journal import JournalEvent, journal_of, verify_journal
from suffice.store.note import read_note
from suffice.store.rollouts import save_rollout
from suffice.store.words import WordRead, read_word
from suffice.verifier.arm import Arm

STAGES = (
    Stage(name="staging", weight=0, shadow=True, hold=timedelta(seconds=100), min_audits=10),
    Stage(name="canary", weight=20, regions=("eu-west-1",), hold=timedelta(seconds=100), min_audits=5),
    Stage(name="full", weight=100),
)
TARGETS = tuple(f"pump-{i}" for i in range(200))


def gate(outcome: Outcome) -> GateResult:
    return GateResult("disagreement", outcome, f"0.3 % of audits differ, {outcome.value}; allowed 1 %", 0.003, 0.01)


GOOD, BAD = (Cycle((gate(outcome),), 10) for outcome in (Outcome.SUCCESSFUL, Outcome.FAILED))


@dataclass
class Settled:
    """What was settled, call by call."""

    calls: list[tuple[Phase, str, int]] = field(default_factory=list)

    def settle(self, state: State) -> None:
        self.calls.append((state.phase, state.why, len(state.failed)))


@dataclass
class World:
    """A store and a flag file, and everything that asks them; `time` passes as it is told."""

    folder: Path
    store: Store
    flag: FlagClient
    settled: Settled = field(default_factory=Settled)
    time: float = 0.0
    targets: tuple[str, ...] = TARGETS

    def driver(self, kind: type[Driver] = Driver) -> Driver:
        access = FlagAccess(self.path, "salt", self.flag, self.targets, ("eu-west-1", "us-east-1"))
        return kind(self.store, "r1", access, self.settled.settle, lambda: self.time)

    @property
    def path(self) -> Path:
        return self.folder / "flag.json"

    @property
    def actions(self) -> list[str]:
        with self.store.read() as connection:
            assert verify_journal(connection).intact
            return [event.action for event in journal_of(connection, "r1")]

    def adaptive(self, region: str = "eu-west-1") -> set[str]:
        return {target for target in TARGETS if self.flag.arm(target, region) is Arm.ADAPTIVE}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    flag = FlagClient.from_file(tmp_path / "flag.json", poll_ms=10)
    with flag, open_store(tmp_path / "store.db", durable=False) as store:
        yield World(tmp_path, store, flag)


def created(world: World) -> Driver:
    driver = world.driver()
    driver.create(State(RolloutConfig(stages=STAGES, cycle=timedelta(seconds=100))), "service", {})
    return driver


def test_the_flag_follows_the_stages_and_is_observed_before_a_stage_counts(world: World) -> None:
    driver = created(world)
    driver.handle(Started(), "ann")
    assert published(world.path) is None
    assert world.adaptive() == set()
    world.time = 100
    assert driver.handle(GOOD, "runner").current.name == "canary"
    assert published(world.path) == Exposure(20, "salt", ("eu-west-1",))
    assert 15 < len(world.adaptive()) < 65
    assert world.adaptive("us-east-1") == set()
    world.time = 200
    driver.handle(GOOD, "runner")
    assert world.adaptive() == world.adaptive("us-east-1") == set(TARGETS)
    assert driver.handle(GOOD, "runner").phase is Phase.COMPLETED
    assert world.actions == ["start", "advance", "advance", "complete"]


def word(world: World) -> WordRead:
    with world.store.read() as connection:
        return read_word(connection, "service", world.time)


def test_the_word_is_what_the_state_is_and_the_file_is_exported_from_it(world: World) -> None:
    driver = created(world)
    driver.handle(Started(), "ann")
    shadow = word(world)
    assert shadow.counts
    assert shadow.word is not None
    assert (shadow.word.stage, shadow.word.exposure, shadow.word.shadow, shadow.remaining) == (
        "staging",
        None,
        True,
        260.0,
    )
    world.time = 100
    driver.handle(GOOD, "runner")
    canary = word(world).word
    assert canary is not None
    assert (canary.stage, canary.exposure) == ("canary", {"weight": 20, "salt": "salt", "regions": ["eu-west-1"]})
    assert canary.epoch == shadow.word.epoch + 1
    assert epoch_of(world.path.read_text()) == canary.epoch
    driver.handle(RollbackAsked("enough"), "ann")
    back = word(world).word
    assert back is not None
    assert (back.phase, back.stage, back.exposure) == ("RolledBack", "", None)
    assert back.epoch > canary.epoch
    assert read_note(world.folder).epoch == back.epoch


def test_a_cycle_renews_the_word_and_without_a_runner_it_lapses(world: World) -> None:
    driver = created(world)
    driver.handle(Started(), "ann")
    epochs = []
    for world.time in (10, 20, 30):
        driver.handle(GOOD, "runner")
        read = word(world)
        assert read.word is not None
        epochs.append(read.word.epoch)
        assert read.remaining == 2 * 100 + 60
    assert len(set(epochs)) == 1
    world.time += 260
    assert word(world).remaining == 0.0


def test_a_rollback_publishes_the_baseline_observes_it_and_settles_once(world: World) -> None:
    driver = created(world)
    driver.handle(Started(), "ann")
    world.time = 100
    driver.handle(GOOD, "runner")
    assert driver.handle(BAD, "runner").phase is Phase.ROLLED_BACK
    assert world.adaptive() == set()
    assert world.settled.calls == [(Phase.ROLLED_BACK, BAD.results[0].named, 1)]
    driver.handle(RollbackAsked("again"), "ann")
    assert len(world.settled.calls) == 1
    assert world.actions == ["start", "advance", "roll back", "observed", "receipt"]


def test_the_note_of_an_event_and_the_state_that_it_leads_to_are_stored_together_or_not_at_all(world: World) -> None:
    driver = created(world)
    driver.handle(Started(), "ann")
    world.time = 100

    def note(after: State) -> JournalEvent:
        return JournalEvent(world.time, "r1", "runner", Action.JUDGE, after.current.name, {"held": after.held})

    def killed(_: State) -> JournalEvent:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driver.handle(GOOD, "runner", killed)
    assert (driver.state.current.name, world.actions) == ("staging", ["start"])
    driver.handle(GOOD, "runner", note)
    assert world.actions == ["start", "judge", "advance"]
    with world.store.read() as connection:
        judged = journal_of(connection, "r1")[1]
    assert (judged.why, judged.numbers) == ("canary", {"held": 0.0})


def test_a_pause_keeps_the_weight(world: World) -> None:
    driver = created(world)
    driver.handle(Started(), "ann")
    world.time = 100
    driver.handle(GOOD, "runner")
    before = world.adaptive()
    driver.handle(Paused("lunch"), "ann")
    assert world.adaptive() == before
    assert driver.handle(Resumed(), "ann").phase is Phase.PROGRESSING
    assert world.adaptive() == before


def test_an_event_that_is_not_allowed_changes_nothing(world: World) -> None:
    driver = created(world)
    before = driver.stored
    with pytest.raises(RolloutError, match="possible: start"):
        driver.handle(Resumed(), "ann")
    assert driver.stored == before
    assert world.actions == []


def test_there_is_no_rollout_to_run_before_one_is_created(world: World) -> None:
    with pytest.raises(RolloutError, match="there is no rollout r1"):
        world.driver().handle(Started(), "ann")


def test_two_runners_one_of_them_is_too_late(world: World) -> None:
    created(world)

    class Overtaken(Driver):
        def _decide(self, event: Event, who: str, note: Note | None = None) -> tuple[Command, ...]:
            clock, self._clock = self._clock, self._overtaken
            self._behind = clock
            return super()._decide(event, who, note)

        def _overtaken(self) -> float:
            with world.store.write() as connection:
                save_rollout(connection, self.stored)
            return self._behind()

    late = world.driver(Overtaken)
    with pytest.raises(StoreConflict, match="no longer at version"):
        late.handle(Started(), "ben")
    assert world.actions == []
    assert world.driver().state.phase is Phase.PENDING


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def killed_at(step: int) -> type[Driver]:
    """A runner that is killed at its step: before or after it stores a decision, before or after it does a command."""
    left = iter(range(step))

    def pass_by() -> None:
        if next(left, None) is None:
            raise Killed

    class Mortal(Driver):
        def _decide(self, event: Event, who: str, note: Note | None = None) -> tuple[Command, ...]:
            pass_by()
            commands = super()._decide(event, who, note)
            pass_by()
            return commands

        def _do(self, command: Command) -> Event | None:
            if isinstance(command, Write):
                return None
            pass_by()
            follow = super()._do(command)
            pass_by()
            return follow

    return Mortal


HISTORY: tuple[tuple[float, Event], ...] = ((0, Started()), (100, GOOD), (150, GOOD), (160, BAD))


def live(world: World, mortal: type[Driver] | None) -> int:
    """Handle the history; who is killed is followed by another runner, which reconciles. Returns the kills."""
    kills, driver = 0, world.driver(mortal) if mortal else world.driver()
    for world.time, event in HISTORY:
        before = driver.stored.version
        try:
            driver.handle(event, "runner")
        except Killed:
            kills += 1
            driver = world.driver()
            stored = driver.stored.version > before
            driver.reconcile()
            state = driver.state
            in_force = state.phase in (Phase.PROGRESSING, Phase.PAUSED, Phase.COMPLETED)
            assert published_or_none(world) == (exposure_of(state.current, "salt") if in_force else None)
            if not stored:
                driver.handle(event, "runner")
    return kills


def published_or_none(world: World) -> Exposure | None:
    return published(world.path) if world.path.exists() else None


def test_a_kill_at_any_step_loses_and_repeats_nothing(tmp_path: Path) -> None:
    step, kills = 0, 1
    while kills:
        folder = tmp_path / str(step)
        folder.mkdir()
        flag = FlagClient.from_file(folder / "flag.json", poll_ms=10)
        with flag, open_store(folder / "store.db", durable=False) as store:
            world = World(folder, store, flag, targets=TARGETS[:20])
            created(world)
            kills = live(world, killed_at(step))
            assert world.driver().state.phase is Phase.ROLLED_BACK
            assert world.actions == ["start", "advance", "roll back", "observed", "receipt"]
            assert published(world.path) is None
            assert world.settled.calls
            assert len(set(world.settled.calls)) == 1
            assert len(world.settled.calls) <= 1 + kills
        step += 1
    assert step == 19


@dataclass
class Stubborn:
    """A flag that answers adaptive this many times more, whatever was published."""

    left: int

    def ask(self, target: str, region: str | None = None) -> FlagAnswer:
        self.left -= 1
        return FlagAnswer(Arm.ADAPTIVE if self.left >= 0 else Arm.FIXED, resolved=True, reason="stubborn")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (baseline, driver):
        monkeypatch.setattr(module, "ATTEMPTS", 15)


@pytest.mark.usefixtures("impatient")
def test_a_rollback_that_is_not_observed_stays_and_is_retried(world: World) -> None:
    created(world).handle(Started(), "ann")
    stubborn = FlagAccess(world.path, "salt", Stubborn(1_500), TARGETS, ("eu-west-1",))
    driver = Driver(world.store, "r1", stubborn, world.settled.settle, lambda: world.time)
    assert driver.handle(RollbackAsked("now"), "ann").phase is Phase.ROLLING_BACK
    assert world.settled.calls == []
    assert world.actions[-2:] == ["roll back", "not observed"]
    assert driver.handle(RollbackAsked("really"), "ann").phase is Phase.ROLLING_BACK
    while driver.state.phase is Phase.ROLLING_BACK:
        assert world.settled.calls == []
        driver.reconcile()
    assert driver.state.phase is Phase.ROLLED_BACK
    assert world.actions.count("not observed") > 1
    assert len(world.settled.calls) == 1


@pytest.mark.usefixtures("impatient")
def test_a_stage_that_the_flag_does_not_show_is_an_error(world: World) -> None:
    created(world)
    blind = FlagAccess(world.path, "salt", Stubborn(10**9), TARGETS, ("eu-west-1",))
    driver = Driver(world.store, "r1", blind, world.settled.settle, lambda: world.time)
    with pytest.raises(RolloutError, match=r"stage staging was published in .*, but the flag does not answer so"):
        driver.handle(Started(), "ann")
    assert world.driver().reconcile().phase is Phase.PROGRESSING
