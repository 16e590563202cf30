"""The ledger rows of decisions, and those that wait to be written."""

from collections.abc import Callable
from math import isfinite, nan
from threading import Lock

from suffice.decision.rule import Decision
from suffice.errors import DataError, shown
from suffice.sampling.draw import as_finite
from suffice.serving.served import Served
from suffice.serving.situation import Situation
from suffice.serving.spool import Spool
from suffice.store.decision_row import LARGEST, DecisionRow, Reason
from suffice.store.ledger import Ledger
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case, features_text

BATCH = 500
"""Ledger rows that are written together by a verifier without an agent."""

WAIT_SECONDS = 1.0
"""How long a ledger row of a verifier without an agent may wait for others, until the next decision has it written."""


class WaitingRows:
    """The rows of one verifier that the ledger does not have yet: in its spool, without one in memory.

    `clock` is monotonic. Safe to share between threads.
    """

    def __init__(self, spool: Spool | None, batch: int, clock: Callable[[], float]) -> None:
        self.spool, self._batch, self._clock = spool, batch, clock
        self._kept: list[DecisionRow] = []
        self._since = 0.0
        self._lock, self._delivering = Lock(), Lock()

    def __len__(self) -> int:
        return self.spool.rows if self.spool is not None else len(self._kept)

    def add(self, row: DecisionRow) -> bool:
        """Keep a row, and say whether it is time to deliver."""
        with self._lock:
            now = self._clock()
            if not len(self):
                self._since = now
            if self.spool is not None:
                self.spool.add(row)
            else:
                self._kept.append(row)
            due = len(self) % self._batch == 0 or now - self._since >= WAIT_SECONDS
            if due:
                self._since = now
        return due

    def deliver(self, ledger: Ledger) -> None:
        """Write all rows. Raises StoreError, DataError or OutputError; what is not written then waits on."""
        if self.spool is not None:
            self.spool.deliver(ledger)
            return
        with self._delivering:
            with self._lock:
                rows = list(self._kept)
            if rows:
                ledger.append(rows)
                with self._lock:
                    del self._kept[: len(rows)]


def row_of(
    case: Case, served: Served, situation: Situation, plan_id: str, seed: int, at: float, process: str | None = None
) -> DecisionRow:
    """The ledger row of a decision."""
    verdict, baseline, adaptive = served.verdict, served.baseline, served.adaptive
    invalid = Decision.INVALID in (verdict.decision, baseline.decision if baseline else None)
    ran = adaptive or (verdict if served.arm is Arm.ADAPTIVE else None)
    return DecisionRow(
        key=case.key,
        target=case.target,
        arm=served.arm,
        decision=verdict.decision,
        n=verdict.n,
        fixed_n=verdict.fixed_n,
        estimate=nan if verdict.decision is Decision.INVALID else verdict.estimate,
        reason=Reason.FALLBACK if served.fallback else Reason[verdict.reason.name],
        seed=seed,
        plan_id=plan_id,
        at=at,
        rollout=situation.rollout,
        stage=situation.stage,
        region=case.region,
        audited=served.audited,
        shadow=served.shadow,
        baseline_decision=baseline.decision if baseline else None,
        baseline_n=baseline.n if baseline else None,
        adaptive_decision=adaptive.decision if adaptive else None,
        adaptive_n=adaptive.n if adaptive else None,
        agrees=served.agrees,
        guarded=None if ran is None else ran.guarded,
        invalid=invalid,
        epoch=served.epoch,
        process=process,
        why_fixed=served.why_fixed,
        failure=served.fallback,
        cost=None if case.cost is None else float(case.cost),
        drawn=served.drawn,
        draw_seconds=served.draw_seconds,
        features=features_text(case),
        baseline_statistic=_finite(served.baseline_statistic),
        halves=served.halves,
    )


def _finite(value: float | None) -> float | None:
    """A statistic that is infinite (all draws alike) is none in the ledger."""
    return None if value is None or not isfinite(value) else float(value)


def check_storable(case: Case) -> None:
    """Raises DataError for a case whose row no database takes (it would keep all that come after it from the ledger),
    and for one whose features, cost or retries are none."""
    _check_costs(case)
    features_text(case)
    key, target, region = case.key, case.target, "" if case.region is None else case.region
    if isinstance(key, str) and isinstance(target, str) and isinstance(region, str):
        text = "".join((key, target, region))
        if "\0" not in text and (text.isascii() or _is_unicode(text)):
            return
    named = f"case {case.key!r} of target {case.target!r} in region {case.region!r}"
    raise DataError(f"{named} cannot be stored; allowed: text without NUL and without halves of surrogate pairs")


def check_cost(key: str, cost: float) -> None:
    """Raises DataError, naming the case, for what no draw can cost."""
    if not is_amount(cost):
        raise DataError(f"case {key!r}: a draw costs {shown(cost)}; allowed: a number from 0 to {LARGEST:g}")


def _check_costs(case: Case) -> None:
    if case.cost is not None:
        check_cost(case.key, case.cost)
    if case.direction not in (-1, 0, 1):
        raise DataError(f"case {case.key!r}: direction is {shown(case.direction)}; allowed: 1, −1, or 0 for none")
    if type(case.eligible) is not bool:
        raise DataError(f"case {case.key!r}: eligible is {shown(case.eligible)}; allowed: true or false")
    if type(case.retries) is not int or case.retries < 0:
        raise DataError(f"case {case.key!r}: retries are {shown(case.retries)}; allowed: a whole number, at least 0")


def is_amount(value: object) -> bool:
    """Whether it is a cost, or seconds, that the ledger adds up."""
    number = as_finite(value)
    return number is not None and 0 <= number <= LARGEST


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
