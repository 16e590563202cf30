"""Your own recorded samples: JSON lines, CSV or Parquet, read as a stream."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from suffice.decision.rule import Rule
from suffice.errors import DataError, MissingDataError, PlanError
from suffice.files import is_open
from suffice.sampling.recorded import Recorded
from suffice.sources.keys_once import KeysOnce
from suffice.sources.opened import PACKED, STDIN, Opened, opened, shown
from suffice.sources.recording import LeftOut, RecordedFile, Recording
from suffice.verifier.case import Case

PARQUET = ".parquet"
BY_CONTENT = "by content"
TEXTS = (".jsonl", ".ndjson", ".csv")
SUFFIXES = (*TEXTS, PARQUET, *(f"{suffix}{PACKED}" for suffix in TEXTS))
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
    that the order in the file is random already. `columns` has, for a column of ours that the file calls otherwise, its
    name there. Iterating reads the file as a stream: memory does not grow with it, only with the longest case. `share`
    is how much of the file was read so far, 0 to 1.

    The path `-` is standard input. Of that and of a pipe, which can be read but once, the first bytes tell whether it
    is CSV or JSON lines, and whether gzip packed it.

    Iterating raises MissingDataError for a file that is not there or holds no case, and DataError with file and row for
    anything else that cannot be used: what was yielded before is then not to be relied on. The rows of a case must
    follow each other.
    """

    def __init__(
        self, path: Path, rule: Rule, *, given_order: bool = False, columns: Mapping[str, str] | None = None
    ) -> None:
        self._form = _form(path)
        if self._form not in SUFFIXES and self._form != BY_CONTENT:
            raise DataError(f"{path}: ends in {path.suffix!r}; allowed: {', '.join(SUFFIXES)}")
        self.path = path
        self.name = Path(shown(path)).name
        self.share = 0.0
        self._rule = rule
        self._given_order = given_order
        self._columns = columns or {}

    def __iter__(self) -> Iterator[Case | Unusable]:
        name, rule = Path(shown(self.path)), self._rule
        place = RecordedFile(name, self._unit, rule.counts, self._columns, rule.ties_within)
        empty = True
        alike: int | None = 0
        with KeysOnce(place) as keys:
            for one in self._recordings(place):
                empty = False
                keys.add(one.key, one.row)
                if alike is not None and one.values is not None:
                    alike = None if (one.values != one.values[0]).any() else alike + 1
                yield self._case(one)
            keys.finish()
        if empty:
            raise MissingDataError(f"{place.path}: holds no case")
        if alike:
            _log.warning("%s: %s", place.path, ALIKE)
        self.share = 1.0

    @property
    def _unit(self) -> str:
        return "row" if self._form == PARQUET else "line"

    def _recordings(self, place: RecordedFile) -> Iterator[Recording]:
        if self._form == PARQUET:
            # Arrow takes long to load, and only this format needs it.
            from suffice.sources import recorded_parquet

            yield from recorded_parquet.read(place, self._told)
            return
        from suffice.sources import recorded_csv, recorded_jsonl

        with opened(self.path, self._told, by_content=self._form == BY_CONTENT) as source:
            is_csv = _is_csv(source) if self._form == BY_CONTENT else self._form.startswith(".csv")
            yield from (recorded_csv.read if is_csv else recorded_jsonl.read)(place, source)

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


def _form(path: Path) -> str:
    """The suffix that tells the format, or `BY_CONTENT`."""
    suffix = path.suffix.lower()
    form = Path(path.stem).suffix.lower() + suffix if suffix == PACKED else suffix
    if form not in SUFFIXES and (path == STDIN or is_open(path) or path.is_fifo()):
        return BY_CONTENT
    return form


def _is_csv(source: Opened) -> bool:
    """Whether it is CSV; nobody has read of it yet. Raises DataError for Parquet, which cannot be read as a stream."""
    start = source.peek(1).lstrip(b"\xef\xbb\xbf \t\r\n")
    if start.startswith(b"PAR1"):
        raise DataError(f"{source.name}: is Parquet, which is read from its end; name a file")
    return not start.startswith((b"{", b"["))
