"""The verifier that a configuration describes, with its agent: words, files, forks, stores that are away."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import serving_world
from numpy.random import Generator
from numpy.typing import NDArray
from serving_world import PLAN, SEED, Flags, N, case
from sqlalchemy import text

import permitted
import suffice
from store_places import Place
from suffice.config.switch import set_enabled
from suffice.errors import PlanError, StoreError
from suffice.flag.document import Exposure
from suffice.flag.file import publish
from suffice.flag.lowering import FORCE_FIXED
from suffice.serving.counted import counters_of
from suffice.serving.served import Served
from suffice.serving.verifier import Verifier
from suffice.stopping.run import Run
from suffice.store.address import STORE_URL
from suffice.store.database import open_store
from suffice.store.decision_row import WhyFixed
from suffice.store.irregular import undecided_of
from suffice.store.ledger import Ledger
from suffice.store.processes import fleet
from suffice.store.words import Word
from suffice.telemetry.counters import Counter
from suffice.telemetry.metrics_file import read
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case
from suffice.verifier.loop import observations

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


def test_from_config_told_draws_are_decided_by_the_word_and_noted_under_its_epoch(queue: Path) -> None:
    """Adaptive while the word stands, fenced when it is taken back between two draws, and none where somebody left."""

    async def trial(_: int) -> bool:
        return True

    async def at_once(process: Verifier) -> Served:
        async with process.begin(Case("k1", "t1", region="eu")) as run:
            return await run.draw(trial)

    raised(queue)
    with production(queue) as process:
        assert becomes(process, Arm.ADAPTIVE)
        with process.begin(Case("k2", "t2", region="eu")) as run:
            run.observe([True])
        assert asyncio.run(at_once(process)).arm is Arm.ADAPTIVE
        with process.begin(Case("k2", "t2", region="eu")) as run:
            run.observe([True])
            raised(queue, phase="RolledBack", exposure=None)
            assert becomes(process, Arm.FIXED)
            run.observe([True] * N)
        assert (run.served.why_fixed, run.served.n) == (WhyFixed.FENCED, N)
    with open_store(queue / "store.db") as opened:
        rows = {row.key: (row.arm, row.epoch) for row in Ledger(opened).rows("verifier-000001")}
        with opened.read() as connection:
            assert undecided_of(connection, "verifier-000001", "canary") == {"Abandoned": 1}
    assert rows == {"k1": (Arm.ADAPTIVE, 1), "k2": (Arm.FIXED, 2)}
    assert read(queue / "metrics.json").counts.sampler_errors == {"Abandoned": 1}


def test_from_config_errors_of_a_sampler_are_told_to_the_rollout_and_counted(queue: Path) -> None:
    def times_out(rng: Generator, n: int) -> NDArray[np.float64]:
        raise TimeoutError("the simulator has not answered")

    raised(queue)
    with production(queue) as process:
        assert becomes(process, Arm.ADAPTIVE)
        for retries in (0, 2):
            with pytest.raises(TimeoutError):
                process.verify(Case(f"k{retries}", "t", times_out, region="eu", retries=retries))
    with open_store(queue / "store.db") as opened, opened.read() as connection:
        assert undecided_of(connection, permitted.OF_VERIFIER.rollout, "canary") == {"TimeoutError": 2}
    counts = read(queue / "metrics.json").counts
    assert (counts.sampler_errors, counts.counters[Counter.SAMPLER_RETRIES]) == ({"TimeoutError": 4}, 2)


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


def test_a_decision_may_be_acted_on_while_the_word_of_that_transaction_stands(queue: Path) -> None:
    word = raised(queue)
    with production(queue) as process:
        assert becomes(process, Arm.ADAPTIVE)
        decided = [(one, process.verify(one)) for one in (case(1, region="eu"), case(2), case(3, region="eu"))]
        assert [served.arm for _, served in decided] == [Arm.ADAPTIVE, Arm.FIXED, Arm.ADAPTIVE]

        def taken_back() -> list[str]:
            with process.store.write() as connection:
                return process.taken_back(connection, decided)

        assert taken_back() == []
        raised(queue, exposure=None)
        assert taken_back() == ["k1", "k3"]
        raised(queue, exposure=word.exposure)
        assert taken_back() == []
        raised(queue, rollout="verifier-000002")
        assert taken_back() == ["k1", "k3"], "it is another rollout's word now"
        decided = decided[1:2]
        assert taken_back() == []


def test_a_decision_that_is_made_anew_takes_the_place_of_the_first_in_ledger_and_counters(queue: Path) -> None:
    word = raised(queue)
    with production(queue, clock=lambda: 7.0) as process:
        assert becomes(process, Arm.ADAPTIVE)
        one = case(1, 0.97, region="eu")
        before = process.verify(one)
        assert before.arm is Arm.ADAPTIVE and before.n < N
        process.verify(case(2))
        after = process.decide_anew(case(1, 0.97, region="eu"), before)
        baseline = Run(PLAN.rule, N, ())
        baseline.observe(observations(case(1, 0.97), PLAN.rule, N, SEED))
        expected = Served(baseline.verdict, Arm.FIXED, why_fixed=WhyFixed.FENCED)
        assert after == replace(expected, epoch=word.epoch, rollout=word.rollout)
        process.flush()
        with process.store.write() as connection:
            process.replace_row(connection, one, after)
        process.count_anew(one, after, before=before)
        rows = {row.key: row for row in Ledger(process.store).rows(word.rollout)}
        row = rows["k1"]
        assert (row.arm, row.n, row.why_fixed, row.at) == (Arm.FIXED, N, WhyFixed.FENCED, 7.0)
        assert (row.process, row.plan_id, row.seed) == (rows["k2"].process, PLAN.id, SEED)
        assert row.process is not None
    assert read(queue / "metrics.json").counts == counters_of(rows.values()).snapshot()


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
        (queue.parent / "plan.json").write_text("{", encoding="utf-8")
        assert process._background is not None
        process._background.agent.step_write()
        assert "plan.json" not in process.obstacle, "it is read once"
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


def test_from_config_a_forked_child_that_closes_what_it_never_used_ends_nothing_of_its_parents(queue: Path) -> None:
    raised(queue)
    with production(queue) as process:
        assert becomes(process, Arm.ADAPTIVE)
        pid = os.fork()
        if pid == 0:
            try:
                process.close()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        with open_store(queue / "store.db") as store, store.read() as connection:
            assert [row.left_at for row in fleet(connection, "verifier")] == [None]


def test_from_config_a_fault_that_is_rehearsed_is_met_by_the_baseline(queue: Path) -> None:
    def broken(_: list[float]) -> list[float]:
        raise ZeroDivisionError("rehearsed")

    raised(queue)
    with production(queue, fault=lambda situation: replace(situation, feed=broken)) as process:
        assert becomes(process, Arm.ADAPTIVE)
        served = process.verify(case(1, region="eu"))
        assert (served.arm, served.fallback) == (Arm.FIXED, "ZeroDivisionError: rehearsed")


def test_from_config_a_plan_that_the_configuration_itself_makes_impossible_is_refused(queue: Path) -> None:
    sampling = {"enabled": True, "method": "curtailed-exact"}
    content = {"verifier": {"rule": "paired_mean", "n_samples": 64, "adaptive_sampling": sampling}}
    (queue.parent / "config.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(PlanError, match="method curtailed-exact is not made for rule paired_mean"):
        production(queue)


def test_from_config_who_closes_while_a_thread_waits_for_the_store_learns_how_many_rows_wait(
    queue: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = production(queue)
    process.verify(case(1))
    monkeypatch.setattr("suffice.serving.agent.AGENT_SECONDS", 0)
    with pytest.raises(StoreError, match=r"store\.db: does not answer; \d rows wait in the spool$"):
        process.close()


def test_from_config_who_decides_after_the_end_is_fixed_and_told_so_and_no_row_is_lost(
    queue: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raised(queue)
    process = production(queue)
    assert becomes(process, Arm.ADAPTIVE)
    process.close()
    for i in (1, 2):
        served = process.verify(case(i, region="eu"))
        assert (served.arm, served.why_fixed) == (Arm.FIXED, WhyFixed.NO_WORD)
    assert process.waiting == 2
    assert [record.message for record in caplog.records if "closed" in record.message] == [
        "this verifier is closed: decisions are fixed, and their rows wait in the spool"
    ]
    process.close()
    assert process.waiting == 0
    with open_store(queue / "store.db") as opened:
        rows = Ledger(opened).rows("")
    assert sorted(row.key for row in rows) == ["k1", "k2"]
    assert read(queue / "metrics.json").counts == counters_of(rows).snapshot()


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
