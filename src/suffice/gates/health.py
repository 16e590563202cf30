"""Gate: health. Whether production lives, its numbers are possible, traffic comes and is audited, the arms have their
shares, the adaptive path answers, each decision has its row, and draws are the numbers that they were in the shadow."""

from collections.abc import Sequence
from dataclasses import replace
from math import exp

from suffice.config import HealthLimits, Reaction
from suffice.errors import MissingDataError
from suffice.evidence.failures import listed, most_frequent_first
from suffice.evidence.measurements import Evidence, demand
from suffice.gates.e_process import ALARM, log_e_above, log_e_other, log_e_risen, reached
from suffice.gates.outcome import GateResult, Outcome, unknown, worst
from suffice.gates.wording import limit, percent

GATE = "health"

_PAUSES = round(1 / (1 - ALARM))
_MOST = 700.0

MISMATCH = 0.999
"""How sure a mismatch of the arms must be. Broken plumbing shows at once and grossly; good plumbing is judged in every
cycle of every stage, so the alarm may be slow, and must be rarer than that of a gate."""

MOST_REUSED, MOST_REUSED_LATELY = 0.1, 0.5
"""Shares of what production decides that may have keys of earlier decisions, in the stage and lately. Beyond them the
evidence is not about production: one of ten processes that began its keys anew may be the one that is broken."""

FEW = 20
"""Fewer than so many say nothing about what came lately, nor about audits that were to be expected."""

FAR_FEWER = 0.1
"""The share of the expected audited targets below which they are not audited as configured. Chance alone is there less
often than once in 20 million looks."""

MOST_WAITING, MOST_WAITING_LATELY = 1_000, 0.5
"""Rows that may wait: so many, or this share of the decisions that came lately."""

MOST_INVALID = 0.5
"""Where there was no shadow, so many are nobody's intention."""

DELIVERED_SECONDS = 60.0
"""Rows that wait are on their way; when for so long none came, they are held up."""


def judge(
    evidence: Evidence, weight: int, limits: HealthLimits | None = None, audit_fraction: float = 0.0
) -> GateResult:
    """The worst of its checks, which are its parts: that of equal ones which tells most.

    `weight` is the percentage of targets that the flag puts on the adaptive arm, 0 in a shadow stage, and
    `audit_fraction` the share of targets that are audited. When all is well, the result is about fallbacks.
    """
    limits = limits or HealthLimits()
    try:
        decisions, adaptive, invalid = evidence.counts("decisions", "adaptive", "invalid")
        demand(invalid <= decisions, f"{invalid:,} INVALID of {decisions:,} decisions")
        demand(adaptive <= decisions, f"{adaptive:,} adaptive of {decisions:,} decisions")
        no_answers = _invalid(evidence)
        checks = [
            _fallbacks(evidence, limits),
            _age(evidence, limits),
            _keys(evidence),
            _processes(evidence, weight),
            _spools(evidence),
            _silence(evidence, limits),
            *([_audits(evidence, weight, audit_fraction)] if audit_fraction else []),
            _arms(evidence, weight, limits),
            _refused(evidence, limits),
        ]
        # What holds by itself explains why nothing is audited, or adaptive; so it is told before that.
        checks.insert(0 if no_answers.outcome is Outcome.INCONCLUSIVE else len(checks), no_answers)
    except MissingDataError as error:
        return unknown(GATE, error, limits.max_fallback_rate, limit(limits.max_fallback_rate))
    return _worst_of(checks)


def _outcome(reaction: Reaction) -> Outcome:
    return Outcome.FAILED if reaction == "fail" else Outcome.INCONCLUSIVE


def _worst_of(checks: Sequence[GateResult]) -> GateResult:
    outcome = worst(checks)
    among = [check for check in checks if check.outcome is outcome]
    telling = next((check for check in among if _has_data(check)), among[0])
    return replace(telling, gate=GATE, parts=tuple(checks))


def _has_data(check: GateResult) -> bool:
    """Whether anything was counted: 0 of 0 says less than 0 of 9,683."""
    return not check.numbers or any(check.numbers.values())


def _age(evidence: Evidence, limits: HealthLimits) -> GateResult:
    age, allowed = evidence.seconds("age"), limits.max_age.total_seconds()
    outcome = Outcome.ERROR if age > allowed else Outcome.SUCCESSFUL
    limited = f"(limit {allowed:,.0f} s)"
    sentence = f"no sign of life of production for {age:,.0f} s {limited}"
    if outcome is Outcome.SUCCESSFUL:
        sentence = f"the last sign of life of production came {age:,.0f} s ago {limited}"
    return GateResult("signs of life", outcome, sentence, age, allowed)


def _silence(evidence: Evidence, limits: HealthLimits) -> GateResult:
    silence, allowed = evidence.seconds("silence"), limits.max_silence.total_seconds()
    (decisions,) = evidence.counts("decisions")
    outcome = Outcome.SUCCESSFUL if decisions else Outcome.INCONCLUSIVE
    if silence > allowed:
        outcome = _outcome(limits.silence)
    sentence = f"no decision for {silence:,.0f} s (limit {allowed:,.0f} s), {decisions:,} before that"
    return GateResult("silence", outcome, sentence, silence, allowed)


