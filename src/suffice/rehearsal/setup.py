"""What a rehearsal is made of, and where it keeps its files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from suffice.config import Config
from suffice.errors import OutputError
from suffice.rehearsal.faults import Fault
from suffice.rehearsal.traffic import ELSEWHERE
from suffice.sources.correction import Correction
from suffice.stopping.plan import Plan

PASSES = 14
"""How often the corrections may arrive before a rehearsal that has not ended is given up as paused."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The inputs of a rehearsal; its outcome is a function of these."""

    config: Config
    plan: Plan
    corrections: Sequence[Correction]
    source: str
    directory: Path
    fault: Fault | None = None
    passes: int = PASSES

    @property
    def seed(self) -> int:
        return self.config.determinism.seed

    @property
    def start(self) -> float:
        """The first moment of the compressed clock, in seconds since the epoch."""
        return self.config.determinism.fixed_timestamp.timestamp()

    @property
    def cycle(self) -> float:
        return self.config.rollout.cycle.total_seconds()

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that stages name, and one more."""
        named = dict.fromkeys(region for stage in self.config.rollout.stages for region in stage.regions)
        return (*named, ELSEWHERE) if ELSEWHERE not in named else tuple(named)

    def file(self, name: str) -> Path:
        return self.directory / name


FILES = ("store.db", "store.db-wal", "store.db-shm", "flag.json", "config.json", "metrics.json", "history.jsonl")
RESULTS = ("report.html", "summary.json")


def begin_anew(directory: Path) -> None:
    """Remove what an earlier rehearsal left here, and nothing else; its triage bundles stay. Raises OutputError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in (*FILES, *RESULTS):
            (directory / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{directory}: cannot be used for a rehearsal: {error.strerror or error}") from error


def remove_temporary_files(directory: Path) -> None:
    """Remove the parts that a killed rehearsal left; for who holds the rehearsal's lock."""
    for leftover in directory.glob(".*.tmp"):
        if leftover.is_file():
            leftover.unlink(missing_ok=True)
