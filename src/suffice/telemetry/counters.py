"""The counters, in memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock


class Counter(StrEnum):
    """The names, in the order in which they are shown and written."""

    ADAPTIVE_USED = "resolution_adaptive_used_total"
    ADAPTIVE_SAMPLES = "resolution_adaptive_samples_total"
    ADAPTIVE_EARLY_STOP = "resolution_adaptive_early_stop_total"
    FIXED_SAMPLES = "resolution_fixed_samples_total"
    ROLLBACKS = "resolution_rollbacks_total"
    ESCALATIONS = "resolution_rollback_storm_escalations_total"
    STALE = "resolution_stale_total"
    REUSED_KEYS = "resolution_reused_keys_total"
    AUDITS = "verifier_audits_total"
    DISAGREEMENTS = "verifier_disagreements_total"
    INVALID = "verifier_invalid_total"
    FALLBACKS = "verifier_fallbacks_total"
    SAMPLER_ERRORS = "verifier_sampler_errors_total"


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts, and the number of decisions (of either arm) that they were counted over."""

    decisions: int = 0
    counters: Mapping[Counter, int] = field(default_factory=dict)

    def __add__(self, other: "Counts") -> "Counts":
        """Both together. Nothing is below 0: what is taken out may have been in a file that was removed meanwhile."""
        names = [name for name in Counter if name in self.counters or name in other.counters]
        added = {name: max(self.counters.get(name, 0) + other.counters.get(name, 0), 0) for name in names}
        return Counts(max(self.decisions + other.decisions, 0), added)


class Counters:
    """Increments since the last flush. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._decisions = 0
        self._values = dict.fromkeys(Counter, 0)

    def add(self, counter: Counter, amount: int = 1) -> None:
        """Count `amount` more. Raises ValueError when it is negative: counters only rise."""
        _refuse_negative(counter, amount)
        with self._lock:
            self._values[counter] += amount

    def decided(self, decisions: int = 1) -> None:
        """Note that decisions were made, of whichever arm. Only then does a zero mean zero."""
        _refuse_negative("decisions", decisions)
        with self._lock:
            self._decisions += decisions

    def snapshot(self) -> Counts:
        """All counters as they are now."""
        with self._lock:
            return Counts(self._decisions, dict(self._values))

    def subtract(self, counts: Counts) -> None:
        """Take out what has been stored elsewhere, or was counted of a decision that is not in force any more.

        What was counted meanwhile stays. It may leave less than nothing, where the rest is stored.
        """
        with self._lock:
            self._decisions -= counts.decisions
            for counter, amount in counts.counters.items():
                self._values[counter] -= amount


def _refuse_negative(what: str, amount: int) -> None:
    if amount < 0:
        raise ValueError(f"{what}: cannot add {amount}; allowed: 0 or more")
