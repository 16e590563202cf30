"""Waiting until a flag's client has seen what was published."""

import time
from collections.abc import Callable

from suffice.flag.client import FlagClient
from suffice.flag.document import Exposure
from suffice.verifier.arm import Arm

EVERYBODY = Exposure(100, "s1")
POLL_MS = 20


def within_reason(condition: Callable[[], bool]) -> bool:
    for _ in range(1_000):
        if condition():
            return True
        time.sleep(0.02)
    return False


def becomes(client: FlagClient, arm: Arm) -> bool:
    return within_reason(lambda: client.arm("pump-1") is arm)
