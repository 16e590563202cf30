"""The verifier that production calls."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from suffice.config import load
from suffice.decision.rule import Decision
from suffice.errors import StoreError
from suffice.flag.arm import Arm, Flag
from suffice.flag.bucketing import audited
from suffice.flag.client import FlagClient
from suffice.serving.served import Feed, Served, serve_adaptive, serve_fixed, serve_shadow
from suffice.stopping.cache import default_cache
from suffice.stopping.configured import configured_plan
from suffice.stopping.plan import Plan
from suffice.stopping.run import Verdict
from suffice.store.database import Store, open_store
from suffice.store.ledger import DecisionRow, Ledger
from suffice.telemetry.counters import Counter, Counters
from suffice.telemetry.metrics_file import flush
from suffice.verifier.case import Case

FORCE_FIXED = "SUFFICE_FORCE_FIXED"
"""The environment variable that, set to 1, forces the baseline whatever flag and configuration say."""

FALLBACK = "FALLBACK"
"""The ledger's reason of a decision that the baseline made because the adaptive path failed."""

BATCH = 500
"""Ledger rows that are written together."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a rollout says about decisions right now: where they belong, and which targets are audited.

    In the `shadow` nobody is adaptive; audited targets get both decisions and use the fixed one. `plan` and `feed`
    stand in for the verifier's own adaptive path where a rehearsal makes it faulty.
    """

    rollout: str = ""
    stage: str = ""
    audit_fraction: float = 0.0
    audit_salt: str = "audit"
    shadow: bool = False
    plan: Plan | None = None
    feed: Feed | None = None


class Verifier:
    """Decides cases in production: by the arm that the flag names for the target, with audits, a ledger and counters.

    Guarantees that `verify` never fails because the adaptive path failed (it falls back to fixed and counts it), that a
    decision is adaptive only when `enabled` is true, the flag says so and SUFFICE_FORCE_FIXED is not 1, and that
    whether a case is audited depends on its target alone. Errors of a sampler are the caller's, and are raised. Ledger
    rows are written in batches; `flush`, `close` or leaving the context writes what is left. Safe to share between
    threads.
    """

    def __init__(
        self,
        plan: Plan,
        seed: int,
        flag: Flag,
        *,
        enabled: bool,
        counters: Counters,
        clock: Callable[[], float],
        ledger: Ledger | None = None,
        situation: Callable[[], Situation] = Situation,
        metrics: Path | None = None,
        batch: int = BATCH,
    ) -> None:
        self.plan, self.seed = plan, seed
        self._flag, self._enabled = flag, enabled
        self.counters, self.clock = counters, clock
        self._ledger = ledger
        self._situation = situation
        self._metrics, self._batch = metrics, batch
        self._opened: list[FlagClient | Store] = []
        self._rows: list[DecisionRow] = []
        self._lock = Lock()

    @property
    def store(self) -> Store:
        """The store that the ledger is in. Raises StoreError when there is none."""
        if self._ledger is None:
            raise StoreError("this verifier keeps no ledger, so it has no store")
        return self._ledger.store

    @classmethod
    def from_config(cls, path: Path | str = "config.json", *, queue: Path | str = "TemporaryQueue") -> Self:
        """The verifier that a configuration describes, with store, flag and metrics files in the folder `queue`.

        Close it, or use it as a context: that writes ledger rows and counters. Raises ConfigError, PlanError,
        StoreError.
        """
        path, queue = Path(path), Path(queue)
        config = load(path)
        plan = configured_plan(config.verifier, default_cache(), path.parent)
        store = open_store(queue / "store.db")
        flag = FlagClient.from_file(queue / "flag.json")
        verifier = cls(
            plan,
            config.determinism.seed,
            flag,
            enabled=config.verifier.adaptive_sampling.enabled,
            counters=Counters(),
            clock=time.time,
            ledger=Ledger(store),
            metrics=queue / "metrics.json",
        )
        verifier._opened += [flag, store]
        return verifier

    def verify(self, case: Case) -> Served:
        """Decide one case, count it and write it down. Raises DataError when its sampler gives what no rule can use."""
        situation = self._situation()
        served = self._decide(case, situation)
        count(served, self.counters)
        self._write(case, served, situation)
        return served

    def flush(self) -> None:
        """Write the ledger rows that wait. Raises StoreError; they then wait on."""
        if self._ledger is None:
            return
        with self._lock:
            self._ledger.append(self._rows)
            self._rows = []

    def close(self) -> None:
        """Write ledger rows and counters, and close what `from_config` opened."""
        try:
            self.flush()
            if self._metrics is not None:
                flush(self.counters, self._metrics)
        finally:
            for opened in self._opened:
                opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def arm(self, case: Case) -> Arm:
        """The arm that a case would take now."""
        if not self._enabled or os.environ.get(FORCE_FIXED) == "1":
            return Arm.FIXED
        return self._flag.ask(case.target, case.region).arm

    def _decide(self, case: Case, situation: Situation) -> Served:
        audits = audited(case.target, situation.audit_salt, situation.audit_fraction)
        plan = situation.plan or self.plan
        # The adaptive path is code that production did not need before: whatever fails in it, the baseline answers.
        try:
            if situation.shadow and audits:
                return serve_shadow(case, plan, self.seed, situation.feed)
            if not situation.shadow and self.arm(case) is Arm.ADAPTIVE:
                return serve_adaptive(case, plan, self.seed, audited=audits, feed=situation.feed)
        except Exception as error:
            return replace(serve_fixed(case, self.plan, self.seed), fallback=f"{type(error).__name__}: {error}")
        return serve_fixed(case, self.plan, self.seed)

    def _write(self, case: Case, served: Served, situation: Situation) -> None:
        if self._ledger is None:
            return
        plan = situation.plan or self.plan
        row = row_of(case, served, situation, plan.id, self.seed, self.clock())
        with self._lock:
            self._rows.append(row)
            full = len(self._rows) >= self._batch
        if full:
            self.flush()


