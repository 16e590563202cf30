"""Your own recorded samples: JSON lines, CSV or Parquet, read as a stream."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from suffice.decision.rule import Rule
from suffice.errors import DataError, MissingDataError, PlanError
from suffice.sampling.recorded import Recorded
from suffice.sources.csv_rows import check_there
from suffice.sources.keys_once import KeysOnce
from suffice.sources.recording import LeftOut, ReadSoFar, RecordedFile, Recording
from suffice.verifier.case import Case

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")
ALIKE = "no case varies within itself: if its draws are copies of one result, what is saved on them means nothing"
"""What is said of a file that may hold cached results instead of repeated draws."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unusable:
    """A recorded case that is not decided."""

    key: str
    reason: LeftOut


class Samples:
    """The cases of a file of recorded samples, for a rule.

    Under a count rule a value must be 0 or 1, and a pair succeeds when it rises; under a mean rule a pair counts as
    after − before. Each case is observed in a random permutation keyed by (seed, case key), unless `given_order` says
    that the order in the file is random already. Iterating reads the file as a stream: memory does not grow with it,
    only with the longest case. `share` is how much of the file was read so far, 0 to 1.

    Iterating raises MissingDataError for a file that is not there or holds no case, and DataError with file and row for
    anything else that cannot be used: what was yielded before is then not to be relied on. The rows of a case must
    follow each other.
    """

    def __init__(self, path: Path, rule: Rule, *, given_order: bool = False) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{path}: ends in {path.suffix!r}; allowed: {', '.join(SUFFIXES)}")
        self.path = path
        self.share = 0.0
        self._rule = rule
        self._given_order = given_order

    def __iter__(self) -> Iterator[Case | Unusable]:
        reader, unit = _reader(self.path.suffix.lower())
        place = RecordedFile(self.path, unit, self._rule.counts)
        check_there(self.path)
        empty = True
        alike: int | None = 0
        with KeysOnce(place) as keys:
            for one in reader(place, self._told):
                empty = False
                keys.add(one.key, one.row)
                if alike is not None and one.values is not None:
                    alike = None if (one.values != one.values[0]).any() else alike + 1
                yield self._case(one)
            keys.finish()
        if empty:
            raise MissingDataError(f"{self.path}: holds no case")
        if alike:
            _log.warning("%s: %s", self.path, ALIKE)
        self.share = 1.0

    def _told(self, share: float) -> None:
        self.share = share

    def _case(self, one: Recording) -> Case | Unusable:
        if one.values is None or one.left_out is not None:
            return Unusable(one.key, one.left_out or LeftOut.EMPTY)
        try:
            self._rule.check_n(len(one.values))
        except PlanError:
            return Unusable(one.key, LeftOut.TOO_FEW)
        return Case(one.key, one.target, Recorded(one.values, self._given_order), one.region)


def _reader(suffix: str) -> tuple[Callable[[RecordedFile, ReadSoFar], Iterator[Recording]], str]:
    if suffix == ".csv":
        from suffice.sources import recorded_csv

        return recorded_csv.read, "line"
    if suffix == ".parquet":
        # Arrow takes long to load, and only this format needs it.
        from suffice.sources import recorded_parquet

        return recorded_parquet.read, "row"
    from suffice.sources import recorded_jsonl

    return recorded_jsonl.read, "line"
