"""What was counted is kept: each ledger row once, whoever counts, and whenever somebody is killed."""

import json
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from counting import count_on
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_rows import PLAIN, by_hand, chance, rows
from sqlalchemy import delete, event, func, select

from store_places import Place, Reused
from suffice.config import Stage
from suffice.decision.rule import Decision
from suffice.errors import StoreError
from suffice.evidence.reader import EvidenceReader
from suffice.evidence.tally import MOST_FEATURES, MOST_REGIONS, MOST_VALUES, OTHERS, Counted
from suffice.resolution.storm import StormPolicy
from suffice.store.database import Store, open_store
from suffice.store.decision_row import DecisionRow, Reason
from suffice.store.ledger import Ledger, Portion
from suffice.store.schema import decisions, metadata, rollup_audited, rollup_storms, rollup_targets
from suffice.verifier.arm import Arm

STAGES = (Stage(name="canary", weight=5, regions=("eu",)), Stage(name="expand", weight=50))
STEPS = st.tuples(st.sampled_from(["append", "append", "read", "kill", "overtaken", "reopen"]), st.integers(1, 12))


class KilledError(Exception):
    """Ends a reader where a kill would: what it has not committed is gone."""


def reader_of(store: Store, portion: int = 10_000) -> EvidenceReader:
    return EvidenceReader(Ledger(store), "r", StormPolicy(2), portion=portion, chance=chance)


