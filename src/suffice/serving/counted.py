"""Counters, from decisions that the ledger has already."""

from collections.abc import Iterable

from suffice.serving.verifier import FALLBACK
from suffice.store.ledger import DecisionRow
from suffice.telemetry.counters import Counter, Counters


def counters_of(rows: Iterable[DecisionRow]) -> Counters:
    """What the verifier counted when it made these decisions."""
    counters = Counters()
    for row in rows:
        counters.decided()
        if row.arm == "adaptive":
            counters.add(Counter.ADAPTIVE_USED)
            counters.add(Counter.ADAPTIVE_SAMPLES, row.n)
            counters.add(Counter.ADAPTIVE_EARLY_STOP, int(row.n < row.fixed_n and not row.invalid))
        else:
            counters.add(Counter.FIXED_SAMPLES, row.n)
        counters.add(Counter.INVALID, int(row.invalid))
        counters.add(Counter.FALLBACKS, int(row.reason == FALLBACK))
        if row.audited and row.agrees is not None:
            counters.add(Counter.AUDITS)
            counters.add(Counter.DISAGREEMENTS, int(not row.agrees))
    return counters
