"""The judge of campaigns sees each broken promise, and accepts a campaign without one."""

from dataclasses import replace

import pytest
from checker import Campaign, Span, Traced, Wrong, judge

GOOD = Traced("a/1", "a", began=1.0, drawn=2.0, ended=3.0, arm="adaptive")
FIXED = Traced("a/2", "a", began=11.0, drawn=12.0, ended=13.0, arm="fixed")
WHOLE = Campaign([GOOD, FIXED], ["a/1", "a/2"], fixed=[Span(10.0, 20.0)], good=[Span(0.0, 9.0)])


def test_a_campaign_in_which_all_is_kept_is_accepted() -> None:
    assert judge(WHOLE) == set()


@pytest.mark.parametrize(
    ("campaign", "promise"),
    [
        (replace(WHOLE, decisions=[GOOD, replace(FIXED, arm="adaptive")]), "adaptive where everybody is fixed"),
        (replace(WHOLE, cut=[("a", Span(-4.0, 4.0))]), "adaptive after its lease"),
        (replace(WHOLE, ledger=["a/1"]), "a row is lost"),
        (replace(WHOLE, ledger=["a/1", "a/2", "a/2"]), "a row is doubled"),
        (replace(WHOLE, decisions=[replace(GOOD, arm="fixed"), FIXED]), "never adaptive in good times"),
    ],
)
def test_a_broken_promise_is_seen(campaign: Campaign, promise: str) -> None:
    assert judge(campaign) == {Wrong(promise, "a")}


def test_a_decision_that_began_before_the_receipt_and_drew_on_after_it_is_too_late() -> None:
    across = replace(FIXED, began=9.5, drawn=10.5, arm="adaptive")
    assert judge(replace(WHOLE, decisions=[GOOD, across])) == {Wrong("adaptive where everybody is fixed", "a")}
