"""What a rollout says about the decisions of its service: names, salts, and nothing where there is none."""

import pytest

from suffice.errors import DataError
from suffice.serving.situation import Salts, Situation, check_service


@pytest.mark.parametrize("name", ["a", "Z9", "verifier", "pump.eu-west_1", "x" * 64])
def test_a_service_has_a_name_that_a_person_can_type(name: str) -> None:
    assert check_service(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "a/b", "a b", "a\n", "ä", "x" * 65])
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"^the service is .*; allowed: a name of at most 64 letters, digits"):
        check_service(name)


def test_a_refused_name_is_shown_by_its_first_80_characters() -> None:
    with pytest.raises(DataError, match=f"^the service is '{'y' * 80}'; "):
        check_service("y" * 200)


def test_outside_any_rollout_nothing_is_audited_and_any_plan_will_do() -> None:
    nowhere = Situation()
    assert (nowhere.rollout, nowhere.stage, nowhere.audit_fraction, nowhere.shadow) == ("", "", 0.0, False)
    assert (nowhere.plan_id, nowhere.plan, nowhere.feed) == (None, None, None)


def test_arm_and_audit_of_a_rollout_have_salts_of_their_own() -> None:
    assert Salts.of("pump-000001") == Salts(arm="pump-000001", audit="pump-000001/audit")
