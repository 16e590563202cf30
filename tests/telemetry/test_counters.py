"""The counters in memory."""

from threading import Thread

import pytest

from suffice.telemetry.counters import MOST_TYPES, OTHER, Counter, Counters, Counts, by_frequency

NAMES = """
resolution_adaptive_used_total resolution_adaptive_samples_total resolution_adaptive_early_stop_total
resolution_fixed_samples_total resolution_rollbacks_total resolution_rollback_storm_escalations_total
resolution_stale_total resolution_reused_keys_total
verifier_audits_total verifier_disagreements_total verifier_invalid_total verifier_fallbacks_total
verifier_sampler_errors_total verifier_sampler_retries_total
"""


def test_the_names_are_those_of_the_runbook_in_its_order():
    assert [str(name) for name in Counter] == NAMES.split()


def test_counts_add_up():
    counters = Counters()
    counters.add(Counter.AUDITS)
    counters.add(Counter.AUDITS, 4)
    counters.add(Counter.FALLBACKS, 0)
    counters.decided(3)
    counts = counters.snapshot()
    assert counts.decisions == 3
    assert {name: count for name, count in counts.counters.items() if count} == {Counter.AUDITS: 5}
    assert list(counts.counters) == list(Counter)


def test_a_snapshot_does_not_change_and_what_comes_later_survives_its_subtraction():
    counters = Counters()
    counters.add(Counter.AUDITS, 2)
    counters.decided()
    before = counters.snapshot()
    counters.add(Counter.AUDITS, 3)
    counters.subtract(before)
    assert before.counters[Counter.AUDITS] == 2
    assert (counters.snapshot().decisions, counters.snapshot().counters[Counter.AUDITS]) == (0, 3)


def test_counters_only_rise():
    with pytest.raises(ValueError, match="cannot add -1"):
        Counters().add(Counter.AUDITS, -1)
    with pytest.raises(ValueError, match="cannot add -1"):
        Counters().decided(-1)


def test_threads_lose_nothing():
    counters = Counters()

    def count() -> None:
        for _ in range(5_000):
            counters.add(Counter.AUDITS)
            counters.decided()

    threads = [Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (counters.snapshot().decisions, counters.snapshot().counters[Counter.AUDITS]) == (20_000, 20_000)


def test_sums_keep_what_is_not_known_apart_from_zero():
    total = Counts(1, {Counter.AUDITS: 2}) + Counts(2, {Counter.AUDITS: 3, Counter.ROLLBACKS: 0})
    assert total == Counts(3, {Counter.ROLLBACKS: 0, Counter.AUDITS: 5})


def of_type(name: str) -> Exception:
    error: Exception = type(name, (Exception,), {})()
    return error


def test_errors_of_samplers_are_counted_by_type_and_in_all():
    counters = Counters()
    for error in (TimeoutError(), OSError(), TimeoutError()):
        counters.sampler_raised(error)
    counters.sampler_raised(TimeoutError(), retried=True)
    counts = counters.snapshot()
    assert counts.sampler_errors == {"TimeoutError": 3, "OSError": 1}
    assert (counts.counters[Counter.SAMPLER_ERRORS], counts.counters[Counter.SAMPLER_RETRIES]) == (4, 1)
    assert by_frequency(counts.sampler_errors) == "TimeoutError 3, OSError 1"
    counters.sampler_raised(OSError())
    counters.subtract(counts)
    assert counters.snapshot().sampler_errors == {"OSError": 1}


def test_types_are_bounded_and_none_of_their_counts_is_lost():
    counters, stored = Counters(), Counts()
    for i in range(50):
        counters.sampler_raised(of_type(f"Error{i}"))
        if i % 7 == 0:
            added = counters.snapshot()
            stored += added
            counters.subtract(added)
    stored += counters.snapshot()
    first = [f"Error{i}" for i in range(MOST_TYPES)]
    assert stored.sampler_errors == {**dict.fromkeys(first, 1), OTHER: 50 - MOST_TYPES}


@pytest.mark.parametrize("name", ["x" * 65, "", "a b", "a\nb", 'a"b'])
def test_a_type_whose_name_cannot_be_shown_is_another(name: str):
    counters = Counters()
    counters.sampler_raised(of_type(name))
    assert counters.snapshot().sampler_errors == {OTHER: 1}
