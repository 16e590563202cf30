"""The permission protocol, explored exhaustively: it keeps its promises in every world, and needs each of its rules."""

import pytest
from protocol import ALL, NEEDED, OPEN, WORLDS, Rule, World, explore


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_every_promise_is_kept_in_every_state_of_a_world_and_decisions_are_adaptive_there(world: World) -> None:
    explored = explore(world)
    assert explored.path is None
    assert explored.ever_adaptive


@pytest.mark.parametrize("rule", Rule, ids=lambda rule: rule.name)
def test_without_any_one_rule_a_promise_breaks(rule: Rule) -> None:
    explored = explore(WORLDS[NEEDED[rule]], ALL - {rule})
    expected = "adaptive without a runner" if rule is Rule.LAPSE else "adaptive after the receipt"
    assert explored.promise == expected


@pytest.mark.parametrize("world", OPEN.values(), ids=OPEN)
def test_what_the_documentation_calls_open_is_open(world: World) -> None:
    assert explore(world).promise == "adaptive after the receipt"


def test_an_exploration_that_was_cut_short_shows_nothing() -> None:
    with pytest.raises(RuntimeError, match="more than 100 states"):
        explore(WORLDS["restore"], limit=100)


@pytest.mark.campaign
@pytest.mark.parametrize("name", WORLDS)
def test_longer_leases_and_words_change_nothing(name: str) -> None:
    longer = WORLDS[name]._replace(lease=2, word=WORLDS[name].word + 1)
    explored = explore(longer, limit=3_000_000)
    assert explored.path is None
    assert explored.ever_adaptive
