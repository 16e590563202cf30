"""The verifier that production calls."""

import logging
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from sqlalchemy import Connection

from suffice.config import Config, load
from suffice.errors import OutputError, PlanError, StoreError, StoreTimeout, error_line
from suffice.flag.answer import Flag
from suffice.flag.bucketing import audited
from suffice.flag.lowering import FORCE_FIXED, forced
from suffice.serving.background import FIRST_WORD_SECONDS, Background
from suffice.serving.begin import Entered, ServedRun
from suffice.serving.counted import count, counters_of
from suffice.serving.ledger_rows import BATCH, WaitingRows, check_storable, row_of
from suffice.serving.permission import Asked, Permission, Told
from suffice.serving.served import (
    Observed,
    Served,
    Steps,
    adaptive_steps,
    fits,
    fixed_steps,
    sampled,
    shadow_steps,
    taken,
)
from suffice.serving.situation import SERVICE, Situation, check_service
from suffice.serving.spool import FOLDER, Spool
from suffice.serving.undecided import Undecided
from suffice.stopping.cache import default_cache
from suffice.stopping.make import configured_plan, configured_rule
from suffice.stopping.make import plan as make_plan
from suffice.stopping.plan import Plan
from suffice.store.address import STORE_URL, note_store, store_of
from suffice.store.database import Store
from suffice.store.decision_row import DecisionRow, WhyFixed, too_long
from suffice.store.ledger import Ledger, replace_decision
from suffice.store.signs import note_sign
from suffice.telemetry.counters import Counters
from suffice.telemetry.metrics_file import flush
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case

_TAKE_OVER_SECONDS = 5.0

_TELL_SECONDS = 60.0
"""How often the log is told that the adaptive path fails."""

T = TypeVar("T")
_log = logging.getLogger(__name__)

_NOBODY_ASKED = (None, WhyFixed.EXPOSURE, WhyFixed.NO_WORD, WhyFixed.DISABLED)
"""Answers that say nothing of a case whose draws the plan does not hold for: it would be fixed under any word."""


