"""The verifier of production as a specification: arms, audits, shadow, fallback, ledger and counters."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray
from openfeature import api
from openfeature.flag_evaluation import FlagResolutionDetails
from openfeature.provider.in_memory_provider import InMemoryProvider
from openfeature.provider.no_op_provider import NoOpProvider
from serving_world import PLAN, SEED, Flags, N, Trials, case, cases, verifier
from sqlalchemy import text

from store_places import Place
from suffice.decision.rule import Decision
from suffice.errors import DataError, StoreError
from suffice.flag.bucketing import audited
from suffice.flag.client import FlagClient
from suffice.flag.lowering import FORCE_FIXED
from suffice.serving.counted import counters_of
from suffice.serving.situation import Situation
from suffice.serving.spool import Spool
from suffice.stopping.make import plan
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow, WhyFixed
from suffice.store.ledger import Ledger
from suffice.store.signs import last_sign
from suffice.telemetry.counters import Counter
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
        both_invalid = fixed is adaptive.decision is Decision.INVALID
        expected = None if both_invalid else fixed is adaptive.decision
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
        # Both stop at a NaN that the adaptive path has met before it closed: nobody needs the draws beyond.
        met = served.adaptive is not None and served.adaptive.decision is Decision.INVALID
        assert drawn(given) == (-(-served.n // 8) * 8 if met else N)
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


@pytest.mark.parametrize("situation", [AUDIT_ALL, SHADOW, QUIET])
def test_a_case_that_is_not_eligible_is_decided_by_the_baseline_alone(store: Store, situation: Situation) -> None:
    def broken(_: str) -> bool:
        raise RuntimeError("no flag")

    given = replace(case(1), eligible=False)
    for flag in (Flags(lambda _: True), Flags(broken)):
        process = verifier(flag=flag, situation=lambda: situation, ledger=Ledger(store))
        served = process.verify(replace(again(given), key=f"k{len(Ledger(store).rows('r'))}", eligible=False))
        assert (served.arm, served.n, served.audited, served.fallback) == (Arm.FIXED, N, False, None)
        assert process.arm(given) is Arm.FIXED
        process.flush()
    rows = Ledger(store).rows("r")
    assert {(row.why_fixed, row.is_audit, row.shadow, row.adaptive_n) for row in rows} == {
        (WhyFixed.INELIGIBLE, False, False, None)
    }
    assert len(rows) == 2


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


class TimesOut:
    """A simulator that times out in one call in a hundred, whoever asks."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(5)

    def __call__(self, rng: Generator, n: int) -> NDArray[np.float64]:
        if self.rng.random() < 0.01:
            try:
                raise OSError("no route to host")
            except OSError as error:
                raise TimeoutError("the simulator has not answered") from error
        return (rng.random(n) < 0.9).astype(np.float64)


class Shaky(Trials):
    """Trials that raise in half of the calls, after they have drawn."""

    def __init__(self, share: float, failing: float = 0.5) -> None:
        super().__init__(share)
        self.failing, self.own = failing, np.random.default_rng(7)

    def __call__(self, rng: Generator, n: int) -> NDArray[np.float64]:
        values = super().__call__(rng, n)
        if self.own.random() < self.failing:
            raise TimeoutError("no answer")
        return values


@pytest.mark.parametrize("shadow", [False, True])
def test_a_simulator_that_times_out_now_and_then_is_no_failure_of_the_adaptive_path(store: Store, shadow: bool) -> None:
    situation = Situation(rollout="r", stage="s", audit_fraction=1.0, shadow=shadow)
    process, simulator, raised = verifier(store, situation=lambda: situation), TimesOut(), 0
    for i in range(400):
        try:
            assert process.verify(Case(f"k{i}", f"t{i}", simulator)).fallback is None
        except TimeoutError as error:
            raised += 1
            assert isinstance(error.__cause__, OSError) and error.__context__ is error.__cause__
            assert any("raised by the sampler of case" in note for note in error.__notes__)
    counts, errors = process.counters.snapshot().counters, process.counters.snapshot().sampler_errors
    process.flush()
    assert raised > 5 and counts[Counter.SAMPLER_ERRORS] == raised
    assert errors == {"TimeoutError": raised}
    assert counts[Counter.FALLBACKS] == 0 and len(Ledger(store).rows("r")) == 400 - raised


