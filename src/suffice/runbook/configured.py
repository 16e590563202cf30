"""The configuration that checks run under, and what they all make of it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from suffice.config import Config, config_file, parse, shipped
from suffice.config.reading import read as read_text
from suffice.resolution.storm import StormPolicy
from suffice.runbook.sweep import Conditions
from suffice.stopping.cache import default_cache
from suffice.stopping.make import configured_plan
from suffice.stopping.plan import Plan


@dataclass(frozen=True)
class Configured:
    """A configuration; `text` is the file itself, `folder` what its `plan_file` is relative to.

    `from_file` is False for the configuration that we ship.
    """

    config: Config
    text: str
    folder: Path
    from_file: bool

    @cached_property
    def plan(self) -> Plan:
        """The configured plan, from the user's cache where it was made before. Raises PlanError."""
        return configured_plan(self.config.verifier, default_cache(), self.folder)

    @property
    def policy(self) -> StormPolicy:
        return StormPolicy.of(self.config)

    def seed(self, chosen: int | None = None) -> int:
        """The chosen seed, else the configured one."""
        return self.config.determinism.seed if chosen is None else chosen

    def conditions(self, seed: int | None = None, *, deterministic: bool = False) -> Conditions:
        """What scenarios run under; `deterministic` reports carry the configuration's `fixed_timestamp`."""
        determinism = self.config.determinism
        at = determinism.fixed_timestamp if deterministic or determinism.deterministic_mode else None
        return Conditions(self.plan, self.seed(seed), self.policy, at)


def read(path: Path | None) -> Configured:
    """The configuration at `path`, else ./config.json, else the one that we ship. Raises ConfigError."""
    file = config_file(path)
    if file is None:
        config = shipped()
        return Configured(config, config.model_dump_json(indent=2), Path(), from_file=False)
    text = read_text(file)
    return Configured(parse(text, str(file)), text, file.parent, from_file=True)
