"""Gate: the flag. Whether its file says what the rollout wants, and targets get the arm of their buckets."""

from collections.abc import Callable
from pathlib import Path

from suffice.errors import SufficeError
from suffice.flag.answer import Flag
from suffice.flag.bucketing import Sample, drift, misplaced
from suffice.flag.document import Exposure, in_words
from suffice.flag.file import wrong_with_file
from suffice.gates.outcome import GateResult, Outcome

GATE = "flag"


def judge(path: Path, wanted: Exposure | None, sample: Sample, flag: Flag, repair: Callable[[], object]) -> GateResult:
    """Successful when the file says what is wanted, and recorded targets keep their buckets and get their arms.

    A file that says anything else is an Error in this cycle, and is published again.
    """
    wrong = wrong_with_file(path, wanted)
    if wrong is not None:
        return _error(f"{wrong}; {_repaired(repair)}", None)
    moved = drift(sample)
    if moved:
        first = moved[0]
        return _error(
            f"{len(moved)} of {len(sample.buckets)} recorded targets have moved to another bucket (limit 0), the first "
            f"is {first.target}, from {first.was} to {first.now}; pin the evaluator ({sample.evaluator})",
            float(len(moved)),
        )
    region = wanted.regions[0] if wanted is not None and wanted.regions else None
    elsewhere = misplaced(sample, wanted, flag, region)
    asked = f"{len(sample.buckets) - len(elsewhere)} of {len(sample.buckets)} recorded targets get the arm of their"
    sentence = f"{asked} bucket ({in_words(wanted)})"
    if elsewhere:
        return _error(f"{sentence}; not {elsewhere[0]}", float(len(elsewhere)))
    return GateResult(GATE, Outcome.SUCCESSFUL, sentence, 0.0, 0.0)


def _repaired(repair: Callable[[], object]) -> str:
    try:
        repair()
    except SufficeError as error:
        return f"it cannot be published again: {error}"
    return "published again"


def _error(sentence: str, value: float | None) -> GateResult:
    return GateResult(GATE, Outcome.ERROR, sentence, value, 0.0)