class Verifier:
    """Decides cases in production: by the arm that the rollout's word permits, with audits, a ledger and counters.

    Draws of unknown shape (a callable, resampled values) under a t rule take the fixed arm, unless the plan is guarded.
    Guarantees three things. `verify` never fails because the adaptive path failed: it falls back to fixed and counts
    it. A decision is adaptive only when `permission` says so before its first draw and again before it is returned
    (production's: a fresh word of the rollout about this plan, `enabled`, and neither a file, a provider nor
    SUFFICE_FORCE_FIXED against it). Whether a case is audited depends on its target alone. Errors of a sampler are the
    caller's, and are raised.

    Made by `from_config`, `verify` touches no database, no lock of another process and no disk but for one `write` to
    its spool: an agent does all else in the background. A verifier that is made by hand writes rows and counters in
    batches itself; it asks its `flag` and `situation` when it is given no `permission`. `flush`, `close` or leaving the
    context writes what is left. With a `spool`, the row of each decision that `verify` returned outlives a SIGKILL;
    counters since the last batch do not. Safe to share between threads; a forked child opens an agent and a spool of
    its own.
    """

    def __init__(
        self,
        plan: Plan,
        seed: int,
        flag: Flag | None = None,
        *,
        enabled: bool,
        counters: Counters,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        stopwatch: Callable[[], float] = time.perf_counter,
        ledger: Ledger | None = None,
        situation: Callable[[], Situation] = Situation,
        permission: Permission | None = None,
        metrics: Path | str | None = None,
        batch: int = BATCH,
        spool: Spool | None = None,
        fault: Callable[[Situation], Situation] = lambda situation: situation,
    ) -> None:
        self.plan, self.seed = plan, seed
        self.counters, self.clock = counters, clock
        self._ledger, self._fault, self._stopwatch = ledger, fault, stopwatch
        self._permission = permission or Told(flag, situation, plan.id, lambda: self.clock(), enabled=enabled)
        self._metrics = None if metrics is None else Path(metrics)
        self._rows, self._undecided = WaitingRows(spool, batch, monotonic), Undecided()
        self._background: Background | None = None
        self._closed, self._told_closed = False, False
        self._told_fallback = -inf

    @property
    def store(self) -> Store:
        """The store that the ledger is in. Raises StoreError when there is none, or when it cannot be opened."""
        self._notice_fork()
        if self._ledger is None and self._background is not None:
            self._ledger = Ledger(self._background.open_store())
        if self._ledger is None:
            raise StoreError("this verifier keeps no ledger, so it has no store")
        return self._ledger.store

    @property
    def obstacle(self) -> str:
        """The sentence of why no word counts here now; "" when one does, or when there is no agent to ask."""
        return self._background.agent.obstacle if self._background else ""

    @classmethod
    def from_config(
        cls,
        path: Path | str = "config.json",
        *,
        queue: Path | str = "TemporaryQueue",
        store: str | None = None,
        service: str = SERVICE,
        provider: Flag | None = None,
        fault: Callable[[Situation], Situation] = lambda situation: situation,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """The verifier that a configuration describes, with store, flag and metrics files in the folder `queue`.

        The store is in the database that the URL `store`, or else $SUFFICE_STORE_URL, names, if one does.
        It takes part in the rollout of `service`: an agent reads its word, registers this process and writes ledger
        rows and counters. A `provider` of your own may lower as well. With a store that is frozen, gone or newer, or a
        plan file that cannot be read, it starts fixed, says why in the log, and keeps trying. It waits for its first
        word for 2 s at most. `fault` is for rehearsals, `clock` stands in for the store's where that has none.
        Close it, or use it as a context: that writes ledger rows and counters. Raises ConfigError, PlanError for a plan
        that the configuration itself makes impossible, DataError for a service that is no name, StoreError for an
        address that is none; the last not when SUFFICE_FORCE_FIXED is set: then it decides fixed without a ledger.
        """
        path, queue = Path(path), Path(queue)
        check_service(service)
        config = load(path)
        where = _where(queue, store or os.environ.get(STORE_URL))
        (plan, readable), enabled = _plan(config, path.parent), config.verifier.adaptive_sampling.enabled
        counters, spool = Counters(), Spool(queue / FOLDER)
        verifier = cls(
            plan,
            config.determinism.seed,
            enabled=enabled,
            counters=counters,
            clock=clock,
            metrics=queue / "metrics.json",
            spool=spool,
            fault=fault,
        )
        if where is not None:
            verifier._run_beside(
                Background(
                    where,
                    queue,
                    service,
                    provider,
                    plan_id=plan.id,
                    enabled=enabled,
                    spool=spool,
                    counters=counters,
                    undecided=verifier._undecided,
                    clock=clock,
                    duties={} if readable else {"plan": lambda _: verifier._read_plan(config, path.parent, plan)},
                )
            )
        return verifier

    def beat(self, service: str = SERVICE) -> None:
        """One sign of life, and the rows that wait written. Raises StoreError, OutputError or DataError."""
        if self.waiting:
            self.flush()
        with self.store.write() as connection:
            note_sign(connection, service, self.clock())

    @property
    def waiting(self) -> int:
        """Ledger rows that are not written yet."""
        return len(self._rows)

    def verify(self, case: Case) -> Served:
        """Decide one case, count it and note it.

        What its sampler raises passes through, after the case's retries: such a case has no decision and no row, it is
        counted by the error's type, and no arm has failed. Raises DataError when its sampler gives what no rule can
        use; and before it draws, when its key or target is no text, its region neither text nor None, or one of them
        cannot be stored.
        """
        check_storable(case)
        self._notice_fork()
        observed, asked = Observed(), self._ask(case)
        steps = self._steps(case, asked, observed, patient=True)
        return self._sampled(case, steps, observed, asked.situation)

    def begin(self, case: Case) -> ServedRun:
        """Decide one case on draws that you make yourself: calls of a model, jobs on a cluster.

        The run that it returns is used as a context, and told the draws; the case needs no sampler. Raises DataError
        for a case whose row cannot be stored.
        """
        check_storable(case)
        self._notice_fork()
        case, observed = replace(case, sampler=None), Observed()

        def enter(*, patient: bool) -> Entered:
            asked = self._ask(case)
            steps = self._steps(case, asked, observed, patient=patient)
            return Entered(steps, partial(self._sampler_failed, asked.situation, observed))

        return ServedRun(case, self.plan.rule, self.plan.n, enter, observed.spent, self.counters)

    def _steps(self, case: Case, asked: Asked, observed: Observed, *, patient: bool) -> Steps[Served]:
        """A decision from its first draw to its row."""
        plan_id = self.plan.id
        served, asked = yield from self._decide(case, asked, observed, patient=patient)
        if observed.spent.cost is not None:
            case = replace(case, cost=observed.spent.cost / observed.spent.ended)
        row = row_of(case, served, asked.situation, plan_id, self.seed, asked.at, self._permission.process)
        count(row, self.counters)
        self._note(row)
        return served

    def taken_back(self, connection: Connection, decided: Iterable[tuple[Case, Served]]) -> list[str]:
        """The keys of adaptive decisions that may not be acted on in the caller's write transaction.

        A decision may be acted on while the word that this transaction reads is of the store's incarnation, has not
        lapsed, is about the same rollout and plan, and still puts the case on the adaptive arm. Raises StoreError.
        """
        adaptive = [(case, served) for case, served in decided if served.arm is Arm.ADAPTIVE]
        if self._background is None or not adaptive:
            return []
        rollout, may = self._background.permission.within(connection, self._background.service, self.clock())
        return [case.key for case, served in adaptive if served.rollout != rollout or not may(case)]

    def decide_anew(self, case: Case, served: Served) -> Served:
        """The baseline's decision about a case whose adaptive one may not be acted on."""
        observed = Observed()
        fixed = self._sampled(case, fixed_steps(self.plan, observed), observed, Situation())
        return replace(fixed, why_fixed=WhyFixed.FENCED, epoch=served.epoch, rollout=served.rollout)

    def replace_row(self, connection: Connection, case: Case, served: Served) -> None:
        """Put a decision that was made anew into the place of its ledger row, in the caller's write transaction."""
        situation = Situation(rollout=served.rollout)
        row = row_of(case, served, situation, self.plan.id, self.seed, self.clock(), self._permission.process)
        replace_decision(connection, row)

    def count_anew(self, case: Case, after: Served, *, before: Served) -> None:
        """Correct the counters of a decision that was made anew, once that is committed."""
        old, new = (row_of(case, served, Situation(), self.plan.id, self.seed, 0.0) for served in (before, after))
        self.counters.subtract(counters_of([old]).snapshot())
        count(new, self.counters)

    def flush(self) -> None:
        """Write the ledger rows and the counters that wait. Raises StoreError, OutputError or DataError; what is not
        written then waits on."""
        self._notice_fork()
        ledger = self._ledger
        if ledger is None and self._background is not None:
            self._background.agent.prepare()
            ledger = Ledger(self._background.agent.store)
        if ledger is not None:
            self._rows.deliver(ledger)
            self._undecided.deliver(ledger.store)
        if self._metrics is not None:
            flush(self.counters, self._metrics)

    def close(self) -> None:
        """Write ledger rows and counters, and close what `from_config` opened. Allowed twice.

        A decision that is asked for afterwards is fixed. Its row is in the spool, for a second `close` or for whoever
        takes it up when this process has ended; the log says so once. Its counts are for a second `close` only.
        Raises what `flush` does; rows that could not be written then stay in the spool, for whoever takes them up.
        """
        background = self._background
        if background is not None and background.agent.forked:
            return
        self._closed, self._told_closed = True, False
        try:
            if background is not None and not background.agent.stop():
                raise StoreTimeout(f"{background.agent.store.name}: does not answer")
            self.flush()
        except StoreError as error:
            raise type(error)(f"{error}; {self.waiting} rows wait in the spool") from error
        finally:
            if self._rows.spool is not None:
                self._rows.spool.close()
            if background is not None:
                background.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def arm(self, case: Case) -> Arm:
        """The arm that a case would take now."""
        self._notice_fork()
        return Arm.ADAPTIVE if self._ask(case).why_fixed is None else Arm.FIXED

    def _ask(self, case: Case) -> Asked:
        asked = self._permission.ask(case)
        if not case.eligible:
            # Nothing of the adaptive path is asked of it, so that nothing of it can have failed.
            asked = replace(asked, why_fixed=WhyFixed.INELIGIBLE, failure=None)
        elif asked.why_fixed in _NOBODY_ASKED and not fits(asked.situation.plan or self.plan, case):
            asked = replace(asked, why_fixed=WhyFixed.UNFIT)
        return replace(asked, situation=self._fault(asked.situation))

    def _decide(self, case: Case, asked: Asked, observed: Observed, *, patient: bool) -> Steps[tuple[Served, Asked]]:
        """The decision, and the answer to the last question that it was made under; who is `patient` may wait for
        it."""
        situation, last = asked.situation, asked

        def permitted() -> bool:
            nonlocal last
            again = self._permission.ask_again(case) if patient else self._permission.ask(case)
            last = replace(again, situation=self._fault(again.situation))
            return last.why_fixed is None

        if asked.failure is not None:
            return (yield from self._fallen_back(case, asked.failure, asked, observed)), asked
        audits = audited(case.target, situation.audit_salt, situation.audit_fraction)
        plan = situation.plan or self.plan
        served: Served | None = None
        # The adaptive path is code that production did not need before: whatever fails in it, the baseline answers.
        try:
            if (
                fits(plan, case)
                and not too_long(case.key, case.target, case.region)
                and asked.why_fixed is not WhyFixed.FOREIGN_PLAN
            ):
                if situation.shadow and audits and case.eligible and not forced():
                    served = yield from shadow_steps(plan, observed, situation.feed)
                elif not situation.shadow and asked.why_fixed is None:
                    served = yield from adaptive_steps(
                        plan, observed, audited=audits, permitted=permitted, feed=situation.feed
                    )
        except Exception as error:
            failure = error_line(error)
            return (yield from self._fallen_back(case, failure, last, observed)), last
        served = served or (yield from fixed_steps(self.plan, observed))
        if served.arm is Arm.FIXED and served.why_fixed is None:
            served = replace(served, why_fixed=last.why_fixed or WhyFixed.EXPOSURE)
        return replace(served, epoch=last.epoch, rollout=last.situation.rollout), last

    def _sampled(self, case: Case, steps: Steps[T], observed: Observed, situation: Situation) -> T:
        """What the steps return on the case's stream. What its sampler raises passes through, and is counted."""
        retried = partial(self.counters.sampler_raised, retried=True)
        take = sampled(case, self.plan.rule, self.seed, observed.spent, retried, self._stopwatch)

        def counted(need: int) -> list[float]:
            try:
                return take(need)
            except Exception as error:
                self._sampler_failed(situation, observed, error)
                raise

        return taken(steps, counted)

    def _sampler_failed(self, situation: Situation, observed: Observed, error: Exception) -> None:
        self.counters.sampler_raised(error)
        unfinished = observed.audit_begun
        self._undecided.add(situation.rollout, situation.stage, error, self.clock(), unfinished=unfinished)

    def _fallen_back(self, case: Case, failure: str, asked: Asked, observed: Observed) -> Steps[Served]:
        now = time.monotonic()
        if now >= self._told_fallback + _TELL_SECONDS:
            self._told_fallback = now
            _log.warning("the adaptive path failed at case %r, and the baseline decides: %s", case.key, failure)
        fixed, rollout = (yield from fixed_steps(self.plan, observed)), asked.situation.rollout
        return replace(fixed, fallback=failure, why_fixed=WhyFixed.FALLBACK, epoch=asked.epoch, rollout=rollout)

    def _note(self, row: DecisionRow) -> None:
        if self._background is not None:
            self._background.spool.add(row)
            if self._closed and not self._told_closed:
                self._told_closed = True
                _log.warning("this verifier is closed: decisions are fixed, and their rows wait in the spool")
        elif self._ledger is not None and self._rows.add(row):
            try:
                self.flush()
            except Exception as error:
                # A decision that was made is not taken back because it cannot be written down yet.
                _log.warning("ledger rows or counters wait: %s", error)

    def _notice_fork(self) -> None:
        """A forked child opens what it needs. It decides fixed until its agent has read the word, without waiting."""
        before = self._background
        if before is None or not before.agent.forked:
            return
        # Not for ever: who forks again meanwhile inherits a lock that nobody gives back.
        mine = before.taken_over.acquire(timeout=_TAKE_OVER_SECONDS)
        try:
            if self._background is before:
                self._ledger = None
                self._run_beside(before.in_child(), patience=0.0)
        finally:
            if mine:
                before.taken_over.release()

    def _read_plan(self, config: Config, folder: Path, stand_in: Plan) -> None:
        """Decide by the configured plan as soon as its file can be read. Raises PlanError."""
        if self.plan is stand_in and self._background is not None:
            self.plan = configured_plan(config.verifier, default_cache(), folder)
            # Now, and no sooner: whoever is permitted to decide by this plan decides by it.
            self._background.decide_by(self.plan.id)

    def _run_beside(self, background: Background, *, patience: float = FIRST_WORD_SECONDS) -> None:
        self._permission = background.permission
        self.counters, self._rows = background.counters, WaitingRows(background.spool, BATCH, time.monotonic)
        self._undecided = background.undecided
        self._closed = False
        # Last: whoever finds it finds the others.
        self._background = background
        background.start(patience=patience)


def _plan(config: Config, folder: Path) -> tuple[Plan, bool]:
    """The configured plan, and True; where its file cannot be read the baseline's, which is about another plan than any
    word."""
    try:
        return configured_plan(config.verifier, default_cache(), folder), True
    except PlanError as error:
        if config.verifier.adaptive_sampling.plan_file is None:
            raise
        _log.warning("decisions are fixed: %s", error)
        rule = configured_rule(config.verifier)
        return make_plan(rule, config.verifier.n_samples, method="fixed"), False


def _where(queue: Path, url: str | None) -> str | Path | None:
    """Where the store is; None when that cannot be told and fixed is forced: the way out when all else is broken needs
    none."""
    try:
        where = store_of(queue, url)
    except StoreError as error:
        if not forced():
            raise
        _log.warning("%s is set: decisions are fixed, and not in the ledger: %s", FORCE_FIXED, error)
        return None
    if url:
        try:
            note_store(queue, url)
        except OutputError as error:
            _log.warning("where the store is cannot be noted: %s", error)
    return where
