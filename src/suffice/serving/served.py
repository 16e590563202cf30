"""One production decision, without the world around it."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite, sqrt
from time import perf_counter
from typing import TypeAlias, TypeVar

from suffice.decision.rule import Decision, Rule
from suffice.errors import DataError
from suffice.sampling.sampler import Draws, of_known_shape
from suffice.sampling.streams import Stream
from suffice.stopping.plan import Plan
from suffice.stopping.run import Run, Verdict
from suffice.store.decision_row import WhyFixed
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Served:
    """What was decided about a case, and what was observed beside it.

    `verdict` is the decision that production uses; `arm` made it. For audited decisions, `baseline` and `adaptive` are
    the verdicts of both arms on the same draws. The fixed arm makes a shadow decision. `fallback` says which failure
    made the fixed arm take over, `why_fixed` why the arm is fixed, None where it is adaptive. `epoch` is that of the
    word that the decision was made under, None under no word: whoever acts on a decision later may compare it.
    `rollout` is where its ledger row belongs. `drawn` draws were made up to the adaptive stopping time, and took
    `draw_seconds`; None where nobody knows, or where the adaptive path decided nothing. An audit saw
    `baseline_statistic` over all N draws, and a difference of `halves` standard errors between early and late ones.
    """

    verdict: Verdict
    arm: Arm
    audited: bool = False
    shadow: bool = False
    baseline: Verdict | None = None
    adaptive: Verdict | None = None
    fallback: str | None = None
    why_fixed: WhyFixed | None = None
    epoch: int | None = None
    rollout: str = ""
    drawn: int | None = None
    draw_seconds: float | None = field(default=None, compare=False)
    baseline_statistic: float | None = None
    halves: float | None = None

    @property
    def decision(self) -> Decision:
        """The decision that production uses."""
        return self.verdict.decision

    @property
    def n(self) -> int:
        """Draws up to that decision, without those that an audit added."""
        return self.verdict.n

    @property
    def fixed_n(self) -> int:
        return self.verdict.fixed_n

    @property
    def agrees(self) -> bool | None:
        """Whether both arms decide alike; None where one of them is not known, or both are INVALID.

        INVALID is an answer: to decide where the baseline is INVALID is to differ from it.
        """
        if self.baseline is None or self.adaptive is None:
            return None
        alike = self.baseline.decision is self.adaptive.decision
        return None if alike and self.baseline.decision is Decision.INVALID else alike


Feed: TypeAlias = Callable[[list[float]], list[float]]
"""What the adaptive path makes of the observations it is fed; the identity, but for faults that are rehearsed."""


Steps: TypeAlias = Generator[int, list[float], T]
"""A decision in progress: it yields how many observations it needs, is sent some of them (one or more), and returns
what was decided. So who makes the draws need not be who decides."""


@dataclass(slots=True)
class Spent:
    """What the draws of a case have taken so far: how many were made, and in how many seconds, None when unknown.

    `cost` is what those that `ended` have cost together, None where nobody said.
    """

    drawn: int = 0
    seconds: float | None = 0.0
    cost: float | None = None
    ended: int = 0


@dataclass(frozen=True, slots=True)
class Audit:
    """What all N draws say: the baseline's verdict, its statistic, and how early and late draws differ (`halves`)."""

    verdict: Verdict
    statistic: float | None = None
    halves: float | None = None


class Observed:
    """The observations of a case in order, kept so that a second run can be fed the same ones, and what they took.

    `audit_begun`: an adaptive decision that is to be audited has been made.
    """

    def __init__(self) -> None:
        self.spent = Spent()
        self.audit_begun = False
        self._seen: list[float] = []

    def feed(self, run: Run, feed: Feed | None = None) -> Steps[Verdict]:
        """Feed the run what was observed, then what is sent, look by look, until it closes."""
        while run.open:
            # What was seen comes by itself: a run that closes on it (a NaN is in it) must not cost a draw.
            if run.n == len(self._seen):
                self._seen += yield run.need
            more = self._seen[run.n : run.n + run.need]
            run.observe(feed(more) if feed else more)
        return run.verdict

    def audit(self, plan: Plan) -> Steps[Audit]:
        """The baseline's verdict on all N draws, and what was seen of them."""
        run = _baseline(plan)
        verdict = yield from self.feed(run)
        if verdict.decision is Decision.INVALID:
            return Audit(verdict)
        return Audit(verdict, run.statistic, halves(self._seen[: plan.n]))


def halves(observations: Sequence[float]) -> float | None:
    """By how many standard errors the later half of the observations is above the earlier one; None for fewer than 2.

    The spread is that of all of them. Draws in exchangeable order give about a standard normal number.
    """
    n, half = len(observations), len(observations) // 2
    if half < 1:
        return None
    mean, early = sum(observations) / n, sum(observations[:half]) / half
    late = sum(observations[half:]) / (n - half)
    variance = sum((each - mean) * (each - mean) for each in observations) / (n - 1)
    if not isfinite(variance):
        return None
    return (late - early) / sqrt(variance * (1 / half + 1 / (n - half))) if variance > 0 else 0.0


def fixed_steps(plan: Plan, observed: Observed) -> Steps[Served]:
    """The baseline's decision."""
    return Served((yield from observed.feed(_baseline(plan))), Arm.FIXED)


