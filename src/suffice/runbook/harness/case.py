"""A named case, what it may use, and running many of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from time import perf_counter

from suffice.comparison.compare import Comparison
from suffice.config import Config
from suffice.errors import DataError, MissingDataError, OutputError, StoreError
from suffice.resolution.storm import StormPolicy
from suffice.runbook.harness.workload import Workload, resolve_reference
from suffice.runbook.sweep import Conditions
from suffice.sources.even import even_cases
from suffice.stopping.plan import Plan
from suffice.telemetry.counters import Counters
from suffice.verifier.case import Case
from suffice.verifier.many import CaseResult, results

_HOST_LACKS = (OSError, MemoryError, StoreError, OutputError, MissingDataError)
"""What says nothing about decisions: a full disk, no memory, data that is not there."""


class CaseFailed(Exception):
    """What a case found wrong, as a sentence with its numbers."""


@dataclass(frozen=True)
class Context:
    """What the cases share. What is dear is made once, when the first case asks for it, and an exception in making it
    fails only the cases that ask. `config_text` is the file itself; `plan_of` makes the configured plan. `counted`
    collects the counts of the reference workload, `expected` those of scenarios, whose escalations are expected."""

    config: Config
    config_text: str
    plan_of: Callable[[], Plan]
    seed: int
    now: datetime
    counted: Counters = field(default_factory=Counters)
    expected: Counters = field(default_factory=Counters)

    @cached_property
    def plan(self) -> Plan:
        return self.plan_of()

    @property
    def policy(self) -> StormPolicy:
        return StormPolicy.of(self.config)

    @property
    def conditions(self) -> Conditions:
        """What scenarios are run under: deterministic, whatever the configuration says."""
        return Conditions(self.plan, self.seed, self.policy, self.now)

    @cached_property
    def even(self) -> list[CaseResult]:
        """The even regression set, decided both ways."""
        return self._decided(even_cases(self.plan.rule, self.plan.n))

    @cached_property
    def pdg(self) -> list[CaseResult]:
        """The particle measurements, decided both ways."""
        from suffice.sources import pdg

        return self._decided(correction.case() for correction in pdg.corrections())

    @cached_property
    def workload(self) -> Workload:
        """The reference workload, resolved by both arms."""
        return resolve_reference(self.plan, self.seed, self.policy, self.now.timestamp(), self.counted)

    def comparison(self, decided: Iterable[CaseResult]) -> Comparison:
        """Cases that were decided, counted."""
        comparison = Comparison.of(self.plan.rule, self.plan.n, self.seed, [self.plan])
        for result in decided:
            comparison.add(result)
        return comparison

    def _decided(self, cases: Iterable[Case]) -> list[CaseResult]:
        return list(results(cases, self.plan.rule, self.plan.n, [self.plan], self.seed))


@dataclass(frozen=True, slots=True)
class EvalCase:
    """A named case: `check` returns what it found when all is well, and raises otherwise.

    `needs` is the optional package that it cannot run without, "" for none.
    """

    name: str
    check: Callable[[Context], str]
    needs: str = ""


@dataclass(frozen=True, slots=True)
class EvalResult:
    """The outcome of a case, in a sentence; `seconds` is how long it took.

    One that is `unknown` has not passed, and nothing is wrong: the host lacked what it needs.
    """

    name: str
    passed: bool
    what: str
    seconds: float
    unknown: bool = False


def run_cases(cases: Iterable[EvalCase], context: Context) -> Iterator[EvalResult]:
    """Run the cases in order. A case that fails, for whatever reason, hides no other."""
    for case in cases:
        start = perf_counter()
        passed, what, unknown = _outcome(case, context)
        yield EvalResult(case.name, passed, what, perf_counter() - start, unknown)


def _outcome(case: EvalCase, context: Context) -> tuple[bool, str, bool]:
    try:
        return True, case.check(context), False
    except CaseFailed as failed:
        return False, str(failed), False
    except Exception as error:
        return False, " ".join(f"{type(error).__name__}: {error}".split()), isinstance(error, _HOST_LACKS)


def chosen(cases: Iterable[EvalCase], names: Iterable[str] | None) -> list[EvalCase]:
    """The cases of these names, or all, in their order. Raises DataError for a name that is not known."""
    every = list(cases)
    known = [case.name for case in every]
    wanted = known if names is None else list(names)
    for name in wanted:
        if name not in known:
            raise DataError(f"case is {name!r}; allowed: {', '.join(known)}")
    return [case for case in every if case.name in wanted]
