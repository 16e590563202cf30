"""Real processes: verifiers, a runner, a client of the flag, and SIGKILL at random moments; nothing that was returned
is lost, and the rollout ends where it should."""

import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from production import content, place_in, producing
from running_on import TARGETS, Clock, client, daemon, mixed, verifier

from suffice.rollout.operator import Operator, Start
from suffice.rollout.phases import Phase
from suffice.rollout.saved_state import state_of
from suffice.rollout.world import Place
from suffice.serving.spool import FOLDER
from suffice.serving.verifier import Verifier
from suffice.store.decision_row import DecisionRow
from suffice.store.journal import JournalEvent, verify_journal
from suffice.store.ledger import Ledger
from suffice.store.triage import items, receipt_of

ROOT = Path(__file__).parents[2]
ID = "verifier-000001"
STAGES: list[dict[str, Any]] = [
    {"name": "staging", "weight": 0, "shadow": True, "hold": "1s", "min_audits": 100},
    {"name": "half", "weight": 50, "hold": "1s", "min_audits": 50},
    {"name": "full", "weight": 100, "audit_fraction": 0.1},
]
HELD: list[dict[str, Any]] = [
    {"name": "staging", "weight": 0, "shadow": True, "hold": "12m", "min_audits": 100},
    {"name": "canary", "weight": 30, "regions": ["eu"], "hold": "12m", "min_audits": 50},
    {"name": "half", "weight": 50, "hold": "12m", "min_audits": 50},
    {"name": "full", "weight": 100, "audit_fraction": 0.1},
]
ACCEPTANCE = {"max_disagreement_rate": 0.04, "max_excess_escalations": 0.2, "min_sample_reduction": 0.2}
WAIVED = Start(waived=("determinism",))
PATIENCE = 120.0
AN_HOUR_A_SECOND = 3600.0
SIX_MINUTES_A_SECOND = 360.0
"""Not faster: what a busy machine takes to notice a row must be far from the minute by which clocks may differ."""


def start(folder: Path, clock: Clock, *, degraded: bool = False, **rollout: Any) -> Place:
    """A rollout that has begun; degraded verifiers stop too early from the stage `half` on."""
    # No run of this kind is late: a busy machine may take long for a stage, at this pace.
    patient = {"consecutive_error_limit": 1000, "inconclusive_limit": 1000, "progress_deadline": "365d"}
    config = content(acceptance=ACCEPTANCE, **patient, **rollout)
    place = place_in(folder, config)
    if degraded:
        config["verifier"]["adaptive_sampling"] |= {"method": "margin", "n0": 8}
        (folder / "degraded.json").write_text(json.dumps(config), encoding="utf-8")
    with Operator(place, clock=clock) as operator:
        operator.start("ann", WAIVED)
    return place


@contextmanager
def at_work(folder: Path, clock: Clock, count: int, pause: float = 0.01) -> Iterator[None]:
    """Verifiers, and a client of the flag, that nobody kills."""
    processes = [client(folder, clock), *(verifier(folder, number, pause, clock) for number in range(count))]
    try:
        yield
    finally:
        (folder / "stop").touch()
        for process in processes:
            process.join(60)
    assert [process.exitcode for process in processes] == [0] * len(processes)


def check_whole(place: Place) -> list[JournalEvent]:
    """What must hold at every moment."""
    with Operator(place) as operator, operator.store.read() as connection:
        assert verify_journal(connection).intact
        events = operator.history()
        actions = [event.action for event in events]
        assert receipt_of(connection, ID) is None or "observed" in actions
        assert len(items(connection)) <= 1
        assert state_of(operator.current.state).stage == actions.count("advance")
        once = ("start", "roll back", "receipt", "settle", "triage", "complete")
        assert all(count == 1 for action, count in Counter(actions).items() if action in once)
        assert all(before.at <= after.at for before, after in itertools.pairwise(events))
    return events


def check_ledger(place: Place) -> list[DecisionRow]:
    """All processes have ended; once the next verifier was opened, each decision that was returned is there, once."""
    Verifier.from_config(place.config, queue=place.queue).close()
    with Operator(place) as operator:
        rows = [row for rollout in (ID, "") for row in Ledger(operator.store).rows(rollout)]
    arms = {row.key: row.arm for row in rows}
    assert len(arms) == len(rows)
    notes = [note.split() for path in (place.queue.parent / "returned").iterdir() for note in whole_lines(path)]
    assert notes
    assert all(arms.get(key) == arm for key, arm, _ in notes)
    assert not list((place.queue / FOLDER).iterdir())
    return rows


def whole_lines(path: Path) -> list[str]:
    return path.read_text("ascii").split("\n")[:-1]


