"""Gate: the benefit. How many draws adaptive decisions save, at their stopping times."""

from collections.abc import Mapping
from dataclasses import asdict, replace

from suffice.errors import MissingDataError, RolloutError
from suffice.evidence.measurements import REDUCTIONS, Evidence, demand
from suffice.evidence.saving import Saving
from suffice.gates.betting import lower
from suffice.gates.e_process import ALARM
from suffice.gates.outcome import GateResult, Outcome, unknown
from suffice.gates.wording import at_least, at_most, limit, percent

GATE = "sample_reduction"

_COUNTS = ("stopped", "stopping_draws", "fixed_draws", "adaptive", "audit_draws")


def judge(evidence: Evidence, min_reduction: float, confidence: float, unit: str = "cost") -> GateResult:
    """Successful when a reduction of at least `min_reduction` is proven with `confidence`; Failed when less is, with
    99 %.

    Judges the share 1 − draws / N that a decision saves in the mean, with its draws up to the stopping time and its own
    N, over the decisions in force, and in a shadow stage over those made beside the fixed ones. `value` is the observed
    reduction of the draws; the bounds, and the reduction net of what audits drew on, are in `numbers`. The bounds hold
    at all times at once, for the mean of each share's expectation given those before: decisions about one target may
    be alike, and traffic may change (see `betting`). Beside it stands what was saved, in the caller's `unit` of cost
    and in time, where that is known.
    """
    try:
        stopped, draws, fixed, adaptive, audit_draws = evidence.counts(*_COUNTS)
        reduced = evidence.reduced()
        judged = sum(reduced.values())
        demand(draws <= fixed, f"{draws:,} draws up to the stopping times, where N allows {fixed:,}")
        demand(fixed > 0 or stopped == 0, f"{stopped:,} decisions, which fixed would take {fixed:,} draws")
        demand(audit_draws <= fixed - draws, f"{audit_draws:,} draws of audits, where N leaves {fixed - draws:,}")
        demand(judged <= stopped, f"{judged:,} shares of draws saved, in {stopped:,} decisions")
    except MissingDataError as error:
        return unknown(GATE, error, min_reduction, limit(min_reduction))
    if not stopped:
        sentence = f"no adaptive decision yet, 0 draws saved (limit {limit(min_reduction)})"
        return GateResult(GATE, Outcome.INCONCLUSIVE, sentence, None, min_reduction, {"decisions": 0})
    net = 1 - (draws + audit_draws) / fixed if adaptive else None
    result = _judge(stopped, 1 - draws / fixed, net, reduced, min_reduction, confidence)
    return _with_saving(result, evidence.saving, unit)


def net_possible(audit_fraction: float, expected_reduction: float) -> float:
    """The reduction that is left when this share of targets is audited: (1 − audit_fraction) · expected_reduction.

    An audited decision takes N draws whenever it stopped, the others take N · (1 − expected_reduction) on average; a
    target is audited before its first draw, so stopping time and audit are independent.
    """
    return (1 - audit_fraction) * expected_reduction


def check_net(audit_fraction: float, expected_reduction: float, min_reduction: float) -> None:
    """Refuse a rollout whose last stage cannot keep the benefit net of its audits. Raises RolloutError."""
    net = net_possible(audit_fraction, expected_reduction)
    if net < min_reduction:
        audits = f"with audits of {percent(audit_fraction)} of the targets"
        raise RolloutError(
            f"the last stage, {audits}, can save {percent(net)} of the draws; allowed: at least {limit(min_reduction)}"
        )


def _judge(
    decisions: int, reduction: float, net: float | None, reduced: Mapping[float, int], min_reduction: float, sure: float
) -> GateResult:
    shares, times = list(reduced), list(reduced.values())
    least = lower(shares, times, sure)
    # The shares are rounded down: what a decision leaves of N is up to a step less than it seems.
    most = 1 - lower([max(1 - share - 1 / REDUCTIONS, 0.0) for share in shares], times, ALARM)
    outcome, bound = Outcome.INCONCLUSIVE, f"proven ≥ {at_least(least)}"
    if most < min_reduction:
        outcome, bound = Outcome.FAILED, f"proven ≤ {at_most(most)}"
    elif least >= min_reduction:
        outcome = Outcome.SUCCESSFUL
    observed = f"{percent(reduction)} fewer draws in {decisions:,} decisions"
    judged = sum(times)
    of = "" if judged == decisions else f" by the last {judged:,}"
    beside = "in the shadow" if net is None else f"{percent(net)} net of audits"
    sentence = f"{observed}; {bound}{of} (limit {limit(min_reduction)}); {beside}"
    numbers = {"decisions": decisions, "lower": least, "upper": most, "net": net}
    return GateResult(GATE, outcome, sentence, reduction, min_reduction, numbers)


def _with_saving(judged: GateResult, saving: Saving, unit: str) -> GateResult:
    saved = saving.words(unit)
    if not saved:
        return judged
    verb = "would save" if judged.numbers["net"] is None else "saved"
    return replace(judged, sentence=f"{judged.sentence}; {verb} {saved}", numbers={**judged.numbers, **asdict(saving)})