def shadow_steps(plan: Plan, observed: Observed, feed: Feed | None = None) -> Steps[Served]:
    """The baseline's decision, with the plan run on the same draws beside it; that costs no draws of its own."""
    # First the plan, on whose way nothing more is drawn than it needs: so it is known what it would have cost.
    adaptive = yield from observed.feed(plan.start(), feed)
    drawn, seconds = observed.spent.drawn, observed.spent.seconds
    observed.audit_begun = True
    audit = yield from observed.audit(plan)
    served = Served(audit.verdict, Arm.FIXED, audited=True, shadow=True, drawn=drawn, draw_seconds=seconds)
    return _compared(served, adaptive, audit)


def adaptive_steps(
    plan: Plan,
    observed: Observed,
    *,
    audited: bool,
    permitted: Callable[[], bool] = lambda: True,
    feed: Feed | None = None,
) -> Steps[Served]:
    """The plan's decision. An audited one goes on to N on the same stream, to see what the baseline decides.

    An INVALID adaptive decision is checked against the baseline too. The baseline decides, unless it is INVALID itself.
    `permitted` is asked last: when an adaptive decision is no longer permitted, the case goes on to N on the same
    stream, and the baseline decides.
    """
    adaptive = yield from observed.feed(plan.start(), feed)
    drawn, seconds = observed.spent.drawn, observed.spent.seconds
    observed.audit_begun = audited
    checked = audited or adaptive.decision is Decision.INVALID
    audit = (yield from observed.audit(plan)) if checked else None
    if not permitted():
        fixed = audit.verdict if audit else (yield from observed.feed(_baseline(plan)))
        return Served(fixed, Arm.FIXED, why_fixed=WhyFixed.FENCED)
    served = Served(adaptive, Arm.ADAPTIVE, audited=audited, drawn=drawn, draw_seconds=seconds)
    if audit is None:
        return served
    served = _compared(served, adaptive, audit)
    if adaptive.decision is Decision.INVALID and audit.verdict.decision is not Decision.INVALID:
        return replace(
            served,
            verdict=audit.verdict,
            arm=Arm.FIXED,
            fallback="the adaptive decision was INVALID",
            why_fixed=WhyFixed.FALLBACK,
        )
    return served


def _compared(served: Served, adaptive: Verdict, audit: Audit) -> Served:
    """The same, with both verdicts and what the audit saw."""
    return replace(
        served,
        baseline=audit.verdict,
        adaptive=adaptive,
        baseline_statistic=audit.statistic,
        halves=audit.halves,
    )


def taken(steps: Steps[T], take: Callable[[int], list[float]]) -> T:
    """What the steps return when `take` gives the observations that they need. What it raises passes through."""
    # To send None is to begin, whatever the generator is typed to be sent.
    observations: list[float] = None  # type: ignore[assignment]
    while True:
        try:
            need = steps.send(observations)
        except StopIteration as closed:
            result: T = closed.value
            return result
        # Out here, so that a StopIteration of a sampler is none of the steps.
        observations = take(need)


def fits(plan: Plan, case: Case) -> bool:
    """Whether the plan's bound holds for the case's draws: a t plan without its guard is for normal ones only."""
    return plan.guarded or plan.rule.counts or of_known_shape(case.sampler)


def sampled(
    case: Case,
    rule: Rule,
    seed: int,
    spent: Spent,
    retried: Callable[[Exception], object] = lambda _: None,
    stopwatch: Callable[[], float] = perf_counter,
) -> Callable[[int], list[float]]:
    """Takes the next observations of the case's own stream, and notes what they took. `retried` is told of errors after
    which a call is made again."""
    draws, seconds = Draws(case.sampler, Stream(seed, case.key), case.retries, retried), 0.0

    def take(need: int) -> list[float]:
        nonlocal seconds
        before = stopwatch()
        try:
            observed = rule.observations(draws.take(need), case.direction)
            _check_values(case, rule, observed)
            return observed
        finally:
            seconds += stopwatch() - before
            spent.drawn, spent.seconds = draws.made, seconds

    return take


def _check_values(case: Case, rule: Rule, observed: list[float]) -> None:
    """Raises DataError, naming the case, for values that no arm can decide on: the adaptive path has not failed."""
    if not rule.counts:
        return
    try:
        rule.tally().add(observed)
    except DataError as error:
        raise DataError(f"case {case.key!r}: {error}") from error


def serve_fixed(case: Case, plan: Plan, seed: int) -> Served:
    """The baseline's decision on the case's stream. What its sampler raises passes through, as with the others."""
    observed = Observed()
    return taken(fixed_steps(plan, observed), sampled(case, plan.rule, seed, observed.spent))


def serve_shadow(case: Case, plan: Plan, seed: int, feed: Feed | None = None) -> Served:
    """`shadow_steps` on the case's stream."""
    observed = Observed()
    return taken(shadow_steps(plan, observed, feed), sampled(case, plan.rule, seed, observed.spent))


def serve_adaptive(
    case: Case,
    plan: Plan,
    seed: int,
    *,
    audited: bool,
    permitted: Callable[[], bool] = lambda: True,
    feed: Feed | None = None,
) -> Served:
    """`adaptive_steps` on the case's stream."""
    observed = Observed()
    steps = adaptive_steps(plan, observed, audited=audited, permitted=permitted, feed=feed)
    return taken(steps, sampled(case, plan.rule, seed, observed.spent))


def _baseline(plan: Plan) -> Run:
    return Run(plan.rule, plan.n, ())
