"""What a rehearsal is made of, and where it keeps its files."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select

from suffice.config import Config
from suffice.errors import OutputError
from suffice.rehearsal.faults import Fault
from suffice.rehearsal.traffic import ELSEWHERE
from suffice.serving.spool import FOLDER
from suffice.sources.built import Builder
from suffice.sources.correction import Correction
from suffice.sources.recipe import Described
from suffice.stopping.plan import Plan
from suffice.store.chain import canonical
from suffice.store.database import Store
from suffice.store.note import NAME as NOTE
from suffice.store.schema import decisions, leases, metadata, records, rollouts, store_meta

PASSES = 14
"""How often the corrections may arrive before a rehearsal that has not ended is given up as paused."""


@dataclass(frozen=True)
class Setup:
    """The inputs of a rehearsal; its outcome is a function of these.

    What arrives are `corrections`, or a service's cases, some of which only its `builder` can build.
    With `checks` each stage runs the runbook's checks once, and their answer is a gate. It goes without the gates that
    are `waived`, as a rollout may.
    """

    config: Config
    plan: Plan
    corrections: Sequence[Correction] | Sequence[Described]
    source: str
    directory: Path
    fault: Fault | None = None
    passes: int = PASSES
    checks: bool = True
    waived: tuple[str, ...] = ()
    builder: Builder | None = None

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
            "waived": list(self.waived),
            "config": self.config.model_dump(mode="json"),
        }

    @property
    def described(self) -> Sequence[Described]:
        """The cases that arrive; empty where corrections do."""
        return [arrival for arrival in self.corrections if isinstance(arrival, Described)]

    def file(self, name: str) -> Path:
        return self.directory / name

    @property
    def bundles(self) -> list[Path]:
        """The evidence of a rollback that such a rehearsal has left."""
        return sorted((self.directory / TRIAGE).glob(f"*-{self.digest}"))

    @property
    def digest(self) -> str:
        """Tells the evidence of this rehearsal from that of others in its folder."""
        return sha256(canonical(self.identity).encode()).hexdigest()[:8]


SERVICE = "rehearsal"
"""The service whose rollout is rehearsed."""

TRIAGE, CHECKS, PLAN = "triage", "checks", "plan.json"
FILES = (NOTE, "flag.json", "config.json", PLAN, "metrics.json", "report.html", "summary.json")


def pinned(setup: Setup) -> Config:
    """The configuration with this plan pinned: whoever reads it judges the plan that is rehearsed. It names the
    service's builder only where that is needed."""
    config = setup.config
    sampling = config.verifier.adaptive_sampling.model_copy(update={"plan_file": PLAN})
    changed = {"adaptive_sampling": sampling, "cases": setup.builder and setup.builder.name}
    return config.model_copy(update={"verifier": config.verifier.model_copy(update=changed)})


def begin_anew(setup: Setup, store: Store) -> None:
    """Remove what an earlier rehearsal left here, in its store too, and nothing else; for who holds its lease.

    The evidence that rehearsals of something else left stays; that of an equal one would be taken for new. Raises
    OutputError, with nothing removed, when the store holds something else than a rehearsal.
    """
    _check_ours(store)
    try:
        for name in FILES:
            setup.file(name).unlink(missing_ok=True)
        for folder in (CHECKS, FOLDER, *(f"{TRIAGE}/{path.name}" for path in setup.bundles)):
            if setup.file(folder).exists():
                shutil.rmtree(setup.file(folder))
    except OSError as error:
        raise OutputError(f"{setup.directory}: cannot be used for a rehearsal: {error.strerror or error}") from error
    with store.write() as connection:
        for table in reversed(metadata.sorted_tables):
            # Whoever watches the flag ignores a file that is not newer than the last one, whoever published that.
            if table not in (leases, store_meta):
                connection.execute(delete(table))
        connection.execute(delete(store_meta).where(store_meta.c.key.startswith("chain/")))


def _check_ours(store: Store) -> None:
    with store.read() as connection:
        stored = connection.execute(select(rollouts.c.service, rollouts.c.id)).all()
        used = any(connection.execute(select(table).limit(1)).first() for table in (records, decisions))
    # Before there were services, the rollout of a rehearsal was called so.
    others = {service for service, rollout in stored if SERVICE not in (service, rollout)}
    if others or (used and not stored):
        held = f"rollouts of {', '.join(sorted(others))}" if others else "records or decisions of no rehearsal"
        raise OutputError(f"{store.name}: holds {held}; allowed: a folder for rehearsals alone")


def remove_temporary_files(directory: Path) -> None:
    """Remove the parts that a killed rehearsal left; for who holds the rehearsal's lock."""
    for folder, pattern in ((directory, ".*.tmp"), (directory / TRIAGE, ".*.tmp"), (directory / CHECKS, "**/.*.tmp")):
        for leftover in folder.glob(pattern):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)