def count(served: Served, counters: Counters) -> None:
    """Count one decision, as every arm and every audit is counted."""
    add, verdict = counters.add, served.verdict
    counters.decided()
    if served.arm is Arm.ADAPTIVE:
        add(Counter.ADAPTIVE_USED)
        add(Counter.ADAPTIVE_SAMPLES, verdict.n)
        add(Counter.ADAPTIVE_EARLY_STOP, int(verdict.early and verdict.decision is not Decision.INVALID))
    else:
        add(Counter.FIXED_SAMPLES, verdict.n)
    add(Counter.INVALID, int(verdict.decision is Decision.INVALID))
    add(Counter.FALLBACKS, int(served.fallback is not None))
    if served.audited and served.agrees is not None:
        add(Counter.AUDITS)
        add(Counter.DISAGREEMENTS, int(not served.agrees))


def row_of(case: Case, served: Served, situation: Situation, plan_id: str, seed: int, at: float) -> DecisionRow:
    """The ledger row of a decision."""
    verdict, baseline, adaptive = served.verdict, served.baseline, served.adaptive
    invalid = Decision.INVALID in (verdict.decision, baseline.decision if baseline else None)
    return DecisionRow(
        key=case.key,
        target=case.target,
        arm="adaptive" if served.arm is Arm.ADAPTIVE else "fixed",
        decision=verdict.decision.value,
        n=verdict.n,
        fixed_n=verdict.fixed_n,
        estimate=nan if verdict.decision is Decision.INVALID else verdict.estimate,
        reason=FALLBACK if served.fallback else verdict.reason.name,
        seed=seed,
        plan_id=plan_id,
        at=at,
        rollout=situation.rollout,
        stage=situation.stage,
        region=case.region,
        audited=served.audited,
        shadow=served.shadow,
        baseline_decision=_decision(baseline),
        baseline_n=baseline.n if baseline else None,
        adaptive_decision=_decision(adaptive),
        adaptive_n=adaptive.n if adaptive else None,
        agrees=served.agrees,
        invalid=invalid,
    )


def _decision(verdict: Verdict | None) -> str | None:
    return verdict.decision.value if verdict else None