@pytest.mark.parametrize("situation", [AUDIT_ALL, SHADOW, QUIET])
@pytest.mark.parametrize("adaptive", [True, False])
def test_a_case_with_retries_is_decided_as_if_its_sampler_had_not_raised(situation: Situation, adaptive: bool) -> None:
    process = verifier(flag=Flags(lambda _: adaptive), situation=lambda: situation)
    for i in range(60):
        served = process.verify(Case(f"k{i}", f"t{i}", Shaky(0.9), retries=9))
        assert served == process.verify(Case(f"k{i}", f"t{i}", Trials(0.9)))
    counts = process.counters.snapshot()
    errors = counts.counters[Counter.SAMPLER_ERRORS]
    assert counts.counters[Counter.SAMPLER_RETRIES] == errors == counts.sampler_errors["TimeoutError"] > 60
    assert (counts.decisions, counts.counters[Counter.FALLBACKS]) == (120, 0)


def test_a_case_whose_retries_did_not_help_is_not_decided() -> None:
    process, sampler = verifier(), Trials(0.9)
    with pytest.raises(TimeoutError):
        process.verify(Case("k", "t", Shaky(0.9, 1.0), retries=2))
    counts = process.counters.snapshot()
    assert (counts.counters[Counter.SAMPLER_ERRORS], counts.counters[Counter.SAMPLER_RETRIES]) == (3, 2)
    assert counts.decisions == 0
    assert process.verify(Case("k", "t", sampler)).decision is Decision.ACCEPTED


def test_retries_serve_the_fall_back_and_a_decision_made_anew_too() -> None:
    broken = Situation(rollout="r", stage="s", feed=failing)
    process = verifier(situation=lambda: broken)
    given = Case("k", "t", Shaky(0.9), retries=9)
    served = process.verify(given)
    assert served.fallback and process.decide_anew(given, served).decision is served.decision


def test_a_fallback_is_told_with_its_reason_and_not_again_within_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    broken = Situation(rollout="r", stage="s", feed=failing)
    process = verifier(situation=lambda: broken)
    for i in range(50):
        process.verify(case(i))
    told = [record.getMessage() for record in caplog.records if "adaptive path failed" in record.getMessage()]
    assert len(told) == 1 and "ZeroDivisionError: the adaptive path broke" in told[0] and "'k0'" in told[0]


@pytest.mark.parametrize("spooled", [False, True])
def test_a_fallbacks_message_is_in_its_row(place: Place, tmp_path: Path, spooled: bool) -> None:
    """Whatever it says: one line that every ledger takes."""

    def broken(_: list[float]) -> list[float]:
        raise ValueError("lost \0 half \ud800 tab\t " + "x" * 400 + "\nmore")

    with open_store(place, durable=False) as opened:
        spool = Spool(tmp_path / "spool") if spooled else None
        with verifier(opened, situation=lambda: Situation(rollout="r", feed=broken), spool=spool) as process:
            process.verify(case(1))
        with verifier(opened, situation=lambda: QUIET) as process:
            process.verify(case(2))
        failed, fine = Ledger(opened).rows("r")
    assert failed.failure == ("ValueError: lost ? half ? tab? " + "x" * 400)[:300]
    assert fine.failure is None


class Mute(Exception):
    """An error that cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_an_error_whose_message_cannot_be_made_breaks_no_decision() -> None:
    def broken(_: list[float]) -> list[float]:
        raise Mute

    served = verifier(situation=lambda: Situation(feed=broken)).verify(case(1))
    assert (served.fallback, served.decision) == ("Mute", baseline_of(case(1)))


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
        Counter.STALE: 0,
        Counter.REUSED_KEYS: 0,
        Counter.AUDITS: len(audits),
        Counter.DISAGREEMENTS: sum(row.baseline_decision != row.adaptive_decision for row in audits),
        Counter.INVALID: sum(Decision.INVALID in (row.decision, row.baseline_decision) for row in rows),
        Counter.FALLBACKS: sum(row.reason == "FALLBACK" for row in rows),
        Counter.SAMPLER_ERRORS: 0,
        Counter.SAMPLER_RETRIES: 0,
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


def test_a_verifier_without_a_ledger_has_no_store_and_no_obstacle() -> None:
    assert verifier().obstacle == ""
    with pytest.raises(StoreError, match="keeps no ledger"):
        _ = verifier().store


def test_a_beat_is_a_sign_of_life_and_writes_what_waits(store: Store) -> None:
    process = verifier(store)
    process.verify(case(1))
    assert (process.waiting, Ledger(store).rows("r")) == (1, [])
    process.beat("pump")
    assert (process.waiting, len(Ledger(store).rows("r"))) == (0, 1)
    with store.read() as connection:
        assert last_sign(connection, "pump") == 1.0
        assert last_sign(connection, "verifier") is None
    process.beat()
    with store.read() as connection:
        assert last_sign(connection, "verifier") == 1.0
