"""What a rehearsal is made of, and where it keeps its files."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from suffice.config import Config
from suffice.errors import OutputError
from suffice.rehearsal.faults import Fault
from suffice.rehearsal.traffic import ELSEWHERE
from suffice.sources.correction import Correction
from suffice.stopping.plan import Plan
from suffice.store.chain import canonical

PASSES = 14
"""How often the corrections may arrive before a rehearsal that has not ended is given up as paused."""


@dataclass(frozen=True)
class Setup:
    """The inputs of a rehearsal; its outcome is a function of these.

    With `checks` each stage runs the runbook's checks once, and their answer is a gate.
    """

    config: Config
    plan: Plan
    corrections: Sequence[Correction]
    source: str
    directory: Path
    fault: Fault | None = None
    passes: int = PASSES
    checks: bool = True

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

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that the outcome is a function of, as plain JSON values: a rehearsal goes on with nothing else."""
        content = "\n".join(map(repr, self.corrections))
        return {
            "plan": self.plan.id,
            "source": self.source,
            "corrections": sha256(content.encode()).hexdigest(),
            "fault": self.fault.spelling if self.fault else None,
            "passes": self.passes,
            "checks": self.checks,
            "config": self.config.model_dump(mode="json"),
        }

    def file(self, name: str) -> Path:
        return self.directory / name

    def bundle(self, stage: str, gate: str) -> Path:
        """Where the evidence of a rollback goes: a folder that no other rehearsal uses."""
        return self.directory / TRIAGE / f"{stage}-{gate}-seed-{self.seed}-{self._digest}"

    @property
    def bundles(self) -> list[Path]:
        """The evidence of rollbacks that such a rehearsal has left."""
        return sorted((self.directory / TRIAGE).glob(f"*-{self._digest}"))

    @property
    def _digest(self) -> str:
        return sha256(canonical(self.identity).encode()).hexdigest()[:8]


TRIAGE, CHECKS, PLAN = "triage", "checks", "plan.json"
FILES = ("store.db", "store.db-wal", "store.db-shm", "flag.json", "config.json", PLAN, "metrics.json", "history.jsonl")
RESULTS = ("report.html", "summary.json")


def pinned(config: Config, plan_file: str) -> Config:
    """The configuration with this plan pinned: whoever reads it judges the plan that is rehearsed."""
    sampling = config.verifier.adaptive_sampling.model_copy(update={"plan_file": plan_file})
    return config.model_copy(update={"verifier": config.verifier.model_copy(update={"adaptive_sampling": sampling})})


def begin_anew(setup: Setup) -> None:
    """Remove what an earlier rehearsal left here, and nothing else.

    The evidence that rehearsals of something else left stays; that of an equal one would be taken for new. Raises
    OutputError.
    """
    try:
        setup.directory.mkdir(parents=True, exist_ok=True)
        for name in (*FILES, *RESULTS):
            setup.file(name).unlink(missing_ok=True)
        for folder in (*setup.bundles, *setup.directory.glob(CHECKS)):
            shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(f"{setup.directory}: cannot be used for a rehearsal: {error.strerror or error}") from error


def remove_temporary_files(directory: Path) -> None:
    """Remove the parts that a killed rehearsal left; for who holds the rehearsal's lock."""
    for folder, pattern in ((directory, ".*.tmp"), (directory / TRIAGE, ".*.tmp"), (directory / CHECKS, "**/.*.tmp")):
        for leftover in folder.glob(pattern):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
