"""The verifier that production calls."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from math import nan
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from suffice.config import load
from suffice.decision.rule import Decision
from suffice.errors import DataError, OutputError, StoreError, SufficeError
from suffice.flag.answer import Flag
from suffice.flag.bucketing import audited
from suffice.flag.client import FlagClient
from suffice.sampling.sampler import of_known_shape
from suffice.serving.counted import count
from suffice.serving.pulse import PULSE_SECONDS, Pulse
from suffice.serving.served import Served, serve_adaptive, serve_fixed, serve_shadow
from suffice.serving.situation import SERVICE, StoredSituation
from suffice.serving.situation import Situation as Situation
from suffice.serving.spool import FOLDER, Spool, take_up
from suffice.stopping.cache import default_cache
from suffice.stopping.make import configured_plan
from suffice.stopping.plan import Plan
from suffice.store.address import STORE_URL, note_store, store_of
from suffice.store.database import Store, open_store
from suffice.store.ledger import DecisionRow, Ledger, Reason
from suffice.store.signs import note_sign
from suffice.telemetry.counters import Counters
from suffice.telemetry.metrics_file import flush
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case

FORCE_FIXED = "SUFFICE_FORCE_FIXED"
"""The environment variable that, set to 1, forces the baseline whatever flag and configuration say; nor is anything
computed in the shadow. Anything but 0 and nothing counts as 1: who sets it wants the baseline."""

BATCH = 500
"""Ledger rows that are written together."""

WAIT_SECONDS = 1.0
"""How long a ledger row may wait for others, until the next decision (or the pulse) has it written: rollouts judge what
is written."""

_log = logging.getLogger(__name__)


class Verifier:
    """Decides cases in production: by the arm that the flag names for the target, with audits, a ledger and counters.

    Draws of unknown shape (a callable, resampled values) under a t rule take the fixed arm, unless the plan is guarded.
    Guarantees three things. `verify` never fails because the adaptive path failed: it falls back to fixed and counts
    it. A decision is adaptive only when `enabled` is true, the flag says so, the newest rollout is about this plan and
    SUFFICE_FORCE_FIXED is not set. Whether a case is audited depends on its target alone. Errors of a sampler are the
    caller's, and are raised. Ledger rows and counters are written in batches; `flush`, `close` or leaving the context
    writes what is left. With a `spool`, the row of each decision that `verify` returned outlives a SIGKILL;
    counters since the last batch do not. Safe to share between threads; each process makes its own.
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
        monotonic: Callable[[], float] = time.monotonic,
        ledger: Ledger | None = None,
        situation: Callable[[], Situation] = Situation,
        metrics: Path | None = None,
        batch: int = BATCH,
        spool: Spool | None = None,
    ) -> None:
        self.plan, self.seed = plan, seed
        self._flag, self._enabled = flag, enabled
        self.counters, self.clock, self._monotonic = counters, clock, monotonic
        self._ledger = ledger
        self._situation = situation
        self._metrics, self._batch, self._spool = metrics, batch, spool
        self._opened: list[FlagClient | Store] = []
        self._rows: list[DecisionRow] = []
        self._pulse: Pulse | None = None
        self._since = 0.0
        self._lock = Lock()

    @property
    def store(self) -> Store:
        """The store that the ledger is in. Raises StoreError when there is none."""
        if self._ledger is None:
            raise StoreError("this verifier keeps no ledger, so it has no store")
        return self._ledger.store

    @classmethod
    def from_config(
        cls,
        path: Path | str = "config.json",
        *,
        queue: Path | str = "TemporaryQueue",
        store: str | None = None,
        service: str = SERVICE,
        situation: Callable[[], Situation] | None = None,
    ) -> Self:
        """The verifier that a configuration describes, with store, flag and metrics files in the folder `queue`.

        The store is in the database that the URL `store`, or else $SUFFICE_STORE_URL, names, if one does.
        It takes part in the rollout of `service` that the store has, as that goes on, unless `situation` says where its
        decisions belong, and gives signs of life (`start_pulse`). Rows that killed verifiers left are written to the
        ledger first. Close it, or use it as a context: that writes ledger rows and counters. Raises ConfigError,
        PlanError, StoreError; the last not when SUFFICE_FORCE_FIXED is set: then it decides fixed without a ledger.
        """
        path, queue = Path(path), Path(queue)
        config = load(path)
        plan = configured_plan(config.verifier, default_cache(), path.parent)
        opened = _opened(queue, store or os.environ.get(STORE_URL))
        ledger = Ledger(opened) if opened else None
        if ledger is not None:
            # Production must start; what cannot be taken up now, the next one or the rollout's next cycle takes.
            with suppress(SufficeError):
                take_up(queue / FOLDER, ledger)
        flag = FlagClient.from_file(queue / "flag.json")
        verifier = cls(
            plan,
            config.determinism.seed,
            flag,
            enabled=config.verifier.adaptive_sampling.enabled,
            counters=Counters(),
            clock=time.time,
            ledger=ledger,
            situation=situation or (StoredSituation(opened, service) if opened else Situation),
            metrics=queue / "metrics.json",
            spool=Spool(queue / FOLDER),
        )
        verifier._opened.append(flag)
        if opened is not None:
            verifier._opened.append(opened)
            verifier.start_pulse(service)
        return verifier

    def start_pulse(self, service: str = SERVICE, seconds: float = PULSE_SECONDS) -> None:
        """Tell the store every so often that this process lives, and write the rows that wait; until `close`.

        Without traffic nothing else says so: a rollout whose verifiers give no sign for `rollout.health.max_age` knows
        nothing. Raises StoreError when there is no ledger.
        """
        if self._ledger is None:
            raise StoreError("this verifier keeps no ledger, so there is nothing to tell")
        self._pulse = Pulse(lambda: self.beat(service), seconds)

    def beat(self, service: str = SERVICE) -> None:
        """One sign of life, and the rows that wait written. Raises StoreError, OutputError or DataError."""
        if self._rows:
            self.flush()
        with self.store.write() as connection:
            note_sign(connection, service, self.clock())

    def verify(self, case: Case) -> Served:
        """Decide one case, count it and note it. Raises DataError when its sampler gives what no rule can use, or when
        its key, target or region cannot be stored.

        A full batch is written here; what cannot be written now waits for the next one, for `flush` or for `close`.
        """
        _check_storable(case)
        # Before the flag is asked: a decision that is adaptive may still draw when a rollback is observed.
        at = self.clock()
        situation = self._situation()
        served = self._decide(case, situation)
        row = row_of(case, served, situation, self.plan.id, self.seed, at)
        count(row, self.counters)
        self._note(row)
        return served

    def flush(self) -> None:
        """Write the ledger rows and the counters that wait. Raises StoreError, OutputError or DataError; what is not
        written then waits on."""
        if self._ledger is not None:
            with self._lock:
                if self._rows:
                    self._ledger.append(self._rows)
                    self._rows = []
                    if self._spool is not None:
                        self._spool.clear()
        if self._metrics is not None:
            flush(self.counters, self._metrics)

    def close(self) -> None:
        """Write ledger rows and counters, and close what `from_config` opened. Allowed twice.

        Raises what `flush` does; rows that could not be written then stay in the spool, for whoever takes them up.
        """
        if self._pulse is not None:
            self._pulse.stop()
        try:
            self.flush()
        finally:
            if self._spool is not None:
                self._spool.close()
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
        return self._arm(case, self._situation())

    def _arm(self, case: Case, situation: Situation) -> Arm:
        if not self._enabled or _forced() or self._foreign(situation):
            return Arm.FIXED
        return self._flag.ask(case.target, case.region).arm

    def _foreign(self, situation: Situation) -> bool:
        """Whether the rollout is about another plan: this one has proven nothing, whatever the flag says."""
        return situation.plan_id not in (None, self.plan.id)

    def _decide(self, case: Case, situation: Situation) -> Served:
        audits = audited(case.target, situation.audit_salt, situation.audit_fraction)
        plan = situation.plan or self.plan
        # The adaptive path is code that production did not need before: whatever fails in it, the baseline answers.
        try:
            if not _fits(plan, case) or self._foreign(situation):
                return serve_fixed(case, self.plan, self.seed)
            if situation.shadow and audits and not _forced():
                return serve_shadow(case, plan, self.seed, situation.feed)
            if not situation.shadow and self._arm(case, situation) is Arm.ADAPTIVE:
                return serve_adaptive(case, plan, self.seed, audited=audits, feed=situation.feed)
        except Exception as error:
            return replace(serve_fixed(case, self.plan, self.seed), fallback=f"{type(error).__name__}: {error}")
        return serve_fixed(case, self.plan, self.seed)

    def _note(self, row: DecisionRow) -> None:
        if self._ledger is None:
            return
        with self._lock:
            now = self._monotonic()
            if not self._rows:
                self._since = now
            self._rows.append(row)
            if self._spool is not None:
                self._spool.add(row)
            due = len(self._rows) % self._batch == 0 or now - self._since >= WAIT_SECONDS
            if due:
                self._since = now
        if due:
            try:
                self.flush()
            except Exception as error:
                # A decision that was made is not taken back because it cannot be written down yet.
                _log.warning("ledger rows or counters wait: %s", error)