@contextmanager
def at_statement(store: Store, number: int, act: Callable[[], None], *, of: str = "") -> Iterator[None]:
    """Do something before the statement of this number, of those that begin so."""
    with store.read() as connection:
        engine = connection.engine
    left = number

    def before(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal left
        left -= statement.startswith(of)
        if left == 0 and statement.startswith(of):
            act()

    event.listen(engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", before)


def killed() -> None:
    raise KilledError


def assert_counted(store: Store, rows: list[DecisionRow], portion: int = 10_000) -> None:
    reader = reader_of(store, portion)
    for stage in STAGES:
        assert reader.read(stage, 7.0, 90.0) == by_hand(rows, stage, 7.0, 90.0, 2)


def test_the_kept_count_is_the_count_from_scratch(reused: Reused) -> None:
    @given(st.lists(rows(), max_size=80), st.lists(STEPS, max_size=14), st.integers(1, 9))
    @settings(max_examples=reused.examples(40))
    def holds(drawn: list[DecisionRow], steps: list[tuple[str, int]], portion: int) -> None:
        drawn = [replace(row, key=f"k{i}") for i, row in enumerate(drawn)]
        other, waiting = reused.emptied(), iter(drawn)
        store = open_store(reused.place, durable=False)

        def overtake() -> None:
            Ledger(other).append(islice(waiting, 12))
            reader_of(other, portion).catch_up()

        for step, number in (*steps, ("append", len(drawn))):
            if step == "append":
                Ledger(store).append(islice(waiting, number))
            elif step == "read":
                reader_of(store, portion).catch_up()
            elif step == "kill":
                with suppress(KilledError), at_statement(store, number, killed):
                    reader_of(store, portion).catch_up()
            elif step == "overtaken":
                with at_statement(store, 2 + number % 4, overtake, of="SELECT"):
                    reader_of(store, portion).catch_up()
            else:
                store.close()
                store = open_store(reused.place, durable=False)
        assert_counted(store, drawn, portion)
        store.close()

    holds()


def test_who_keeps_nothing_counts_the_same_in_whatever_portions(reused: Reused) -> None:
    """Seen: a dry run by an account that may only read said that nothing is measured, and one with rights wrote."""

    @given(st.lists(rows(), max_size=60), st.integers(0, 60), st.integers(1, 9))
    @settings(max_examples=reused.examples(25))
    def holds(drawn: list[DecisionRow], kept: int, portion: int) -> None:
        drawn = [replace(row, key=f"k{i}") for i, row in enumerate(drawn)]
        store = reused.emptied()
        Ledger(store).append(drawn[:kept])
        reader_of(store, portion).catch_up()
        Ledger(store).append(drawn[kept:])

        def refuse() -> None:
            raise AssertionError("it writes")

        with at_statement(store, 1, refuse, of="INSERT"), at_statement(store, 1, refuse, of="UPDATE"):
            for stage in STAGES:
                reader = reader_of(store, portion)
                assert reader.read(stage, 7.0, 90.0, keep=False) == by_hand(drawn, stage, 7.0, 90.0, 2)
                # Asked again, it counts no row twice.
                assert reader.read(stage, 7.0, 90.0, keep=False) == by_hand(drawn, stage, 7.0, 90.0, 2)
        assert_counted(store, drawn, portion)

    holds()


def test_who_keeps_nothing_knows_targets_and_storms_of_its_earlier_portions(place: Place) -> None:
    audit = {"audited": True, "baseline_decision": Decision.REJECTED, "adaptive_decision": Decision.REJECTED}
    drawn = [
        replace(PLAIN, key=f"k{i}", region="eu", decision=Decision.REJECTED, agrees=True, **audit) for i in range(4)
    ]  # type: ignore[arg-type]
    with open_store(place, durable=False) as store:
        Ledger(store).append(drawn)
        evidence = reader_of(store, 1).read(STAGES[0], 7.0, 90.0, keep=False)
        assert evidence == by_hand(drawn, STAGES[0], 7.0, 90.0, 2)
        assert (evidence.fixed_targets, evidence.audited_targets, evidence.first_audits) == (1, 1, 1)


def test_decisions_counted_together_are_those_counted_one_by_one(reused: Reused) -> None:
    """A portion of one row is the tally row by row: the witness of what the database counts at once."""

    @given(st.lists(rows(), max_size=60))
    @settings(max_examples=reused.examples(30))
    def holds(drawn: list[DecisionRow]) -> None:
        kept = []
        for portion in (1, 7, 10_000):
            store = reused.emptied()
            Ledger(store).append([replace(row, key=f"k{i}") for i, row in enumerate(drawn)])
            reader = reader_of(store, portion)
            reader.catch_up()
            kept.append(({stage: plain(counted) for stage, counted in reader.stages.items()}, known_of(store)))
        assert kept[1:] == kept[:1] * 2

    holds()


def plain(counted: Counted) -> dict[str, Any]:
    """What was counted; a region with no target left is as one that never had any."""
    values = asdict(counted)
    for name in ("adaptive_targets", "fixed_targets"):
        values[name] = {region: count for region, count in values[name].items() if count}
    return values


def known_of(store: Store) -> list[list[Any]]:
    """What is kept of targets and storms."""
    with store.read() as connection:
        tables = (rollup_targets, rollup_storms, rollup_audited)
        return [sorted(map(tuple, connection.execute(select(table)))) for table in tables]


def test_a_reader_that_is_killed_at_any_statement_or_overtaken_leaves_the_right_count(place: Place) -> None:
    random = Random(4)
    rows, more = ([made(random, f"{name}{i}") for i in range(8)] for name in "kl")
    with open_store(place) as store, open_store(place) as other:
        Ledger(store).append(rows)
        # A server is told first what kind of transaction begins.
        for number in range(1, 16 if isinstance(place, Path) else 18):
            with pytest.raises(KilledError), at_statement(store, number, killed):
                reader_of(store).catch_up()

        def overtake() -> None:
            Ledger(other).append(more)
            reader_of(other).catch_up()

        with at_statement(store, 2, overtake, of="SELECT"):
            reader_of(store).catch_up()
        assert_counted(store, [*rows, *more])


PROCESSES = multiprocessing.get_context("forkserver")


def test_processes_that_count_at_once_and_are_killed_count_every_row_once(place: Place) -> None:
    random, rows = Random(7), list[DecisionRow]()
    with open_store(place) as store:
        ledger = Ledger(store)
        for _ in range(4):
            begun = [PROCESSES.Event() for _ in range(2)]
            counting = [PROCESSES.Process(target=count_on, args=(place, event)) for event in begun]
            for process in counting:
                process.start()
            for each in begun:
                assert each.wait(60)
            for _ in range(20):
                first = len(rows)
                new = [made(random, f"k{i}") for i in range(first, first + random.randint(1, 40))]
                ledger.append(new)
                rows += new
            time.sleep(random.uniform(0, 0.2))
            for process in counting:
                process.kill()
                process.join()
                assert process.exitcode == -signal.SIGKILL
        assert_counted(store, rows)


def made(random: Random, key: str) -> DecisionRow:
    """An audited adaptive decision about one of a few targets."""
    baseline, adaptive = random.choices([Decision.ACCEPTED, Decision.REJECTED], k=2)
    return replace(
        PLAIN,
        key=key,
        target=f"t{random.randrange(9)}",
        region=random.choice([None, "eu", "us"]),
        arm=Arm.ADAPTIVE,
        n=random.randint(1, 64),
        decision=adaptive,
        audited=True,
        baseline_decision=baseline,
        baseline_n=64,
        adaptive_decision=adaptive,
        agrees=adaptive == baseline,
    )


def test_a_cycle_without_new_rows_reads_none_and_one_with_some_reads_those(place: Place) -> None:
    read = list[int]()

    class Watched(Ledger):
        def portion_after(self, *arguments: Any) -> Portion:
            portion = super().portion_after(*arguments)
            read.append(sum(times for _, times in portion.alike))
            return portion

    with open_store(place) as store:
        for first in (0, 100, 105):
            Ledger(store).append([replace(PLAIN, key=f"k{i}", target=f"t{i}") for i in range(first, first + 5)])
            for _ in range(2):
                EvidenceReader(Watched(store), "r", StormPolicy(2)).catch_up()
    assert read == [5, 0, 5, 0, 5, 0]


COUNTED = (
    ("rollups", ["rollout", "rule", "last", "counts"], [("r", "1, max_rollbacks 2", 6, json.dumps({"canary": {
        "adaptive": 4, "adaptive_targets": {"": 3, "eu": 1}, "audit_draws": 112, "audited_targets": 1, "audits": 2,
        "decisions": 6, "disagreements": 1, "escalated_adaptive": 0, "escalated_baseline": 1, "excess": 0,
        "fallbacks": 1, "fixed_n": 64, "fixed_targets": {"eu": 1}, "invalid": 1, "newest": 5.0, "plans": {"plan": 6},
        "spared": 1, "stopped": 3, "stopping_draws": 24, "stopping_fixed_draws": 192}}))]),
    ("rollup_targets", ["rollout", "stage", "region", "target", "adaptive"], [
        ("r", "canary", "", "t2", True), ("r", "canary", "", "t3", True), ("r", "canary", "", "t4", True),
        ("r", "canary", "eu", "t0", False), ("r", "canary", "eu", "t1", True)]),
    ("rollup_storms", ["rollout", "stage", "scope", "adaptive_rollbacks", "adaptive_review", "baseline_rollbacks",
                       "baseline_review"], [("r", "canary", "t2", 0, False, 2, True)]),
)  # fmt: skip
"""What the version before this one had counted of `old_rows`, as it stood in its store."""


def old_rows() -> list[DecisionRow]:
    both = {"audited": True, "baseline_decision": Decision.REJECTED, "baseline_n": 64, "adaptive_n": 8}
    adaptive = replace(PLAIN, arm=Arm.ADAPTIVE, n=8)
    rejected = {"decision": Decision.REJECTED, "adaptive_decision": Decision.REJECTED, "agrees": True}
    return [
        replace(PLAIN, key="k0", target="t0", region="eu"),
        replace(adaptive, key="k1", target="t1", region="eu"),
        replace(adaptive, key="k2", target="t2", **both, **rejected),  # type: ignore[arg-type]
        replace(adaptive, key="k3", target="t2", adaptive_decision=Decision.ACCEPTED, agrees=False, at=5.0, **both),  # type: ignore[arg-type]
        replace(PLAIN, key="k4", target="t3", reason=Reason.FALLBACK),
        replace(adaptive, key="k5", target="t4", decision=Decision.INVALID, invalid=True),
    ]


def test_a_count_that_the_version_before_began_goes_on(place: Place) -> None:
    random = Random(11)
    new = [made(random, f"new{i}") for i in range(30)]
    with open_store(place) as store:
        Ledger(store).append(old_rows())
        with store.write() as connection:
            for table, columns, values in COUNTED:
                connection.execute(
                    metadata.tables[table].insert(), [dict(zip(columns, row, strict=True)) for row in values]
                )
        reader = reader_of(store)
        counted = by_hand(old_rows(), STAGES[0], 7.0, 90.0, 2)
        # That version watched no drift and no targets, and kept no shares: its audits are in no order any more.
        lost = {"watched": 0, "disagreed_at": (), "slices": {}, "reductions": {}}
        lost |= {"targets": 0, "first_audits": 0, "first_disagreements": 0}
        unwatched = {name: replace(part, watched=0, disagreed_at=()) for name, part in counted.earlier.items()}
        assert reader.read(STAGES[0], 7.0, 90.0) == replace(counted, **lost, earlier=unwatched)  # type: ignore[arg-type]
        Ledger(store).append(new)
        for stage in STAGES:
            since = by_hand(new, stage, 7.0, 90.0, 2)
            known = {name: getattr(since, name) for name in lost}
            expected = replace(by_hand([*old_rows(), *new], stage, 7.0, 90.0, 2), **known)
            earlier = {
                name: replace(part, watched=since.earlier[name].watched, disagreed_at=since.earlier[name].disagreed_at)
                for name, part in expected.earlier.items()
            }
            expected = replace(expected, earlier=earlier)
            assert reader_of(store).read(stage, 7.0, 90.0) == expected


def test_what_was_counted_stays_when_the_rows_are_gone(place: Place) -> None:
    rows = [replace(PLAIN, key=f"k{i}", target=f"t{i}") for i in range(8)]
    with open_store(place) as store:
        Ledger(store).append(rows)
        reader_of(store).catch_up()
        with store.write() as connection:
            connection.execute(delete(decisions).where(decisions.c.id < 8))
        assert_counted(store, rows)


def test_slices_that_appear_late_are_one(place: Place) -> None:
    regions = [*range(MOST_REGIONS), 7, *range(MOST_REGIONS, MOST_REGIONS + 3)]
    rows = [replace(made(Random(1), f"k{i}"), region=f"{region}") for i, region in enumerate(regions)]
    with open_store(place, durable=False) as store:
        Ledger(store).append(rows)
        slices = reader_of(store, portion=50).read(STAGES[0], 7.0, 90.0).slices
    assert {name: part.number for name, part in slices.items()} == {
        **{f"region {region}": region + 1 for region in range(MOST_REGIONS)},
        f"region: {OTHERS}": MOST_REGIONS + 1,
    }
    assert (slices["region 7"].audits, slices[f"region: {OTHERS}"].audits) == (2, 3)


def test_a_feature_of_many_values_takes_no_slice_from_a_region_that_appears_late(place: Place) -> None:
    """Seen: a customer's name as a feature, and the watch over regions was blind."""

    def of(number: int, region: str) -> DecisionRow:
        features = {f"feature {one}": f"{number}" for one in range(12)} | {"heat": number, "model": "a"}
        return replace(made(Random(1), f"k{number}"), region=region, features=json.dumps(features))

    rows = [*(of(number, "north") for number in range(150)), *(of(number, "south") for number in range(150, 160))]
    with open_store(place, durable=False) as store:
        Ledger(store).append(rows)
        slices = reader_of(store, portion=50).read(STAGES[0], 7.0, 90.0).slices
    south = slices["region south"]
    assert (south.number, south.family, south.audits, south.rarer) == (2, 0, 10, 6)
    assert len(slices) == 2 + MOST_FEATURES * (MOST_VALUES + 1), "no slice of a number, nor of an eleventh feature"
    others = slices[f"feature 1: {OTHERS}"]
    assert (others.number, others.family, others.audits, others.rarer) == (21, 2, 140, 21 * 22 * 6)


def test_targets_are_kept_once_however_often_they_are_decided(place: Place) -> None:
    with open_store(place) as store:
        Ledger(store).append([replace(PLAIN, key=f"k{i}", target=f"t{i % 3}", region="eu") for i in range(30)])
        reader_of(store, portion=4).catch_up()
        with store.read() as connection:
            assert connection.execute(select(func.count()).select_from(rollup_targets)).scalar_one() == 3


def test_a_count_by_another_storm_policy_is_not_continued(place: Place) -> None:
    with open_store(place) as store:
        Ledger(store).append([PLAIN])
        reader_of(store).catch_up()
        with pytest.raises(StoreError, match=r"r was counted by rule 1, max_rollbacks 2; allowed: 1, max_rollbacks 3"):
            EvidenceReader(Ledger(store), "r", StormPolicy(3)).catch_up()


def test_a_row_that_cannot_be_counted_is_named_and_nothing_of_its_portion_is_kept(tmp_path: Path) -> None:
    """On SQLite: PostgreSQL takes no such value."""
    with open_store(tmp_path / "store.db") as store:
        Ledger(store).append([replace(PLAIN, key="good"), replace(PLAIN, key="bad", arm=Arm.ADAPTIVE)])
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE decisions SET n = 'NaN' WHERE key = 'bad'")
        reader = reader_of(store)
        with pytest.raises(StoreError, match="decision 'bad' of rollout 'r': n is 'NaN'; allowed: an integer"):
            reader.catch_up()
        assert reader.stages == {}
        with store.write() as connection:
            connection.exec_driver_sql("UPDATE decisions SET n = 8 WHERE key = 'bad'")
        reader.catch_up()
        assert reader.stages["canary"].decisions == 2
