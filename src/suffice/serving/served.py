"""One production decision, without the world around it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from suffice.decision.rule import Decision, Rule
from suffice.sampling.sampler import Draws
from suffice.sampling.streams import Stream
from suffice.stopping.plan import Plan
from suffice.stopping.run import Run, Verdict
from suffice.store.decision_row import WhyFixed
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case


@dataclass(frozen=True, slots=True)
class Served:
    """What was decided about a case, and what was observed beside it.

    `verdict` is the decision that production uses; `arm` made it. For audited decisions, `baseline` and `adaptive` are
    the verdicts of both arms on the same draws. The fixed arm makes a shadow decision. `fallback` says which failure
    made the fixed arm take over, `why_fixed` why the arm is fixed, None where it is adaptive. `epoch` is that of the
    word that the decision was made under, None under no word: whoever acts on a decision later may compare it.
    `rollout` is where its ledger row belongs.
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


class SamplerFailed(Exception):
    """What a case's sampler raised, or gave that no rule can use: the caller's to deal with, and no fault of either
    arm."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _Reader:
    """Reads a case's observations in order and keeps them, so that a second run can be fed the same ones."""

    def __init__(self, case: Case, rule: Rule, seed: int) -> None:
        self._draws = Draws(case.sampler, Stream(seed, case.key))
        self._rule, self._direction = rule, case.direction
        self._seen: list[float] = []

    def feed(self, run: Run, feed: Feed | None = None) -> Verdict:
        """Feed the run what was seen, then draw on, look by look, until it closes."""
        while run.open:
            more = self._next(run.n, run.need)
            run.observe(feed(more) if feed else more)
        return run.verdict

    def _next(self, n: int, need: int) -> list[float]:
        """What was seen comes by itself: a run that closes on it (a NaN is in it) must not cost a draw."""
        if n == len(self._seen):
            try:
                self._seen += self._rule.observations(self._draws.take(need), self._direction)
            except Exception as error:
                raise SamplerFailed(error) from error
        return self._seen[n : n + need]


def serve_fixed(case: Case, plan: Plan, seed: int) -> Served:
    """The baseline's decision. Raises SamplerFailed, as the others do."""
    return Served(_Reader(case, plan.rule, seed).feed(_baseline(plan)), Arm.FIXED)


def serve_shadow(case: Case, plan: Plan, seed: int, feed: Feed | None = None) -> Served:
    """The baseline's decision, with the plan run on the same draws beside it; that costs no draws of its own."""
    reader = _Reader(case, plan.rule, seed)
    baseline = reader.feed(_baseline(plan))
    adaptive = reader.feed(plan.start(), feed)
    return Served(baseline, Arm.FIXED, audited=True, shadow=True, baseline=baseline, adaptive=adaptive)


def serve_adaptive(
    case: Case,
    plan: Plan,
    seed: int,
    *,
    audited: bool,
    permitted: Callable[[], bool] = lambda: True,
    feed: Feed | None = None,
) -> Served:
    """The plan's decision. An audited one goes on to N on the same stream, to see what the baseline decides.

    An INVALID adaptive decision is checked against the baseline too. The baseline decides, unless it is INVALID itself.
    `permitted` is asked last: when an adaptive decision is no longer permitted, the case goes on to N on the same
    stream, and the baseline decides.
    """
    reader = _Reader(case, plan.rule, seed)
    adaptive = reader.feed(plan.start(), feed)
    checked = audited or adaptive.decision is Decision.INVALID
    baseline = reader.feed(_baseline(plan)) if checked else None
    if not permitted():
        return Served(baseline or reader.feed(_baseline(plan)), Arm.FIXED, why_fixed=WhyFixed.FENCED)
    if baseline is None:
        return Served(adaptive, Arm.ADAPTIVE)
    served = Served(adaptive, Arm.ADAPTIVE, audited=audited, baseline=baseline, adaptive=adaptive)
    if adaptive.decision is Decision.INVALID and baseline.decision is not Decision.INVALID:
        return replace(
            served,
            verdict=baseline,
            arm=Arm.FIXED,
            fallback="the adaptive decision was INVALID",
            why_fixed=WhyFixed.FALLBACK,
        )
    return served


def _baseline(plan: Plan) -> Run:
    return Run(plan.rule, plan.n, ())
