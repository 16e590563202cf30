"""Gate: determinism. Recorded decisions, recomputed in a fresh process, come out the same."""

from suffice.errors import MissingDataError
from suffice.evidence.measurements import Evidence, demand
from suffice.gates.outcome import GateResult, Outcome, unknown

GATE = "determinism"


def judge(evidence: Evidence, at_least: int = 1) -> GateResult:
    """Successful when `at_least` decisions were recomputed and none differs; Failed when any does.

    Inconclusive while the stage has not had that many decisions to recompute, an Error when it has and they were not,
    or when they could not be.
    No statistics: a decision is a function of seed, key and plan, so a single difference is a defect.
    """
    try:
        recomputed, differing, decisions = evidence.counts("recomputed", "differing", "stopped")
        demand(differing <= recomputed, f"{differing:,} of {recomputed:,} recomputed decisions differ")
    except MissingDataError as error:
        return unknown(GATE, error, 0.0, "0")
    if evidence.not_recomputed is not None:
        return GateResult(GATE, Outcome.ERROR, f"{evidence.not_recomputed} (limit 0)", None, 0.0)
    outcome = Outcome.FAILED if differing else _when_equal(recomputed, decisions, max(at_least, 1))
    if not (decisions or recomputed):
        sentence = "no decision to recompute yet, 0 differ (limit 0)"
        return GateResult(GATE, outcome, sentence, 0.0, 0.0, {"recomputed": 0})
    differ = "differs" if differing == 1 else "differ"
    sentence = f"{differing:,} of {recomputed:,} decisions recomputed in a fresh process {differ} (limit 0)"
    if evidence.first_differing is not None:
        sentence += f", the first of key {evidence.first_differing!r}"
    if recomputed < at_least:
        sentence += f"; at least {at_least:,} of {decisions:,} must be recomputed"
    return GateResult(GATE, outcome, sentence, float(differing), 0.0, {"recomputed": recomputed})


def _when_equal(recomputed: int, decisions: int, at_least: int) -> Outcome:
    if recomputed >= at_least:
        return Outcome.SUCCESSFUL
    return Outcome.INCONCLUSIVE if decisions < at_least else Outcome.ERROR
