"""Why the adaptive path failed: messages of one cause are one, and few are kept."""

from itertools import permutations

import pytest

from suffice.evidence.failures import MOST_MESSAGES, OTHERS, count_failure, listed, most_frequent_first


def counted(*messages: str | None) -> dict[str, int]:
    failures: dict[str, int] = {}
    for message in messages:
        count_failure(failures, message, 1)
    return failures


@pytest.mark.parametrize(
    "alike",
    [
        ("no answer within 30 s", "no answer within 31.5 s"),
        ("KeyError: 'pump-17'", "KeyError: 'valve'"),
        ('no column "flow" in run `a`', 'no column "heat" in run `b c`'),
        (
            "at 0x7f3a9c1d20f0 of 3f2a77e0-9d1b-4c55-8b1e-2f6f0c9b7a11",
            "at 0x7f of 0e2a77e0-9d1b-4c55-8b1e-2f6f0c9b7a12",
        ),
        ("10.0.0.7:8080 refused -1e-9", "10.0.0.12:80 refused 4.5e3"),
    ],
)
def test_messages_that_differ_in_numbers_ids_and_quoted_names_are_one_shown_by_an_example(
    alike: tuple[str, str],
) -> None:
    assert counted(*alike, alike[0]) == counted(alike[0], *reversed(alike)) == {min(alike): 3}


def test_messages_of_other_causes_stay_apart() -> None:
    assert counted("KeyError: 'a'", "TypeError: 'a'", "no answer in 3 s", "no room in 3 s") == {
        "KeyError: 'a'": 1,
        "TypeError: 'a'": 1,
        "no answer in 3 s": 1,
        "no room in 3 s": 1,
    }


def test_the_order_in_which_they_come_does_not_matter() -> None:
    orders = permutations(["lost 3", "lost 1", "KeyError: 'b'", "lost 2", "KeyError: 'a'"])
    assert all(counted(*order) == {"lost 1": 3, "KeyError: 'a'": 2} for order in orders)


def test_rows_of_a_version_that_kept_no_message_have_none() -> None:
    assert counted(None, None) == {}


def test_few_are_kept_and_no_count_is_lost() -> None:
    messages = [chr(ord("a") + i) * 3 for i in range(MOST_MESSAGES + 4)]
    failures = counted(*messages, *messages[:2])
    assert len(failures) == MOST_MESSAGES + 1 and failures[OTHERS] == 4 and failures["aaa"] == 2
    assert sum(failures.values()) == len(messages) + 2


def test_the_most_frequent_is_first() -> None:
    failures = most_frequent_first({"b": 1, "a": 1, "c": 1200})
    assert listed(failures) == ["1,200 × c", "1 × a", "1 × b"]
