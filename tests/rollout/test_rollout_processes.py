"""Real processes: verifiers, a runner, and SIGKILL at random moments; the rollout ends where it should."""

import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from production import Clock, Production, content, place_in
from running_on import daemon, verifier

from suffice.flag.client import FlagClient
from suffice.rollout.phases import Phase
from suffice.rollout.place import Place
from suffice.rollout.service import Service, Start
from suffice.rollout.stored import state_of
from suffice.store.events import AuditEvent, verify_audit
from suffice.store.ledger import Ledger
from suffice.store.triage import items, receipt_of

STAGES: list[dict[str, Any]] = [
    {"name": "staging", "weight": 0, "shadow": True, "hold": "1s", "min_audits": 100},
    {"name": "half", "weight": 50, "hold": "1s", "min_audits": 50},
    {"name": "full", "weight": 100, "audit_fraction": 0.1},
]
WAIVED = Start(waived=("determinism",))
PATIENCE = 120.0


def start(folder: Path) -> Place:
    place = place_in(folder, content(cycle="1s", stages=STAGES))
    with Service(place) as service:
        service.start("ann", WAIVED)
    return place


@contextmanager
def verifiers(folder: Path, count: int, pause: float = 0.01) -> Iterator[None]:
    made = [verifier(folder, number, pause) for number in range(count)]
    try:
        yield
    finally:
        (folder / "stop").touch()
        for process in made:
            process.join(60)
    assert [process.exitcode for process in made] == [0] * count


def harm(place: Place, stage: str) -> None:
    """From now on the adaptive path of this stage accepts what the baseline rejects."""
    with Service(place) as service:
        Production(service, Clock(time.time()), service.flag).disagreements(100, stage)


def wait_for_stage(place: Place, stage: str) -> None:
    ends = time.monotonic() + PATIENCE
    with Service(place) as service:
        while service.state.current.name != stage:
            assert time.monotonic() < ends, service.state.why
            time.sleep(0.05)


def check_whole(place: Place) -> list[AuditEvent]:
    """What must hold at every moment."""
    with Service(place) as service, service.store.read() as connection:
        assert verify_audit(connection).intact
        events = service.history()
        actions = [event.action for event in events]
        receipt = receipt_of(connection, "verifier-000001")
        assert receipt is None or "observed" in actions
        assert len(items(connection)) <= 1
        stored = service.current
        state = state_of(stored.state)
        assert state.stage == actions.count("advance")
        assert all(count == 1 for action, count in Counter(actions).items() if action in ("start", "settle", "triage"))
        assert all(before.at <= after.at for before, after in itertools.pairwise(events))
    return events


def test_a_rollout_with_four_verifier_processes_completes_and_another_client_sees_it(tmp_path: Path) -> None:
    place = start(tmp_path)
    with verifiers(tmp_path, 4), FlagClient.from_file(place.flag) as client:
        daemon(tmp_path).join(PATIENCE)
        assert all(client.arm(f"t{i}").value == "adaptive" for i in range(50))
        with Service(place) as service:
            assert service.state.phase is Phase.COMPLETED
            assert [e.action for e in service.history() if e.action != "judge"] == [
                "start",
                "advance",
                "advance",
                "complete",
            ]
    with Service(place) as service:
        ledger = Ledger(service.store)
        rows = ledger.rows("verifier-000001")
        assert len({row.key for row in rows}) == len(rows)
        assert {row.arm for row in rows if row.stage == "staging"} == {"fixed"}
        assert ledger.evidence("verifier-000001", "full").adaptive > 0


def test_a_plan_that_degrades_at_fifty_percent_is_rolled_back_and_nobody_is_adaptive_from_the_receipt_on(
    tmp_path: Path,
) -> None:
    place = start(tmp_path)
    with verifiers(tmp_path, 4), FlagClient.from_file(place.flag) as client:
        running = daemon(tmp_path)
        wait_for_stage(place, "half")
        harm(place, "half")
        running.join(PATIENCE)
        assert not any(client.ask(f"t{i}").arm == "adaptive" for i in range(100))
        assert client.ask("t1").resolved
        time.sleep(2)
    with Service(place) as service, service.store.read() as connection:
        assert service.state.phase is Phase.ROLLED_BACK
        receipt = receipt_of(connection, "verifier-000001")
        assert receipt is not None
        ledger = Ledger(service.store)
        later = [row for row in ledger.rows("verifier-000001") if row.at > receipt.at]
        assert later and ledger.adaptive_after("verifier-000001", receipt.at) == 0
    assert json.loads(place.config.read_text(encoding="utf-8"))["verifier"]["adaptive_sampling"]["enabled"] is False


def kill_until(folder: Path, kills: int, seed: int, *, harmed: bool) -> None:
    """Kill runners and verifiers at random moments of their work until as many runners were caught alive; a rollout
    that ended gives way to a new one, and the last is left to end."""
    rng, caught = random.Random(seed), 0
    for number in itertools.count():
        home = folder / str(number)
        home.mkdir()
        place = start(home)
        with verifiers(home, 1, pause=0.002):
            if harmed:
                harm(place, "half")
            while caught < kills and not done(place):
                caught += kill_one(home, place, rng)
            daemon(home).join(PATIENCE)
        check_ended(place, harmed=harmed)
        if caught >= kills:
            return


def kill_one(home: Path, place: Place, rng: random.Random) -> bool:
    """Start a runner and a verifier and kill both; whether the runner was still at work."""
    running, other = daemon(home), verifier(home, 1, 0.002)
    time.sleep(rng.uniform(0, 1.5))
    alive = running.is_alive()
    for process in rng.sample([running, other], 2):
        process.kill()
        process.join()
    check_whole(place)
    return alive


def check_ended(place: Place, *, harmed: bool) -> None:
    """The rollout is where an undisturbed one would be, and everything was done once."""
    actions = [event.action for event in check_whole(place) if event.action not in ("judge", "repair")]
    if harmed:
        assert actions == ["start", "advance", "roll back", "observed", "receipt", "triage", "settle"]
        assert [path.name for path in (place.queue / "triage").iterdir()] == ["verifier-000001"]
    else:
        assert actions == ["start", "advance", "advance", "complete"]
    with Service(place) as service:
        held = {stage["name"]: stage["hold"] for stage in service.current.state["stages"]}
        begun = [event.at for event in service.history() if event.action in ("start", "advance")]
        rows = Ledger(service.store).rows("verifier-000001")
    assert all(
        later - earlier >= hold
        for (earlier, later), hold in zip(itertools.pairwise(begun), held.values(), strict=False)
    )
    assert len({row.key for row in rows}) == len(rows)


def done(place: Place) -> bool:
    with Service(place) as service:
        return service.state.phase in (Phase.COMPLETED, Phase.ROLLED_BACK)


@pytest.mark.parametrize("harmed", [False, True])
def test_killed_at_random_moments_it_ends_where_an_undisturbed_one_does(tmp_path: Path, harmed: bool) -> None:
    kill_until(tmp_path, kills=4, seed=7 + harmed, harmed=harmed)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("harmed", [False, True])
def test_many_kills(tmp_path: Path, harmed: bool, seed: int) -> None:
    kill_until(tmp_path, kills=15, seed=100 + seed, harmed=harmed)
