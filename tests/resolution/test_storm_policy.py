"""The rollback-storm policy, against a model that looks at the whole history."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suffice.config import Config, parse
from suffice.errors import ConfigError
from suffice.resolution.storm import StormPolicy, StormState, replay

worlds = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60)


def by_brute_force(decisions: Iterable[tuple[str, bool]], max_rollbacks: int) -> dict[str, bool]:
    """A target escalates iff its history holds a run of that many rollbacks."""
    histories: dict[str, str] = {}
    for target, accepted in decisions:
        histories[target] = histories.get(target, "") + ("+" if accepted else "-")
    return {target: "-" * max_rollbacks in history for target, history in histories.items()}


@given(worlds, st.integers(1, 5))
def test_a_target_escalates_once_iff_it_has_a_run_of_that_many_rollbacks(
    decisions: list[tuple[str, bool]], max_rollbacks: int
) -> None:
    assert replay(decisions, max_rollbacks) == by_brute_force(decisions, max_rollbacks)


@given(worlds)
def test_without_a_limit_nothing_escalates(decisions: list[tuple[str, bool]]) -> None:
    assert replay(decisions, None).total() == 0


@given(worlds, st.integers(1, 5))
def test_targets_do_not_influence_each_other(decisions: list[tuple[str, bool]], max_rollbacks: int) -> None:
    together = replay(decisions, max_rollbacks)
    for target in "abc":
        alone = replay([decision for decision in decisions if decision[0] == target], max_rollbacks)
        assert alone[target] == together[target]


def test_it_escalates_at_the_third_rollback_in_a_row_and_a_commit_counts_anew() -> None:
    policy, state, seen = StormPolicy(3), StormState(), []
    for accepted in (False, False, True, False, False, False, True, False):
        state = policy.after(state, accepted=accepted)
        seen.append((state.consecutive_rollbacks, state.needs_review))
    counts = [(1, False), (2, False), (0, False), (1, False), (2, False)]
    assert seen == [*counts, (3, True), (3, True), (3, True)]


def test_a_configuration_names_the_policy_and_one_that_is_off_never_promotes() -> None:
    def section(**values: object) -> Config:
        return parse(json.dumps({"error_resolution": {"rollback_storm_policy": values}}), "test")

    assert StormPolicy.of(section(max_rollbacks=5)) == StormPolicy(5)
    assert StormPolicy.of(section(max_rollbacks=5, enabled=False)) == StormPolicy(None)


@pytest.mark.parametrize("max_rollbacks", [0, -1])
def test_a_limit_below_one_is_refused(max_rollbacks: int) -> None:
    with pytest.raises(ConfigError, match="allowed: at least 1"):
        StormPolicy(max_rollbacks)
