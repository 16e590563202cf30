"""Gate: disagreement of adaptive and fixed decisions, proven from the stage's own audits."""

from dataclasses import replace

from suffice.errors import MissingDataError
from suffice.evidence.measurements import EarlierStage, Evidence, Slice, demand
from suffice.gates import e_process
from suffice.gates.e_detector import FAILS, HOLDS, Drift, scaled
from suffice.gates.e_process import ALARM, log_e_above, log_e_below, reached
from suffice.gates.outcome import GateResult, Outcome, unknown
from suffice.gates.wording import at_least, at_most, limit, percent

GATE = "disagreement"


def judge(evidence: Evidence, max_rate: float, confidence: float) -> GateResult:
    """Successful when a rate of at most `max_rate` is proven with `confidence`; Failed when more is, with 99 %.

    Failed too when the latest audits prove that the rate has risen above it, however good the past; and not Successful
    while they speak against it (`e_detector`). Failed when one slice of the audits shows either; all slices together
    err as often as one such alarm (docs/gates.md). Failed, lastly, when the audits of an earlier stage show either:
    some reach the ledger when their stage has passed, and its alarms are time-uniform.

    An audit that was not finished, because its sampler raised after the adaptive decision, counts for the proof as one
    that disagrees, and not for the alarms: unknown is no success, and no failure.

    The first two are time-uniform: however often it is judged, the chance of ever proving what is false is at most
    1 − confidence, or 1 %. The alarm of a rise has a mean time until it is false instead, since it never ends. Assumes
    that each audit disagrees with a probability on one side of the limit, given those before. `value` is the observed
    rate; the bounds are in `numbers`.
    """
    try:
        names = ("audits", "disagreements", "watched", "targets", "unfinished")
        n, k, watched, targets, unfinished = evidence.counts(*names)
        demand(k <= n, f"{k:,} disagreements in {n:,} audits")
    except MissingDataError as error:
        return unknown(GATE, error, max_rate, limit(max_rate))
    drift = Drift.of(watched, evidence.disagreed_at, max_rate)
    result = _judge(k, n, targets, unfinished, drift, max_rate, confidence)
    slices = tuple(_judge_slice(name, part, max_rate) for name, part in evidence.slices.items() if part.disagreements)
    broken = [part for part in slices if part.outcome is Outcome.FAILED]
    if broken and result.outcome is not Outcome.FAILED:
        more = f"; slices that fail: {len(broken)}" if len(broken) > 1 else ""
        sentence = f"{broken[0].named}{more}; of all: {result.sentence}"
        result = replace(result, outcome=Outcome.FAILED, sentence=sentence)
    parts = slices if len(evidence.slices) > 1 else ()
    try:
        earlier = [_judge_earlier(name, stage, max_rate, confidence) for name, stage in evidence.earlier.items()]
    except MissingDataError as error:
        return unknown(GATE, error, max_rate, limit(max_rate))
    failed = [stage for stage in earlier if stage.outcome is Outcome.FAILED]
    if failed:
        parts = (*parts, *failed)
        if result.outcome is not Outcome.FAILED:
            sentence = f"{failed[0].named}; of this stage: {result.sentence}"
            result = replace(result, outcome=Outcome.FAILED, sentence=sentence)
    return replace(result, parts=parts)


def until_failed(evidence: Evidence, max_rate: float, most: int = 200) -> int | None:
    """How many more audits that disagree, with none that agree between, would make it Failed; None where `most` would
    not, or where the audits were not measured."""
    try:
        n, k, watched = evidence.counts("audits", "disagreements", "watched")
    except MissingDataError:
        return None
    for more in range(1, most + 1):
        positions = [*evidence.disagreed_at, *range(watched + 1, watched + more + 1)]
        drift = Drift.of(watched + more, positions, max_rate)
        if reached(log_e_above(k + more, n + more, max_rate), ALARM) or drift.peak >= scaled(FAILS, max_rate):
            return more
    return None


def _judge(
    k: int, n: int, targets: int, unfinished: int, drift: Drift, max_rate: float, confidence: float
) -> GateResult:
    worst_k, worst_n = k + unfinished, n + unfinished
    lower, upper = e_process.lower(k, n, ALARM), e_process.upper(worst_k, worst_n, confidence)
    outcome, bound = Outcome.INCONCLUSIVE, f"proven ≤ {at_most(upper)}"
    if reached(log_e_above(k, n, max_rate), ALARM):
        outcome, bound = Outcome.FAILED, f"proven ≥ {at_least(lower)}"
    elif drift.peak >= scaled(FAILS, max_rate):
        outcome, bound = Outcome.FAILED, "the latest prove that the rate has risen"
    elif drift.now >= scaled(HOLDS, max_rate):
        bound = "the latest speak for a rate that has risen"
    elif reached(log_e_below(worst_k, worst_n, max_rate), confidence):
        outcome = Outcome.SUCCESSFUL
    rate = k / n if n else None
    sentence = f"no audit yet, 0 disagree (limit {limit(max_rate)})"
    if rate is not None:
        sentence = f"{_observed(k, n, targets)}; {bound} (limit {limit(max_rate)})"
    if unfinished:
        were = "audit was" if unfinished == 1 else "audits were"
        sentence += f"; {unfinished:,} {were} not finished, since their sampler raised (set Case(retries=…))"
    numbers = {"audits": n, "disagreements": k, "lower": lower, "upper": upper, "drift": drift.now}
    numbers |= {"unfinished": unfinished} if unfinished else {}
    return GateResult(GATE, outcome, sentence, rate, max_rate, numbers)


def _judge_earlier(name: str, stage: EarlierStage, max_rate: float, confidence: float) -> GateResult:
    counts = Evidence(audits=stage.audits, disagreements=stage.disagreements, watched=stage.watched)
    n, k, watched = counts.counts("audits", "disagreements", "watched")
    demand(k <= n, f"{k:,} disagreements in {n:,} audits of stage {name}")
    drift = Drift.of(watched, stage.disagreed_at, max_rate)
    return replace(_judge(k, n, 0, 0, drift, max_rate, confidence), gate=f"{name}, passed")


def _judge_slice(name: str, part: Slice, max_rate: float) -> GateResult:
    """Failed when its rate is proven above the limit, or to have risen; else Successful: no proof is asked of a slice.

    The j-th to appear may be wrong with the share 1 / j(j + 1) of the error of one alarm; all shares sum to 1.
    """
    k, n, rarer = part.disagreements, part.audits, part.rarer
    sure = 1 - (1 - ALARM) / rarer
    outcome, shown = Outcome.SUCCESSFUL, ""
    if reached(log_e_above(k, n, max_rate), sure):
        outcome, shown = Outcome.FAILED, f"; proven ≥ {at_least(e_process.lower(k, n, sure))}"
    elif Drift.of(n, part.disagreed_at, max_rate).peak >= rarer * scaled(FAILS, max_rate):
        outcome, shown = Outcome.FAILED, "; the latest prove that the rate has risen"
    sentence = f"{_observed(k, n)}{shown} (limit {limit(max_rate)})"
    return GateResult(name, outcome, sentence, k / n, max_rate, {"audits": n, "disagreements": k})


def _observed(k: int, n: int, targets: int = 0) -> str:
    of = f" of {targets:,} target{'s' * (targets > 1)}" if targets else ""
    return f"{k:,} of {n:,} audits{of} {'disagrees' if k == 1 else 'disagree'}, {percent(k / n)}"
