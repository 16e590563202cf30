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
    SAMPLER_RETRIES = "verifier_sampler_retries_total"


MOST_TYPES = 20
"""Types of errors that are counted apart."""

OTHER = "other"
"""What further types count as, and those whose names are too long or odd to show."""

_LONGEST_TYPE = 64


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts, and the number of decisions (of either arm) that they were counted over.

    `sampler_errors` are those of `Counter.SAMPLER_ERRORS` by type.
    """

    decisions: int = 0
    counters: Mapping[Counter, int] = field(default_factory=dict)
    sampler_errors: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Counts") -> "Counts":
        """Both together. Nothing is below 0: what is taken out may have been in a file that was removed meanwhile."""
        names = [name for name in Counter if name in self.counters or name in other.counters]
        added = {name: max(self.counters.get(name, 0) + other.counters.get(name, 0), 0) for name in names}
        errors = added_by_type(self.sampler_errors, other.sampler_errors)
        return Counts(max(self.decisions + other.decisions, 0), added, errors)


def added_by_type(known: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Both together. A type that comes after `MOST_TYPES` others counts as `OTHER`, so that no count ever falls."""
    total = dict(known)
    for name, amount in more.items():
        place = name if name in total or len(total.keys() - {OTHER}) < MOST_TYPES else OTHER
        total[place] = total.get(place, 0) + amount
    return total


def by_frequency(counts: Mapping[str, int]) -> str:
    """Names with their counts, the most frequent first: "TimeoutError 10, OSError 2"."""
    return ", ".join(
        f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )


def type_name(error: Exception) -> str:
    """What an error counts as."""
    name = type(error).__name__
    return name if is_type_name(name) else OTHER


def is_type_name(name: str) -> bool:
    """Whether errors can be counted under this name."""
    return name.isidentifier() and len(name) <= _LONGEST_TYPE


class Counters:
    """Increments since the last flush. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._decisions = 0
        self._values = dict.fromkeys(Counter, 0)
        self._sampler_errors = dict[str, int]()

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

    def sampler_raised(self, error: Exception, *, retried: bool = False) -> None:
        """Count an error of a case's sampler, also by its type; `retried` where the call was made again after it."""
        with self._lock:
            self._values[Counter.SAMPLER_ERRORS] += 1
            self._values[Counter.SAMPLER_RETRIES] += retried
            self._sampler_errors = added_by_type(self._sampler_errors, {type_name(error): 1})

    def snapshot(self) -> Counts:
        """All counters as they are now."""
        with self._lock:
            return Counts(self._decisions, dict(self._values), dict(self._sampler_errors))

    def subtract(self, counts: Counts) -> None:
        """Take out what has been stored elsewhere, or was counted of a decision that is not in force any more.

        What was counted meanwhile stays. It may leave less than nothing, where the rest is stored.
        """
        with self._lock:
            self._decisions -= counts.decisions
            for counter, amount in counts.counters.items():
                self._values[counter] -= amount
            left = {name: was - counts.sampler_errors.get(name, 0) for name, was in self._sampler_errors.items()}
            self._sampler_errors = {name: amount for name, amount in left.items() if amount}


def _refuse_negative(what: str, amount: int) -> None:
    if amount < 0:
        raise ValueError(f"{what}: cannot add {amount}; allowed: 0 or more")
