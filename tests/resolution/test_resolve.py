"""Resolving on a store: once each, whole or not at all, with every step in the provenance."""

import collections
from collections.abc import Iterator
from dataclasses import replace
from math import nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resolving import Answer, by_hash, corrections, resolver, verify
from sqlalchemy import select

from store_places import Place, Reused
from suffice import plan
from suffice.decision.proportion import Proportion
from suffice.decision.rule import Decision
from suffice.errors import DataError
from suffice.flag import answer as flag
from suffice.resolution.judge import Outcome, Resolution
from suffice.resolution.provenance import content_of
from suffice.resolution.resolve import Resolver, Summary, summarise
from suffice.resolution.review import add_records, close_review
from suffice.resolution.storm import StormPolicy, replay
from suffice.sampling.sampler import Pair
from suffice.serving.verifier import Verifier
from suffice.sources.correction import Correction, Estimate
from suffice.store.database import Store, open_store
from suffice.store.events import provenance_of, verify_provenance
from suffice.store.ledger import Ledger
from suffice.store.records import Record, Status, load_records
from suffice.store.schema import provenance, record_versions, records, resolutions
from suffice.telemetry.counters import Counter, Counters
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case

FIRST = Correction("c1", "t", Estimate(10.0, 1.0, 2.0), Estimate(13.0, 0.3, 0.4), "2001")
TABLES = (records, record_versions, resolutions, provenance)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as store:
        yield store


def answering(store: Store, *decisions: Decision, max_rollbacks: int | None = 3, batch: int = 256) -> Resolver:
    """A resolver whose validations answer these, one after another, and that fails when it is asked for more."""
    answers = iter(decisions)
    return Resolver(
        store, lambda case: Answer(next(answers)), StormPolicy(max_rollbacks), clock=lambda: 1.5, batch=batch
    )


class Lowered:
    """A flag that is at the baseline."""

    def ask(self, target: str, region: str | None = None) -> flag.FlagAnswer:
        return flag.FlagAnswer(Arm.FIXED, resolved=True, reason="STATIC")


def counted(resolver: Resolver) -> tuple[int, int]:
    """Rollbacks and escalations."""
    values = resolver.counters.snapshot().counters
    return values[Counter.ROLLBACKS], values[Counter.ESCALATIONS]


def record(store: Store, target: str = "t") -> Record:
    with store.read() as connection:
        return load_records(connection, [target])[target]


def events(store: Store, target: str = "t") -> list[str]:
    with store.read() as connection:
        assert verify_provenance(connection).intact
        return [event.event for event in provenance_of(connection, target)]


def content(store: Store) -> list[list[tuple[object, ...]]]:
    with store.read() as connection:
        return [[tuple(row) for row in connection.execute(select(t).order_by(*t.primary_key))] for t in TABLES]


def outcomes(resolved: Iterator[Resolution]) -> list[Outcome]:
    return [resolution.outcome for resolution in resolved]


ACCEPTED, REJECTED, INVALID = Decision.ACCEPTED, Decision.REJECTED, Decision.INVALID
STEPS = ["snapshot", "classified", "proposed", "validated"]


def test_an_accepted_correction_becomes_the_next_version(store: Store) -> None:
    assert outcomes(answering(store, ACCEPTED).resolve([FIRST])) == [Outcome.COMMITTED]
    assert record(store) == Record("t", 13.0, 0.3, 0.4, None, "2001", version=2)
    with store.read() as connection:
        query = select(record_versions).where(record_versions.c.target == "t").order_by(record_versions.c.version)
        kept = connection.execute(query).all()
    assert [(row.version, row.value, row.reason, row.correction_key) for row in kept] == [
        (1, 10.0, "first seen", "c1"),
        (2, 13.0, "accepted after 16 of 256 draws", "c1"),
    ]
    assert events(store) == ["first_seen", *STEPS, "committed"]


def test_a_rejected_correction_leaves_the_record_and_says_why(store: Store) -> None:
    assert outcomes(answering(store, REJECTED).resolve([FIRST])) == [Outcome.ROLLED_BACK]
    assert record(store) == Record("t", 10.0, 1.0, 2.0, consecutive_rollbacks=1)
    assert events(store) == ["first_seen", *STEPS, "rolled_back"]
    with store.read() as connection:
        last = provenance_of(connection, "t")[-1]
        row = connection.execute(select(resolutions)).one()
    assert last.payload == {
        "reason": "rejected after 16 of 256 draws",
        "restored_version": 1,
        "content": content_of(FIRST),
    }
    assert (row.outcome, row.kind, row.strategy) == ("rolled_back", "mis_measurement", "re_measure")
    assert (row.decision, row.n, row.fixed_n, row.arm) == ("rejected", 16, 256, "adaptive")


def test_draws_that_are_not_finite_decide_nothing_and_are_counted_apart(store: Store) -> None:
    broken = replace(FIRST, key="c2")
    summary = summarise(answering(store, REJECTED, INVALID).resolve([FIRST, broken]))
    assert (summary.rolled_back, summary.invalid, summary.committed) == (1, 1, 0)
    assert record(store).consecutive_rollbacks == 1
    assert events(store)[-1] == "invalid"