def check_rolled_back(place: Place, rows: list[DecisionRow]) -> None:
    """From the receipt on nobody is adaptive: not in the ledger, not by the verifiers' own notes; and the client, a
    process of its own, saw that the slice was adaptive, and that everybody is fixed."""
    with Operator(place) as operator, operator.store.read() as connection:
        assert operator.state.phase is Phase.ROLLED_BACK
        receipt = receipt_of(connection, ID)
    assert receipt is not None
    assert receipt.fixed == receipt.asked > 0
    later = [row for row in rows if row.at > receipt.at]
    assert {row.arm for row in later} <= {"fixed"}
    notes = [note.split() for path in (place.queue.parent / "returned").iterdir() for note in whole_lines(path)]
    assert {arm for _, arm, asked in notes if float(asked) > receipt.at} <= {"fixed"}
    seen = observed(place)
    assert max(view["adaptive"] for view in seen) > 0
    assert (seen[-1]["adaptive"], seen[-1]["fixed"]) == (0, TARGETS)
    config = json.loads(place.config.read_text(encoding="utf-8"))
    assert config["verifier"]["adaptive_sampling"]["enabled"] is False
    assert {path.name for path in (place.queue / "triage").iterdir()} == {ID, f"{ID}.journal-head"}


def observed(place: Place) -> list[dict[str, float]]:
    """What the client saw, in order."""
    return [json.loads(line) for line in whole_lines(place.queue.parent / "client.jsonl")]


def check_stages(place: Place, rows: list[DecisionRow]) -> None:
    """No stage was skipped or shortened: between the moments that it began and ended lie its hold and its audits."""
    with Operator(place) as operator:
        stages = operator.state.rollout.stages
        begun = [event.at for event in operator.history() if event.action in ("start", "advance")]
    for stage, (began, ended) in zip(stages, itertools.pairwise(begun), strict=False):
        assert ended - began >= stage.hold_seconds
        audits = sum(row.audited and row.stage == stage.name and row.at <= ended for row in rows)
        assert audits >= stage.min_audits


def actions_of(place: Place) -> list[str]:
    return [event.action for event in check_whole(place) if event.action not in ("judge", "repair")]


def test_a_rollout_with_four_verifier_processes_completes_and_a_client_process_sees_it(tmp_path: Path) -> None:
    clock = Clock(time.time(), SIX_MINUTES_A_SECOND)
    place = start(tmp_path, clock, cycle="3m", stages=HELD)
    with at_work(tmp_path, clock, 4):
        daemon(tmp_path, clock).join(PATIENCE)
        time.sleep(1)
    assert actions_of(place) == ["start", "advance", "advance", "advance", "complete"]
    rows = check_ledger(place)
    check_stages(place, rows)
    assert {row.arm for row in rows if row.stage == "staging"} == {"fixed"}
    # A verifier learns within a second that the next stage began; in the flag it sees it at once.
    assert regions_of(rows, "canary", until=[e.at for e in check_whole(place) if e.action == "advance"][1]) == {"eu"}
    assert regions_of(rows, "full", until=clock()) == {"eu", "us"}
    exposed = [view["adaptive"] for view in observed(place) if view["adaptive"] + view["fixed"] == TARGETS]
    assert exposed == sorted(exposed)
    assert (exposed[0], exposed[-1]) == (0, TARGETS)


@pytest.mark.campaign
def test_the_shipped_stages_of_96_hours_complete_with_four_verifier_processes(tmp_path: Path) -> None:
    """Limits, stages and pace as in the configuration that we ship, at an hour a second. A sign of life may be older
    than an hour then, for rows are written once a second; and the plan is a strict one, for a day has few audits."""
    shipped = json.loads((ROOT / "config.json").read_text(encoding="utf-8"))["rollout"]
    shipped["stages"][1]["regions"] = ["eu"]
    health = {"max_age": "2d", "max_silence": "2d"}
    config = content() | {"rollout": {**shipped, "health": health, "checks": {"run": []}}}
    config["verifier"] |= {"n_samples": 128, "adaptive_sampling": {"enabled": True, "max_disagreement": 0.001}}
    clock = Clock(time.time(), AN_HOUR_A_SECOND)
    place = place_in(tmp_path, config)
    with Operator(place, clock=clock) as operator:
        operator.start("ann", WAIVED)
    with at_work(tmp_path, clock, 4, pause=0.002):
        runner = daemon(tmp_path, clock)
        runner.join(4 * PATIENCE)
        runner.kill()
    assert actions_of(place) == ["start", "advance", "advance", "advance", "complete"]
    rows = check_ledger(place)
    check_stages(place, rows)
    print(f"the shipped stages, an hour a second: completed after {len(rows):,} decisions")  # noqa: T201