def _keys(evidence: Evidence) -> GateResult:
    """Judged over the whole stage, and over what came lately: a restart with the same keys shows there first."""
    decisions, reused = evidence.counts("decisions", "reused")
    stage = _reused("decisions", decisions, reused, MOST_REUSED)
    decisions_lately, reused_lately = evidence.lately("decisions", "reused")
    lately = _reused("recent decisions", decisions_lately, reused_lately, MOST_REUSED_LATELY)
    telling = lately if stage.outcome is Outcome.SUCCESSFUL and reused_lately >= FEW else stage
    if telling.outcome is Outcome.SUCCESSFUL:
        return stage
    advice = f": a restart with the same keys leaves the evidence at {decisions:,}; give each case a key of its own"
    return replace(telling, sentence=telling.sentence + advice)


def _reused(which: str, decisions: int, reused: int, most: float) -> GateResult:
    every = decisions + reused
    share = reused / every if every else 0.0
    outcome = Outcome.INCONCLUSIVE if share > most else Outcome.SUCCESSFUL
    sentence = f"{reused:,} of {every:,} {which} had keys of earlier ones, {percent(share)} (limit {limit(most)})"
    return GateResult("keys", outcome, sentence, share, most, {"reused": reused, "decisions": decisions})


def _processes(evidence: Evidence, weight: int) -> GateResult:
    """In the shadow whoever is disabled is audited all the same; whoever has another plan never is."""
    processes, disabled, foreign = evidence.counts("processes", "disabled", "foreign")
    unable = foreign + (disabled if weight else 0)
    outcome = Outcome.INCONCLUSIVE if unable else Outcome.SUCCESSFUL
    sentence = f"{unable:,} of {processes:,} processes cannot be adaptive (limit 0)"
    if unable:
        what = {
            "adaptive sampling disabled, or the baseline forced": disabled if weight else 0,
            "another plan": foreign,
        }
        parts = [f"{count:,} {'has' if count == 1 else 'have'} {why}" for why, count in what.items() if count]
        sentence += f": {' and '.join(parts)}; restart them with the rollout's configuration"
    return GateResult("processes", outcome, sentence, unable, 0, {"processes": processes, "unable": unable})


def _spools(evidence: Evidence) -> GateResult:
    """Rows that wait are no sign while rows come: those of the last second always wait.

    The rows of one process may wait while others deliver theirs, so the limit is of what came lately.
    """
    waiting, decisions, processes = evidence.counts("rows_waiting", "decisions", "processes")
    (recent,) = evidence.lately("decisions")
    most = min(decisions, max(MOST_WAITING, int(MOST_WAITING_LATELY * recent)))
    held_up = waiting > most or (waiting and evidence.seconds("silence") > DELIVERED_SECONDS)
    outcome = Outcome.INCONCLUSIVE if held_up else Outcome.SUCCESSFUL
    rows = "row waits" if waiting == 1 else "rows wait"
    sentence = f"{waiting:,} {rows} in the spools of {processes:,} processes (limit {most:,}; {decisions:,} have come)"
    if held_up:
        sentence += "; the log of the service says why they are not written"
    return GateResult("spools", outcome, sentence, waiting, most, {"waiting": waiting, "decisions": decisions})


def _audits(evidence: Evidence, weight: int, audit_fraction: float) -> GateResult:
    """A sign when audits are so few that it is no accident: each target is audited with the chance `audit_fraction`.

    In the shadow all targets may be audited, in force those on the adaptive arm. Audits may end in the middle of a
    stage; so what came lately is judged too.
    """
    names = ("audits", "decisions", "ineligible", "adaptive_targets", "fixed_targets")
    audits, decisions, ineligible, adaptive, fixed = evidence.counts(*names)
    targets = adaptive if weight else adaptive + fixed
    expected = targets * audit_fraction
    no_accident = (1 - audit_fraction) ** targets < 1 - MISMATCH
    none = not audits and (no_accident or 0 < decisions == ineligible)
    few = expected >= FEW and audits < FAR_FEWER * expected
    sentence = (
        f"{audits:,} audits of {decisions:,} decisions about {targets:,} targets (audited: {limit(audit_fraction)})"
    )
    if few:
        sentence += f", of which about {expected:,.0f} were to be audited"
    came, chosen, invalid, never, new = evidence.lately("decisions", "adaptive", "invalid", "ineligible", "audits")
    # Audits in which both paths are INVALID are not among those counted.
    expected_lately = max((chosen if weight else came - never) - invalid, 0) * audit_fraction
    ended = bool(audits) and not new and no_accident and expected_lately >= FEW
    if ended:
        sentence = (
            f"no new audit although {came:,} decisions came lately, where about {expected_lately:,.0f} were to be "
            f"expected; {audits:,} before that (audited: {limit(audit_fraction)})"
        )
    if ineligible:
        sentence += (
            f"; {ineligible:,} decisions are never to be adaptive: Case(eligible=False), or draws unfit for the plan"
        )
    outcome = Outcome.INCONCLUSIVE if none or few or ended else Outcome.SUCCESSFUL
    return GateResult("audits", outcome, sentence, audits, audit_fraction, {"audits": audits, "targets": targets})


