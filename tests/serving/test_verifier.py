"""The verifier of production as a specification: arms, audits, shadow, fallback, ledger and counters."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import serving_world
from numpy.random import Generator
from numpy.typing import NDArray
from openfeature import api
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.provider.in_memory_provider import InMemoryProvider
from openfeature.provider.no_op_provider import NoOpProvider
from serving_world import PLAN, SEED, Flags, N, Trials, case, cases, verifier
from sqlalchemy import text

import permitted
import suffice
from store_places import Place
from suffice.config.switch import set_enabled
from suffice.decision.rule import Decision
from suffice.errors import DataError, StoreError
from suffice.flag.bucketing import audited
from suffice.flag.client import FlagClient
from suffice.flag.document import Exposure
from suffice.flag.file import publish
from suffice.serving.counted import counters_of
from suffice.serving.permission import FORCE_FIXED
from suffice.serving.situation import Situation
from suffice.serving.verifier import Verifier
from suffice.stopping.make import plan
from suffice.store.address import STORE_URL
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow, WhyFixed
from suffice.store.ledger import Ledger
from suffice.store.processes import fleet
from suffice.store.words import Word
from suffice.telemetry.counters import Counter
from suffice.telemetry.metrics_file import read
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case
from suffice.verifier.loop import decide, decide_fixed, observations

AUDIT_ALL = Situation(rollout="r", stage="canary", audit_fraction=1.0)
SHADOW = Situation(rollout="r", stage="staging", audit_fraction=1.0, shadow=True)
QUIET = Situation(rollout="r", stage="canary")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(tmp_path / "store.db") as opened:
        yield opened


def baseline_of(case: Case) -> Decision:
    fresh = again(case)
    return decide_fixed(observations(fresh, PLAN.rule, N, SEED), PLAN.rule).decision


def again(case: Case) -> Case:
    """The same case with a sampler that has drawn nothing yet."""
    assert isinstance(case.sampler, Trials)
    return Case(case.key, case.target, Trials(case.sampler.share, case.sampler.nans), case.region)


def drawn(case: Case) -> int:
    assert isinstance(case.sampler, Trials)
    return case.sampler.drawn


def test_a_decision_is_adaptive_when_enabled_and_the_flag_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    some = Flags(lambda target: target == "t1")
    for forced, enabled, expected in (
        (None, True, [Arm.FIXED, Arm.ADAPTIVE]),
        ("0", True, [Arm.FIXED, Arm.ADAPTIVE]),
        ("", True, [Arm.FIXED, Arm.ADAPTIVE]),
        (None, False, [Arm.FIXED, Arm.FIXED]),
        ("1", True, [Arm.FIXED, Arm.FIXED]),
        ("true", True, [Arm.FIXED, Arm.FIXED]),
    ):
        monkeypatch.delenv(FORCE_FIXED, raising=False)
        if forced is not None:
            monkeypatch.setenv(FORCE_FIXED, forced)
        process = verifier(flag=some, enabled=enabled)
        assert [process.verify(case(i)).arm for i in range(2)] == expected
        assert [process.arm(case(i)) for i in range(2)] == expected


def test_each_arm_decides_as_its_definition_does() -> None:
    for given in cases(60):
        adaptive, fixed = decide(again(given), PLAN, SEED), baseline_of(given)
        served = verifier(situation=lambda: QUIET).verify(again(given))
        assert (served.decision, served.n) == (adaptive.decision, adaptive.n)
        assert verifier(flag=Flags(lambda _: False)).verify(again(given)).decision is fixed
        seen = verifier(situation=lambda: AUDIT_ALL).verify(again(given))
        assert seen.decision is adaptive.decision
        assert seen.baseline is not None
        assert seen.baseline.decision is fixed
        expected = None if fixed is Decision.INVALID else fixed is adaptive.decision
        assert seen.agrees is expected


def test_audits_are_chosen_by_the_target_alone() -> None:
    situation = Situation(rollout="r", stage="canary", audit_fraction=0.3, audit_salt="salt")
    process = verifier(situation=lambda: situation)
    for i in range(200):
        first = process.verify(case(i, 0.97))
        second = process.verify(Case(f"other/{i}", f"t{i}", Trials(0.5), "elsewhere"))
        assert first.audited is second.audited is audited(f"t{i}", "salt", 0.3)


def test_an_adaptive_decision_draws_no_more_than_its_plan_says_and_an_audit_draws_n() -> None:
    for given in cases(120):
        served = verifier(situation=lambda: QUIET).verify(given)
        assert served.arm is Arm.ADAPTIVE
        if served.decision is Decision.INVALID:
            # Draws come in the plan's looks: the one with the NaN is the last.
            assert served.n <= drawn(given) < served.n + 8
        else:
            assert drawn(given) == served.n
        seen = again(given)
        result = verifier(situation=lambda: AUDIT_ALL).verify(seen)
        assert drawn(seen) == N or result.decision is Decision.INVALID
        assert drawn(seen) <= N


def test_the_shadow_decides_fixed_and_costs_no_draw_of_its_own() -> None:
    for given in cases(60):
        served = verifier(situation=lambda: SHADOW).verify(given)
        assert served.arm is Arm.FIXED
        assert served.shadow
        assert served.audited
        assert served.decision is baseline_of(given)
        assert drawn(given) == N
        expected = decide(again(given), PLAN, SEED)
        assert served.adaptive == expected


def test_the_shadow_leaves_targets_that_are_not_audited_alone_and_is_off_when_fixed_is_forced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nobody = Situation(rollout="r", stage="staging", audit_fraction=0.0, shadow=True)
    assert not verifier(situation=lambda: nobody).verify(case(1)).shadow
    monkeypatch.setenv(FORCE_FIXED, "1")
    assert not verifier(situation=lambda: SHADOW).verify(case(1)).shadow


def failing(_: list[float]) -> list[float]:
    raise ZeroDivisionError("the adaptive path broke")


def to_nan(observed: list[float]) -> list[float]:
    return [float("nan")] * len(observed)


@pytest.mark.parametrize("shadow", [False, True])
@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_the_baseline_takes_over_when_the_adaptive_path_fails(store: Store, shadow: bool, fraction: float) -> None:
    broken = Situation(rollout="r", stage="s", audit_fraction=fraction, shadow=shadow, feed=failing)
    process = verifier(store, situation=lambda: broken)
    decided = [(c, process.verify(again(c))) for c in cases(40)]
    process.flush()
    took_part = not shadow or fraction > 0
    for c, served in decided:
        assert served.arm is Arm.FIXED
        assert served.decision is baseline_of(c)
        assert (served.fallback == "ZeroDivisionError: the adaptive path broke") is took_part
    counts = process.counters.snapshot().counters
    assert counts[Counter.FALLBACKS] == (40 if took_part else 0)
    assert counts[Counter.ADAPTIVE_USED] == counts[Counter.AUDITS] == 0
    assert {row.fell_back for row in Ledger(store).rows("r")} == {took_part}


def test_the_baseline_takes_over_when_only_the_adaptive_decision_is_invalid(store: Store) -> None:
    for fraction in (0.0, 1.0):
        broken = Situation(rollout=f"r{fraction}", stage="s", audit_fraction=fraction, feed=to_nan)
        process = verifier(store, situation=lambda at=broken: at)  # type: ignore[misc]
        for c in cases(40):
            served = process.verify(again(c))
            assert served.decision is baseline_of(c)
            fell = baseline_of(c) is not Decision.INVALID
            assert (served.arm, served.fallback is not None) == (Arm.FIXED if fell else Arm.ADAPTIVE, fell)
        process.flush()
        rows = Ledger(store).rows(f"r{fraction}")
        assert sum(row.fell_back for row in rows) == sum(not row.invalid for row in rows) > 0


@pytest.mark.parametrize("shadow", [False, True])
def test_a_plan_that_the_rollout_is_not_about_decides_nothing_and_proves_nothing(store: Store, shadow: bool) -> None:
    for plan_id, arm in ((None, Arm.ADAPTIVE), (PLAN.id, Arm.ADAPTIVE), ("another", Arm.FIXED)):
        told = Situation(str(plan_id), "canary", audit_fraction=1.0, shadow=shadow, plan_id=plan_id)
        process = verifier(store, situation=lambda told=told: told)
        served = [process.verify(case(i)) for i in range(20)]
        process.flush()
        known = arm is Arm.ADAPTIVE
        assert {one.arm for one in served} == {Arm.FIXED if shadow else arm}
        assert {one.audited for one in served} == {known}
        assert {process.arm(case(i)) for i in range(20)} == {Arm.FIXED if shadow else arm}
        assert sum(row.is_audit for row in Ledger(store).rows(str(plan_id))) == (20 if known else 0)
        assert {row.plan_id for row in Ledger(store).rows(str(plan_id))} == {PLAN.id}


def test_a_faulty_path_claims_the_plan_that_it_should_have_run(store: Store) -> None:
    fixed = plan(PLAN.rule, PLAN.n, 0.01, method="fixed")
    process = verifier(store, situation=lambda: Situation("r", "canary", plan_id=PLAN.id, plan=fixed))
    assert {process.verify(case(i)).n for i in range(20)} == {PLAN.n}
    process.flush()
    assert {row.plan_id for row in Ledger(store).rows("r")} == {PLAN.id}


def test_a_flag_that_breaks_is_no_failure() -> None:
    served = verifier(flag=Flags(None)).verify(case(1))
    assert served.arm is Arm.FIXED
    assert served.fallback == "RuntimeError: the flag broke"


class Interrupted(InMemoryProvider):
    """A provider during whose evaluation somebody presses Ctrl-C."""

    def resolve_string_details(self, *_: object, **__: object) -> FlagResolutionDetails[str]:
        raise KeyboardInterrupt


def test_an_interrupt_while_the_flag_is_asked_is_no_failure_of_the_adaptive_path() -> None:
    domain = "interrupted"
    api.set_provider_and_wait(Interrupted({}), domain)
    try:
        with pytest.raises(KeyboardInterrupt):
            verifier(flag=FlagClient(api.get_client(domain))).verify(case(1))
    finally:
        api.set_provider_and_wait(NoOpProvider(), domain)


def test_errors_of_a_sampler_are_the_callers() -> None:
    for adaptive in (True, False):
        process = verifier(flag=Flags(lambda _, answer=adaptive: answer))  # type: ignore[misc]
        with pytest.raises(DataError, match="sampler returned shape"):
            process.verify(Case("k", "t", lambda rng, n: rng.random(n + 1)))
        with pytest.raises(ZeroDivisionError):
            process.verify(Case("k", "t", lambda rng, n: rng.random(n) / (1 // 0)))
        assert process.counters.snapshot().decisions == 0


def test_ledger_and_counters_agree(store: Store) -> None:
    for name, changed in {
        "some": {"flag": Flags(lambda target: int(target[1:]) % 2 == 0)},
        "shadow": {"situation": lambda: Situation(rollout="shadow", stage="s", audit_fraction=0.5, shadow=True)},
        "broken": {"situation": lambda: Situation(rollout="broken", stage="s", audit_fraction=0.5, feed=to_nan)},
    }.items():
        situation = changed.get("situation", lambda: Situation(rollout="some", stage="s", audit_fraction=0.3))
        process = verifier(store, **{**changed, "situation": situation})
        for c in cases(200):
            process.verify(c)
        process.flush()
        rows = Ledger(store).rows(name)
        assert len(rows) == 200
        assert counters_of(rows).snapshot() == process.counters.snapshot()
        assert by_hand(rows) == process.counters.snapshot().counters


def by_hand(rows: list[DecisionRow]) -> dict[Counter, int]:
    adaptive = [row for row in rows if row.arm == "adaptive"]
    audits = [row for row in rows if row.audited and row.agrees is not None]
    return {
        Counter.ADAPTIVE_USED: len(adaptive),
        Counter.ADAPTIVE_SAMPLES: sum(row.n for row in adaptive),
        Counter.ADAPTIVE_EARLY_STOP: sum(row.reason.endswith("BOUNDARY") for row in adaptive),
        Counter.FIXED_SAMPLES: sum(row.n for row in rows if row.arm == "fixed"),
        Counter.ROLLBACKS: 0,
        Counter.ESCALATIONS: 0,
        Counter.AUDITS: len(audits),
        Counter.DISAGREEMENTS: sum(row.baseline_decision != row.adaptive_decision for row in audits),
        Counter.INVALID: sum(Decision.INVALID in (row.decision, row.baseline_decision) for row in rows),
        Counter.FALLBACKS: sum(row.reason == "FALLBACK" for row in rows),
    }


def test_a_rows_time_is_that_of_its_last_question(store: Store) -> None:
    """An adaptive decision is asked about again after its draws: a rollback before that would have stopped it."""
    now, questions = [100.0], list[float]()

    def asked(target: str) -> bool:
        now[0] += 20.0
        return target != "t1"

    def drawing(rng: Generator, n: int) -> NDArray[np.float64]:
        now[0] += 600.0
        return np.ones(n)

    def looked_up() -> Situation:
        questions.append(now[0])
        now[0] += 3.0
        return Situation(rollout="r", stage="canary", audit_fraction=1.0)

    process = verifier(store, flag=Flags(asked), clock=lambda: now[0], situation=looked_up)
    for i in range(3):
        process.verify(Case(f"k{i}", f"t{i}", drawing))
    process.flush()
    rows = Ledger(store).rows("r")
    assert [row.arm for row in rows] == [Arm.ADAPTIVE, Arm.FIXED, Arm.ADAPTIVE]
    first, again, only, third, once_more = questions
    assert [row.at for row in rows] == [again, only, once_more]
    assert again > first + 600 and once_more > third + 600


def test_rows_are_written_in_batches_and_when_they_have_waited(store: Store) -> None:
    times = iter([0.0, 0.1, 0.2, 10.0, 12.0, 12.5])
    process = verifier(store, batch=3, monotonic=lambda: next(times))
    written = []
    for c in cases(6):
        process.verify(c)
        written.append(len(Ledger(store).rows("r")))
    assert written == [0, 0, 3, 3, 5, 5]
    process.close()
    assert len(Ledger(store).rows("r")) == 6


def test_what_cannot_be_written_waits_and_a_retry_never_doubles(store: Store) -> None:
    process = verifier(store, batch=4)
    with store.write() as connection:
        connection.execute(text("ALTER TABLE decisions RENAME TO elsewhere"))
    for c in cases(10):
        process.verify(c)
    with pytest.raises(StoreError):
        process.flush()
    with store.write() as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO decisions"))
    process.flush()
    process.flush()
    assert [row.key for row in Ledger(store).rows("r")] == [c.key for c in cases(10)]
    twice = verifier(store)
    for c in cases(10):
        twice.verify(c)
    twice.flush()
    assert len(Ledger(store).rows("r")) == 10


def test_threads_share_a_verifier(store: Store) -> None:
    process = verifier(store, batch=7)

    def work(first: int) -> None:
        for i in range(first, first + 50):
            process.verify(case(i, 0.9))

    threads = [threading.Thread(target=work, args=(100 * t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process.flush()
    rows = Ledger(store).rows("r")
    assert len({row.key for row in rows}) == len(rows) == 200
    assert counters_of(rows).snapshot() == process.counters.snapshot()


PATIENCE = 60.0
CONFIG = {
    "verifier": {
        "rule": "proportion",
        "n_samples": 64,
        "adaptive_sampling": {"enabled": True, "n_min": 8, "look_every": 8, "n0": 8},
    }
}


def raised(queue: Path, weight: int = 100, **changes: Any) -> Word:
    """What a rollout writes: a word that puts this weight of the targets of `eu` on the adaptive arm."""
    exposure = {"weight": weight, "salt": "salt", "regions": ["eu"]}
    word = replace(permitted.OF_VERIFIER, plan_id=PLAN.id, exposure=exposure, audit_fraction=0.3)
    return permitted.written_at(queue / "store.db", word, time.time(), **changes)


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (tmp_path / "queue").mkdir()
    return tmp_path / "queue"


def production(queue: Path, **changes: Any) -> Verifier:
    return Verifier.from_config(queue.parent / "config.json", queue=queue, **changes)


def becomes(process: Verifier, arm: Arm) -> bool:
    """Looks again and again, for as long as a loaded machine may need."""
    pause = threading.Event()
    for _ in range(6000):
        if process.arm(case(1, region="eu")) is arm:
            return True
        pause.wait(0.01)
    return False


def test_from_config_two_processes_decide_by_the_word_and_lose_no_count(queue: Path) -> None:
    word = raised(queue, 50)
    program = [sys.executable, str(Path(serving_world.__file__)), str(queue.parent)]
    started = [subprocess.Popen([*program, str(first), "150"], stdout=subprocess.PIPE) for first in (0, 150)]
    for process in started:
        process.communicate()
        assert process.returncode == 0
    with open_store(queue / "store.db") as opened:
        rows = Ledger(opened).rows("verifier-000001")
    assert len(rows) == 300
    adaptive = [row for row in rows if row.is_adaptive]
    assert 100 < len(adaptive) < 200
    assert len({row.process for row in rows}) == 2
    assert {row.epoch for row in rows} == {word.epoch}
    assert {row.why_fixed for row in rows if not row.is_adaptive} == {WhyFixed.EXPOSURE}
    assert {row.why_fixed for row in adaptive} == {None}
    assert read(queue / "metrics.json").counts == counters_of(rows).snapshot()
    assert not [path for path in queue.iterdir() if path.suffix == ".tmp"]


def test_from_config_a_file_and_no_rollout_means_fixed_and_metrics_come_before_the_end(queue: Path) -> None:
    """A flag file that an earlier rollout left, or a hand raised, permits nothing."""
    publish(queue / "flag.json", Exposure(100, "salt"))
    with production(queue) as process:
        served = process.verify(case(1, region="eu"))
        assert (served.arm, served.why_fixed, served.epoch) == (Arm.FIXED, WhyFixed.NO_WORD, None)
        process.flush()
        assert read(queue / "metrics.json").counts.decisions == 1
        assert process.store.name == str(queue / "store.db")
    assert process.verify(case(2)).arm is Arm.FIXED
    process.close()
    with open_store(queue / "store.db") as opened:
        assert [row.key for row in Ledger(opened).rows("")] == ["k1", "k2"]


def test_from_config_a_word_that_is_taken_back_wins_over_a_file_that_still_raises(queue: Path) -> None:
    raised(queue)
    publish(queue / "flag.json", Exposure(100, "salt", ("eu",)))
    with production(queue) as process:
        assert becomes(process, Arm.ADAPTIVE)
        raised(queue, phase="RolledBack", exposure=None)
        assert becomes(process, Arm.FIXED)
        served = process.verify(case(1, region="eu"))
        assert (served.why_fixed, served.epoch) == (WhyFixed.EXPOSURE, 2)


@pytest.mark.parametrize("name", ["flag.json", "rollback.asked"])
def test_from_config_a_file_lowers_and_its_end_raises_again(queue: Path, name: str) -> None:
    raised(queue)
    with production(queue) as process:
        assert becomes(process, Arm.ADAPTIVE)
        (queue / name).write_text("whatever it says", encoding="ascii")
        assert becomes(process, Arm.FIXED)
        assert process.verify(case(1, region="eu")).why_fixed is WhyFixed.FORCED
        (queue / name).unlink()
        assert becomes(process, Arm.ADAPTIVE)


def test_from_config_a_provider_of_the_host_may_lower_and_not_raise(queue: Path) -> None:
    some = Flags(lambda target: target == "t1")
    with production(queue, provider=some) as process:
        assert process.verify(case(1, region="eu")).why_fixed is WhyFixed.NO_WORD
        raised(queue)
        assert becomes(process, Arm.ADAPTIVE)
        assert process.verify(case(2, region="eu")).why_fixed is WhyFixed.FORCED
        some.adaptive = None
        served = process.verify(case(1, region="eu"))
        assert (served.why_fixed, served.fallback) == (WhyFixed.FALLBACK, "RuntimeError: the flag broke")


def test_from_config_a_word_about_another_plan_or_a_disabled_process_is_fixed_and_says_why(queue: Path) -> None:
    raised(queue, plan_id="another")
    with production(queue) as process:
        assert process.verify(case(1, region="eu")).why_fixed is WhyFixed.FOREIGN_PLAN
    set_enabled(queue.parent / "config.json", enabled=False)
    raised(queue)
    with production(queue) as process:
        assert process.verify(case(1, region="eu")).why_fixed is WhyFixed.DISABLED


def test_from_config_a_store_that_is_broken_or_newer_keeps_nobody_from_the_baseline(
    queue: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (queue / "store.db").write_bytes(b"no database at all" * 100)
    for forced, why in ((False, WhyFixed.NO_WORD), (True, WhyFixed.FORCED)):
        if forced:
            monkeypatch.setenv(FORCE_FIXED, "1")
        process = production(queue)
        served = process.verify(case(1))
        assert (served.arm, served.n, served.why_fixed) == (Arm.FIXED, N, why)
        assert process.obstacle
        with pytest.raises(StoreError):
            process.close()
    assert str(queue / "store.db") in caplog.text
    (queue / "store.db").unlink()
    monkeypatch.delenv(FORCE_FIXED)
    raised(queue)
    with open_store(queue / "store.db") as store, store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    process = production(queue)
    served = process.verify(case(1, region="eu"))
    assert (served.arm, served.why_fixed) == (Arm.FIXED, WhyFixed.NO_WORD)
    assert "newer" in process.obstacle
    with pytest.raises(StoreError, match="newer"):
        process.close()


def registered(queue: Path) -> list[str]:
    """The plans that the processes of the service have registered with."""
    with open_store(queue / "store.db") as store, store.read() as connection:
        return [row.plan_id for row in fleet(connection, "verifier")]


def test_from_config_a_plan_file_that_cannot_be_read_starts_fixed_and_is_tried_again(
    queue: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raised(queue)
    content = json.loads((queue.parent / "config.json").read_text(encoding="utf-8"))
    content["verifier"]["adaptive_sampling"]["plan_file"] = "plan.json"
    (queue.parent / "config.json").write_text(json.dumps(content), encoding="utf-8")
    (queue.parent / "plan.json").write_text("{", encoding="utf-8")
    with production(queue) as process:
        served = process.verify(case(1, region="eu"))
        assert (served.arm, served.n, served.why_fixed) == (Arm.FIXED, N, WhyFixed.FOREIGN_PLAN)
        assert "plan.json" in caplog.text
        PLAN.save(queue.parent / "plan.json")
        assert becomes(process, Arm.ADAPTIVE)
        assert "plan.json" not in process.obstacle
        process.verify(case(2, region="eu"))
        waited = time.monotonic()
        while registered(queue) != [PLAN.id]:
            assert time.monotonic() - waited < PATIENCE
            time.sleep(0.01)
    with open_store(queue / "store.db") as store:
        plans = {row.key: (row.arm, row.plan_id) for row in Ledger(store).rows("verifier-000001")}
    assert plans["k2"] == (Arm.ADAPTIVE, PLAN.id)
    assert plans["k1"][0] is Arm.FIXED and plans["k1"][1] != PLAN.id


def test_from_config_a_forked_child_is_a_process_of_its_own(queue: Path) -> None:
    raised(queue)
    with production(queue) as process:
        process.verify(case(1, region="eu"))
        pid = os.fork()
        if pid == 0:
            try:
                with ThreadPoolExecutor(4) as threads:
                    # It waits for no word, and so may decide fixed at first; its threads are one process.
                    list(threads.map(lambda i: process.verify(case(i, region="eu")), range(20, 28)))
                while process.arm(case(2, region="eu")) is Arm.FIXED:
                    time.sleep(0.01)
                process.verify(case(2, region="eu"))
                process.close()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        process.verify(case(3, region="eu"))
    with open_store(queue / "store.db") as opened:
        rollouts = ("", "verifier-000001")
        rows = {row.key: row for rollout in rollouts for row in Ledger(opened).rows(rollout)}
        with opened.read() as connection:
            seen = fleet(connection, "verifier")
    assert sorted(rows) == ["k1", "k2", *(f"k{i}" for i in range(20, 28)), "k3"]
    assert rows["k1"].process == rows["k3"].process != rows["k2"].process
    assert {rows[f"k{i}"].process for i in range(20, 28)} == {rows["k2"].process}
    assert {rows[key].arm for key in ("k1", "k2", "k3")} == {Arm.ADAPTIVE}
    assert len(seen) == 2 and all(row.left_at is not None for row in seen)
    assert {row.version for row in seen} == {suffice.__version__}
    assert read(queue / "metrics.json").counts.decisions == 11
    assert list((queue / "spool").iterdir()) == []


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b", 17, 0, UUID(int=1), b"k", b"", False, ["k"]])
@pytest.mark.parametrize("part", ["key", "target", "region"])
def test_what_no_database_can_hold_is_refused_before_it_is_decided(store: Store, part: str, text: object) -> None:
    """Once noted, it would keep every later row from the ledger."""
    with verifier(store) as process:
        process.verify(case(1))
        wrong = replace(case(2), **{part: text})  # type: ignore[arg-type]
        with pytest.raises(DataError, match="cannot be stored; allowed: text without NUL") as caught:
            process.verify(wrong)
        assert str(caught.value).isprintable() and drawn(wrong) == 0
        process.verify(case(3, region="Zürich"))
    assert [row.key for row in Ledger(store).rows("r")] == ["k1", "k3"]


@pytest.mark.parametrize("part", ["key", "target"])
def test_a_case_without_key_or_target_is_refused(store: Store, part: str) -> None:
    wrong = replace(case(1), **{part: None})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="cannot be stored; allowed: text"):
        verifier(store).verify(wrong)
    assert drawn(wrong) == 0


def test_a_key_that_no_ledger_takes_is_decided_by_the_baseline(store: Store) -> None:
    long = replace(case(1, 0.97), key="k" * 3000)
    served = verifier(store).verify(long)
    assert (served.arm, served.n) == (Arm.FIXED, N)
    assert verifier(store).verify(case(1, 0.97)).arm is Arm.ADAPTIVE


def test_the_store_is_where_the_url_says(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    url = place if isinstance(place, str) else f"sqlite:///{place}"
    with Verifier.from_config(tmp_path / "config.json", queue=tmp_path / "queue", store=url) as process:
        process.verify(case(1))
    monkeypatch.setenv(STORE_URL, url)
    with Verifier.from_config(tmp_path / "config.json", queue=tmp_path / "queue") as process:
        process.verify(case(2))
    with open_store(place) as opened:
        assert [row.key for row in Ledger(opened).rows("")] == ["k1", "k2"]
    assert not (tmp_path / "queue" / "store.db").exists()


def test_a_verifier_without_a_ledger_has_no_store() -> None:
    with pytest.raises(StoreError, match="keeps no ledger"):
        _ = verifier().store
