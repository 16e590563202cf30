"""Gate: the buckets. Adaptive decisions about targets that the word they were made under puts on the fixed arm."""

from collections.abc import Sequence

from suffice.flag.bucketing import buckets
from suffice.flag.document import Exposure, in_words
from suffice.gates.outcome import GateResult, Outcome
from suffice.store.decision_row import DecisionRow

GATE = "buckets"


def judge(rows: Sequence[DecisionRow], exposure: Exposure | None) -> GateResult | None:
    """An Error when one of these decisions of a stage was adaptive outside its bucket; None when none was.

    Evaluators of two versions, or of two languages, bucket differently. Rows without an epoch were made by versions
    that followed a file, and say nothing.
    """
    adaptive = [row for row in rows if row.is_adaptive and row.epoch is not None]
    placed = buckets(exposure.salt, {row.target for row in adaptive}) if exposure else {}
    outside = [row for row in adaptive if not _is_inside(row, placed, exposure)]
    if not outside:
        return None
    first = outside[0]
    sentence = (
        f"{len(outside):,} of {len(adaptive):,} adaptive decisions were outside their bucket ({in_words(exposure)}; "
        f"limit 0), the first of {first.target!r} by process {first.process}: another evaluator is at work"
    )
    return GateResult(GATE, Outcome.ERROR, sentence, float(len(outside)), 0.0, {"adaptive": len(adaptive)})


def _is_inside(row: DecisionRow, placed: dict[str, int], exposure: Exposure | None) -> bool:
    if exposure is None or (exposure.regions and row.region not in exposure.regions):
        return False
    return placed[row.target] < exposure.weight
