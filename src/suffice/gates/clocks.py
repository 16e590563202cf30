"""Gate: the clocks. Hosts whose clocks differ from the store's by more than a minute."""

from collections.abc import Mapping

from suffice.gates.outcome import GateResult, Outcome

GATE = "clocks"

LIMIT_SECONDS = 60.0


def judge(ahead: Mapping[str, float]) -> GateResult | None:
    """An Error that names the host furthest off, of hosts whose clocks are so many seconds ahead of the store's; None
    when none is off by more than a minute."""
    if not ahead:
        return None
    host, seconds = max(ahead.items(), key=lambda item: abs(item[1]))
    if abs(seconds) <= LIMIT_SECONDS:
        return None
    way = "ahead of" if seconds > 0 else "behind"
    sentence = f"the clock of host {host} is {abs(seconds):,.0f} s {way} the store's (limit {LIMIT_SECONDS:g} s)"
    return GateResult(GATE, Outcome.ERROR, sentence, seconds, LIMIT_SECONDS)
