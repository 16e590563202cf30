"""Gate: the configuration. Whether it can be read, and the plan that it names."""

from suffice.errors import SufficeError
from suffice.gates.outcome import GateResult, Outcome

GATE = "configuration"


def unreadable(error: SufficeError) -> GateResult:
    """The answer when the configuration, or the plan that it names, cannot be read."""
    return GateResult(GATE, Outcome.ERROR, str(error), None, None)
