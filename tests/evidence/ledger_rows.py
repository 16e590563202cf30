"""Ledger rows of every kind, and what a count of them by hand gives: the witness of every other count."""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import groupby
from math import log, log1p

from hypothesis import strategies as st

from suffice.config import Stage
from suffice.decision.rule import Decision
from suffice.evidence.expected import SHARES, Expected
from suffice.evidence.measurements import EarlierStage, Evidence, Slice
from suffice.evidence.saving import Saving
from suffice.store.decision_row import DecisionRow, Reason, WhyFixed
from suffice.verifier.arm import Arm

N = 64
PLAIN = DecisionRow(
    "k", "t", Arm.FIXED, Decision.ACCEPTED, N, N, 0.9, Reason.REACHED_N, 42, "plan", 1.0, rollout="r", stage="canary"
)
WAYS = ("fixed", "shadow", "adaptive", "audited", "invalid", "both invalid", "late invalid", "fallback", "nan fallback")
MESSAGES = (None, "lost 10", "lost 7", "KeyError: 'a'")
decided = st.sampled_from([Decision.ACCEPTED, Decision.REJECTED])


@st.composite
def rows(draw: st.DrawFn) -> DecisionRow:
    """A decision as the verifier writes it, of every kind."""
    n, baseline, adaptive = draw(st.integers(1, N)), draw(decided), draw(decided)
    both = {
        "baseline_decision": baseline,
        "baseline_n": N,
        "adaptive_decision": adaptive,
        "adaptive_n": n,
        "agrees": adaptive == baseline,
        "baseline_statistic": draw(st.sampled_from([None, 0.0, 16.0, 64.0])),
    }
    unclear = {**both, "baseline_decision": Decision.INVALID, "agrees": False, "invalid": True}
    nan = {
        **both,
        "adaptive_decision": Decision.INVALID,
        "agrees": False,
        "decision": baseline,
        "reason": Reason.FALLBACK,
    }
    changed: dict[str, dict[str, object]] = {
        "fixed": {
            "decision": baseline,
            "why_fixed": draw(st.sampled_from([None, WhyFixed.EXPOSURE, WhyFixed.NO_WORD])),
        },
        "shadow": {"shadow": True, "audited": True, "decision": baseline, **both},
        "adaptive": {"arm": Arm.ADAPTIVE, "n": n, "decision": adaptive},
        "audited": {"arm": Arm.ADAPTIVE, "n": n, "decision": adaptive, "audited": True, **both},
        "invalid": {"arm": Arm.ADAPTIVE, "n": n, "decision": Decision.INVALID, "invalid": True},
        "both invalid": {
            "arm": Arm.ADAPTIVE,
            "n": n,
            "decision": Decision.INVALID,
            "audited": True,
            **unclear,
            "adaptive_decision": Decision.INVALID,
            "agrees": None,
        },
        "late invalid": {"arm": Arm.ADAPTIVE, "n": n, "decision": adaptive, "audited": True, **unclear},
        "fallback": {"decision": baseline, "reason": Reason.FALLBACK, "failure": draw(st.sampled_from(MESSAGES))},
        "nan fallback": {"audited": draw(st.booleans()), "failure": "INVALID", **nan},
    }
    drawn = draw(st.sampled_from([None, -(-n // 8) * 8, N + 8]))
    return replace(
        PLAIN,
        rollout=draw(st.sampled_from(["r", "r", "r", "other"])),
        stage=draw(st.sampled_from(["canary", "expand"])),
        target=f"t{draw(st.integers(0, 5))}",
        plan_id=draw(st.sampled_from(["plan", "plan", "other"])),
        region=draw(st.sampled_from([None, "eu", "us"])),
        at=float(draw(st.integers(0, 100))),
        drawn=drawn,
        cost=draw(st.sampled_from([None, 0.5])),
        draw_seconds=draw(st.sampled_from([None, (drawn or n) / 4])),
        **changed[draw(st.sampled_from(WAYS))],  # type: ignore[arg-type]
    )


def escalated(audits: list[DecisionRow], max_rollbacks: int, *, adaptive: bool) -> set[str]:
    """Targets with so many rejections in a row; a third of them ends the count of a target for good."""
    streak: dict[str, int] = defaultdict(int)
    for row in audits:
        decision = (row.adaptive_decision if row.shadow else row.decision) if adaptive else row.baseline_decision
        if streak[row.target] < max_rollbacks:
            # What is INVALID is kept, and is no rollback.
            rejected = decision is Decision.REJECTED
            streak[row.target] = 0 if decision is Decision.ACCEPTED else streak[row.target] + rejected
    return {target for target, count in streak.items() if count >= max_rollbacks}


def disagreed_at(audits: list[DecisionRow]) -> list[int]:
    return [at for at, row in enumerate(audits, 1) if row.adaptive_decision != row.baseline_decision]


def chance(row: DecisionRow) -> float | None:
    """What some plan says of an audit."""
    return None if row.baseline_statistic is None else row.baseline_statistic / 128


def first_of_targets(audits: list[DecisionRow]) -> list[DecisionRow]:
    return [row for i, row in enumerate(audits) if row.target not in {one.target for one in audits[:i]}]


def expected(audits: list[DecisionRow]) -> Expected:
    """Of the first audits of targets, where the total is known: how many there are and disagree, and should."""
    known = [row for row in first_of_targets(audits) if row.baseline_statistic is not None]
    logs = [0.0] * len(SHARES)
    for row in known:
        p = chance(row) or 0.0
        for place, share in enumerate(SHARES):
            if row.adaptive_decision == row.baseline_decision:
                logs[place] += log1p(-share)
            else:
                logs[place] += log(p + share * (1 - p)) - log(p) if p else 1e4
    return Expected(len(known), len(disagreed_at(known)), sum(chance(row) or 0.0 for row in known), logs)


def slices(audits: list[DecisionRow]) -> dict[str, Slice]:
    """Audits by region, in the order in which the regions appear; of those that disagree the latest 100 places."""
    counted = {}
    for number, region in enumerate(dict.fromkeys(row.region for row in audits if row.region), 1):
        here = [row for row in audits if row.region == region]
        places = disagreed_at(here)
        counted[f"region {region}"] = Slice(number, len(here), len(places), places[-100:])
    return counted


def earlier(audits: list[DecisionRow]) -> dict[str, EarlierStage]:
    stages = {}
    for name in {row.stage for row in audits}:
        places = disagreed_at([row for row in audits if row.stage == name])
        count = sum(row.stage == name for row in audits)
        stages[name] = EarlierStage(count, len(places), count, tuple(places))
    return stages


def failures(rows: list[DecisionRow]) -> dict[str, int]:
    """Messages of fallbacks, by their first letters; the example is the first of the alphabet."""
    messages = sorted(row.failure for row in rows if row.failure)
    return {next(group): 1 + sum(1 for _ in group) for _, group in groupby(messages, lambda message: message[:4])}


def saving(stopped: list[DecisionRow], draws: list[int]) -> Saving:
    """At half a unit and a quarter of a second for each draw, where that is known."""
    left = [0 if row.audited and not row.shadow else N - n for row, n in zip(stopped, draws, strict=True)]
    costs = [n for row, n in zip(stopped, left, strict=True) if row.cost is not None]
    times = [n for row, n in zip(stopped, left, strict=True) if row.drawn and row.draw_seconds is not None]
    return Saving(N * len(costs) / 2, sum(costs) / 2, N * len(times) / 4, sum(times) / 4)


def by_hand(rows: list[DecisionRow], stage: Stage, began: float, now: float, max_rollbacks: int) -> Evidence:
    mine = [row for row in rows if row.rollout == "r" and row.stage == stage.name]
    valid = [row for row in mine if Decision.INVALID not in (row.decision, row.baseline_decision)]
    stopped = [
        row
        for row in valid
        if (row.shadow or row.arm is Arm.ADAPTIVE) and row.adaptive_decision is not Decision.INVALID
    ]
    invalid = Decision.INVALID
    all_audits = [
        row
        for row in rows
        if row.rollout == "r"
        and row.audited
        and row.baseline_decision
        and {row.baseline_decision, row.adaptive_decision} != {invalid}
    ]
    audits = [row for row in all_audits if row.stage == stage.name]
    firsts = first_of_targets(all_audits)
    more = escalated(audits, max_rollbacks, adaptive=True)
    fewer = escalated(audits, max_rollbacks, adaptive=False)
    worded = [row for row in mine if row.why_fixed is not WhyFixed.NO_WORD]
    here = [row for row in worded if not stage.regions or row.region in stage.regions]
    tried = {(row.region, row.target) for row in here if row.arm is Arm.ADAPTIVE or row.reason is Reason.FALLBACK}
    draws = [min(row.drawn or row.adaptive_n or row.n, N) for row in stopped]
    return Evidence(
        decisions=len(mine),
        adaptive=sum(row.arm is Arm.ADAPTIVE for row in mine),
        invalid=sum(row.invalid for row in mine),
        audits=len(audits),
        disagreements=sum(row.adaptive_decision != row.baseline_decision for row in audits),
        stopped=len(stopped),
        stopping_draws=sum(draws),
        fixed_draws=N * len(stopped),
        reductions=dict(Counter(str(int(10_000 * (1 - n / N))) for n in draws)),
        saving=saving(stopped, draws),
        audit_draws=sum(N - n for row, n in zip(stopped, draws, strict=True) if row.audited and not row.shadow),
        fallbacks=sum(row.reason is Reason.FALLBACK for row in mine),
        audited_targets=len({row.target for row in audits}),
        excess=len(more - fewer),
        spared=len(fewer - more),
        adaptive_targets=len(tried),
        fixed_targets=len({(row.region, row.target) for row in here} - tried),
        watched=len(audits),
        disagreed_at=tuple(disagreed_at(audits)),
        slices=slices(audits),
        expected=expected(audits),
        earlier=earlier([row for row in all_audits if row.stage != stage.name]),
        failures=failures(mine),
        targets=len({row.target for row in audits}),
        rollout_audits=len(all_audits),
        first_audits=len(firsts),
        first_disagreements=len(disagreed_at(firsts)),
        age=0.0,
        silence=max(now - max((row.at for row in mine), default=began), 0.0),
        plans=dict(Counter(row.plan_id for row in mine)),
    )
