"""Gates about the plumbing: what the flag file says, where it puts targets, and whether the configuration is
readable."""

from collections.abc import Callable
from pathlib import Path

from suffice.errors import SufficeError
from suffice.flag.arm import Flag
from suffice.flag.bucketing import Sample, drift, misplaced
from suffice.flag.document import Exposure
from suffice.flag.file import published
from suffice.gates.outcome import GateResult, Outcome

FLAG_GATE, CONFIG_GATE = "flag", "configuration"


def wrong_with_file(path: Path, wanted: Exposure | None) -> str | None:
    """What keeps the flag file from saying `wanted`, None when nothing does."""
    try:
        found = published(path)
    except SufficeError as error:
        return str(error)
    return None if found == wanted else f"{path}: says {shown(found)}, the rollout wants {shown(wanted)}"


def judge_flag(
    path: Path, wanted: Exposure | None, sample: Sample, flag: Flag, repair: Callable[[], object]
) -> GateResult:
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
    sentence = f"{asked} bucket ({shown(wanted)})"
    if elsewhere:
        return _error(f"{sentence}; not {elsewhere[0]}", float(len(elsewhere)))
    return GateResult(FLAG_GATE, Outcome.SUCCESSFUL, sentence, 0.0, 0.0)


def unreadable(error: SufficeError) -> GateResult:
    """The answer when the configuration, or the plan that it names, cannot be read."""
    return GateResult(CONFIG_GATE, Outcome.ERROR, str(error), None, None)


def shown(exposure: Exposure | None) -> str:
    """An exposure in words."""
    if exposure is None:
        return "baseline, 0 % adaptive"
    where = ", ".join(exposure.regions) or "all regions"
    return f"{exposure.weight} % adaptive in {where}"


def _repaired(repair: Callable[[], object]) -> str:
    try:
        repair()
    except SufficeError as error:
        return f"it cannot be published again: {error}"
    return "published again"


def _error(sentence: str, value: float | None) -> GateResult:
    return GateResult(FLAG_GATE, Outcome.ERROR, sentence, value, 0.0)