def regions_of(rows: list[DecisionRow], stage: str, until: float) -> set[str | None]:
    """Where decisions of a stage were adaptive, up to a moment."""
    return {row.region for row in rows if row.stage == stage and row.arm == "adaptive" and row.at <= until}


def test_a_plan_that_degrades_at_fifty_percent_is_rolled_back_and_nobody_is_adaptive_from_the_receipt_on(
    tmp_path: Path,
) -> None:
    clock = Clock(time.time(), SIX_MINUTES_A_SECOND)
    place = start(tmp_path, clock, degraded=True, cycle="3m", stages=[HELD[0], *HELD[2:]])
    with at_work(tmp_path, clock, 4):
        daemon(tmp_path, clock).join(PATIENCE)
        time.sleep(1)
    assert actions_of(place) == ["start", "advance", "roll back", "observed", "receipt", "triage", "settle"]
    rows = check_ledger(place)
    check_rolled_back(place, rows)
    with Operator(place) as operator:
        assert operator.state.current.name == "half"
        # Both look at the same audits: whichever has its proof first.
        assert {"disagreement", "consistency"} & {result.gate for result in operator.state.failed}
    with Operator(place) as operator, operator.store.read() as connection:
        receipt = receipt_of(connection, ID)
    assert receipt is not None
    assert any(row.at > receipt.at for row in rows)


def test_a_cycle_measures_what_a_killed_verifier_left(tmp_path: Path) -> None:
    with producing(tmp_path) as production:
        ledger = Ledger(production.store)
        killed = Verifier.from_config(production.place.config, queue=production.place.queue)
        # Killed between a decision and the writer's next step: the operating system closes its files.
        assert killed._background is not None
        killed._background.agent._duties = {}
        killed.verify(mixed(1).case())
        assert ledger.rows(ID) == []
        killed._background.spool.close()
        killed._background.close()
        production.cycle()
        assert [row.key for row in ledger.rows(ID)] == ["c1"]


def kill_until(folder: Path, kills: int, seed: int, *, degraded: bool) -> Counter[str]:
    """Kill runners and verifiers at random moments of their work until as many were caught alive; a rollout that ended
    gives way to a new one, and the last is left to end."""
    rng, caught, clock, homes = random.Random(seed), Counter[str](), Clock(), itertools.count()
    while caught.total() < kills:
        home = folder / str(next(homes))
        home.mkdir()
        place = start(home, clock, degraded=degraded, cycle="1s", stages=STAGES)
        with at_work(home, clock, 1, pause=0.002):
            for number in itertools.count(1):
                if caught.total() >= kills or done(place):
                    break
                caught += kill_two(home, rng, number)
                check_whole(place)
            daemon(home, clock).join(PATIENCE)
            time.sleep(0.3)
        check_ended(place, degraded=degraded)
    return caught


def kill_two(home: Path, rng: random.Random, number: int) -> Counter[str]:
    """Start a runner and a verifier and kill each at a moment of its own; which were still at work."""
    clock = Clock()
    processes = {"runner": daemon(home, clock), "verifier": verifier(home, number, 0.002, clock)}
    caught = Counter[str]()
    for name in rng.sample(sorted(processes), 2):
        time.sleep(rng.uniform(0, 0.8))
        caught[name] += killed_alive(processes[name])
    return caught


def killed_alive(process: BaseProcess) -> bool:
    alive = process.is_alive()
    process.kill()
    process.join()
    return alive and process.exitcode == -9


def check_ended(place: Place, *, degraded: bool) -> None:
    """The rollout is where an undisturbed one would be, everything was done once, and no decision is lost."""
    actions, rows = actions_of(place), check_ledger(place)
    check_stages(place, rows)
    if degraded:
        assert actions == ["start", "advance", "roll back", "observed", "receipt", "triage", "settle"]
        check_rolled_back(place, rows)
    else:
        assert actions == ["start", "advance", "advance", "complete"]
        assert observed(place)[-1]["adaptive"] == TARGETS


def done(place: Place) -> bool:
    with Operator(place) as operator:
        return operator.state.phase in (Phase.COMPLETED, Phase.ROLLED_BACK)


@pytest.mark.parametrize("degraded", [False, True])
def test_killed_at_random_moments_it_ends_where_an_undisturbed_one_does(tmp_path: Path, degraded: bool) -> None:
    assert kill_until(tmp_path, kills=10, seed=7 + degraded, degraded=degraded).total() >= 10


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("degraded", [False, True])
def test_many_kills(tmp_path: Path, degraded: bool, seed: int) -> None:
    caught = kill_until(tmp_path, kills=16, seed=100 + seed, degraded=degraded)
    assert min(caught["runner"], caught["verifier"]) > 0
    print(f"killed, degraded {degraded}, seed {seed}: {dict(sorted(caught.items()))}")  # noqa: T201
