"""Why the adaptive path failed: the messages of fallbacks, those alike counted together."""

import re
from collections.abc import Mapping
from functools import lru_cache

from sqlalchemy import Connection

from suffice.store.rollups import load_rollup

MOST_MESSAGES = 20
"""Kinds of messages of a stage that are counted apart."""

OTHERS = "other messages"
"""What all further kinds count as."""

_VARYING = re.compile(r"""'[^']*'|"[^"]*"|`[^`]*`|[\w.-]*\d[\w.-]*""")
"""What differs between two messages of one cause: quoted names, and words with a digit (numbers, ids, addresses)."""


def count_failure(failures: dict[str, int], message: str | None, times: int) -> None:
    """Count fallbacks with this message; one without any is of a version that kept none.

    The first in the alphabet stands for all that are alike, so that their order does not matter.
    """
    if message is None:
        return
    alike = next((known for known in failures if _common(known) == _common(message)), None)
    if alike is None:
        name = message if len(failures.keys() - {OTHERS}) < MOST_MESSAGES else OTHERS
        failures[name] = failures.get(name, 0) + times
    else:
        failures[min(alike, message)] = failures.pop(alike) + times


def failures_of(connection: Connection, rollout: str, stage: str) -> dict[str, int]:
    """The messages of a stage's fallbacks up to the last cycle, as `count_failure` counts them, most frequent first.

    Raises StoreError.
    """
    rollup = load_rollup(connection, rollout)
    counted = rollup.counts.get(stage, {}) if rollup else {}
    return most_frequent_first(counted.get("failures", {}))


def most_frequent_first(failures: Mapping[str, int]) -> dict[str, int]:
    """The same messages in the order of their counts, then of the alphabet."""
    return dict(sorted(failures.items(), key=lambda counted: (-counted[1], counted[0])))


def listed(failures: Mapping[str, int]) -> list[str]:
    """A line for each message, with its count."""
    return [f"{count:,} × {message}" for message, count in failures.items()]


@lru_cache(maxsize=1024)
def _common(message: str) -> str:
    return _VARYING.sub("#", message)
