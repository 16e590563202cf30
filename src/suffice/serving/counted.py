"""What a decision counts, from its ledger row: one formula for who decides and for who counts again from the ledger."""

from collections.abc import Iterable

from suffice.decision.rule import Decision
from suffice.store.decision_row import DecisionRow
from suffice.telemetry.counters import Counter, Counters


def count(row: DecisionRow, counters: Counters, times: int = 1) -> None:
    """Count one decision, its arm and its audit; `times` of them, that are alike in all of this."""
    counters.decided(times)
    if row.is_adaptive:
        stopped = row.n < row.fixed_n and row.decision is not Decision.INVALID
        counters.add(Counter.ADAPTIVE_USED, times)
        counters.add(Counter.ADAPTIVE_SAMPLES, row.n * times)
        counters.add(Counter.ADAPTIVE_EARLY_STOP, int(stopped) * times)
    else:
        counters.add(Counter.FIXED_SAMPLES, row.n * times)
    counters.add(Counter.INVALID, int(row.invalid) * times)
    counters.add(Counter.FALLBACKS, int(row.fell_back) * times)
    if row.is_audit:
        counters.add(Counter.AUDITS, times)
        counters.add(Counter.DISAGREEMENTS, int(not row.agrees) * times)


def counters_of(rows: Iterable[DecisionRow]) -> Counters:
    """What the verifier counted when it made these decisions."""
    counters = Counters()
    for row in rows:
        count(row, counters)
    return counters
