"""The decision ledger: every decision once, and evidence that equals a count by hand."""

from collections.abc import Iterator
from dataclasses import replace
from math import isnan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store_places import Place, Reused
from suffice.errors import StoreError
from suffice.store.database import Store, open_store
from suffice.store.ledger import DecisionRow, Ledger, StageEvidence

N = 256
PLAIN = DecisionRow("k", "t", "fixed", "accepted", N, N, 0.9, "REACHED_N", 42, "plan", 1.0, rollout="r", stage="canary")


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as store:
        yield store


decisions = st.sampled_from(["accepted", "rejected"])


@st.composite
def rows(draw: st.DrawFn) -> DecisionRow:
    """A decision as production writes it: fixed, shadow, adaptive, audited adaptive, or invalid."""
    way = draw(st.sampled_from(["fixed", "shadow", "adaptive", "audited", "invalid"]))
    n, baseline, adaptive = draw(st.integers(8, N)), draw(decisions), draw(decisions)
    audited = {
        "audited": True,
        "baseline_decision": baseline,
        "baseline_n": N,
        "adaptive_decision": adaptive,
        "adaptive_n": n,
        "agrees": adaptive == baseline,
    }
    changed = {
        "fixed": {},
        "shadow": {"shadow": True, **audited},
        "adaptive": {"arm": "adaptive", "n": n},
        "audited": {"arm": "adaptive", "n": n, "decision": adaptive, **audited},
        "invalid": {"invalid": True, "decision": "invalid", "n": n, "estimate": float("nan"), "audited": True},
    }
    stage = draw(st.sampled_from(["canary", "expand"]))
    return replace(PLAIN, stage=stage, key=f"k{draw(st.integers(0, 10**9))}", **changed[way])  # type: ignore[arg-type]


def by_hand(rows: list[DecisionRow]) -> StageEvidence:
    valid = [row for row in rows if not row.invalid]
    stopping = [(row.adaptive_n or row.n, row.fixed_n) for row in valid if row.shadow or row.arm == "adaptive"]
    audits = [row for row in valid if row.audited]
    return StageEvidence(
        decisions=len(rows),
        fixed=sum(row.arm == "fixed" for row in rows),
        adaptive=sum(row.arm == "adaptive" for row in rows),
        invalid=sum(row.invalid for row in rows),
        audits=len(audits),
        disagreements=sum(row.adaptive_decision != row.baseline_decision for row in audits),
        stopped=len(stopping),
        early=sum(n < fixed_n for n, fixed_n in stopping),
        stopping_draws=sum(n for n, _ in stopping),
        stopping_draws_squared=sum(n * n for n, _ in stopping),
        stopping_fixed_draws=sum(fixed_n for _, fixed_n in stopping),
        audit_draws=sum(N - row.n for row in audits if row.arm == "adaptive"),
    )


def test_evidence_is_what_one_counts_by_hand(reused: Reused) -> None:
    @given(given_rows=st.lists(rows(), max_size=60, unique_by=lambda row: row.key), batch=st.integers(1, 20))
    @settings(max_examples=reused.examples(25))
    def holds(given_rows: list[DecisionRow], batch: int) -> None:
        ledger = Ledger(reused.emptied())
        for start in range(0, len(given_rows), batch):
            ledger.append(given_rows[start : start + batch])
        canary = [row for row in given_rows if row.stage == "canary"]
        assert ledger.evidence("r", "canary") == by_hand(canary)
        assert ledger.evidence("r") == by_hand(given_rows)
        assert [row.key for row in ledger.rows("r")] == [row.key for row in given_rows]
        assert [row.key for row in ledger.audited_rows("r", "canary")] == [row.key for row in canary if row.audited]
        assert ledger.disagreements("r") == [row for row in given_rows if row.agrees is False]

    holds()


def test_squares_of_many_draws_are_summed_in_full(store: Store) -> None:
    n = 100_000
    Ledger(store).append([replace(PLAIN, key=f"k{i}", arm="adaptive", n=n, fixed_n=2 * n) for i in range(3)])
    found = Ledger(store).evidence("r")
    assert (found.stopping_draws, found.stopping_draws_squared, found.stopping_fixed_draws) == (3 * n, 3 * n**2, 6 * n)


def test_no_evidence_is_all_zero(store: Store) -> None:
    assert Ledger(store).evidence("nobody", "canary") == StageEvidence()


def test_a_retry_never_doubles_and_never_overwrites(store: Store) -> None:
    ledger = Ledger(store)
    assert ledger.append([PLAIN, replace(PLAIN, key="k2")]) == 2
    assert ledger.append([replace(PLAIN, decision="rejected"), replace(PLAIN, key="k3")]) == 1
    assert ledger.append([PLAIN, PLAIN]) == 0
    assert [(row.key, row.decision) for row in ledger.rows("r")] == [(k, "accepted") for k in ("k", "k2", "k3")]


def test_the_same_key_in_another_rollout_is_another_decision(store: Store) -> None:
    assert Ledger(store).append([PLAIN, replace(PLAIN, rollout=""), replace(PLAIN, rollout="r2")]) == 3


@pytest.mark.parametrize("estimate", [float("nan"), float("inf")])
def test_an_estimate_that_is_no_number_is_stored_as_unknown(store: Store, estimate: float) -> None:
    Ledger(store).append([replace(PLAIN, estimate=estimate)])
    with store.read() as connection:
        assert connection.exec_driver_sql("SELECT estimate FROM decisions").scalar_one() is None
    assert isnan(Ledger(store).rows("r")[0].estimate)


def test_a_batch_with_an_impossible_row_writes_nothing(store: Store) -> None:
    ledger = Ledger(store)
    with pytest.raises(StoreError):
        ledger.append([PLAIN, replace(PLAIN, key=None)])  # type: ignore[arg-type]
    assert ledger.rows("r") == []


def test_rows_in_the_callers_transaction_go_with_it(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        assert Ledger(store).append([PLAIN], connection) == 1
        raise ZeroDivisionError
    assert Ledger(store).rows("r") == []


def test_adaptive_decisions_after_a_moment_are_counted(store: Store) -> None:
    ledger = Ledger(store)
    ledger.append([replace(PLAIN, key=f"k{at}", arm="adaptive", at=float(at)) for at in range(5)])
    ledger.append([replace(PLAIN, key="late", at=9.0)])
    assert [ledger.adaptive_after("r", at) for at in (0.0, 3.5, 4.0)] == [4, 1, 0]
