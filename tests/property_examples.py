"""How many examples a property is tried with."""

from hypothesis import settings

SHORT, LONG = 50, 400
"""By `make test`, and by `make campaign` with the profile `long`."""


def examples(count: int) -> int:
    """So many by `make test`, where an example takes long; by the campaign as many times more as elsewhere."""
    return count * settings.default.max_examples // SHORT
