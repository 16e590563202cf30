"""The decision ledger: every decision once, typed, and read back as it was written."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from math import isnan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from store_places import Place, Reused
from suffice.decision.rule import Decision
from suffice.errors import StoreError
from suffice.stopping.run import StopReason
from suffice.store.database import Store, open_store
from suffice.store.decision_row import NAMES, DecisionRow, Reason, plain_row, row_of_plain
from suffice.store.ledger import Ledger, Portion
from suffice.store.schema import decisions
from suffice.verifier.arm import Arm

N = 256
PLAIN = DecisionRow(
    "k", "t", Arm.FIXED, Decision.ACCEPTED, N, N, 0.9, Reason.REACHED_N, 42, "plan", 1.0, rollout="r", stage="canary"
)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    with open_store(place) as store:
        yield store


typed = st.builds(
    DecisionRow,
    key=st.text("abc", min_size=1),
    target=st.just("t"),
    arm=st.sampled_from(Arm),
    decision=st.sampled_from(Decision),
    n=st.integers(1, 2**31 - 1),
    fixed_n=st.just(N),
    estimate=st.floats(allow_nan=False, allow_infinity=False),
    reason=st.sampled_from(Reason),
    seed=st.just(42),
    plan_id=st.just("plan"),
    at=st.floats(0, 2e9),
    rollout=st.just("r"),
    stage=st.sampled_from(["canary", "expand"]),
    audited=st.booleans(),
    baseline_decision=st.none() | st.sampled_from(Decision),
    adaptive_decision=st.none() | st.sampled_from(Decision),
    agrees=st.none() | st.booleans(),
)
OLD = {
    "key": "k",
    "target": "t",
    "arm": "adaptive",
    "decision": "accepted",
    "n": 8,
    "fixed_n": 64,
    "estimate": 0.9,
    "reason": "ACCEPT_BOUNDARY",
    "seed": 42,
    "plan_id": "p",
    "at": 1.5,
    "rollout": "r",
    "stage": "canary",
    "region": None,
    "audited": True,
    "shadow": False,
    "baseline_decision": "rejected",
    "baseline_n": 64,
    "adaptive_decision": "accepted",
    "adaptive_n": 8,
    "agrees": False,
    "guarded": None,
    "invalid": False,
}
"""A row as versions before this one wrote it."""


def test_rows_come_back_as_they_were_written_with_the_audits_that_differ(reused: Reused) -> None:
    @given(given_rows=st.lists(typed, max_size=30, unique_by=lambda row: row.key), batch=st.integers(1, 20))
    @settings(max_examples=reused.examples(25))
    def holds(given_rows: list[DecisionRow], batch: int) -> None:
        ledger = Ledger(reused.emptied())
        for start in range(0, len(given_rows), batch):
            ledger.append(given_rows[start : start + batch])
        read = ledger.rows("r")
        assert read == given_rows
        assert all(isinstance(row.arm, Arm) and isinstance(row.reason, Reason) for row in read)
        assert ledger.rows("r", "canary") == [row for row in given_rows if row.stage == "canary"]
        assert ledger.disagreements("r") == [row for row in given_rows if row.audited and row.agrees is False]

    holds()


@pytest.mark.parametrize("portion", [1, 2, 4, 5, 6, 10_000])
def test_each_row_of_a_rollout_comes_once_in_however_large_portions(store: Store, portion: int) -> None:
    ledger = Ledger(store)
    for i in range(5):
        ledger.append([replace(PLAIN, key=f"k{i}"), replace(PLAIN, key=f"k{i}", rollout="another")])
    assert [row.key for row in ledger.each_row("r", portion)] == ["k0", "k1", "k2", "k3", "k4"]
    assert list(ledger.each_row("nobody", portion)) == []


@given(typed)
def test_a_row_is_plain_json_and_back(row: DecisionRow) -> None:
    assert row_of_plain(json.loads(json.dumps(plain_row(row)))) == row


def test_a_row_of_earlier_versions_is_read_and_written_as_it_is() -> None:
    row = row_of_plain(OLD)
    assert (row.arm, row.decision, row.reason) == (Arm.ADAPTIVE, Decision.ACCEPTED, Reason.ACCEPT_BOUNDARY)
    assert (row.baseline_decision, row.adaptive_decision) == (Decision.REJECTED, Decision.ACCEPTED)
    assert plain_row(row) == OLD | dict.fromkeys(NAMES[NAMES.index("epoch") :])
    assert row_of_plain({name: OLD[name] for name in OLD if name != "guarded"}) == row


def test_reasons_are_those_of_runs_and_the_fallback() -> None:
    assert [reason.name for reason in Reason] == [*(reason.name for reason in StopReason), "FALLBACK"]
    assert all(reason.name == reason.value for reason in Reason)


MISSPELT = [
    ("arm", "adaptiv", "fixed, adaptive"),
    ("decision", "ACCEPTED", "accepted, rejected, invalid"),
    ("reason", "STOPPED", "ACCEPT_BOUNDARY, REJECT_BOUNDARY, REACHED_N, NON_FINITE, FALLBACK"),
    ("baseline_decision", "reject", "none, accepted, rejected, invalid"),
    ("adaptive_decision", "", "none, accepted, rejected, invalid"),
]


@pytest.mark.parametrize(("column", "text", "allowed"), MISSPELT)
def test_a_misspelt_value_in_the_database_is_refused_with_its_key(
    store: Store, column: str, text: str, allowed: str
) -> None:
    ledger = Ledger(store)
    ledger.append([PLAIN, replace(PLAIN, key="bad", audited=True, agrees=False)])
    with store.write() as connection:
        connection.execute(update(decisions).where(decisions.c.key == "bad").values({column: text}))
    sentence = f"decision bad of rollout 'r': {column} is {text!r}; allowed: {allowed}"
    for ask in (
        lambda: ledger.rows("r"),
        lambda: ledger.rows_after("r", 0, 9),
        lambda: portion_of(store),
        lambda: ledger.disagreements("r"),
        lambda: ledger.latest("r", "canary", 9),
    ):
        with pytest.raises(StoreError, match=re.escape(sentence)):
            ask()


def portion_of(store: Store) -> Portion:
    with store.read() as connection:
        return Ledger(store).portion_after("r", 0, 9, connection)


OTHER_TYPES = [
    *({name: value} for name in ("key", "target", "plan_id", "rollout", "stage") for value in (17, None, True, ["k"])),
    *({name: value} for name in ("region", "process", "failure", "features") for value in (17, 0, False, {})),
    *({name: value} for name in ("n", "fixed_n", "seed") for value in ("8", 8.0, True, None)),
    *({name: value} for name in ("baseline_n", "adaptive_n", "epoch", "drawn") for value in ("8", 8.0, True)),
    *({name: value} for name in ("audited", "shadow", "invalid") for value in ("true", 1, None)),
    *({name: value} for name in ("agrees", "guarded") for value in ("false", 0)),
    *({"at": value} for value in ("now", None, True, float("nan"), float("inf"), -float("inf"))),
    *({"estimate": value} for value in ("0.9", False)),
    *(
        {name: value}
        for name in ("draw_seconds", "cost", "halves", "baseline_statistic")
        for value in ("0.9", False, float("inf"), float("nan"))
    ),
]


def test_the_types_of_all_columns_are_told() -> None:
    enums = {"arm", "decision", "reason", "baseline_decision", "adaptive_decision", "why_fixed"}
    assert {name for changed in OTHER_TYPES for name in changed} | enums == set(NAMES)


@pytest.mark.parametrize("changed", OTHER_TYPES, ids=str)
def test_a_value_of_another_type_is_refused_with_what_is_allowed(changed: dict[str, object]) -> None:
    [(name, value)] = changed.items()
    with pytest.raises(StoreError, match=f"^decision .*: {name} is {re.escape(repr(value))}; allowed: (text|a|true)"):
        row_of_plain({**OLD, **changed})


@pytest.mark.parametrize("changed", [{"at": 3}, {"estimate": 1}, {"estimate": None}, {"epoch": 2**40}])
def test_a_number_may_be_an_integer(changed: dict[str, object]) -> None:
    assert plain_row(row_of_plain({**OLD, **changed})).items() >= changed.items()


@pytest.mark.parametrize("changed", [{"arm": ["adaptive"]}, {"decision": None}, {"weight": 5}, {"key": ...}])
def test_a_plain_row_that_is_none_is_refused_with_its_key(changed: dict[str, object]) -> None:
    plain = {name: value for name, value in {**OLD, **changed}.items() if value is not ...}
    with pytest.raises(StoreError, match=next(iter(changed))):
        row_of_plain(plain)


@pytest.mark.parametrize(
    ("changed", "stopping_n"),
    [
        ({}, None),
        ({"arm": Arm.ADAPTIVE, "n": 8}, 8),
        ({"arm": Arm.ADAPTIVE, "n": 8, "adaptive_n": 8, "adaptive_decision": Decision.REJECTED}, 8),
        ({"shadow": True, "adaptive_n": 16, "adaptive_decision": Decision.ACCEPTED}, 16),
        ({"arm": Arm.ADAPTIVE, "n": 8, "decision": Decision.INVALID}, None),
        ({"adaptive_n": 8, "adaptive_decision": Decision.INVALID, "reason": Reason.FALLBACK}, None),
        ({"arm": Arm.ADAPTIVE, "adaptive_n": 8, "baseline_decision": Decision.INVALID}, None),
    ],
)
def test_the_adaptive_stopping_time_is_that_of_a_decision_that_decided(
    changed: dict[str, object], stopping_n: int | None
) -> None:
    assert replace(PLAIN, **changed).stopping_n == stopping_n  # type: ignore[arg-type]


def test_a_retry_never_doubles_and_never_overwrites(store: Store) -> None:
    ledger = Ledger(store)
    assert ledger.append([PLAIN, replace(PLAIN, key="k2")]) == 2
    assert ledger.append([replace(PLAIN, decision=Decision.REJECTED), replace(PLAIN, key="k3")]) == 1
    assert ledger.append([PLAIN, PLAIN]) == 0
    assert [(row.key, row.decision) for row in ledger.rows("r")] == [(k, Decision.ACCEPTED) for k in ("k", "k2", "k3")]


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
        ledger.append([PLAIN, replace(PLAIN, key="k2", seed=None)])  # type: ignore[arg-type]
    assert ledger.rows("r") == []


def test_rows_in_the_callers_transaction_go_with_it(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        assert Ledger(store).append([PLAIN], connection) == 1
        raise ZeroDivisionError
    assert Ledger(store).rows("r") == []


def test_adaptive_decisions_after_a_moment_are_counted(store: Store) -> None:
    ledger = Ledger(store)
    ledger.append([replace(PLAIN, key=f"k{at}", arm=Arm.ADAPTIVE, at=float(at)) for at in range(5)])
    ledger.append([replace(PLAIN, key="late", at=9.0)])
    assert [ledger.adaptive_after("r", at) for at in (0.0, 3.5, 4.0)] == [4, 1, 0]
