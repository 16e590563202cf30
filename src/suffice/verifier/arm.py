"""The two arms."""

from enum import StrEnum


class Arm(StrEnum):
    """Which path a production decision takes. FIXED is also the answer to everything that is not known."""

    FIXED = "fixed"
    ADAPTIVE = "adaptive"
