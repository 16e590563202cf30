"""A measurement that is older than what the record holds, a key that is used again, and values that are exact."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from math import erf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resolving import Answer, verify
from sqlalchemy import select, text

from store_places import Place, Reused
from suffice.decision.paired_mean import PairedMean
from suffice.decision.rule import Decision
from suffice.resolution.judge import Outcome, Resolution
from suffice.resolution.provenance import content_of
from suffice.resolution.resolve import Resolver, summarise
from suffice.resolution.review import add_records
from suffice.resolution.storm import StormPolicy
from suffice.sources.correction import Correction, Estimate
from suffice.sources.times import is_older
from suffice.store.database import Store, open_store
from suffice.store.events import provenance_of, verify_provenance
from suffice.store.records import Record, load_records
from suffice.store.schema import resolutions
from suffice.telemetry.counters import Counter
from suffice.verifier.loop import decide_fixed, observations

HELD = Estimate(4.0, 0.1, 0.1)
NEW = Correction("new", "pump", HELD, Estimate(5.0, 0.1, 0.1), "2026-11-25", record_time="2026-11-20")
OLD = replace(NEW, key="old", measurement=Estimate(4.6, 0.1, 0.1), time="2026-11-21")


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as store:
        yield store


def accepting(store: Store, batch: int = 256) -> Resolver:
    return Resolver(store, lambda case: Answer(Decision.ACCEPTED), StormPolicy(3), lambda: 1.5, batch=batch)


def outcomes(resolved: Iterator[Resolution]) -> list[Outcome]:
    return [resolution.outcome for resolution in resolved]


def record(store: Store, target: str = "pump") -> Record:
    with store.read() as connection:
        assert verify_provenance(connection).intact
        return load_records(connection, [target])[target]


# Stale


@pytest.mark.parametrize("batch", [1, 2])
def test_an_older_measurement_is_told_and_not_applied(store: Store, batch: int) -> None:
    resolver = accepting(store, batch)
    committed, stale = resolver.resolve([NEW, OLD])
    assert (committed.outcome, stale.outcome) == (Outcome.COMMITTED, Outcome.STALE)
    assert stale.reason == f"{Outcome.STALE.value} Measured: 2026-11-21; held: 2026-11-25."
    assert (record(store).value, record(store).time, record(store).version) == (5.0, "2026-11-25", 2)
    assert summarise(iter([committed, stale])).stale == 1
    assert resolver.counters.snapshot().counters[Counter.STALE] == 1
    with store.read() as connection:
        last = provenance_of(connection, "pump")[-1]
        kept = connection.execute(select(resolutions).where(resolutions.c.correction_key == "old")).one()
    assert (last.event, last.correction_key, last.payload["version"]) == ("stale", "old", 2)
    assert (kept.outcome, kept.reason, kept.n) == ("stale", stale.reason, None)


def test_it_is_stale_once_and_already_afterwards(store: Store) -> None:
    list(accepting(store).resolve([NEW, OLD]))
    again = accepting(store)
    assert outcomes(again.resolve([NEW, OLD])) == [Outcome.ALREADY] * 2
    assert again.counters.snapshot().counters[Counter.STALE] == 0


def test_a_measurement_older_than_the_first_record_is_stale(store: Store) -> None:
    assert outcomes(accepting(store).resolve([replace(OLD, time="2026-11-19")])) == [Outcome.STALE]
    assert record(store) == Record("pump", 4.0, 0.1, 0.1, time="2026-11-20")


def test_an_older_measurement_of_the_first_value_does_not_confirm_what_replaced_it(store: Store) -> None:
    same = replace(OLD, measurement=HELD)
    assert outcomes(accepting(store).resolve([NEW, same])) == [Outcome.COMMITTED, Outcome.STALE]


def test_an_older_measurement_of_a_record_in_review_is_stale_and_no_rollback(store: Store) -> None:
    rejecting = Resolver(store, lambda case: Answer(Decision.REJECTED), StormPolicy(1), lambda: 1.5)
    older = replace(OLD, key="older", time="2026-11-19")
    assert outcomes(rejecting.resolve([NEW, older, OLD])) == [Outcome.ROLLED_BACK, Outcome.STALE, Outcome.SKIPPED]
    assert record(store).consecutive_rollbacks == 1


def test_the_same_observation_written_otherwise_makes_the_record_as_new_as_it_is(store: Store) -> None:
    """Or a measurement of the time between would replace it."""
    record = Estimate(938.27, 0.1, 0.1)
    rescaled = replace(NEW, record=record, measurement=Estimate(0.938272, 0.0001, 0.0001))
    assert outcomes(accepting(store).resolve([rescaled, replace(OLD, record=record)])) == [
        Outcome.COMMITTED,
        Outcome.STALE,
    ]


def test_a_derived_record_is_as_new_as_its_newest_input(store: Store) -> None:
    parts = [Record("a", 1.0, 0.1, 0.1, time="2026-11-22"), Record("b", 2.0, 0.1, 0.1, time="2026-11-23")]
    derived = Record("pump", 4.0, 0.1, 0.1, time="2026-11-20", derived_from=(("a", 1.0), ("b", 1.0)))
    add_records(store, [*parts, derived], at=1.0)
    # Both claim less than what is held, as the inputs do.
    claims = [replace(c, measurement=Estimate(3.1, 0.1, 0.1)) for c in (NEW, replace(OLD, time="2026-11-22"))]
    assert outcomes(accepting(store).resolve(claims)) == [Outcome.COMMITTED, Outcome.STALE]
    assert record(store).time == "2026-11-23"


DAYS = st.integers(0, 40).map(lambda day: date(2026, 11, 1) + timedelta(days=day))
TIMES = st.one_of(
    st.just(""),
    st.integers(1990, 2000).map(str),
    DAYS.map(date.isoformat),
    st.tuples(DAYS, st.integers(0, 23), st.integers(-12, 12)).map(
        lambda parts: datetime(
            parts[0].year, parts[0].month, parts[0].day, parts[1], tzinfo=timezone(timedelta(hours=parts[2]))
        ).isoformat()
    ),
    st.sampled_from(["run 7", "run 8"]),
)
MEASURED = st.tuples(st.sampled_from(["pump", "valve"]), st.sampled_from([3.141, 3141.0, 5.25, 7.5]), TIMES)


def test_whatever_the_order_nothing_older_is_committed(reused: Reused) -> None:
    @given(st.lists(MEASURED, max_size=20), st.integers(1, 20))
    @settings(max_examples=reused.examples(25))
    def holds(measured: list[tuple[str, float, str]], batch: int) -> None:
        claims = [
            Correction(f"c{i}", target, HELD, Estimate(value, 0.1, 0.1), time, record_time="2026-11-10")
            for i, (target, value, time) in enumerate(measured)
        ]
        store, held = reused.emptied(), dict.fromkeys(("pump", "valve"), "2026-11-10")
        for resolution in accepting(store, batch).resolve(claims):
            target, time = resolution.correction.target, resolution.correction.time
            older = is_older(time, held[target])
            assert (resolution.outcome is Outcome.STALE) == older
            if not older:
                assert resolution.outcome is Outcome.COMMITTED
                held[target] = time
            assert resolution.after.time == held[target]

    holds()


# A key that was used before


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize(
    "changed",
    [
        {"measurement": Estimate(5.5, 0.1, 0.1)},
        {"measurement": Estimate(5.0, 0.2, 0.1)},
        {"measurement": Estimate(5.0, 0.1, 0.2)},
        {"time": "2026-11-26"},
        {"measurement_context": "cold"},
        {"target": "valve"},
    ],
    ids=str,
)
def test_a_known_key_with_another_measurement_is_told_and_not_applied(
    store: Store, changed: dict[str, object], batch: int
) -> None:
    resolver = accepting(store, batch)
    _, other = resolver.resolve([NEW, replace(NEW, **changed)])  # type: ignore[arg-type]
    assert (other.outcome, other.reason) == (Outcome.REUSED, Outcome.REUSED.value)
    assert (record(store).value, record(store).version) == (5.0, 2)
    assert summarise(iter([other])).reused == 1
    assert resolver.counters.snapshot().counters[Counter.REUSED_KEYS] == 1
    # In a later run as well, and the first content stays the one that counts.
    assert outcomes(accepting(store).resolve([replace(NEW, **changed)])) == [Outcome.REUSED]  # type: ignore[arg-type]
    assert outcomes(accepting(store).resolve([NEW])) == [Outcome.ALREADY]


def test_the_record_may_have_changed_since(store: Store) -> None:
    """Whoever exports records anew has what was committed in them."""
    list(accepting(store).resolve([NEW]))
    exported = replace(NEW, record=NEW.measurement, record_time=NEW.time, region="eu", record_context="warm")
    assert outcomes(accepting(store).resolve([exported])) == [Outcome.ALREADY]


@pytest.mark.parametrize("decision", list(Decision))
def test_whatever_became_of_it_its_content_is_kept(store: Store, decision: Decision) -> None:
    resolver = Resolver(store, lambda case: Answer(decision), StormPolicy(1), lambda: 1.5)
    second, stale = replace(NEW, key="second"), replace(OLD, time="2026-11-01")
    unchanged = replace(NEW, key="third", target="valve", measurement=HELD)
    claims = [NEW, second, unchanged, stale]
    list(resolver.resolve(claims))
    moved = [replace(claim, measurement=Estimate(9.0, 0.1, 0.1)) for claim in claims]
    assert outcomes(resolver.resolve([*claims, *moved])) == [Outcome.ALREADY] * 4 + [Outcome.REUSED] * 4


def test_a_key_of_an_earlier_version_which_kept_no_content_is_already_resolved(store: Store) -> None:
    list(accepting(store).resolve([NEW]))
    with store.write() as connection:
        old = provenance_of(connection, "pump")[-1].payload
        payload = f'{{"reason":"{old["reason"]}","version":2}}'
        connection.execute(text("UPDATE provenance SET payload = :p WHERE event = 'committed'"), {"p": payload})
    assert outcomes(accepting(store).resolve([replace(NEW, time="2026-11-30")])) == [Outcome.ALREADY]


ESTIMATES = st.builds(Estimate, st.floats(-1e9, 1e9), st.floats(0, 1e9), st.floats(0, 1e9))
CORRECTIONS = st.builds(
    Correction,
    st.just("c"),
    st.text(max_size=3),
    ESTIMATES,
    ESTIMATES,
    TIMES,
    record_context=st.none() | st.text(max_size=2),
    measurement_context=st.none() | st.text(max_size=2),
)


@given(CORRECTIONS, CORRECTIONS)
def test_content_is_the_same_exactly_for_the_same_measurement(one: Correction, other: Correction) -> None:
    parts = [(c.target, repr(c.measurement), c.measurement_context, c.time) for c in (one, other)]
    assert (content_of(one) == content_of(other)) == (parts[0] == parts[1])
    assert content_of(replace(one, key="d", record=other.record, region="eu")) == content_of(one)


# Exact values

EXACT = Estimate(4.0, 0.0, 0.0)


def test_two_exact_values_that_differ_are_a_correction_that_every_draw_confirms(store: Store) -> None:
    exact = replace(NEW, record=EXACT, measurement=Estimate(4.000001, 0.0, 0.0))
    (resolution,) = Resolver(store, verify, StormPolicy(), lambda: 1.5).resolve([exact])
    assert resolution.outcome is Outcome.COMMITTED
    assert resolution.verdict is not None
    assert getattr(resolution.verdict, "estimate", None) == 1.0
    assert (record(store).value, record(store).u_plus, record(store).u_minus) == (4.000001, 0.0, 0.0)


def test_two_exact_values_that_are_equal_are_unchanged(store: Store) -> None:
    exact = replace(NEW, record=EXACT, measurement=EXACT)
    assert outcomes(accepting(store).resolve([exact])) == [Outcome.UNCHANGED]


@pytest.mark.parametrize("exact_record", [True, False])
@pytest.mark.parametrize("sigmas", [0.2, 0.5, 1.5, 3.0])
def test_one_exact_value_leaves_the_spread_of_the_other(exact_record: bool, sigmas: float) -> None:
    uncertain = Estimate(4.0 + sigmas, 1.0, 1.0)
    record, measurement = (EXACT, uncertain) if exact_record else (uncertain, EXACT)
    case = replace(NEW, record=record, measurement=measurement).case()
    n = 20_000
    draws = np.array(observations(case, PairedMean(), n, 7))
    share = float((draws * case.direction > 0).mean())
    expected = (1 + erf(sigmas / sqrt(2))) / 2
    assert abs(share - expected) < 5 * sqrt(expected * (1 - expected) / n)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_the_mean_rule_accepts_exact_values_that_differ_by_more_than_its_least_effect(one: float, two: float) -> None:
    case = replace(NEW, record=Estimate(one, 0.0, 0.0), measurement=Estimate(two, 0.0, 0.0)).case()
    rule = PairedMean(min_effect=1e-6)
    accepted = decide_fixed(observations(case, rule, 64, 7), rule).decision is Decision.ACCEPTED
    assert accepted == (abs(two - one) > 1e-6)
