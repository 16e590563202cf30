"""Gate: determinism. Recorded decisions, recomputed in a fresh process, come out the same."""

from suffice.gates.evidence import Evidence, NotMeasured, demand
from suffice.gates.outcome import GateResult, Outcome

GATE = "determinism"


def judge(evidence: Evidence) -> GateResult:
    """Successful when decisions were recomputed and none differs; Failed when one does; Error when none was recomputed.

    No statistics: a decision is a function of seed, key and plan, so a single difference is a defect.
    """
    try:
        recomputed, differing = evidence.counts("recomputed", "differing")
        demand(differing <= recomputed, f"{differing:,} of {recomputed:,} recomputed decisions differ")
        if not recomputed:
            raise NotMeasured("no decision was recomputed in a fresh process; 0 may differ, and 1 must be recomputed")
    except NotMeasured as unknown:
        return unknown.result(GATE, 0.0)
    outcome = Outcome.FAILED if differing else Outcome.SUCCESSFUL
    differ = "differs" if differing == 1 else "differ"
    sentence = f"{differing:,} of {recomputed:,} decisions recomputed in a fresh process {differ} (limit 0)"
    numbers = {"recomputed": recomputed, "differing": differing}
    return GateResult(GATE, outcome, sentence, float(differing), 0.0, numbers)
