"""The judge of campaigns sees each broken promise, and accepts a campaign without one."""

from dataclasses import replace

import pytest
from checker import Books, Campaign, Resolved, Span, Traced, Wrong, judge

GOOD = Traced("a/1", "a", began=1.0, drawn=2.0, ended=3.0, blocked=0.0, arm="adaptive")
FIXED = Traced("a/2", "a", began=11.0, drawn=12.0, ended=13.0, blocked=0.2, arm="fixed")
LATE = replace(FIXED, arm="adaptive")
BOOKS = Books(
    ledger=["a/1", "a/2"],
    corrections=[Resolved("a/c1", "adaptive", 3.0), Resolved("a/c2", "fixed", 14.0), Resolved("a/c3", None, 14.0)],
    journal=[(0.5, "start"), (4.5, "advance"), (9.0, "roll back")],
    receipts=[10.0],
)
WHOLE = Campaign([GOOD, FIXED], [BOOKS], told=[("a/c1", "a")], good=[Span(0.0, 9.0)], holds=[4.0, 0.0])
RESTORED = replace(BOOKS, ledger=["a/1"], journal=[(0.5, "start"), (14.0, "hold back")], receipts=[])

WAITS = [(0.5, "start"), (4.5, "await approval")]
HELD = [(0.5, "start"), (6.0, "hold back"), (10.5, "resume")]


def with_books(**changes: object) -> Campaign:
    return replace(WHOLE, books=[replace(BOOKS, **changes)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "campaign",
    [
        WHOLE,
        replace(WHOLE, decisions=[GOOD, replace(LATE, drawn=9.9)]),
        replace(WHOLE, books=[replace(BOOKS, journal=[*BOOKS.journal, (11.0, "resume")])], decisions=[GOOD, LATE]),
        with_books(journal=[(0.5, "start"), (4.5, "advance"), *((at, "complete") for at in (5.0, 6.0, 7.0))]),
        with_books(journal=[*WAITS, (6.0, "approve"), (6.5, "judge"), (6.5, "advance")]),
        with_books(journal=[*WAITS, (5.0, "approve"), (6.0, "pause"), (7.0, "resume"), (7.5, "advance")]),
        replace(WHOLE, books=[BOOKS, replace(RESTORED, corrections=[Resolved("a/c1", "adaptive", 14.0)])]),
        replace(WHOLE, books=[replace(BOOKS, journal=HELD, receipts=[])], decisions=[GOOD, LATE]),
        replace(WHOLE, decisions=[GOOD, replace(FIXED, blocked=9.0)], stopped=[("a", Span(12.5, 14.0))]),
    ],
)
def test_a_campaign_in_which_all_is_kept_is_accepted(campaign: Campaign) -> None:
    assert judge(campaign) == set()


@pytest.mark.parametrize(
    ("campaign", "promise"),
    [
        (replace(WHOLE, decisions=[GOOD, LATE]), "adaptive where everybody is fixed"),
        (replace(WHOLE, decisions=[GOOD, replace(LATE, began=9.5, drawn=10.5)]), "adaptive where everybody is fixed"),
        (replace(WHOLE, decisions=[replace(GOOD, drawn=5.0), FIXED], fixed=[Span(4.0, 6.0)]), "adaptive where"),
        (replace(WHOLE, cut=[("a", Span(-4.0, 4.0))]), "adaptive after its lease"),
        (replace(with_books(journal=[(10.0, "receipt")], receipts=[]), decisions=[GOOD, LATE]), "adaptive where every"),
        (replace(with_books(journal=HELD[:-1], receipts=[]), decisions=[GOOD, LATE]), "adaptive where everybody"),
        (with_books(ledger=["a/1"]), "a row is lost"),
        (replace(WHOLE, books=[replace(BOOKS, ledger=["a/1"]), RESTORED]), "a row is lost"),
        (with_books(ledger=["a/1", "a/2", "a/2"]), "a row is doubled"),
        (replace(WHOLE, decisions=[GOOD, replace(FIXED, blocked=1.1)]), "a call waits for somebody"),
        (
            replace(WHOLE, decisions=[GOOD, replace(FIXED, blocked=1.1)], stopped=[("b", Span(12.5, 14.0))]),
            "a call waits for somebody",
        ),
        (with_books(corrections=[replace(BOOKS.corrections[0], committed=10.5)]), "a correction is committed"),
        (with_books(corrections=[]), "a correction is lost"),
        (replace(WHOLE, decisions=[replace(GOOD, arm="fixed"), FIXED]), "never adaptive in good times"),
        (replace(WHOLE, good=[Span(0.0, 9.0), Span(9.0, 10.0)]), "never adaptive in good times"),
        (replace(WHOLE, good=[]), "never adaptive in good times"),
    ],
)
def test_a_broken_promise_is_seen(campaign: Campaign, promise: str) -> None:
    (wrong,) = judge(campaign)
    assert wrong.process == "a"
    assert wrong.promise.startswith(promise)


@pytest.mark.parametrize(
    ("journal", "promise"),
    [
        ([(0.5, "start"), (4.4, "advance")], "a stage is shortened"),
        ([(0.5, "start"), (1.0, "pause"), (8.0, "resume"), (11.0, "complete")], "a stage is shortened"),
        ([(0.5, "start"), (1.0, "hold back"), (8.0, "resume"), (11.4, "advance")], "a stage is shortened"),
        ([(0.5, "start"), (1.0, "await approval"), (8.0, "approve"), (11.4, "advance")], "a stage is shortened"),
        (
            [(0.5, "start"), (1.0, "pause"), (2.0, "approve"), (8.0, "advance")],
            "an approval of a stage that waits for none",
        ),
        ([(0.5, "start"), (4.4, "approve"), (4.5, "advance")], "an approval of a stage that waits for none"),
        ([*WAITS, (5.0, "pause"), (6.0, "approve"), (6.5, "advance")], "an approval of a stage that waits for none"),
        ([*WAITS, (5.0, "pause"), (6.0, "resume"), (6.5, "advance")], "a stage ends without its approval"),
        ([*WAITS, (5.0, "complete")], "a stage ends without its approval"),
        ([*WAITS, (5.0, "hold back"), (6.0, "approve")], "an approval of a stage that waits for none"),
    ],
)
def test_a_stage_that_ends_early_is_seen(journal: list[tuple[float, str]], promise: str) -> None:
    assert promise in {wrong.promise for wrong in judge(with_books(journal=journal))}


def test_a_correction_that_is_in_the_store_twice_is_seen() -> None:
    assert judge(with_books(corrections=[*BOOKS.corrections, BOOKS.corrections[0]])) == {
        Wrong("a correction is doubled", "")
    }