def _opened(queue: Path, url: str | None) -> Store | None:
    """The store; None when it cannot be opened and fixed is forced: the way out when all else is broken needs none."""
    try:
        opened = open_store(store_of(queue, url))
    except StoreError as error:
        if not _forced():
            raise
        _log.warning("%s is set: decisions are fixed, and not in the ledger: %s", FORCE_FIXED, error)
        return None
    try:
        if url:
            note_store(queue, url)
    except OutputError as error:
        if not _forced():
            opened.close()
            raise
        _log.warning("%s is set: decisions are fixed; where the store is cannot be noted: %s", FORCE_FIXED, error)
    return opened


def _fits(plan: Plan, case: Case) -> bool:
    """Whether the plan's bound holds for the case's draws: a t plan without its guard is for normal ones only."""
    return plan.guarded or plan.rule.counts or of_known_shape(case.sampler)


def _check_storable(case: Case) -> None:
    # One row that the database refuses would keep all that come after it from the ledger.
    text = f"{case.key}{case.target}{case.region}"
    if "\0" not in text and (text.isascii() or _is_unicode(text)):
        return
    named = f"case {case.key!r} of target {case.target!r} in region {case.region!r}"
    raise DataError(f"{named} cannot be stored; allowed: text without NUL and without halves of surrogate pairs")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _forced() -> bool:
    return os.environ.get(FORCE_FIXED, "") not in ("", "0")


def row_of(case: Case, served: Served, situation: Situation, plan_id: str, seed: int, at: float) -> DecisionRow:
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
    )