def test_a_sampler_that_gives_nan_is_invalid_through_the_real_verifier(store: Store) -> None:
    def with_nan(case: Case) -> object:
        return verify(replace(case, sampler=lambda rng, n: [nan] * n))

    resolver = Resolver(store, with_nan, StormPolicy(), clock=lambda: 1.5)  # type: ignore[arg-type]
    assert outcomes(resolver.resolve([FIRST])) == [Outcome.INVALID]


def test_equal_values_need_no_draws(store: Store) -> None:
    same = replace(FIRST, measurement=FIRST.record)
    assert outcomes(answering(store).resolve([same])) == [Outcome.UNCHANGED]
    assert events(store) == ["first_seen", "unchanged"]
    assert record(store).consecutive_rollbacks == 0


def test_a_rejected_correction_does_not_change_the_next_pair(store: Store) -> None:
    asked: list[Case] = []

    def reject(case: Case) -> Answer:
        asked.append(case)
        return Answer(REJECTED)

    later = Correction("c2", "t", FIRST.measurement, Estimate(15.0, 1.0, 1.0), "2005")
    list(Resolver(store, reject, StormPolicy(), clock=lambda: 1.5).resolve([FIRST, later]))
    assert asked == [FIRST.case(), later.case()]


def test_a_storm_escalates_once_and_stops_the_target_until_a_person_closes_it(store: Store) -> None:
    claims = [replace(FIRST, key=f"c{i}") for i in range(8)]
    resolved = list(answering(store, REJECTED, REJECTED, REJECTED).resolve(claims[:5]))
    assert [r.escalated for r in resolved] == [False, False, True, False, False]
    assert [r.outcome for r in resolved[3:]] == [Outcome.SKIPPED] * 2
    assert record(store).status is Status.NEEDS_REVIEW
    assert events(store)[-4:] == ["rolled_back", "escalated", "skipped", "skipped"]

    assert close_review(store, "t", "jo", "detector was recalibrated", at=2.0).status is Status.ACTIVE
    again = list(answering(store, REJECTED, ACCEPTED, REJECTED).resolve(claims[5:]))
    assert [r.after.consecutive_rollbacks for r in again] == [1, 0, 1]
    assert "review_closed" in events(store)


@pytest.mark.parametrize(("target", "status"), [("t", "it is active"), ("u", "there is no such record")])
def test_only_a_review_that_is_open_can_be_closed(store: Store, target: str, status: str) -> None:
    list(answering(store, REJECTED).resolve([FIRST]))
    with pytest.raises(DataError, match=status):
        close_review(store, target, "jo", "why not", at=2.0)


def test_a_derived_record_is_recomputed_and_the_recomputed_value_is_validated(store: Store) -> None:
    derived = Record("sum", 10.0, 1.0, 1.0, derived_from=(("a", 1.0), ("b", 1.0)))
    assert add_records(store, [Record("a", 7.0, 0.3, 0.3), Record("b", 8.0, 0.4, 0.4), derived], at=1.0) == 3
    assert add_records(store, [derived], at=1.0) == 0
    asked: list[Case] = []

    def accept(case: Case) -> Answer:
        asked.append(case)
        return Answer(ACCEPTED)

    claim = replace(FIRST, target="sum")
    list(Resolver(store, accept, StormPolicy(), clock=lambda: 1.5).resolve([claim]))
    assert (record(store, "sum").value, record(store, "sum").u_plus) == (15.0, 0.5)
    assert isinstance(asked[0].sampler, Pair)
    assert asked[0].sampler.after == Estimate(15.0, 0.5, 0.5).distribution()
    assert asked[0].direction == 1


def test_a_record_that_cannot_be_used_is_refused_with_all_others(store: Store) -> None:
    good, refused = Record("a", 7.0, 0.3, 0.3), Record("sum", 10.0, 1.0, 1.0)
    for bad, sentence in {
        replace(refused, derived_from=(("b", 1.0),)): "derived from b, which is not in the store",
        replace(refused, derived_from=(("a", 0.0),)): "the weight of a is 0.0",
        replace(refused, u_plus=-0.1): "u_plus is -0.1",
    }.items():
        with pytest.raises(DataError, match=f"^sum: .*{sentence}"):
            add_records(store, [good, bad], at=1.0)
    assert content(store)[0] == []