def _fallbacks(evidence: Evidence, limits: HealthLimits) -> GateResult:
    fallbacks, adaptive, stopped = evidence.counts("fallbacks", "adaptive", "stopped")
    # A decision that fell back is not adaptive any more; one that stopped before it did is in `stopped` all the same.
    tried = max(stopped, adaptive + fallbacks)
    rate = fallbacks / tried if tried else 0.0
    allowed = limits.max_fallback_rate
    if reached(log_e_above(fallbacks, tried, allowed), ALARM):
        outcome = _outcome(limits.fallbacks)
    else:
        outcome = Outcome.SUCCESSFUL if tried and rate <= allowed else Outcome.INCONCLUSIVE
    observed = f"{fallbacks:,} of {tried:,} adaptive decisions fell back, {percent(rate)}"
    sentence = f"{observed if tried else 'no adaptive decision yet, 0 fell back'} (limit {limit(allowed)})"
    if evidence.failures:
        sentence += f", most often: {listed(most_frequent_first(evidence.failures))[0]}"
    (reused,) = evidence.counts("reused")
    if reused:
        sentence += f"; {reused:,} {'decision' if reused == 1 else 'decisions'} had keys of earlier ones"
    (invalid,) = evidence.counts("invalid")
    if invalid:
        sentence += f"; {invalid:,} {'decision was' if invalid == 1 else 'decisions were'} INVALID"
    numbers = {"fallbacks": fallbacks, "tried": tried, "reused": reused, "invalid": invalid}
    return GateResult("fallbacks", outcome, sentence, rate, allowed, numbers)


def _refused(evidence: Evidence, limits: HealthLimits) -> GateResult:
    """Lost rows are an Error for as long as a sign of life counts: told in time, and no stage is blocked for ever."""
    (refused,) = evidence.counts("refused")
    allowed = limits.max_age.total_seconds()
    age = evidence.seconds("refused_age") if refused else float("inf")
    outcome = Outcome.ERROR if age <= allowed else Outcome.SUCCESSFUL
    rows = "ledger row was" if refused == 1 else "ledger rows were"
    newest = f", the newest {age:,.0f} s ago" if refused else ""
    sentence = f"{refused:,} {rows} refused or lost{newest} (an Error for {allowed:,.0f} s)"
    return GateResult("rows", outcome, sentence, refused, allowed, {"refused": refused})


def _invalid(evidence: Evidence) -> GateResult:
    """An Error when the rate of INVALID decisions is proven above that of the shadow stage; without one, the stage is
    held when most are."""
    names = ("decisions", "invalid", "shadow_decisions", "shadow_invalid")
    decisions, invalid, before, invalid_before = evidence.counts(*names)
    demand(invalid_before <= before, f"{invalid_before:,} INVALID of {before:,} decisions in the shadow")
    log_e = log_e_risen(invalid, decisions, invalid_before, before)
    outcome = Outcome.ERROR if reached(log_e, ALARM) else Outcome.SUCCESSFUL
    rate = invalid / decisions if decisions else 0.0
    told = f"{invalid:,} of {decisions:,} decisions are INVALID, {percent(rate)}"
    numbers = {"decisions": decisions, "invalid": invalid}
    if not before and reached(log_e_above(invalid, decisions, MOST_INVALID), ALARM):
        sentence = f"{told} (limit {limit(MOST_INVALID)}, without a shadow to compare with)"
        return GateResult("INVALID", Outcome.INCONCLUSIVE, sentence, rate, MOST_INVALID, numbers)
    compared = f"in the shadow {invalid_before:,} of {before:,}" if before else "no shadow to compare with"
    risen = f"evidence of a rise {exp(min(log_e, _MOST)):.3g}, {_PAUSES} is an Error"
    return GateResult("INVALID", outcome, f"{told}; {compared}; {risen}", rate, None, numbers)


def _arms(evidence: Evidence, weight: int, limits: HealthLimits) -> GateResult:
    adaptive, fixed = evidence.counts("adaptive_targets", "fixed_targets")
    targets, expected = adaptive + fixed, weight / 100
    share = adaptive / targets if targets else 0.0
    outcome = Outcome.SUCCESSFUL
    if weight == 0 and adaptive:
        outcome = Outcome.FAILED
    elif weight not in (0, 100) and reached(log_e_other(adaptive, targets, expected), MISMATCH):
        outcome = _outcome(limits.mismatch)
    sentence = f"{adaptive:,} of {targets:,} targets are adaptive, {percent(share)} (weight {limit(expected)})"
    return GateResult("arms", outcome, sentence, share, expected, {"targets": targets, "adaptive": adaptive})
