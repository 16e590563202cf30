"""The counters of this process, for host code that counts without a verifier."""

from pathlib import Path

from suffice.errors import DataError
from suffice.telemetry import metrics_file
from suffice.telemetry.counters import Counter, Counters

METRICS = Path("TemporaryQueue") / "metrics.json"

_counters = Counters()


def increment(name: str, amount: int = 1) -> None:
    """Count `amount` more under one of the names of `Counter`. Raises DataError for another name, or a negative amount.

    What was counted waits in memory for `flush`.
    """
    if name not in set(Counter):
        raise DataError(f"{name!r} is no counter; allowed: {', '.join(Counter)}")
    if not isinstance(amount, int) or isinstance(amount, bool) or amount < 0:
        raise DataError(f"{name}: cannot add {amount!r}; allowed: a whole number, 0 or more")
    _counters.add(Counter(name), amount)


def decided(decisions: int = 1) -> None:
    """Note that decisions were made, of whichever arm: only then does a counter's zero mean zero."""
    _counters.decided(decisions)


def flush(path: Path | str = METRICS) -> None:
    """Add what waits to a metrics file that other processes share. Raises what `metrics_file.flush` raises; what is not
    written then waits on."""
    metrics_file.flush(_counters, Path(path))