def test_duplicates_restarts_and_batch_size_change_nothing(
    reused: Reused, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same corrections, each once in one go; and with duplicates, in batches, stopped and started again."""

    @given(st.lists(st.integers(0, 29), max_size=80), st.integers(1, 40), st.data())
    @settings(max_examples=reused.examples(25))
    def holds(picks: list[int], batch: int, data: st.DataObject) -> None:
        other, pool = reused.emptied(), corrections(30, targets=4)
        once = [pool[i] for i in dict.fromkeys(picks)]
        stop = data.draw(st.integers(0, len(picks)))
        with open_store(tmp_path_factory.mktemp("resolve") / "store.db", durable=False) as plain:
            expected = summarise(Resolver(plain, by_hash, StormPolicy(3), lambda: 1.5).resolve(once))
            again = Resolver(other, by_hash, StormPolicy(3), lambda: 1.5, batch=batch)
            parts = [summarise(again.resolve([pool[i] for i in part])) for part in (picks[:stop], picks)]
            assert content(other) == content(plain)
            for name in ("committed", "rolled_back", "skipped", "escalations", "draws"):
                assert sum(getattr(part, name) for part in parts) == getattr(expected, name)

    holds()


def test_what_resolve_escalates_is_what_the_policy_replays(store: Store) -> None:
    resolved = list(resolver(store).resolve(corrections(400)))
    decided = [(r.correction.target, r.outcome is Outcome.COMMITTED) for r in resolved if r.verdict]
    escalated = collections.Counter(r.correction.target for r in resolved if r.escalated)
    assert +replay(decided, 3) == escalated
    assert escalated.total() >= 5


def test_a_resolver_counts_what_it_resolved_once(store: Store) -> None:
    claims = corrections(400)
    mine = resolver(store)
    summary = summarise(mine.resolve(claims))
    assert counted(mine) == (summary.rolled_back, summary.escalations)
    assert min(counted(mine)) >= 5
    again = resolver(store)
    list(again.resolve(claims))
    assert counted(again) == (0, 0)


def test_a_resolver_of_a_verifier_counts_where_the_verifier_does(store: Store) -> None:
    rule = Proportion(0.8)
    fixed = plan(rule, 64, 0.01, method="fixed")
    with Verifier(
        fixed, 42, Lowered(), enabled=False, counters=Counters(), clock=lambda: 1.5, ledger=Ledger(store)
    ) as verifier:
        mine = Resolver.of(verifier, StormPolicy(3))
        summary = summarise(mine.resolve(corrections(200)))
        assert counted(mine) == (summary.rolled_back, summary.escalations)
        assert mine.counters is verifier.counters
        # The ledger rows of a resolved batch are written, by the verifier's own flush.
        assert len(Ledger(store).rows("")) == summary.committed + summary.rolled_back


def test_a_validation_that_breaks_leaves_nothing_of_its_batch(store: Store) -> None:
    resolver = answering(store, ACCEPTED, ACCEPTED, REJECTED, batch=2)
    claims = [replace(FIRST, key=f"c{i}") for i in range(4)]
    with pytest.raises(RuntimeError):
        list(resolver.resolve(claims))
    with store.read() as connection:
        assert list(connection.execute(select(resolutions.c.correction_key)).scalars()) == ["c0", "c1"]
    assert record(store).version == 3
    assert events(store).count("committed") == 2
    # The third was rolled back in a batch that was not written.
    assert counted(resolver) == (0, 0)


def test_a_batch_that_another_process_got_in_the_way_of_is_judged_again(store: Store) -> None:
    claims = [replace(FIRST, key=f"c{i}") for i in range(6)]
    other, interfered = answering(store, REJECTED, ACCEPTED), []

    def interfere() -> None:
        if not interfered:
            interfered.append(list(other.resolve(claims[:2])))

    answers = iter([REJECTED] * 10)
    mine = Resolver(store, lambda case: Answer(next(answers)), StormPolicy(9), lambda: 1.5, flush=interfere)
    outcomes = [resolution.outcome for resolution in mine.resolve(claims)]
    assert outcomes == [Outcome.ALREADY] * 2 + [Outcome.ROLLED_BACK] * 4
    assert (record(store).version, record(store).consecutive_rollbacks) == (2, 4)


def test_a_count_that_another_process_raised_is_not_lost(store: Store) -> None:
    list(answering(store, REJECTED).resolve([FIRST]))
    interfered = []

    def interfere() -> None:
        if not interfered:
            interfered.append(list(answering(store, REJECTED).resolve([replace(FIRST, key="theirs")])))

    mine = Resolver(store, lambda case: Answer(REJECTED), StormPolicy(3), lambda: 1.5, flush=interfere)
    assert [r.escalated for r in mine.resolve([replace(FIRST, key="mine")])] == [True]


def test_what_validation_kept_is_written_before_what_is_built_on_it(store: Store) -> None:
    claims = corrections(60)
    resolved = list(resolver(store).resolve(claims))
    decided = [r.correction.key for r in resolved if r.verdict]
    assert [row.key for row in Ledger(store).rows("")] == decided


def test_the_summary_counts_every_correction_once(store: Store) -> None:
    claims = corrections(300)
    summary = summarise(resolver(store).resolve([*claims, *claims[:10]]))
    counted = (
        summary.committed,
        summary.rolled_back,
        summary.invalid,
        summary.skipped,
        summary.unchanged,
        summary.stale,
        summary.already,
        summary.reused,
    )
    assert sum(counted) == summary.corrections == 310
    assert summary.already == 10
    assert summary.draws == summary.fixed_draws == 16 * (summary.committed + summary.rolled_back)
    assert summarise([]) == Summary()
